"""Which connections live on, and in which order their responses come (RFC 9112 section 9)."""

import asyncio

import pytest

from tests.conformance.refusals import refusal
from tests.conftest import Proxy, StartProxy
from tests.operations.house import eventually
from tests.raw_client import Field, RawClient, request
from tests.scripted_origin import ScriptedOrigin, answer, close, read_all, read_body, send, stall, wait_for

GET = request("GET", b"/")
BAD = b"GET / HTTP/1.1\r\nHost: a.test\r\nHost: b.test\r\n\r\n"


@pytest.mark.parametrize(
    ("version", "connection", "persists"),
    [
        pytest.param(b"HTTP/1.1", b"", True, id="1.1"),
        pytest.param(b"HTTP/1.1", b"Connection: keep-alive\r\n", True, id="1.1 keep-alive"),
        pytest.param(b"HTTP/1.1", b"Connection: close\r\n", False, id="1.1 close"),
        pytest.param(b"HTTP/1.1", b"Connection: CLOSE\r\n", False, id="1.1 close in capitals"),
        pytest.param(b"HTTP/1.1", b"Connection: x-one, close\r\n", False, id="1.1 close in a list"),
        pytest.param(
            b"HTTP/1.1", b"Connection: x-one\r\nConnection: close\r\n", False, id="1.1 close on a second line"
        ),
        pytest.param(b"HTTP/1.0", b"", False, id="1.0"),
        pytest.param(b"HTTP/1.0", b"Connection: keep-alive\r\n", True, id="1.0 keep-alive"),
        pytest.param(b"HTTP/1.0", b"Connection: keep-alive, close\r\n", False, id="1.0 keep-alive and close"),
    ],
)
async def test_rfc9112_9_3_persistence_is_what_version_and_connection_say(
    client: RawClient, version: bytes, connection: bytes, *, persists: bool
) -> None:
    await client.send(b"GET / " + version + b"\r\nHost: a.test\r\n" + connection + b"\r\n")
    response = await client.response()
    assert response.status == 200
    options = b",".join(response.fields_named(b"connection")).lower()
    if persists:
        assert b"close" not in options
        assert version == b"HTTP/1.1" or options == b"keep-alive", "or the client would wait for the end"
        assert (await client.exchange("GET", b"/")).status == 200
    else:
        assert options == b"close"
        assert await client.eof()


async def test_rfc9112_9_6_what_stands_behind_connection_close_is_not_processed(
    client: RawClient, origin: ScriptedOrigin
) -> None:
    await client.send(request("GET", b"/", [(b"Connection", b"close")]) + GET)
    assert (await client.response()).status == 200
    assert await client.eof()
    assert len(origin.requests) == 1


@pytest.mark.parametrize("status", [404, 500], ids=str)
async def test_rfc9112_9_3_an_error_of_the_origins_costs_no_connection(
    client: RawClient, origin: ScriptedOrigin, status: int
) -> None:
    origin.script(answer(status, [(b"Connection", b"close")], b"no"))
    for _ in range(3):
        response = await client.exchange("GET", b"/")
        assert (response.status, response.fields_named(b"connection")) == (status, [])


async def test_rfc9112_9_3_2_pipelined_requests_are_answered_in_order(
    client: RawClient, origin: ScriptedOrigin
) -> None:
    origin.route(lambda request: [answer(200, body=request.target)])
    targets = [b"/%d" % number for number in range(1500)]
    await client.send(b"".join(request("GET", target) for target in targets))
    assert [(await client.response()).body for _ in targets] == targets
    assert [request.target for request in origin.requests] == targets


async def test_rfc9112_9_3_2_a_fast_answer_waits_behind_a_slow_one(client: RawClient, origin: ScriptedOrigin) -> None:
    gate = asyncio.Event()
    origin.route(lambda request: [wait_for(gate), answer(201)] if request.target == b"/slow" else [answer(202)])
    await client.send(request("GET", b"/slow") + request("GET", b"/fast"))
    await origin.request_received()
    assert not client.wire.unread
    gate.set()
    assert [(await client.response()).status for _ in range(2)] == [201, 202]


async def test_requests_with_content_may_be_pipelined(client: RawClient, origin: ScriptedOrigin) -> None:
    chunked = request("POST", b"/2", [(b"Transfer-Encoding", b"chunked")]) + b"3\r\ntwo\r\n0\r\n\r\n"
    await client.send(request("POST", b"/1", (), b"one") + chunked + request("PUT", b"/3", (), b"") + GET)
    assert [(await client.response()).status for _ in range(4)] == [200] * 4
    assert [request.body for request in origin.requests] == [b"one", b"two", b"", b""]


async def test_a_malformed_request_behind_a_slow_one_is_answered_in_its_turn(
    client: RawClient, origin: ScriptedOrigin
) -> None:
    gate = asyncio.Event()
    origin.script(wait_for(gate), answer(204))
    await client.send(GET)
    await origin.request_received()
    await client.send(BAD + GET)
    gate.set()
    assert (await client.response()).status == 204
    await refusal(client)
    assert len(origin.requests) == 1


@pytest.mark.parametrize("bad", [b"BAD / HTTP/1.1\r\nHost: a.test\r\n\r\n", BAD, request("GET", b"/a#b")])
async def test_a_malformed_request_behind_a_good_one_in_one_segment_is_answered_in_its_turn(
    client: RawClient, origin: ScriptedOrigin, bad: bytes
) -> None:
    await client.send(GET + bad + GET)
    assert (await client.response()).status == 200
    await refusal(client)
    assert len(origin.requests) == 1


async def test_nothing_is_answered_behind_a_response_that_broke_off(client: RawClient, origin: ScriptedOrigin) -> None:
    origin.queue([send(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nshort"), close()])
    await client.send(GET + GET)
    response = await client.response()
    assert (response.status, response.complete) == (200, False)
    assert len(origin.requests) == 1


async def test_an_answer_before_the_end_of_the_content_closes_the_connection(
    client: RawClient, origin: ScriptedOrigin
) -> None:
    origin.script(read_body(1), answer(403))
    await client.send(request("POST", b"/", [(b"Content-Length", b"100")]) + b"x" * 50)
    response = await client.response()
    assert (response.status, response.fields_named(b"connection")) == (403, [b"close"])
    await client.send(b"x" * 50 + GET)
    assert await client.eof()
    assert len(origin.requests) == 1


async def test_rfc9112_2_2_an_extra_empty_line_after_content_is_ignored(
    client: RawClient, origin: ScriptedOrigin
) -> None:
    for connection in (b"keep-alive", b"close"):
        await client.send(request("POST", b"/", [(b"Connection", connection)], b"body") + b"\r\n")
        assert (await client.response()).status == 200
    assert await client.eof()
    assert [request.body for request in origin.requests] == [b"body"] * 2


@pytest.mark.parametrize("how", ["close", "reset"])
async def test_a_client_that_leaves_takes_its_exchange_with_it(
    proxy: Proxy, client: RawClient, origin: ScriptedOrigin, how: str
) -> None:
    origin.script(stall())
    await client.send(GET + GET)
    await origin.request_received()
    getattr(client, how)()
    await origin.connection_closed()
    assert len(origin.requests) == 1


@pytest.mark.parametrize("status", [200, 204, 304], ids=str)
@pytest.mark.parametrize("method", ["GET", "HEAD"])
@pytest.mark.parametrize("body", [b"", b"body"], ids=["empty", "full"])
async def test_rfc9112_6_3_the_next_response_begins_where_the_last_one_ends(
    client: RawClient, origin: ScriptedOrigin, status: int, method: str, body: bytes
) -> None:
    origin.script(answer(status, body=body))
    for _ in range(2):
        assert (await client.exchange(method, b"/")).status == status


@pytest.mark.parametrize("fields", [[], [(b"Connection", b"keep-alive")]], ids=["plain", "keep-alive"])
async def test_rfc9112_6_3_content_of_unknown_length_ends_with_the_connection_for_http_1_0(
    client: RawClient, origin: ScriptedOrigin, fields: list[Field]
) -> None:
    origin.script(answer(200, body=[b"one", b"two"], framing="chunked"))
    await client.send(request("GET", b"/", fields).replace(b"HTTP/1.1", b"HTTP/1.0"))
    response = await client.response()
    assert (response.body, response.complete) == (b"onetwo", True)
    assert (response.fields_named(b"transfer-encoding"), response.fields_named(b"connection")) == ([], [b"close"])


async def test_for_http_1_0_content_that_broke_off_ends_in_a_reset(client: RawClient, origin: ScriptedOrigin) -> None:
    origin.script(send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\none\r\n"), close())
    await client.send(b"GET / HTTP/1.0\r\n\r\n")
    response = await client.response()
    assert (response.status, response.complete) == (200, False)


async def test_for_http_1_0_content_that_the_clients_half_close_cuts_ends_in_a_reset(
    client: RawClient, origin: ScriptedOrigin
) -> None:
    origin.script(send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\none\r\n"), stall())
    await client.send(b"GET / HTTP/1.0\r\n\r\n")
    begun = await client.begin()
    assert await begun.read() == b"one"
    client.half_close()
    assert (await begun.finish()).complete is False


async def test_of_ten_thousand_pipelined_requests_few_are_taken_in_at_once(
    proxy: Proxy, client: RawClient, origin: ScriptedOrigin
) -> None:
    origin.script(stall())
    await client.send(GET * 10_000)
    await origin.request_received()
    [connection] = proxy.service._front.connections
    assert len(connection._intake._waiting) < 1000
    assert connection._intake._unfed


async def test_content_of_requests_that_wait_is_counted_together(
    proxy: Proxy, client: RawClient, origin: ScriptedOrigin
) -> None:
    origin.script(stall())
    async with asyncio.TaskGroup() as tasks:
        await client.send(GET)
        await origin.request_received()
        sending = tasks.create_task(client.send(request("POST", b"/", (), b"x" * 200_000) * 16))
        [connection] = proxy.service._front.connections
        await eventually(lambda: connection._intake._reading_paused)
        assert len(connection._intake._waiting) <= 3
        sending.cancel()


# While it stops, or another takes its place: a client may be sending its next request at that moment.


async def test_when_it_drains_an_open_connection_is_answered_once_more(proxy: Proxy, client: RawClient) -> None:
    await client.exchange("GET", b"/")
    silent = await proxy.client()
    await silent.exchange("GET", b"/")  # so that it has been accepted
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(proxy.service.drain(30))
        await asyncio.sleep(0)
        for one in (client, silent):
            response = await one.exchange("GET", b"/")
            assert (response.status, response.field(b"connection")) == (200, b"close")
            assert await one.eof()


async def test_when_it_drains_a_connection_of_which_nothing_has_come_yet_is_answered_too(proxy: Proxy) -> None:
    silent = await proxy.client()
    async with asyncio.timeout(5):
        while not proxy.service._front.connections:  # noqa: ASYNC110  # nobody tells
            await asyncio.sleep(0)
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(proxy.service.drain(30))
        await asyncio.sleep(0)
        response = await silent.exchange("GET", b"/")
        assert (response.status, response.field(b"connection")) == (200, b"close")


async def test_a_response_that_promised_to_go_on_when_it_began_is_followed_by_one_more(
    proxy: Proxy, client: RawClient, origin: ScriptedOrigin
) -> None:
    gate = asyncio.Event()
    origin.queue([read_all(), send(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nha"), wait_for(gate), send(b"lf")])
    await client.send(request("GET", b"/"))
    begun = await client.begin()
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(proxy.service.drain(30))
        await asyncio.sleep(0)
        gate.set()
        assert ((await begun.finish()).body, begun.field(b"connection")) == (b"half", None)
        response = await client.exchange("GET", b"/")
        assert (response.status, response.field(b"connection")) == (200, b"close")


async def test_when_it_retires_clients_need_not_wait_for_operators_to_be_gone(
    start_proxy: StartProxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    proxy, gone = await start_proxy(admin="127.0.0.1:0"), asyncio.Event()
    [listener] = proxy.service.listeners
    monkeypatch.setattr(proxy.service.admin, "close", lambda _: gone.wait())
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(proxy.service.retire())
        await eventually(lambda: not any(acceptor.is_open for acceptor in listener._acceptors))
        gone.set()


async def test_when_it_retires_an_idle_connection_is_closed_at_its_time(start_proxy: StartProxy) -> None:
    proxy = await start_proxy(limits={"keepalive_timeout": "100ms"})
    client = await proxy.client()
    await client.exchange("GET", b"/")
    await proxy.service.retire()
    assert await client.eof()


async def test_a_connection_that_comes_late_is_not_waited_for_long(proxy: Proxy) -> None:
    proxy.service._front.draining, proxy.service._front.patience = True, 0.01
    client = await proxy.client()
    assert await client.eof()
