"""Whoever does not take what comes slows the other side down: memory stays bounded, whatever the sizes (promise P6)."""

import asyncio
import socket
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager

import pytest

from tests.exchange.conftest import ProxyVia
from tests.raw_client import PIECE, Pattern, RawClient, request
from tests.scripted_origin import Connection, ScriptedOrigin, Step, answer, read_all, wait_for

MIB = 1024 * 1024
LARGE = Pattern(64 * MIB)
BOUND = 16 * MIB  # the kernel's buffers at four ends of two connections, which may grow to some MiB each, and ours


class Counted:
    """What was sent of a large body."""

    def __init__(self) -> None:
        self.sent = 0

    async def stalled(self) -> int:
        """How much was sent when nothing more could be for a while; all of it, where nothing holds it back."""
        before = -1
        while before < self.sent < LARGE.size:
            before = self.sent
            await asyncio.sleep(0.2)
        return self.sent

    async def send(self, wire: RawClient | Connection, pieces: Iterable[bytes]) -> None:
        for piece in pieces:
            await wire.send(piece)
            self.sent += len(piece)

    def step(self) -> Step:
        async def step(connection: Connection) -> None:
            await connection.send(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % LARGE.size)
            await self.send(connection, LARGE)

        return step


@asynccontextmanager
async def slow_reader(port: int) -> AsyncIterator[RawClient]:
    """A client that reads when it is told to, with little room in its kernel."""
    async with RawClient(port=port) as client:
        client.wire.transport.pause_reading()
        client.wire.transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, PIECE)
        yield client


async def test_an_origin_waits_for_a_client_that_does_not_read(proxy_via: ProxyVia, origin: ScriptedOrigin) -> None:
    counted = Counted()
    origin.script(counted.step())
    proxy = await proxy_via()
    async with slow_reader(proxy.port) as client:
        await client.send(request("GET", b"/"))
        assert PIECE < await counted.stalled() < BOUND
        client.wire.transport.resume_reading()
        response = await client.response(keep=False)
    assert (response.complete, response.size, response.sha256) == (True, LARGE.size, LARGE.sha256)


@pytest.mark.parametrize("chunked", [True, False])
async def test_a_client_waits_for_an_origin_that_does_not_read(
    proxy_via: ProxyVia, origin: ScriptedOrigin, *, chunked: bool
) -> None:
    gate, counted = asyncio.Event(), Counted()
    origin.script(wait_for(gate), read_all(keep=False), answer(body=b"taken"))
    client = await (await proxy_via()).client()
    framing = b"Transfer-Encoding: chunked" if chunked else b"Content-Length: %d" % LARGE.size
    await client.send(b"PUT / HTTP/1.1\r\nHost: proxy.test\r\n%b\r\n\r\n" % framing)
    pieces = (b"%x\r\n%b\r\n" % (len(piece), piece) for piece in LARGE) if chunked else LARGE
    async with asyncio.TaskGroup() as tasks:
        upload = tasks.create_task(counted.send(client, pieces))
        assert PIECE < await counted.stalled() < BOUND
        gate.set()
        await upload
        await client.send(b"0\r\n\r\n" if chunked else b"")
        assert (await client.response()).body == b"taken"
    received = origin.requests[0]
    assert (received.complete, received.size, received.sha256) == (True, LARGE.size, LARGE.sha256)


async def test_a_client_that_takes_nothing_is_broken_off_and_the_origin_let_go(
    proxy_via: ProxyVia, origin: ScriptedOrigin
) -> None:
    counted = Counted()
    origin.script(counted.step())
    proxy = await proxy_via(limits={"send_timeout": "200ms"})
    async with slow_reader(proxy.port) as client:
        await client.send(request("GET", b"/"))
        await origin.connection_closed()
        assert counted.sent < BOUND
        client.wire.transport.resume_reading()
        response = await client.response(keep=False)
        assert (response.status, response.complete) == (200, False)


async def test_a_slow_client_does_not_hold_up_another(proxy_via: ProxyVia, origin: ScriptedOrigin) -> None:
    counted = Counted()
    origin.queue([counted.step()], [answer(body=b"quick")])
    proxy = await proxy_via()
    async with slow_reader(proxy.port) as client:
        await client.send(request("GET", b"/"))
        await counted.stalled()
        assert (await (await proxy.client()).exchange("GET", b"/")).body == b"quick"
