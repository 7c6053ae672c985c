"""A client that leaves before it has its answer: its exchange ends at once, unless the route wants it finished."""

import asyncio
from collections.abc import Callable

import pytest
import structlog

from tests.exchange.conftest import ClientVia, ProxyVia
from tests.raw_client import Pattern, RawClient, request
from tests.scripted_origin import ScriptedOrigin, answer, read_all, read_body, send, tell, wait_for

Log = list[structlog.types.EventDict]
Leave = Callable[[RawClient], None]
leaving = pytest.mark.parametrize("leave", [RawClient.close, RawClient.reset])
FINISH = {"on_disconnect": "finish"}


@leaving
async def test_while_the_origin_thinks(client: RawClient, origin: ScriptedOrigin, leave: Leave) -> None:
    origin.script(read_all(), wait_for(asyncio.Event()))
    await client.send(request("POST", b"/", body=b"body"))
    await origin.request_complete()
    leave(client)
    await origin.connection_closed()
    assert len(origin.requests) == 1


@leaving
async def test_in_the_middle_of_the_body(client: RawClient, origin: ScriptedOrigin, leave: Leave) -> None:
    origin.script(send(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nfirst"), wait_for(asyncio.Event()))
    await client.send(request("GET", b"/"))
    assert await (await client.begin()).read() == b"first"
    leave(client)
    await origin.connection_closed()


@leaving
async def test_in_the_middle_of_a_body_that_lasts_until_close(
    client: RawClient, origin: ScriptedOrigin, quiet_log: Log, leave: Leave
) -> None:
    chunk = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nfirst\r\n"
    origin.script(send(chunk), wait_for(asyncio.Event()))
    await client.send(b"GET / HTTP/1.0\r\n\r\n")
    assert await (await client.begin()).read() == b"first"
    leave(client)
    await origin.connection_closed()
    assert (await access_line(quiet_log))["error"] == "client-left"
    assert {entry["log_level"] for entry in quiet_log} == {"info"}


async def test_while_much_of_the_body_is_on_its_way(client: RawClient, origin: ScriptedOrigin) -> None:
    origin.script(answer(body=Pattern(64 * 1024 * 1024)))
    await client.send(request("GET", b"/"))
    await (await client.begin()).read()
    client.reset()
    await origin.connection_closed()


@leaving
async def test_while_it_waits_for_its_turn(
    proxy_via: ProxyVia, origin: ScriptedOrigin, quiet_log: Log, leave: Leave
) -> None:
    gate = asyncio.Event()
    origin.script(wait_for(gate), answer(body=b"done"))
    proxy = await proxy_via(legacy={"max_connections": 1, "queue_timeout": "30s"})
    first, second = await proxy.client(), await proxy.client()
    await first.send(request("GET", b"/first"))
    await origin.request_received()
    await second.send(request("POST", b"/second"))
    leave(second)
    await access_line(quiet_log)
    gate.set()
    assert (await first.response()).body == b"done"
    assert (await first.exchange("GET", b"/third")).body == b"done"
    assert [each.target for each in origin.requests] == [b"/first", b"/third"]


@leaving
async def test_while_the_proxy_connects(client_via: ClientVia, unused_port: int, leave: Leave) -> None:
    connected, closed = asyncio.Event(), asyncio.Event()

    async def say_nothing(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connected.set()
        await reader.read()
        closed.set()
        writer.close()
        await writer.wait_closed()

    async with await asyncio.start_server(say_nothing, "127.0.0.1", unused_port):
        client = await client_via(legacy={"url": f"https://127.0.0.1:{unused_port}", "connect_timeout": "30s"})
        await client.send(request("GET", b"/"))
        await asyncio.wait_for(connected.wait(), 5)
        leave(client)
        await asyncio.wait_for(closed.wait(), 5)


async def test_nobody_is_blamed(client: RawClient, origin: ScriptedOrigin, quiet_log: Log) -> None:
    origin.script()
    await client.send(request("GET", b"/a?b"))
    await origin.request_received()
    client.close()
    line = await access_line(quiet_log)
    facts = {"path": "/a", "method": "GET", "status": 499, "error": "client-left", "bytes": 0, "log_level": "info"}
    assert line.items() >= facts.items()
    assert {entry["log_level"] for entry in quiet_log} == {"info"}


async def test_a_route_may_finish_what_nobody_waits_for(
    client_via: ClientVia, origin: ScriptedOrigin, quiet_log: Log
) -> None:
    gate, sent = asyncio.Event(), asyncio.Event()
    origin.script(read_all(), wait_for(gate), answer(body=Pattern(4 * 1024 * 1024)), tell(sent))
    client = await client_via(FINISH)
    await client.send(request("POST", b"/", body=b"body"))
    await origin.request_complete()
    client.reset()
    await access_line(quiet_log)
    gate.set()
    await asyncio.wait_for(sent.wait(), 5)
    assert origin.connections[0].end is None


async def test_a_route_may_finish_a_body_that_nobody_reads(
    client_via: ClientVia, origin: ScriptedOrigin, quiet_log: Log
) -> None:
    gate, sent = asyncio.Event(), asyncio.Event()
    rest = Pattern(4 * 1024 * 1024)
    head = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\nfirst" % (5 + rest.size)
    origin.script(send(head), wait_for(gate), *[send(piece) for piece in rest], tell(sent))
    client = await client_via(FINISH)
    await client.send(request("POST", b"/"))
    assert await (await client.begin()).read() == b"first"
    client.reset()
    await access_line(quiet_log)
    gate.set()
    await asyncio.wait_for(sent.wait(), 5)


async def test_what_is_finished_for_nobody_has_a_deadline_too(client_via: ClientVia, origin: ScriptedOrigin) -> None:
    origin.script()
    client = await client_via(FINISH | {"timeout": "200ms"})
    await client.send(request("POST", b"/"))
    await origin.request_received()
    client.reset()
    await origin.connection_closed()


async def test_an_unfinished_upload_is_not_finished(client_via: ClientVia, origin: ScriptedOrigin) -> None:
    came = asyncio.Event()
    origin.script(read_body(5), tell(came), read_all())
    client = await client_via(FINISH)
    await client.send(b"POST / HTTP/1.1\r\nHost: proxy.test\r\nContent-Length: 10\r\n\r\nfirst")
    await asyncio.wait_for(came.wait(), 5)
    client.reset()
    await origin.connection_closed()
    assert not origin.requests[0].complete


async def access_line(log: Log) -> structlog.types.EventDict:
    """The line about the one request, once there is one: then the proxy has done with the client."""
    async with asyncio.timeout(5):
        while True:
            for line in log:
                if line["event"] == "request":
                    return line
            await asyncio.sleep(0.01)
