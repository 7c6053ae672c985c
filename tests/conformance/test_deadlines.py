"""How long a client may take: for a head, between two pieces of content, between two requests."""

import asyncio

import pytest

from tests.conformance.refusals import refusal
from tests.conftest import StartProxy
from tests.raw_client import Pattern, RawClient, request
from tests.scripted_origin import ScriptedOrigin, answer, stall, wait_for

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


async def test_a_new_connection_that_says_nothing_is_closed(start_proxy: StartProxy) -> None:
    proxy = await start_proxy(limits={"header_timeout": SHORT, "keepalive_timeout": LONG})
    assert await (await proxy.client()).eof()


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
    client = await (await start_proxy(limits={"body_timeout": "400ms", "header_timeout": "50ms"})).client()
    await client.send(request("POST", b"/", [(b"Content-Length", b"10")]))
    for _ in range(10):
        await asyncio.sleep(0.05)
        await client.send(b"x")
    assert (await client.response()).status == 200
    assert (await origin.request_complete()).body == b"x" * 10


async def test_a_client_that_takes_nothing_of_its_response_is_let_go(
    start_proxy: StartProxy, origin: ScriptedOrigin
) -> None:
    proxy = await start_proxy(limits={"send_timeout": SHORT})
    origin.script(answer(200, [(b"Content-Length", b"100000000")], Pattern(50_000_000)), stall())
    client = await proxy.client()
    await client.send(request("GET", b"/"))
    await client.begin()
    assert (await origin.connection_closed()).end is not None
