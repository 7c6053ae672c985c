"""The tunnel between two connections of real sockets: every byte, in order, and every way to end."""

import asyncio
import socket
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any, cast

import pytest
import uvloop
from hypothesis import given
from hypothesis import strategies as st

from proxy.tunnel import Tunnel
from tests.raw_client import PIECE, End, Wire

MIB = 1024 * 1024
BOUND = 16 * MIB  # the kernel's buffers at four ends of two connections, which may grow to some MiB each, and ours
LONG = 60.0


class Before(asyncio.Protocol):
    """Who had the connection before the tunnel."""

    def __init__(self, made: asyncio.Future[asyncio.Transport]) -> None:
        self.made = made
        self.heard: list[object] = []

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.made.set_result(cast("asyncio.Transport", transport))

    def data_received(self, data: bytes) -> None:
        self.heard.append(data)

    def connection_lost(self, exc: Exception | None) -> None:
        self.heard.append(exc)


class House:
    """A tunnel, what is on either side of it, and who had its connections before."""

    def __init__(self, client: Wire, origin: Wire, tunnel: Tunnel, before: list[Before]) -> None:
        self.client, self.origin, self.tunnel, self.before = client, origin, tunnel, before

    def start(self, from_client: bytes = b"", from_origin: bytes = b"") -> None:
        self.task = asyncio.get_running_loop().create_task(self.tunnel.run(from_client, from_origin))

    async def over(self) -> None:
        """The tunnel has ended, and both connections with it."""
        async with asyncio.timeout(5):
            await self.task
        for wire in (self.client, self.origin):
            await ended(wire)


async def ended(wire: Wire) -> None:
    await wire.until(lambda: wire.end is not None, "end")


Build = Callable[..., Awaitable[House]]


@pytest.fixture
async def build(certificate: tuple[Path, Path]) -> AsyncIterator[Build]:
    """Builds a tunnel, with TLS on the sides that are named."""
    loop = asyncio.get_running_loop()
    serving, trusting = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH), ssl.create_default_context()
    serving.load_cert_chain(*certificate)
    trusting.load_verify_locations(certificate[0])
    async with AsyncExitStack() as stack:

        async def side(*, tls: bool) -> tuple[Wire, asyncio.Transport, Before]:
            before = Before(loop.create_future())
            server = await loop.create_server(lambda: before, "127.0.0.1", 0, ssl=serving if tls else None)
            port = server.sockets[0].getsockname()[1]
            options: dict[str, Any] = {"ssl": trusting, "server_hostname": "localhost"} if tls else {}
            _, wire = await loop.create_connection(Wire, "127.0.0.1", port, **options)
            stack.push_async_callback(wire.drop)
            transport = await before.made
            transport.pause_reading()
            server.close()
            return wire, transport, before

        async def start(*, idle: float = LONG, tls: str = "", starts: bool = True) -> House:
            client, inner, one = await side(tls="client" in tls)
            origin, outer, other = await side(tls="origin" in tls)
            house = House(client, origin, Tunnel(inner, outer, idle), [one, other])
            if starts:
                house.start()
                stack.callback(house.task.cancel)
            return house

        yield start


async def taken(wire: Wire, size: int) -> bytes:
    """So many bytes."""
    parts = []
    while size and (part := await wire.some(size)):
        parts.append(part)
        size -= len(part)
    return b"".join(parts)


TLS = pytest.mark.parametrize(
    "tls",
    [
        pytest.param("", id="plain"),
        pytest.param("client", id="a client with TLS"),
        pytest.param("origin", id="an origin with TLS"),
        pytest.param("client and origin", id="both with TLS"),
    ],
)


@TLS
async def test_bytes_go_both_ways_and_are_counted(build: Build, tls: str) -> None:
    house = await build(tls=tls)
    await house.client.send(b"ping")
    assert await taken(house.origin, 4) == b"ping"
    await house.origin.send(b"pongpong")
    assert await taken(house.client, 8) == b"pongpong"
    assert (house.tunnel.from_client, house.tunnel.from_origin) == (4, 8)


async def test_what_came_early_comes_first(build: Build) -> None:
    house = await build(starts=False)
    await house.client.send(b"later")
    await house.origin.send(b"LATER")
    house.start(b"early, ", b"EARLY, ")
    assert await taken(house.origin, 12) == b"early, later"
    assert await taken(house.client, 12) == b"EARLY, LATER"
    assert (house.tunnel.from_client, house.tunnel.from_origin) == (12, 12)
    house.task.cancel()


async def test_who_had_the_connections_before_hears_of_nothing(build: Build) -> None:
    house = await build()
    await house.client.send(b"x")
    await taken(house.origin, 1)
    house.client.close()
    await ended(house.origin)
    house.origin.close()
    await house.over()
    assert [before.heard for before in house.before] == [[], []]


async def say(wire: Wire, parts: list[bytes]) -> None:
    for part in parts:
        await wire.send(part)
    wire.half_close()


async def hear(wire: Wire) -> bytes:
    parts = []
    while part := await wire.some():
        parts.append(part)
    return b"".join(parts)


async def pair() -> tuple[Wire, asyncio.Transport]:
    """A connection: its outer end, and the inner one."""
    loop = asyncio.get_running_loop()
    inner, outer = socket.socketpair()
    before = Before(loop.create_future())
    await loop.create_connection(lambda: before, sock=inner)
    return (await loop.create_connection(Wire, sock=outer))[1], await before.made


@given(st.lists(st.tuples(st.booleans(), st.integers(1, 200_000)), max_size=12))
def test_all_bytes_arrive_in_order_whatever_the_pieces(pieces: list[tuple[bool, int]]) -> None:
    """Both directions at once, then the end of both."""

    async def exchange() -> None:
        client, to_client = await pair()
        origin, to_origin = await pair()
        upward = [bytes([number % 251]) * size for number, (up, size) in enumerate(pieces) if up]
        downward = [bytes([number % 251]) * size for number, (up, size) in enumerate(pieces) if not up]

        async with asyncio.TaskGroup() as group:
            tunnel = Tunnel(to_client, to_origin, LONG)
            group.create_task(tunnel.run(b"", b""))
            group.create_task(say(client, upward))
            group.create_task(say(origin, downward))
            up, down = group.create_task(hear(origin)), group.create_task(hear(client))
        for wire in (client, origin):
            await wire.drop()
        assert up.result() == b"".join(upward)
        assert down.result() == b"".join(downward)
        assert (tunnel.from_client, tunnel.from_origin) == (len(up.result()), len(down.result()))

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(exchange())


@TLS
@pytest.mark.parametrize("reader", ["client", "origin"])
async def test_a_reader_that_takes_nothing_makes_the_sender_wait(build: Build, reader: str, tls: str) -> None:
    house = await build(tls=tls)
    slow, fast = (house.client, house.origin) if reader == "client" else (house.origin, house.client)
    slow.transport.pause_reading()
    sent = 0

    async def send() -> None:
        nonlocal sent
        while sent < 64 * MIB:
            await fast.send(bytes(PIECE))
            sent += PIECE

    fast.limit = None
    sending = asyncio.get_running_loop().create_task(send())
    before = -1
    while before < sent:
        before = sent
        await asyncio.sleep(0.2)
    assert sent < BOUND
    slow.transport.resume_reading()
    assert len(await taken(slow, 64 * MIB)) == 64 * MIB
    await sending


@pytest.mark.parametrize("first", ["client", "origin"])
async def test_the_end_of_one_direction_is_passed_on_and_the_other_goes_on(build: Build, first: str) -> None:
    house = await build()
    one, other = (house.client, house.origin) if first == "client" else (house.origin, house.client)
    await one.send(b"the last words")
    one.half_close()
    assert await taken(other, 15) == b"the last words"
    await ended(other)
    assert other.end is End.FIN
    for part in (b"and", b"yet"):
        await other.send(part)
        assert await taken(one, 3) == part
    other.half_close()
    await house.over()
    assert (one.end, one.unread) == (End.FIN, b"")


@pytest.mark.parametrize("tls", ["client", "origin", "client and origin"])
@pytest.mark.parametrize("first", ["client", "origin"])
async def test_with_tls_the_end_of_one_direction_is_the_end_of_both(build: Build, first: str, tls: str) -> None:
    house = await build(tls=tls)
    one, other = (house.client, house.origin) if first == "client" else (house.origin, house.client)
    await one.send(b"the last words")
    one.close()
    assert await taken(other, 15) == b"the last words"
    await house.over()
    assert other.end is End.FIN


@pytest.mark.parametrize("first", ["client", "origin"])
async def test_a_reset_ends_the_other_connection(build: Build, first: str) -> None:
    house = await build()
    one, other = (house.client, house.origin) if first == "client" else (house.origin, house.client)
    await one.send(b"x")
    assert await taken(other, 1) == b"x"
    one.reset()
    await house.over()
    assert other.end is not None


async def test_silence_in_both_directions_ends_it(build: Build) -> None:
    house = await build(idle=0.05)
    await house.over()
    assert [house.client.end, house.origin.end] == [End.FIN, End.FIN]


async def test_bytes_in_either_direction_keep_it(build: Build) -> None:
    house = await build(idle=1)
    for _ in range(10):
        await house.origin.send(b"x")
        assert await taken(house.client, 1) == b"x"
        await asyncio.sleep(0.15)  # all in all longer than the limit
    assert not house.task.done()
    await house.over()


async def test_a_closed_side_whose_other_takes_nothing_ends_with_the_idle_timeout(build: Build) -> None:
    house = await build(idle=0.2)
    house.client.transport.pause_reading()
    sock = house.client.transport.get_extra_info("socket")
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, PIECE)
    house.origin.transport.write(bytes(16 * MIB))
    house.origin.close()
    async with asyncio.timeout(5):
        await house.task  # the client has not read that it is over


async def test_a_tunnel_that_is_cancelled_breaks_both_connections_off(build: Build) -> None:
    house = await build()
    await house.client.send(b"x")
    await taken(house.origin, 1)
    house.task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await house.task
    for wire in (house.client, house.origin):
        await ended(wire)


async def test_a_connection_that_ended_a_moment_before_the_tunnel_began_ends_it(build: Build) -> None:
    house = await build(starts=False)
    house.client.close()
    await house.client.until(lambda: house.client.lost, "end")
    house.start(b"early")
    assert await taken(house.origin, 5) == b"early"
    await ended(house.origin)
    house.origin.close()
    await house.over()
