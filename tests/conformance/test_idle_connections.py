"""A connection is closed while its client sends the next request on it: RFC 9112 section 9.6.

The event loop looks for what there is to read, and then meets its deadlines. What the tests do is done in between.
"""

import asyncio
import socket
import ssl
import struct
from collections.abc import Callable, Iterator
from contextlib import closing
from functools import partial
from http.client import HTTPConnection, HTTPSConnection
from pathlib import Path
from select import select

import pytest

from proxy.wire import ClientConnection
from tests.conftest import Proxy, StartProxy


@pytest.fixture(params=["plain", "TLS"])
async def proxy(request: pytest.FixtureRequest, start_proxy: StartProxy, certificate: tuple[Path, Path]) -> Proxy:
    cert, key = map(str, certificate)
    return await start_proxy(tls={"cert_file": cert, "key_file": key} if request.param == "TLS" else None)


@pytest.fixture
def client(proxy: Proxy, certificate: tuple[Path, Path]) -> Iterator[HTTPConnection]:
    """One that blocks: what it has sent is in the kernel, and the event loop had no turn."""
    trusting = ssl.create_default_context(cafile=certificate[0])
    encrypted = partial(HTTPSConnection, context=trusting)
    kind = HTTPConnection if proxy.service._config.tls is None else encrypted
    with closing(kind("127.0.0.1", proxy.port, timeout=5)) as client:
        yield client


async def idle(proxy: Proxy, client: HTTPConnection) -> ClientConnection:
    """Its connection, when a request has been answered on it."""
    await asyncio.to_thread(visit, client)
    [connection] = proxy.service._front.connections
    return connection


def visit(client: HTTPConnection) -> None:
    client.request("GET", "/")
    client.getresponse().read()


async def before_deadlines(call: Callable[[], None]) -> None:
    """Call when the event loop has seen what there is to read, and has yet to look at its deadlines."""
    loop = asyncio.get_running_loop()
    called = asyncio.Event()
    bell, cord = socket.socketpair()

    def answer() -> None:
        loop.remove_reader(bell)
        call()
        called.set()

    with bell, cord:
        loop.add_reader(bell, answer)
        cord.send(b"!")
        await called.wait()


async def test_a_request_that_is_not_read_yet_when_its_connection_has_been_idle_for_too_long_is_answered(
    proxy: Proxy, client: HTTPConnection
) -> None:
    connection = await idle(proxy, client)

    def send_in_time() -> None:
        client.request("GET", "/")
        select([connection._transport.get_extra_info("socket")], [], [], 5)  # until it is there
        proxy.service._front._ask_no_more(0)

    await before_deadlines(send_in_time)
    response = await asyncio.to_thread(client.getresponse)
    assert (response.status, response.getheader("Connection")) == (200, "close")


@pytest.mark.parametrize("proxy", ["plain"], indirect=True)  # TLS has a farewell of its own
async def test_a_client_learns_of_the_end_of_its_idle_connection_in_the_turn_in_which_it_is_decided(
    proxy: Proxy, client: HTTPConnection
) -> None:
    await idle(proxy, client)
    learned = asyncio.get_running_loop().create_future()

    def end() -> None:
        proxy.service._front._ask_no_more(0)
        asyncio.get_running_loop().call_soon(lambda: learned.set_result(select([client.sock], [], [], 1)[0]))

    await before_deadlines(end)
    assert await learned == [client.sock]


async def test_a_client_that_leaves_with_a_reset_as_its_idle_connection_is_closed_is_no_defect(
    proxy: Proxy, client: HTTPConnection
) -> None:
    connection = await idle(proxy, client)

    def reset() -> None:
        client.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        client.close()
        proxy.service._front._ask_no_more(0)

    await before_deadlines(reset)
    await connection.closed


@pytest.mark.parametrize("proxy", ["TLS"], indirect=True)
async def test_nor_is_one_of_whose_leaving_tls_knows_and_the_connection_does_not_yet(
    proxy: Proxy, client: HTTPConnection
) -> None:
    connection = await idle(proxy, client)
    client.close()
    while connection._transport.get_extra_info("socket") is not None:  # noqa: ASYNC110  # nothing tells of that turn
        await asyncio.sleep(0)
    assert not connection._lost.done()
    connection._is_late()
    await connection.closed
