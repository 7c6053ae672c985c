"""Accepting, with few file descriptors, with errors, and with other processes on the same socket."""

import asyncio
import errno
import os
import re
import resource
import socket
import ssl
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AsyncExitStack, ExitStack, asynccontextmanager, contextmanager
from pathlib import Path
from typing import cast

import pytest
import structlog

from proxy.acceptor import AT_ONCE, Acceptor, _shown
from tests.raw_client import RawClient, Signal

Log = list[structlog.types.EventDict]


class Host:
    """Keeps whoever comes, and greets."""

    def __init__(self) -> None:
        self.expected = 0  # accepted, perhaps still at their handshake
        self.guests: list[asyncio.Transport] = []
        self.changed = Signal()

    def __call__(self) -> asyncio.Protocol:
        self.expected += 1
        self.changed.notify()
        return Guest(self)

    async def has(self, count: int) -> None:
        await self.changed.until(lambda: len(self.guests) == count, 5, f"{count} guests", lambda: str(len(self.guests)))

    def see_off(self, count: int | None = None) -> None:
        for guest in self.guests[:count]:
            guest.close()
        del self.guests[:count]


class Guest(asyncio.Protocol):
    def __init__(self, host: Host) -> None:
        self._host = host

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._host.guests.append(cast("asyncio.Transport", transport))
        self._host.guests[-1].write(b"hello")
        self._host.changed.notify()


class Watched(Acceptor):
    """Counts its looks while it pauses."""

    looks = 0

    def open(self) -> None:
        self.looked = Signal()
        super().open()

    def _look_again(self) -> None:
        self.looks += 1
        super()._look_again()
        self.looked.notify()

    async def has_looked(self, times: int) -> None:
        enough = self.looks + times
        await self.looked.until(lambda: self.looks >= enough, 5, f"{times} looks", lambda: str(self.looks))

    async def has_ended_a_pause(self, log: Log) -> None:
        ended = "accepting resumed"
        await self.looked.until(lambda: log[-1]["event"] == ended, 5, ended, lambda: str(log))


class Obstinate(socket.socket):
    """A socket on which accepting fails in these ways first."""

    errors: tuple[int, ...] = ()
    calls = 0

    def accept(self) -> tuple[socket.socket, object]:
        self.calls += 1
        if self.errors:
            number, self.errors = self.errors[0], self.errors[1:]
            raise OSError(number, os.strerror(number))
        return super().accept()


def listening(errors: tuple[int, ...] = ()) -> Obstinate:
    sock = Obstinate()
    sock.errors = errors
    sock.bind(("127.0.0.1", 0))
    sock.listen(100)
    return sock


@asynccontextmanager
async def accepting(sock: socket.socket, host: Callable[[], asyncio.Protocol]) -> AsyncIterator[Watched]:
    acceptor = Watched(sock, host)
    acceptor.open()
    try:
        yield acceptor
    finally:
        acceptor.close()
        await acceptor.drain(0)


@pytest.fixture
async def host() -> AsyncIterator[Host]:
    host = Host()
    yield host
    host.see_off()
    await asyncio.sleep(0)  # the transports close in the loop's next round


@contextmanager
def callers(sock: socket.socket, count: int) -> Iterator[list[socket.socket]]:
    """Connections that wait in the kernel's queue."""
    with ExitStack() as stack:
        yield [stack.enter_context(socket.create_connection(sock.getsockname())) for _ in range(count)]


@contextmanager
def descriptors(left: int) -> Iterator[None]:
    """Not more than so many descriptors, beyond those that are in use."""
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    lowest = os.dup(0)
    os.close(lowest)
    resource.setrlimit(resource.RLIMIT_NOFILE, (lowest + left, limits[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, limits)


def greeted(caller: socket.socket) -> bool:
    caller.settimeout(5)
    return caller.recv(5) == b"hello"


def events(log: Log) -> list[str]:
    return [line["event"] for line in log]


async def test_with_few_descriptors_left_connections_wait_and_none_is_lost(host: Host, quiet_log: Log) -> None:
    sock = listening()
    with callers(sock, 50) as waiting, descriptors(left=24):
        async with accepting(sock, host) as acceptor:
            await acceptor.has_looked(3)
            taken = len(host.guests)
            assert 10 <= taken <= 12, "the other half is for origins and files; the loop itself may take one or two"
            assert sock.calls == taken, "while there is no room, it is not even tried"
            assert events(quiet_log) == ["accepting paused"]
            assert quiet_log[0]["listen"] == f"127.0.0.1:{sock.getsockname()[1]}"
            assert quiet_log[0]["reason"] == "few file descriptors are left"
            for left in range(50 - taken, 0, -taken):
                host.see_off()
                await host.has(min(left, taken))
            host.see_off()
            await acceptor.has_ended_a_pause(quiet_log)
            assert events(quiet_log) == ["accepting paused", "accepting resumed"]
            with callers(sock, 1) as late:
                await host.has(1)
                assert all(map(greeted, [*waiting, *late]))


async def test_a_pause_ends_only_when_there_is_room_to_spare(host: Host, quiet_log: Log) -> None:
    sock = listening()
    with callers(sock, 20), descriptors(left=24):
        async with accepting(sock, host) as acceptor:
            await acceptor.has_looked(1)
            taken = len(host.guests)
            host.see_off(20 - taken)
            await host.has(taken)
            host.see_off(1)
            await acceptor.has_looked(3)
            assert events(quiet_log) == ["accepting paused"], "one free place would not last"
            host.see_off(5)
            await acceptor.has_ended_a_pause(quiet_log)
            assert len(host.guests) == taken - 6


async def test_without_a_single_descriptor_it_waits_too(host: Host, quiet_log: Log) -> None:
    sock = listening()
    async with accepting(sock, host) as acceptor:
        with callers(sock, 1) as [caller]:
            with descriptors(left=0):
                await acceptor.has_looked(3)
                assert sock.calls == 0
            await host.has(1)
            assert greeted(caller)
            assert events(quiet_log) == ["accepting paused", "accepting resumed"]


@pytest.mark.parametrize("number", [errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM, errno.EPERM, errno.EINVAL])
async def test_when_accepting_fails_it_tries_again_now_and_then(host: Host, quiet_log: Log, number: int) -> None:
    sock = listening(errors=(number,) * 5)
    async with accepting(sock, host) as acceptor:
        with callers(sock, 1) as [caller]:
            await host.has(1)
            assert acceptor.looks == 5, "once for each failure"
            assert greeted(caller)
        assert events(quiet_log) == ["accepting paused", "accepting resumed"]
        assert os.strerror(number) in quiet_log[0]["reason"]


async def test_a_connection_that_is_gone_already_does_not_hold_up_the_next(host: Host, quiet_log: Log) -> None:
    sock = listening(errors=(errno.ECONNABORTED, errno.EPROTO))
    async with accepting(sock, host) as acceptor:
        with callers(sock, 1) as [caller]:
            await host.has(1)
            assert greeted(caller)
        assert (acceptor.looks, quiet_log) == (0, [])


async def test_it_can_be_closed_while_it_pauses(host: Host) -> None:
    sock = listening(errors=(errno.EMFILE,) * 2)
    with callers(sock, 1):
        async with accepting(sock, host) as acceptor:
            await acceptor.has_looked(1)
        acceptor.close()
        assert not acceptor.is_open


async def test_who_shares_a_socket_shares_what_waits_there(host: Host) -> None:
    other = Host()
    sock = listening()
    with callers(sock, 4 * AT_ONCE):
        async with accepting(sock.dup(), host), accepting(sock, other):
            await host.has(2 * AT_ONCE)
            await other.has(2 * AT_ONCE)
    other.see_off()


async def test_one_that_closes_takes_nothing_from_the_others(host: Host) -> None:
    other = Host()
    sock = listening()
    async with accepting(sock.dup(), host) as first, accepting(sock, other):
        first.close()
        with callers(sock, 3) as [*all_of_them]:
            await other.has(3)
            assert all(map(greeted, all_of_them))
    assert host.guests == []
    other.see_off()


async def test_closing_accepts_what_waits(host: Host) -> None:
    sock = listening()
    with callers(sock, 3) as waiting:
        acceptor = Acceptor(sock, host)
        acceptor.open()
        acceptor.close()
        await acceptor.drain(5)
        assert all(map(greeted, waiting))


async def test_small_writes_go_out_at_once(host: Host) -> None:
    async with accepting(listening(), host) as acceptor:
        with callers(acceptor._sock, 1):
            await host.has(1)
            sock = host.guests[0].get_extra_info("socket")
            assert sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY) != 0


@pytest.mark.parametrize(
    ("family", "where", "shown"),
    [
        pytest.param(socket.AF_UNIX, "s", "unix:s", id="Unix"),
        pytest.param(socket.AF_INET, ("127.0.0.1", 0), r"127\.0\.0\.1:\d+", id="IPv4"),
        pytest.param(socket.AF_INET6, ("::1", 0), r"\[::1\]:\d+", id="IPv6"),
    ],
)
def test_the_log_says_where_it_pauses(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, family: int, where: str | tuple[str, int], shown: str
) -> None:
    monkeypatch.chdir(tmp_path)
    with socket.socket(family) as sock:
        try:
            sock.bind(where)
        except OSError:
            pytest.skip("no such addresses here")
        assert re.fullmatch(shown, _shown(sock))


# TLS


@pytest.fixture
def server_tls(certificate: tuple[Path, Path]) -> ssl.SSLContext:
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(*certificate)
    return context


@pytest.fixture
def trusting(certificate: tuple[Path, Path]) -> ssl.SSLContext:
    return ssl.create_default_context(cafile=certificate[0])


@asynccontextmanager
async def accepting_tls(host: Host, tls: ssl.SSLContext, patience: float) -> AsyncIterator[tuple[Acceptor, int]]:
    sock = listening()
    acceptor = Acceptor(sock, host, tls, patience)
    acceptor.open()
    try:
        yield acceptor, sock.getsockname()[1]
    finally:
        acceptor.close()
        await acceptor.drain(0)


async def ended(client: RawClient) -> bool:
    await client.wire.until(lambda: client.wire.end is not None, "end of the connection")
    return not client.wire.received


async def test_a_handshake_that_does_not_end_in_time_is_broken_off(
    host: Host, server_tls: ssl.SSLContext, trusting: ssl.SSLContext
) -> None:
    async with accepting_tls(host, server_tls, 0.2) as (_, port), AsyncExitStack() as stack:
        silent = await stack.enter_async_context(RawClient(port=port))
        begun = await stack.enter_async_context(RawClient(port=port))
        await begun.send(b"\x16\x03\x01\x02\x00\x01")  # the beginning of a ClientHello
        assert await ended(silent)
        assert await ended(begun)
        assert host.guests == []
        other = await stack.enter_async_context(RawClient(port=port, ssl=trusting))
        assert await other.receive(5) == b"hello"


async def test_handshakes_that_are_under_way_when_it_closes_may_end(
    host: Host, server_tls: ssl.SSLContext, trusting: ssl.SSLContext
) -> None:
    async with accepting_tls(host, server_tls, 5) as (acceptor, port):
        with socket.create_connection(("127.0.0.1", port)) as sock:
            acceptor.close()
            sock.settimeout(5)
            handshake = asyncio.to_thread(trusting.wrap_socket, sock, server_hostname="localhost")
            _, tls = await asyncio.gather(acceptor.drain(5), handshake)
            assert await asyncio.to_thread(tls.recv, 5) == b"hello"
            tls.close()


async def test_and_are_broken_off_when_time_is_up(host: Host, server_tls: ssl.SSLContext) -> None:
    async with accepting_tls(host, server_tls, 60) as (acceptor, port), RawClient(port=port) as client:
        await client.send(b"\x16")
        await host.changed.until(lambda: host.expected == 1, 5, "connection", str)
        acceptor.close()
        await acceptor.drain(0.01)
        assert await ended(client)
