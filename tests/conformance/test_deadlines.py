"""How long a client may take: for a head, between two pieces of content, between two requests."""

import asyncio
import json
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from proxy.client import ClientContent
from proxy.config import Limits
from proxy.inflow import Inflow
from tests.conformance.refusals import refusal
from tests.conftest import Proxy, StartProxy
from tests.operations.house import eventually
from tests.raw_client import Pattern, RawClient, request
from tests.scripted_origin import ScriptedOrigin, answer, read_all, stall, wait_for

SHORT, LONG = "100ms", "1h"
CHUNKED = request("POST", b"/a", [(b"Transfer-Encoding", b"chunked")])


async def dribble(client: RawClient, piece: bytes) -> None:
    """One piece every 20 ms, for as long as the server listens."""
    while client.wire.end is None:
        await client.send(piece)
        await asyncio.sleep(0.02)


@pytest.mark.parametrize(
    ("start", "piece"),
    [
        pytest.param(b"\r\n", b"\r\n", id="empty lines"),
        pytest.param(b"G", b"", id="half a method"),
        pytest.param(b"GET /", b"a", id="request line"),
        pytest.param(b"GET / HTTP/1.1\r\nHost: a.test\r\n", b"X: 1\r\n", id="fields"),
        pytest.param(b"GET / HTTP/1.1\r\nX-One: 1", b"1", id="one field"),
    ],
)
@pytest.mark.parametrize("keepalive", [LONG, "10ms"])
async def test_rfc9110_15_5_9_a_head_that_does_not_come_in_time_is_408(
    start_proxy: StartProxy, origin: ScriptedOrigin, start: bytes, piece: bytes, keepalive: str
) -> None:
    proxy = await start_proxy(limits={"header_timeout": SHORT, "keepalive_timeout": keepalive})
    client = await proxy.client()
    async with asyncio.TaskGroup() as tasks:
        await client.send(start)
        dribbling = tasks.create_task(dribble(client, piece))
        await refusal(client, 408, instance="/")
        dribbling.cancel()
    assert origin.requests == []


async def test_a_second_head_has_its_time_too(start_proxy: StartProxy, origin: ScriptedOrigin) -> None:
    proxy = await start_proxy(limits={"header_timeout": SHORT, "keepalive_timeout": LONG})
    client = await proxy.client()
    assert (await client.exchange("GET", b"/")).status == 200
    await client.send(b"GET / HTTP/1.1\r\n")
    await refusal(client, 408)
    assert len(origin.requests) == 1


async def test_a_head_that_began_behind_a_request_has_its_time_too(
    start_proxy: StartProxy, origin: ScriptedOrigin
) -> None:
    proxy = await start_proxy(limits={"header_timeout": SHORT, "keepalive_timeout": LONG})
    gate = asyncio.Event()
    origin.script(wait_for(gate), answer(200))
    client = await proxy.client()
    await client.send(request("GET", b"/"))
    await origin.request_received()
    await client.send(b"GET / HTTP/1.1\r\n")
    gate.set()
    assert (await client.response()).status == 200
    await refusal(client, 408)


async def test_a_head_behind_a_request_in_one_segment_has_its_time_too(
    start_proxy: StartProxy, origin: ScriptedOrigin
) -> None:
    proxy = await start_proxy(limits={"header_timeout": SHORT, "keepalive_timeout": LONG})
    client = await proxy.client()
    await client.send(request("GET", b"/") + b"GET / HTTP/1.1\r\n")
    assert (await client.response()).status == 200
    await refusal(client, 408)


async def test_content_of_a_pipelined_request_has_its_time_when_its_turn_has_come(
    start_proxy: StartProxy, origin: ScriptedOrigin
) -> None:
    proxy = await start_proxy(limits={"body_timeout": SHORT, "keepalive_timeout": LONG})
    gate = asyncio.Event()
    origin.script(read_all(), wait_for(gate), answer(200))
    client = await proxy.client()
    await client.send(request("GET", b"/") + request("POST", b"/a", [(b"Content-Length", b"10")], b"hello"))
    await origin.request_received()
    asyncio.get_running_loop().call_later(0.3, gate.set)  # longer than the second may take
    assert (await client.response()).status == 200
    await refusal(client, 408, instance="/a")


async def test_a_new_connection_that_says_nothing_is_closed(start_proxy: StartProxy) -> None:
    proxy = await start_proxy(limits={"header_timeout": SHORT, "keepalive_timeout": LONG})
    assert await (await proxy.client()).eof()


async def test_a_handshake_of_tls_has_the_time_of_a_head(
    start_proxy: StartProxy, certificate: tuple[Path, Path]
) -> None:
    tls = {"cert_file": str(certificate[0]), "key_file": str(certificate[1])}
    proxy = await start_proxy(tls=tls, limits={"header_timeout": SHORT})
    silent, halfway = await proxy.client(), await proxy.client()
    await halfway.send(b"\x16\x03\x01\x02\x00\x01")
    await silent.wire.until(lambda: silent.wire.end is not None, "end of the connection")
    await halfway.wire.until(lambda: halfway.wire.end is not None, "end of the connection")


async def test_rfc9112_9_5_an_idle_connection_is_closed(start_proxy: StartProxy) -> None:
    proxy = await start_proxy(limits={"header_timeout": LONG, "keepalive_timeout": SHORT})
    client = await proxy.client()
    assert (await client.exchange("GET", b"/")).status == 200
    assert (await client.exchange("GET", b"/")).status == 200
    assert await client.eof()


async def test_a_connection_is_not_idle_while_a_request_is_under_way(
    start_proxy: StartProxy, origin: ScriptedOrigin
) -> None:
    proxy = await start_proxy(limits={"header_timeout": "50ms", "keepalive_timeout": "50ms", "body_timeout": "50ms"})
    gate = asyncio.Event()
    origin.script(wait_for(gate), answer(200))
    client = await proxy.client()
    await client.send(request("GET", b"/"))
    await origin.request_received()
    asyncio.get_running_loop().call_later(0.3, gate.set)  # several times each of them
    assert (await client.response()).status == 200


@pytest.mark.parametrize("prefer", [b"", b"Prefer: respond-async, wait=0\r\n"], ids=["streamed", "spooled"])
@pytest.mark.parametrize(
    ("start", "piece"),
    [
        pytest.param(request("POST", b"/a", [(b"Content-Length", b"10")]), b"", id="nothing"),
        pytest.param(request("POST", b"/a", [(b"Content-Length", b"10")]) + b"hello", b"", id="half of it"),
        pytest.param(CHUNKED + b"5\r\nhello\r\n", b"", id="chunks without end"),
        pytest.param(CHUNKED + b"5;", b"e", id="an extension without end"),
        pytest.param(CHUNKED + b"5\r\nhello\r\n0\r\n", b"X: 1\r\n", id="trailers without end"),
    ],
)
async def test_rfc9110_15_5_9_content_that_does_not_come_in_time_is_408(
    start_proxy: StartProxy, origin: ScriptedOrigin, prefer: bytes, start: bytes, piece: bytes
) -> None:
    origin.script(stall())
    client = await (await start_proxy(limits={"body_timeout": SHORT})).client()
    await client.send(start.replace(b"\r\n", b"\r\n" + prefer, 1))
    async with asyncio.TaskGroup() as tasks:
        dribbling = tasks.create_task(dribble(client, piece))
        await refusal(client, 408, instance="/a")
        dribbling.cancel()
    if origin.connections:
        await origin.connection_closed()
    assert [request for request in origin.requests if request.complete] == []


async def test_slow_but_steady_content_is_in_time(start_proxy: StartProxy, origin: ScriptedOrigin) -> None:
    limits = {"body_timeout": "1s", "header_timeout": "50ms", "min_upload_rate": "1B"}
    client = await (await start_proxy(limits=limits)).client()
    await client.send(request("POST", b"/", [(b"Content-Length", b"10")]))
    for _ in range(10):
        await asyncio.sleep(0.11)  # longer than `body_timeout`, all in all
        await client.send(b"x")
    assert (await client.response()).status == 200
    assert (await origin.request_complete()).body == b"x" * 10


RATED = {"body_timeout": "600ms", "min_upload_rate": "10KiB"}


@pytest.mark.parametrize("prefer", [b"", b"Prefer: respond-async, wait=0\r\n"], ids=["streamed", "spooled"])
@pytest.mark.parametrize(
    ("start", "piece"),
    [
        pytest.param(request("POST", b"/a", [(b"Content-Length", b"10000")]), b"x", id="known length"),
        pytest.param(CHUNKED, b"1\r\nx\r\n", id="chunks"),
        pytest.param(CHUNKED, b"1;" + b"e" * 1000 + b"\r\nx\r\n", id="chunks that are extensions for the most part"),
    ],
)
async def test_rfc9110_15_5_9_content_that_comes_too_slowly_is_408(
    start_proxy: StartProxy, origin: ScriptedOrigin, prefer: bytes, start: bytes, piece: bytes
) -> None:
    client = await (await start_proxy(limits=RATED)).client()
    await client.send(start.replace(b"\r\n", b"\r\n" + prefer, 1))
    async with asyncio.TaskGroup() as tasks:
        dribbling = tasks.create_task(dribble(client, piece))
        response = await refusal(client, 408, instance="/a")
        dribbling.cancel()
    assert json.loads(response.body)["detail"] == "The content came at less than 10240 bytes per second."
    if origin.connections:
        await origin.connection_closed()
    assert [request for request in origin.requests if request.complete] == []


async def test_content_may_come_slowly_for_a_while(start_proxy: StartProxy, origin: ScriptedOrigin) -> None:
    client = await (await start_proxy(limits={"body_timeout": "1h", "min_upload_rate": "1GiB"})).client()
    await client.send(request("POST", b"/", [(b"Content-Length", b"10")]))
    for _ in range(10):
        await asyncio.sleep(0.01)
        await client.send(b"x")
    assert (await client.response()).status == 200


async def test_content_that_has_come_to_its_end_is_not_measured(
    start_proxy: StartProxy, origin: ScriptedOrigin
) -> None:
    client = await (await start_proxy(limits={"body_timeout": "1s", "min_upload_rate": "1GiB"})).client()
    await client.send(request("POST", b"/", [(b"Content-Length", b"3")]))
    for _ in range(3):
        await client.send(b"x")
        await asyncio.sleep(0.35)  # longer than `body_timeout`, all in all
    assert (await client.response()).status == 200


async def test_the_time_in_which_nobody_takes_content_is_not_the_clients() -> None:
    inflow = Inflow(lambda: None)
    content = ClientContent(inflow, None, Limits(body_timeout=0.3, min_upload_rate=10**6), lambda: None)
    received = b""
    inflow.feed(b"x")
    async for piece in content.pieces():
        received += piece
        await asyncio.sleep(0.35)  # as when an origin reads nothing
        if len(received) == 3:
            inflow.end()
        else:
            asyncio.get_running_loop().call_soon(inflow.feed, b"x")
    assert received == b"xxx"


async def test_a_client_that_takes_nothing_of_its_response_is_let_go(
    start_proxy: StartProxy, origin: ScriptedOrigin
) -> None:
    proxy = await start_proxy(limits={"send_timeout": SHORT})
    origin.script(answer(200, [(b"Content-Length", b"100000000")], Pattern(50_000_000)), stall())
    client = await proxy.client()
    await client.send(request("GET", b"/"))
    await client.begin()
    assert (await origin.connection_closed()).end is not None


@contextmanager
def taking_little(proxy: Proxy) -> Iterator[socket.socket]:
    """A client for which the kernel holds no more than a few KiB of a response, on either side."""
    [acceptor] = proxy.service.listeners[0]._acceptors
    acceptor._sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)  # inherited by what is accepted
    with socket.socket() as sock:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        sock.connect(("127.0.0.1", proxy.port))
        sock.settimeout(0)
        yield sock


async def test_and_so_is_one_that_leaves_no_more_than_the_rest_of_it(
    start_proxy: StartProxy, origin: ScriptedOrigin
) -> None:
    proxy = await start_proxy(limits={"send_timeout": SHORT, "keepalive_timeout": SHORT})
    origin.script(answer(200, body=Pattern(60_000)))
    with taking_little(proxy) as sock:
        sock.send(request("GET", b"/"))
        await origin.request_complete()
        await eventually(lambda: proxy.service._front.admitted.total() == 0)


@pytest.mark.parametrize("connection", [b"keep-alive", b"close"])
async def test_one_that_takes_its_response_slowly_gets_all_of_it(
    start_proxy: StartProxy, origin: ScriptedOrigin, connection: bytes
) -> None:
    proxy = await start_proxy(limits={"send_timeout": "1s", "keepalive_timeout": SHORT})
    origin.script(answer(200, body=Pattern(60_000)))
    received = b""
    with taking_little(proxy) as sock:
        sock.send(request("GET", b"/", [(b"Connection", connection)]))
        while piece := await asyncio.get_running_loop().sock_recv(sock, 4096):
            received += piece
            await asyncio.sleep(0.08)  # longer than `send_timeout`, all in all
    assert received.endswith(b"".join(Pattern(60_000)))
