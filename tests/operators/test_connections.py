"""Connections of operators: how long they may take, how many there may be, and what the unreadable is told."""

import asyncio
import json
from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack

import pytest

from proxy.config import Limits
from proxy.operators.responses import Stream, stream
from proxy.operators.survey import Survey
from proxy.problem import REASONS
from proxy.reception import FOR_PROBES, MOST, SHARE, for_operators
from tests.conformance.refusals import IMF_FIXDATE
from tests.conftest import Proxy, StartProxy, settings_for
from tests.operations.house import eventually
from tests.operators.conftest import LOCAL, Desk
from tests.raw_client import RawClient, Response, request
from tests.scripted_origin import ScriptedOrigin

HALF = b"GET /operations HTTP/1.1\r\nHost: localhost\r\n"
SECRET = b"correct-horse-battery"


def assert_problem(response: Response, status: int) -> str:
    """What it has to say. It is whole, well-made and the last on its connection."""
    assert (response.status, response.reason, response.complete) == (status, REASONS[status], True)
    assert response.fields_named(b"content-type") == [b"application/problem+json"]
    assert response.fields_named(b"cache-control") == [b"no-store"]
    assert response.fields_named(b"connection") == [b"close"]
    assert b"default-src 'none'" in (response.field(b"content-security-policy") or b"")
    document = json.loads(response.body)
    assert document.keys() == {"type", "title", "status", "detail"}
    assert (document["type"], document["status"]) == ("about:blank", status)
    detail: str = document["detail"]
    return detail


async def closed(client: RawClient) -> bool:
    """Whether it is, without a word."""
    await client.wire.until(lambda: client.wire.end is not None, "end of the connection")
    return client.wire.received == 0


async def operated(start_proxy: StartProxy, origin: ScriptedOrigin, **limits: str) -> Proxy:
    return await start_proxy(settings_for(origin.url), admin="127.0.0.1:0", limits=limits)


async def test_a_head_that_does_not_come_in_time_is_408(start_proxy: StartProxy, origin: ScriptedOrigin) -> None:
    proxy = await operated(start_proxy, origin, header_timeout="100ms")
    async with RawClient(port=proxy.admin_port) as half, RawClient(port=proxy.admin_port) as silent:
        await half.send(HALF)
        assert "did not arrive in time" in assert_problem(await half.response(), 408)
        assert await closed(silent)


@pytest.mark.parametrize(
    ("sent", "status"),
    [
        pytest.param(b"GET /%b HTTP/1.1\r\nHost: localhost\r\nX: %b\0\r\n\r\n", 400, id="control"),
        pytest.param(b"GET /%b HTTP/1.1\r\nHost localhost %b\r\n\r\n", 400, id="no field"),
        pytest.param(b"GET /%b HTTP/9.1 %b\r\n\r\n", 400, id="version"),
        pytest.param(b"%b %b\r\n\r\n", 400, id="no method"),
        pytest.param(b"GET %b HTTP/1.1\r\nHost: %b\r\n\r\n", 400, id="no target"),
        pytest.param(b"GET /%b HTTP/1.1\r\nHost: a\r\nHost: %b\r\n\r\n", 400, id="two hosts"),
        pytest.param(b"GET /%b HTTP/1.1\r\nX: %b\r\n\r\n", 400, id="no host"),
        pytest.param(b"CONNECT %b:1 HTTP/1.1\r\nHost: %b:1\r\n\r\n", 501, id="CONNECT"),
        pytest.param(b"GET /%b HTTP/1.1\r\nHost: localhost\r\nX: %b" + b"x" * 40_000 + b"\r\n\r\n", 431, id="too much"),
        pytest.param(b"GET /%b%b" + b"x" * 40_000 + b" HTTP/1.1\r\nHost: localhost\r\n\r\n", 414, id="too long"),
    ],
)
async def test_what_cannot_be_read_is_a_problem_that_reflects_nothing(
    desk: Desk, quiet_log: list[dict[str, object]], sent: bytes, status: int
) -> None:
    async with RawClient(port=desk.proxy.admin_port) as client:
        await client.send(sent % (SECRET, SECRET))
        response = await client.response()
        assert await client.eof()
    assert_problem(response, status)
    assert SECRET not in response.body + b"".join(value for _, value in response.fields)
    [line] = [line for line in quiet_log if line["event"] == "request to admin failed"]
    assert line.keys() == {"event", "log_level", "reason", "at"}
    assert SECRET.decode() not in str(quiet_log)


async def test_a_flood_of_what_cannot_be_read_is_a_line_now_and_then_that_counts_it(
    desk: Desk, quiet_log: list[dict[str, object]], monkeypatch: pytest.MonkeyPatch
) -> None:
    async def nonsense(sent: bytes) -> None:
        async with RawClient(port=desk.proxy.admin_port) as client:
            await client.send(sent)
            await client.response()

    def told() -> list[tuple[object, object]]:
        return [(line["reason"], line.get("more")) for line in quiet_log if line["event"] == "request to admin failed"]

    for _ in range(5):
        await nonsense(b"GET / HTTP/9.1\r\n\r\n")
    await nonsense(b"GET /%b HTTP/1.1\r\n\r\n" % (b"x" * 40_000))
    assert told() == [("BadRequest", None), ("TargetTooLong", None)], "the other is told at once"
    monkeypatch.setattr("proxy.complaints.SILENCE", 0.01)
    complaints = desk._reception._admin._complaints
    for complaint, timer in list(complaints._timers.items()):
        timer.cancel()
        complaints._sum_up(complaint)
    assert told()[2:] == [("BadRequest", 4)]
    await eventually(lambda: not complaints._more)
    await nonsense(b"GET / HTTP/9.1\r\n\r\n")
    assert told()[3:] == [("BadRequest", None)], "after a minute without any"


async def test_what_was_not_told_is_told_at_the_end(desk: Desk, quiet_log: list[dict[str, object]]) -> None:
    for _ in range(3):
        async with RawClient(port=desk.proxy.admin_port) as client:
            await client.send(b"GET / HTTP/9.1\r\n\r\n")
            await client.response()
    await desk.proxy.service.close()
    assert [line.get("more") for line in quiet_log if line["event"] == "request to admin failed"] == [None, 2]


async def test_no_response_names_the_software(desk: Desk) -> None:
    for target in ("/", "/operations", "/livez", "/metrics", "/nothing"):
        response = await desk.operator.asks(target)
        assert response.field(b"server") is None
        assert IMF_FIXDATE.fullmatch(response.field(b"date") or b"")


async def test_a_defect_is_a_500_and_told_in_the_log_without_its_text(
    desk: Desk, monkeypatch: pytest.MonkeyPatch, quiet_log: list[dict[str, object]]
) -> None:
    async def broken(_: Survey) -> None:
        raise RuntimeError(SECRET.decode())

    monkeypatch.setattr(Survey, "store", broken)
    response = await desk.operator.asks("/store")
    assert_problem(response, 500)
    [line] = [line for line in quiet_log if line["event"] == "request to admin failed"]
    assert line["reason"] == "RuntimeError"
    assert str(line["at"]).startswith("test_connections.py:")
    assert SECRET.decode() not in f"{response.body!r}{quiet_log}"


async def test_who_leaves_just_before_the_answer_is_no_defect(
    desk: Desk, monkeypatch: pytest.MonkeyPatch, quiet_log: list[dict[str, object]]
) -> None:
    async def too_late(_: Survey) -> dict[str, str]:
        [connection] = desk._reception._front.connections
        connection._transport.close()
        return {}

    monkeypatch.setattr(Survey, "store", too_late)
    async with RawClient(port=desk.proxy.admin_port) as client:
        await client.send(request("GET", b"/store", LOCAL))
        assert await closed(client)
    await eventually(lambda: desk.connections == 0)
    assert [line for line in quiet_log if line["event"] == "request to admin failed"] == []


async def test_each_connection_gets_one_answer(desk: Desk) -> None:
    async with RawClient(port=desk.proxy.admin_port) as client:
        await client.send(request("GET", b"/livez", LOCAL) * 2)
        assert (await client.response()).fields_named(b"connection") == [b"close"]
        assert await client.eof()


async def test_rfc9112_9_6_a_request_that_comes_too_late_resets_no_answer(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with RawClient(port=desk.proxy.admin_port) as client:

        async def meanwhile(_: Survey) -> dict[str, str]:
            client.wire.transport.write(request("GET", b"/livez", LOCAL))  # it lies there unread at the close
            return {}

        monkeypatch.setattr(Survey, "store", meanwhile)
        await client.send(request("GET", b"/store", LOCAL))
        response = await client.response()
        assert (response.status, response.complete) == (200, True)
        assert await client.eof()
    await eventually(lambda: desk.connections == 0)


@pytest.mark.parametrize(
    ("sent", "status"),
    [
        pytest.param(request("GET", b"/store", LOCAL), 200, id="asked in full"),
        pytest.param(request("GET", b"/livez", LOCAL) * 2, 200, id="twice"),
        pytest.param(b"nonsense\r\n\r\n", 400, id="nonsense"),
    ],
)
async def test_rfc9112_9_6_who_closes_only_the_own_side_is_answered(desk: Desk, sent: bytes, status: int) -> None:
    async with RawClient(port=desk.proxy.admin_port) as client:
        await client.send(sent)
        client.half_close()
        response = await client.response()
        assert (response.status, response.complete) == (status, True)
        assert await client.eof()
    await eventually(lambda: desk.connections == 0)


async def test_who_closes_only_the_own_side_is_answered_also_if_that_takes_time(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    gate = asyncio.Event()

    async def slow(_: Survey) -> dict[str, str]:
        await gate.wait()
        return {}

    monkeypatch.setattr(Survey, "store", slow)
    async with RawClient(port=desk.proxy.admin_port) as client:
        await client.send(request("GET", b"/store", LOCAL))
        client.half_close()
        await eventually(lambda: any(one.half_closed for one in desk._reception._front.connections))
        gate.set()
        assert (await client.response()).status == 200
        assert await client.eof()


@pytest.mark.parametrize(
    "sent",
    [
        pytest.param(b"", id="nothing"),
        pytest.param(HALF, id="half a head"),
        pytest.param(request("DELETE", b"/operations", [*LOCAL, (b"Content-Length", b"9")]) + b"half", id="content"),
    ],
)
async def test_who_has_not_asked_in_full_has_left_with_the_own_side(desk: Desk, sent: bytes) -> None:
    async with RawClient(port=desk.proxy.admin_port) as client:
        await client.send(sent)
        client.half_close()
        await eventually(lambda: client.wire.end is not None and desk.connections == 0)


async def test_who_follows_a_stream_has_left_with_the_own_side(desk: Desk) -> None:
    async with RawClient(port=desk.proxy.admin_port) as client:
        await client.send(request("GET", b"/events", LOCAL))
        await client.begin()
        client.half_close()
        await eventually(lambda: desk.streams == 0)


async def test_so_has_who_closes_it_before_the_stream_begins(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    gate = asyncio.Event()

    async def late(events: AsyncGenerator[bytes, None]) -> Stream:
        await gate.wait()
        return await stream(events)

    monkeypatch.setattr("proxy.admin.stream", late)
    async with RawClient(port=desk.proxy.admin_port) as client:
        await client.send(request("GET", b"/events", LOCAL))
        client.half_close()
        await eventually(lambda: any(one.half_closed for one in desk._reception._front.connections))
        gate.set()
        assert await closed(client)
    await eventually(lambda: desk.streams == 0)


async def test_the_oldest_without_a_request_gives_way_where_there_are_too_many(
    start_proxy: StartProxy, origin: ScriptedOrigin, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("proxy.reception.MOST", 3)
    desk = Desk(await operated(start_proxy, origin), origin)
    async with AsyncExitStack() as stack, desk.operator.follows() as events:
        await events.next("view")
        half, idle = [await stack.enter_async_context(RawClient(port=desk.proxy.admin_port)) for _ in range(2)]
        await half.send(HALF)
        await eventually(lambda: desk.connections == 3)
        assert (await desk.operator.asks("/livez")).status == 200
        assert await closed(half)
        await idle.send(request("GET", b"/readyz", LOCAL))
        assert (await idle.response()).status == 200
        desk.proxy.service.leave_operators()
        assert await events.ends(), "whoever follows gives no way"


async def test_where_all_have_a_request_there_is_no_room(
    start_proxy: StartProxy, origin: ScriptedOrigin, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("proxy.reception.MOST", 1)
    desk = Desk(await operated(start_proxy, origin), origin)
    async with desk.operator.follows() as events:
        await events.next("view")
        for _ in range(3):
            response = await desk.operator.asks("/operations")
            assert "Too many connections" in assert_problem(response, 503)
            assert response.field(b"retry-after") == b"1"
    await eventually(lambda: desk.connections == 0)
    assert (await desk.operator.asks("/operations")).status == 200


@pytest.mark.parametrize("probe", [b"/livez", b"/readyz?verbose"])
async def test_probes_are_answered_where_all_others_have_a_request(
    start_proxy: StartProxy, origin: ScriptedOrigin, monkeypatch: pytest.MonkeyPatch, probe: bytes
) -> None:
    async def long(_: Survey) -> bytes:
        return b"[%b]" % (b" " * 20_000_000)

    monkeypatch.setattr("proxy.reception.MOST", FOR_PROBES)
    monkeypatch.setattr(Survey, "hour", long)
    desk = Desk(await operated(start_proxy, origin), origin)
    async with AsyncExitStack() as stack:
        for _ in range(3):
            await (await stack.enter_async_context(desk.operator.follows())).next("view")
        for _ in range(FOR_PROBES - 4):
            slow = await stack.enter_async_context(RawClient(port=desk.proxy.admin_port))
            await slow.send(request("GET", b"/routes", LOCAL))
            await slow.begin()
        for _ in range(3):
            assert "Too many requests" in assert_problem(await desk.operator.asks("/store"), 503)
            assert (await desk.operator.asks(probe.decode())).status == 200
    await eventually(lambda: desk.connections == 0)
    assert (await desk.operator.asks("/store")).status == 200


async def test_however_few_places_there_are_one_is_for_probes(
    start_proxy: StartProxy, origin: ScriptedOrigin, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("proxy.reception.MOST", 2)
    desk = Desk(await operated(start_proxy, origin), origin)
    async with desk.operator.follows() as follower:
        await follower.next("view")
        assert "Too many requests" in assert_problem(await desk.operator.asks("/store"), 503)
        assert (await desk.operator.asks("/livez")).status == 200
    await eventually(lambda: desk.connections == 0)


async def test_who_has_the_answer_and_stays_gives_way(
    start_proxy: StartProxy, origin: ScriptedOrigin, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("proxy.reception.MOST", 2)
    desk = Desk(await operated(start_proxy, origin), origin)
    async with AsyncExitStack() as stack:
        for _ in range(5):
            client = await stack.enter_async_context(RawClient(port=desk.proxy.admin_port))
            await client.send(request("GET", b"/livez", LOCAL))
            assert (await client.response()).status == 200


def test_operators_may_have_few_connections_and_fewer_where_descriptors_are_few() -> None:
    clients = Limits()
    assert for_operators(clients, 1_000_000).max_connections == MOST
    assert for_operators(clients, 10 * SHARE).max_connections == 10
    assert for_operators(clients, 1024).header_timeout == clients.header_timeout


async def test_who_takes_nothing_of_a_long_answer_is_dropped(
    start_proxy: StartProxy, origin: ScriptedOrigin, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def long(_: Survey) -> bytes:
        return b"[%b]" % (b" " * 20_000_000)

    monkeypatch.setattr(Survey, "hour", long)
    desk = Desk(await operated(start_proxy, origin, send_timeout="100ms"), origin)
    async with RawClient(port=desk.proxy.admin_port) as client:
        await client.send(request("GET", b"/routes", LOCAL))
        response = await client.begin()
        await eventually(lambda: desk.connections == 0)
        assert not (await response.finish(keep=False)).complete


@pytest.mark.parametrize("version", [b"1.1", b"1.0"])
async def test_metrics_are_sent_as_they_are_made_and_whole_to_those_who_have_closed_their_side_too(
    desk: Desk, version: bytes
) -> None:
    async with RawClient(port=desk.proxy.admin_port) as client:
        await client.send(request("GET", b"/metrics", LOCAL).replace(b"HTTP/1.1", b"HTTP/" + version))
        client.half_close()
        response = await (await client.response()).finish()
        assert await client.eof()
    assert (response.status, response.field(b"content-type")) == (200, b"text/plain; version=0.0.4; charset=utf-8")
    assert response.field(b"transfer-encoding") == (b"chunked" if version == b"1.1" else None)
    assert response.field(b"content-length") is None
    assert b"respond_async_build_info" in response.body
