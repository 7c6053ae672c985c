"""What the log tells of a request and of an operation: who ended it, in which phase, and why."""

import asyncio
import json
from collections.abc import Awaitable, Callable
from typing import Any, Final, NamedTuple

import pytest
import structlog

from proxy import status
from tests.conftest import Proxy, StartProxy, settings_for
from tests.operations.house import eventually, status_path
from tests.raw_client import Field, RawClient, request
from tests.scripted_origin import (
    ScriptedOrigin,
    Step,
    answer,
    close,
    read_all,
    reset,
    send,
    stall,
    tell,
    wait_for,
)

Lines = list[structlog.types.EventDict]
Line = structlog.types.EventDict
StartVia = Callable[..., Awaitable[Proxy]]

ASYNC = (b"Prefer", b"respond-async")
AT_ONCE = (b"Prefer", b"respond-async, wait=0")


@pytest.fixture
def start(start_proxy: StartProxy, origin: ScriptedOrigin) -> StartVia:
    """Starts a proxy with these settings of its origin, and keywords for its route."""

    async def started(settings: dict[str, Any] | None = None, **route: Any) -> Proxy:  # noqa: ANN401  # as YAML has it
        config = settings_for(origin.url, **route)
        config["origins"] = {"legacy": {"url": origin.url, **(settings or {})}}
        return await start_proxy(config)

    return started


async def line_of(log: Lines, event: str = "request", number: int = 1) -> Line:
    """The line of so many of the event, when they are there."""
    await eventually(lambda: len(lines_of(log, event)) >= number)
    lines = lines_of(log, event)
    assert len(lines) == number
    return lines[-1]


def lines_of(log: Lines, event: str) -> Lines:
    return [line for line in log if line["event"] == event]


async def test_a_request_that_was_answered_has_nothing_to_explain(
    client: RawClient, origin: ScriptedOrigin, quiet_log: Lines
) -> None:
    origin.script(read_all(), answer(200, body=b"four"))
    await client.exchange("POST", b"/?secret", (), b"content")
    line = await line_of(quiet_log)
    assert (line["plan"], line["end"], line["bytes"], line["received"]) == ("sync", "--", 4, 7)
    assert 0 <= line["waiting"] <= line["seconds"]
    assert 0 <= line["origin"] <= line["seconds"]
    assert "why" not in line


async def connected(proxy: Proxy, log: Lines) -> RawClient:
    """A client, when a connection to the origin lies idle: so what it asks for next is sent at once."""
    client = await proxy.client()
    await client.exchange("GET", b"/")
    await line_of(log)
    log.clear()
    return client


async def test_a_202_tells_how_long_the_origin_had(start: StartVia, origin: ScriptedOrigin, quiet_log: Lines) -> None:
    client = await connected(await start(), quiet_log)
    gate = asyncio.Event()
    origin.script(wait_for(gate), answer(200))
    accepted = await client.exchange("GET", b"/", [ASYNC])
    short = status_path(accepted).rpartition(b"/")[2][:8].decode()
    line = await line_of(quiet_log)
    assert (line["status"], line["plan"], line["end"], line["operation"]) == (202, "race", "-H", short)
    why = "The origin had not answered within 0.2 s (respond_async.wait of route everything); answered 202."
    assert line["why"] == why
    assert lines_of(quiet_log, "operation accepted")[0]["why"] == why
    gate.set()
    await line_of(quiet_log, "operation settled")


async def test_one_that_polls_is_told_of_its_operation(
    start: StartVia, origin: ScriptedOrigin, quiet_log: Lines
) -> None:
    arrived, gate = asyncio.Event(), asyncio.Event()
    origin.script(tell(arrived), wait_for(gate), close())
    proxy = await start()
    client = await proxy.client()
    path = status_path(await client.exchange("GET", b"/", [AT_ONCE]))
    await arrived.wait()
    await client.exchange("GET", path)
    line = await line_of(quiet_log, number=2)
    assert (line["plan"], line["route"], line["end"]) == ("status", "(status)", "--")
    assert line["why"] == f"Operation {line['operation']} still runs: the origin's response is not complete."
    gate.set()
    outcome = await client.exchange("GET", path, [(b"Prefer", b"wait=5")])
    line = await line_of(quiet_log, number=3)
    assert (line["status"], line["end"]) == (502, "--")
    assert (line["error"], line["error_type"]) == ("origin-broke-off", "http_response_incomplete")
    assert line["detail"] == json.loads(outcome.body)["detail"]
    assert line["why"].startswith(f"Operation {line['operation']} failed: The origin closed the connection")
    found = [(entry["status"], entry.get("error")) for entry in proxy.service.books.recent.entries()]
    assert found == [(502, "origin-broke-off"), (202, None)]


FULL: Final = "all its connections were in use (max_connections of origin legacy: 1)"


async def test_one_in_the_queue_is_told_from_one_at_the_origin(
    start: StartVia, origin: ScriptedOrigin, quiet_log: Lines
) -> None:
    proxy = await start({"max_connections": 1, "queue_timeout": "50ms"})
    first, second = await connected(proxy, quiet_log), await proxy.client()
    gate = asyncio.Event()
    origin.script(wait_for(gate), answer(200))
    await first.exchange("GET", b"/", [AT_ONCE])
    await second.exchange("GET", b"/", [AT_ONCE])
    line = await line_of(quiet_log, number=2)
    assert line["end"] == "-Q"
    assert line["why"] == (
        f"The client asked not to wait (Prefer: wait=0). The request had no turn at origin legacy yet: {FULL};"
        " answered 202."
    )
    assert [line["state"] for line in lines_of(quiet_log, "operation accepted")] == ["running", "queued"]
    queued = await line_of(quiet_log, "operation queued")
    assert queued["why"] == f"The request had no turn at origin legacy yet: {FULL}."
    await second.exchange("GET", b"/")
    line = await line_of(quiet_log, number=3)
    assert (line["status"], line["end"], line["error"]) == (503, "LQ", "busy")
    within = "within 0.05 s (queue_timeout of origin legacy)"
    assert line["why"] == f"The request had no turn at origin legacy {within}: {FULL}."
    gate.set()
    started = await line_of(quiet_log, "operation started")
    assert (started["operation"], started["attempts"]) == (queued["operation"], 1)
    settled = await line_of(quiet_log, "operation settled", 2)
    assert settled["queued"] > 0
    assert settled["lag"] >= 0


async def test_who_waits_for_the_place_of_an_exchange_that_was_given_up_is_told_that_it_is_being_closed(
    start: StartVia, origin: ScriptedOrigin, quiet_log: Lines
) -> None:
    gate = asyncio.Event()
    origin.route(lambda _: [wait_for(gate), answer(200)])
    proxy = await start({"max_connections": 1, "queue_timeout": "50ms"}, timeout="50ms")
    client = await proxy.client()
    statuses = [(await client.exchange("GET", b"/", fields)).status for fields in ((), (AT_ONCE,), ())]
    assert statuses == [504, 202, 503]
    lines = [await line_of(quiet_log, "operation queued"), await line_of(quiet_log, number=3)]
    closing = ": all its connections were in use, or still being closed (max_connections of origin legacy: 1)."
    assert all(line["why"].endswith(closing) for line in lines)
    gate.set()
    await line_of(quiet_log, "operation settled")


@pytest.mark.parametrize(
    ("target", "fields", "status"),
    [
        pytest.param(b"/", (), 502, id="no answer"),
        pytest.param(b"/", ((b"X-Request-Id", b"x" * 200),), 502, id="an id of the client's, as the log has it"),
        pytest.param(b"/#", (), 400, id="a target that cannot be"),
    ],
)
async def test_an_error_of_the_proxys_own_has_the_id_by_which_it_is_found(
    client: RawClient,
    origin: ScriptedOrigin,
    quiet_log: Lines,
    *,
    target: bytes,
    fields: tuple[Field, ...],
    status: int,
) -> None:
    origin.script(read_all(), close())
    response = await client.exchange("GET", target, fields)
    line = await line_of(quiet_log)
    assert (response.status, response.field(b"x-request-id")) == (status, line["id"].encode())
    assert line["id"]


async def test_whoever_is_told_how_an_operation_failed_has_the_id_of_having_asked(
    client: RawClient, origin: ScriptedOrigin, quiet_log: Lines
) -> None:
    origin.script(read_all(), close())
    path = status_path(await client.exchange("GET", b"/", [AT_ONCE]))
    response = await client.exchange("GET", path, [(b"Prefer", b"wait=5")])
    line = await line_of(quiet_log, number=2)
    assert (response.status, response.field(b"x-request-id")) == (502, line["id"].encode())


async def test_an_error_of_the_origins_own_has_no_id_of_the_proxys(client: RawClient, origin: ScriptedOrigin) -> None:
    origin.script(read_all(), answer(503))
    response = await client.exchange("GET", b"/")
    assert (response.status, response.field(b"x-request-id")) == (503, None)


async def test_each_one_behind_a_full_origin_is_told_that_it_is_full(
    start: StartVia, origin: ScriptedOrigin, quiet_log: Lines
) -> None:
    gate = asyncio.Event()
    origin.route(lambda _: [wait_for(gate), answer(200)])
    client = await (await start({"max_connections": 1})).client()
    for _ in range(4):
        await client.exchange("GET", b"/", [AT_ONCE])
    await line_of(quiet_log, number=4)
    whys = [line["why"] for line in lines_of(quiet_log, "operation queued")]
    assert whys == [f"The request had no turn at origin legacy yet: {FULL}."] * 3
    gate.set()
    await line_of(quiet_log, "operation settled", 4)


async def test_how_long_one_was_queued_counts_from_its_request_wherever_it_is_told(
    start: StartVia, origin: ScriptedOrigin, quiet_log: Lines
) -> None:
    gate = asyncio.Event()
    origin.route(lambda _: [wait_for(gate), answer(200)])
    client = await (await start({"max_connections": 1})).client()
    await client.exchange("GET", b"/", [AT_ONCE])
    await origin.request_received()
    await client.exchange("GET", b"/", [(b"Prefer", b"respond-async, wait=1")])
    gate.set()
    started = await line_of(quiet_log, "operation started")
    settled = await line_of(quiet_log, "operation settled", 2)
    assert settled["queued"] == pytest.approx(started["queued"], abs=0.1)
    assert started["queued"] > 1 > settled["seconds"]


class Case(NamedTuple):
    """Something that an origin does, and what is told of it."""

    script: list[Step]
    end: str
    why: str
    route: dict[str, str]


HALF: Final = send(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nfour")
LATE: Final = "Origin legacy sent no response head within 0.05 s (timeout of route everything)."
SILENT: Final = "Origin legacy sent no more of the response for 0.05 s (idle_timeout of route everything)."
CUT: Final = "The origin closed the connection before its response was complete."
JUNK: Final = "The origin's response is not valid HTTP. The origin's response is not HTTP."


@pytest.mark.parametrize(
    "case",
    [
        pytest.param(Case([stall()], "LH", LATE, {"timeout": "50ms"}), id="no head"),
        pytest.param(Case([HALF, stall()], "LD", SILENT, {"idle_timeout": "50ms"}), id="silence"),
        pytest.param(Case([HALF, close()], "OD", CUT, {}), id="broken off"),
        pytest.param(Case([read_all(), send(b"junk\r\n\r\n"), close()], "OH", JUNK, {}), id="no HTTP"),
        pytest.param(Case([read_all(), answer(503)], "--", "The origin itself answered 503.", {}), id="its own error"),
    ],
)
async def test_what_an_origin_does_is_told(
    start: StartVia, origin: ScriptedOrigin, quiet_log: Lines, case: Case
) -> None:
    origin.script(*case.script)
    client = await (await start(**case.route)).client()
    await client.exchange("GET", b"/")
    line = await line_of(quiet_log)
    assert (line["end"], line["why"]) == (case.end, case.why)


async def test_no_connection_in_time_names_the_key(start: StartVia, quiet_log: Lines, unused_port: int) -> None:
    proxy = await start({"url": f"http://127.0.0.1:{unused_port}"})
    await (await proxy.client()).exchange("GET", b"/")
    line = await line_of(quiet_log)
    assert (line["end"], line["error_type"]) == ("OQ", "connection_refused")
    assert line["why"] == (
        "No connection to the origin could be made. The origin refused the connection (url of origin legacy)."
    )
    assert "origin" not in line


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        pytest.param([(b"Range", b"bytes=0-1")], "GET with Range is never answered later.", id="partial"),
        pytest.param([(b"If-None-Match", b'"x"')], "GET with If-None-Match is never answered later.", id="conditional"),
    ],
)
async def test_a_preference_that_does_not_apply_is_told(
    client: RawClient, quiet_log: Lines, fields: list[tuple[bytes, bytes]], reason: str
) -> None:
    await client.exchange("GET", b"/", [ASYNC, *fields])
    line = await line_of(quiet_log)
    assert (line["plan"], line["end"]) == ("sync", "--")
    assert line["why"] == f"The preference respond-async was not honoured: {reason}"


async def test_a_route_that_never_answers_later_is_told(
    start_proxy: StartProxy, origin: ScriptedOrigin, quiet_log: Lines
) -> None:
    settings = settings_for(origin.url)
    del settings["routes"][0]["respond_async"]
    client = await (await start_proxy(settings)).client()
    await client.exchange("GET", b"/", [ASYNC])
    reason = "route everything has no respond_async."
    assert (await line_of(quiet_log))["why"] == f"The preference respond-async was not honoured: {reason}"


async def test_a_client_that_leaves_is_told_from_one_that_is_left_waiting_in_the_queue(
    start: StartVia, origin: ScriptedOrigin, quiet_log: Lines
) -> None:
    origin.script(stall())
    proxy = await start({"max_connections": 1})
    first, second = await proxy.client(), await proxy.client()
    await first.send(request("GET", b"/"))
    await origin.request_received()
    await second.send(request("GET", b"/"))
    await eventually(lambda: _waiting(proxy) == 1)
    second.reset()
    line = await line_of(quiet_log)
    assert (line["status"], line["end"]) == (499, "CQ")
    assert line["why"].endswith("while the request waited for its turn at the origin.")
    first.reset()
    line = await line_of(quiet_log, number=2)
    assert (line["status"], line["end"], line["error"]) == (499, "CH", "client-left")
    assert line["why"].endswith("before the origin had answered.")


def _waiting(proxy: Proxy) -> float:
    (family,) = (one for one in proxy.service.metrics.figures() if one["name"] == "respond_async_origin_waiting")
    ((labels, (value,)),) = family["rows"]
    assert labels == ("legacy",)
    return value


async def test_a_defect_is_the_proxys_doing(
    client: RawClient, quiet_log: Lines, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object) -> None:
        raise RuntimeError

    with monkeypatch.context() as patch:
        patch.setattr(status.StatusMonitor, "answer", broken)
        await client.exchange("GET", b"/.async/aaaaaaaaaaaaaaaaaaaaaaaa")
    line = await line_of(quiet_log)
    assert (line["status"], line["end"], line["error"]) == (500, "PS", "internal")


async def test_what_was_no_route_is_the_clients_doing(
    start_proxy: StartProxy, origin: ScriptedOrigin, quiet_log: Lines
) -> None:
    proxy = await start_proxy(settings_for(origin.url, match={"path": "/api"}))
    await (await proxy.client()).exchange("GET", b"/other")
    line = await line_of(quiet_log)
    assert (line["status"], line["end"], line["plan"], line["route"]) == (404, "CR", "here", "(none)")


async def test_another_spelling_of_a_status_url_is_no_route_and_its_problem_shows_as_little(
    start_proxy: StartProxy, origin: ScriptedOrigin, quiet_log: Lines
) -> None:
    proxy = await start_proxy(settings_for(origin.url, match={"path": "/api"}))
    response = await (await proxy.client()).exchange("GET", b"//.async/aaaaaaaaaaaaaaaaaaaaaaaa")
    assert (response.status, json.loads(response.body)["instance"]) == (404, "/.async/aaaaaaaa")
    assert (await line_of(quiet_log))["path"] == "/.async/aaaaaaaa"


async def test_what_never_was_a_request_is_found_by_the_id_in_its_response(
    start_proxy: StartProxy, origin: ScriptedOrigin, quiet_log: Lines
) -> None:
    proxy = await start_proxy(settings_for(origin.url) | {"limits": {"max_connections": 1}})
    client = await proxy.client()
    await client.send(b"BAD / HTTP/1.1\r\n\r\n")
    bad = await client.response()
    await client.eof()
    crowded = await (await proxy.client()).response()
    assert (bad.status, crowded.status) == (400, 503)
    lines = lines_of(quiet_log, "request refused")
    assert [line["id"].encode() for line in lines] == [one.field(b"x-request-id") for one in (bad, crowded)]
    assert lines[0]["id"] != lines[1]["id"]
    assert lines[1]["why"] == "Too many connections are open (limits.max_connections: 1)."
    found = [(entry["id"], entry["status"], entry["end"]) for entry in proxy.service.books.recent.entries()]
    assert found == [(lines[1]["id"], 503, "LR"), (lines[0]["id"], 400, "CR")]


@pytest.mark.parametrize(
    ("limits", "sent", "why"),
    [
        pytest.param(
            {"header_timeout": "100ms"}, b"GET / HTTP/1.1\r\n",
            "The request's head took more than 0.1 seconds (limits.header_timeout).", id="a slow head",
        ),
        pytest.param(
            {"max_fields": "1KiB"}, b"GET / HTTP/1.1\r\nHost: a\r\nX: %s\r\n\r\n" % (b"x" * 2000),
            "The request line and header section have more than 1024 bytes (limits.max_fields).", id="fields",
        ),
        pytest.param(
            {"max_fields": "1KiB"}, b"GET /%s HTTP/1.1\r\nHost: a\r\n\r\n" % (b"x" * 2000),
            "The request line has more than half of 1024 bytes (limits.max_fields).", id="a target",
        ),
        pytest.param(
            {"max_fields": "64KiB"}, b"GET / HTTP/1.1\r\nHost: a\r\n%s\r\n" % (b"X:y\r\n" * 1001),
            "The request's header section is too large. The request has more than 1000 field lines.", id="lines",
        ),
    ],
)  # fmt: skip
async def test_a_refusal_names_the_limit(
    start_proxy: StartProxy, origin: ScriptedOrigin, quiet_log: Lines, *, limits: dict[str, str], sent: bytes, why: str
) -> None:
    client = await (await start_proxy(settings_for(origin.url) | {"limits": limits})).client()
    await client.send(sent)
    await client.response()
    assert (await line_of(quiet_log, "request refused"))["why"] == why


@pytest.mark.parametrize(
    ("limits", "route", "sent", "why"),
    [
        pytest.param(
            {"body_timeout": "100ms"}, {}, b"", "No content came for 0.1 seconds (limits.body_timeout).", id="silence"
        ),
        pytest.param(
            {}, {"max_request_body": "1KiB"}, b"x" * 2000,
            "The request has 2000 bytes of content; at most 1024 are taken here (max_request_body of route everything).",
            id="too much",
        ),
    ],
)  # fmt: skip
async def test_what_is_wrong_with_content_names_the_limit(
    start_proxy: StartProxy, origin: ScriptedOrigin, quiet_log: Lines, *,
    limits: dict[str, str], route: dict[str, str], sent: bytes, why: str,
) -> None:  # fmt: skip
    client = await (await start_proxy(settings_for(origin.url, **route) | {"limits": limits})).client()
    await client.send(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 2000\r\n\r\n" + sent)
    await client.response()
    assert (await line_of(quiet_log))["why"] == why


MAY_BE_DONE: Final = " It had been sent, so the origin may have carried it out."


@pytest.mark.parametrize(
    ("method", "script", "said"),
    [
        pytest.param("POST", [read_all(), stall()], True, id="no answer"),
        pytest.param("DELETE", [read_all(), close()], True, id="broken off"),
        pytest.param("GET", [read_all(), close()], False, id="what changes nothing"),
        pytest.param("POST", [read_all(), HALF, close()], False, id="one that was answered"),
    ],
)
async def test_an_error_tells_operators_where_the_origin_may_have_carried_out_the_request(
    start: StartVia, origin: ScriptedOrigin, quiet_log: Lines, *, method: str, script: list[Step], said: bool
) -> None:  # fmt: skip
    origin.script(*script)
    client = await (await start(timeout="100ms")).client()
    await client.send(request(method, b"/", body=b"item=42"))
    assert (await line_of(quiet_log))["why"].endswith(MAY_BE_DONE) is said


async def test_one_that_was_not_sent_whole_was_not_carried_out(
    start: StartVia, origin: ScriptedOrigin, quiet_log: Lines
) -> None:
    origin.script(close())
    client = await (await start()).client()
    await client.send(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\nfirst")
    line = await line_of(quiet_log)
    assert (line["error"], MAY_BE_DONE in line["why"]) == ("origin-broke-off", False)


async def test_an_operation_that_failed_tells_the_same(
    start: StartVia, origin: ScriptedOrigin, quiet_log: Lines
) -> None:
    origin.script(read_all(), HALF, close())
    client = await (await start()).client()
    await client.exchange("POST", b"/", [AT_ONCE], b"item=42")
    assert (await line_of(quiet_log, "operation settled"))["why"].endswith(MAY_BE_DONE)


async def test_a_status_url_that_shows_nothing_tells_operators_why(
    start: StartVia, origin: ScriptedOrigin, quiet_log: Lines
) -> None:
    origin.script(answer(200))
    client = await (await start()).client()
    owner = (b"Authorization", b"Bearer x")
    path = status_path(await client.exchange("GET", b"/", [AT_ONCE, owner]))
    short = path.rpartition(b"/")[2][:8].decode()
    told = (await client.exchange("GET", path)).body, (await client.exchange("GET", b"/.async/nothing")).body
    await line_of(quiet_log, number=3)
    without = f"Operation {short} was asked for without the credential of the request that made it"
    assert [line["why"] for line in lines_of(quiet_log, "request")[1:]] == [
        f"{without} (respond_async.owner of route everything).",
        "There is no operation with this id: it never was, was deleted, or has been forgotten.",
    ]
    assert {json.loads(body)["detail"] for body in told} == {
        "It never was, was deleted, has been forgotten, or is not yours."
    }


# Operations.


async def test_a_deleted_operation_did_not_fail(start: StartVia, origin: ScriptedOrigin, quiet_log: Lines) -> None:
    asked = asyncio.Event()
    origin.script(tell(asked), stall())
    client = await (await start()).client()
    path = status_path(await client.exchange("GET", b"/", [AT_ONCE, (b"X-Request-Id", b"abc")]))
    await client.exchange("DELETE", path)
    await origin.connection_closed()
    settled = await line_of(quiet_log, "operation settled")
    assert (settled["state"], settled["id"]) == ("dismissed", "abc")
    assert settled["why"] == "A client cancelled it: DELETE of its status URL."
    assert lines_of(quiet_log, "exchange failed") == []


@pytest.mark.parametrize("queued", [False, True], ids=["sent at once", "queued before"])
@pytest.mark.parametrize(
    "script", [pytest.param([stall()], id="no head"), pytest.param([HALF, stall()], id="half a response")]
)
async def test_one_that_takes_too_long_was_ended_by_a_timeout_wherever_it_was(
    start: StartVia, origin: ScriptedOrigin, quiet_log: Lines, script: list[Step], *, queued: bool
) -> None:
    gate = asyncio.Event()
    origin.route(lambda sent: [wait_for(gate), answer(200)] if sent.target == b"/before" else script)
    settings = {"max_connections": 1 if queued else 2}
    proxy = await start(settings, timeout="1m", respond_async={"timeout": "100ms", "wait": "0s"})
    async with asyncio.TaskGroup() as group:
        before = group.create_task((await proxy.client()).exchange("GET", b"/before"))
        await origin.request_received()
        await (await proxy.client()).exchange("GET", b"/", [ASYNC])
        accepted = await line_of(quiet_log, "operation accepted")
        gate.set()
        await before
    assert accepted["state"] == ("queued" if queued else "running")
    settled = await line_of(quiet_log, "operation settled")
    assert (settled["state"], settled["error"]) == ("failed", "origin-timeout")
    assert settled["error_type"] == "http_response_timeout"
    assert settled["why"] == (
        "The response of origin legacy was not complete 0.1 s after the request was sent (respond_async.timeout of route everything)."
    )
    failed = await line_of(quiet_log, "exchange failed")
    assert (failed["error"], failed["cause"]) == ("origin-timeout", None)


async def test_the_time_of_an_operation_counts_from_its_sending_and_not_from_its_202(
    start: StartVia, origin: ScriptedOrigin, quiet_log: Lines
) -> None:
    gate = asyncio.Event()
    origin.script(wait_for(gate), HALF, stall())
    client = await (await start(respond_async={"timeout": "600ms", "wait": "500ms"})).client()
    await client.exchange("GET", b"/", [ASYNC])
    gate.set()
    assert (await line_of(quiet_log, "operation settled"))["seconds"] < 0.5


async def test_one_that_the_origin_broke_off_is_told_with_its_cause(
    start: StartVia, origin: ScriptedOrigin, quiet_log: Lines
) -> None:
    gate = asyncio.Event()
    origin.script(wait_for(gate), reset())
    client = await (await start()).client()
    await client.exchange("GET", b"/", [AT_ONCE, (b"X-Request-Id", b"order-17")])
    gate.set()
    settled = await line_of(quiet_log, "operation settled")
    assert settled["why"].startswith("The origin closed the connection")
    assert settled["origin"] > 0
    failed = await line_of(quiet_log, "exchange failed")
    assert (failed["error"], failed["id"], failed["route"]) == ("origin-broke-off", "order-17", settled["route"])
