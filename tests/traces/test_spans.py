"""What a collector is told of requests, exchanges and operations, and what the origin is told of the trace."""

import asyncio
import re
from pathlib import Path

import pytest
import structlog

from proxy.spans import exporting
from proxy.tracecontext import TraceParent
from proxy.tracing import Kind, Span
from tests.conftest import Proxy, StartProxy, settings_for
from tests.raw_client import Field, RawClient, Response
from tests.scripted_origin import ScriptedOrigin, answer, close, read_all, send, stall, wait_for
from tests.traces.collector import Collector
from tests.traces.conftest import StartTraced

TRACE, PARENT = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
CONTINUED: Field = (b"Traceparent", f"00-{TRACE}-{PARENT}-01".encode())
STATE: Field = (b"TraceState", b"vendor=opaque, other=x")
LATER: Field = (b"Prefer", b"respond-async, wait=0")
LONG_POLL: Field = (b"Prefer", b"wait=10")
SECRETS = ("token", "secret", "password", "SGVsbG8")


async def ask(proxy: Proxy, method: str, target: bytes, *fields: Field) -> Response:
    async with RawClient(port=proxy.port) as client:
        return await client.exchange(method, target, [(b"Host", b"api.example.com:81"), *fields])


def path_of(response: Response) -> bytes:
    location = response.field(b"location") or b""
    return b"/" + location.split(b"/", 3)[3]


def sent(origin: ScriptedOrigin, number: int = 1) -> TraceParent:
    """What the origin got as traceparent."""
    values = origin.requests[number - 1].fields_named(b"traceparent")
    assert len(values) == 1
    found = TraceParent.read(values[0])
    assert found is not None
    return found


# A request and its exchange.


@pytest.mark.parametrize("spelling", [b"/%b", b"/x/..%b", b"/%%2easync/%b"])
async def test_another_spelling_of_a_status_url_reaches_the_origin_and_is_told_to_nobody_else(
    traced: Proxy,
    origin: ScriptedOrigin,
    collector: Collector,
    quiet_log: list[structlog.types.EventDict],
    spelling: bytes,
) -> None:
    id = b"Ab-_" * 6
    target = spelling % (id if b"easync" in spelling else b"/.async/" + id)
    response = await ask(traced, "GET", target, LATER)
    assert (response.status, origin.requests[0].target) == (200, target)
    request, exchange = await collector.span("GET everything"), await collector.span("GET")
    assert request.attributes["url.path"] == "/.async/Ab-_Ab-_"
    assert exchange.attributes["url.full"] == f"{origin.url}/.async/Ab-_Ab-_"
    [line] = [line for line in quiet_log if line["event"] == "request"]
    [entry] = traced.service.books.recent.entries()
    assert line["path"] == entry["path"] == "/.async/Ab-_Ab-_"
    assert line["why"].startswith("Its path is that of a status URL in another spelling, or leads through one,")
    assert id.decode() not in f"{quiet_log}{entry}{request}{exchange}"


@pytest.mark.parametrize("spelling", [b"/r1/.async/%b", b"/r1//.async/%b?x", b"/r1/.async%%0a/%b", b"/r1/.async/%bed"])
async def test_a_status_url_below_a_prefix_is_a_path_like_others_but_its_id_is_told_to_nobody(
    traced: Proxy,
    origin: ScriptedOrigin,
    collector: Collector,
    quiet_log: list[structlog.types.EventDict],
    spelling: bytes,
) -> None:
    id = b"Ab-_" * 6
    assert (await ask(traced, "GET", spelling % id, LATER)).status == 202
    request, exchange = await collector.span("GET everything"), await collector.span("GET")
    operation = await collector.span("operation everything")
    assert origin.requests[0].target == spelling % id
    [line] = [line for line in quiet_log if line["event"] == "request"]
    [entry] = traced.service.books.recent.entries()
    assert line["path"] == entry["path"] == "/r1/.async/Ab-_Ab-_"
    assert exchange.attributes["url.full"] == f"{origin.url}/r1/.async/Ab-_Ab-_"
    assert request.attributes["url.path"] == operation.attributes["url.path"] == "/r1/.async/Ab-_Ab-_"
    assert id.decode() not in f"{quiet_log}{entry}{request}{exchange}{operation}"


async def test_a_synchronous_request_has_a_span_and_one_of_its_exchange(
    traced: Proxy, origin: ScriptedOrigin, collector: Collector
) -> None:
    assert (await ask(traced, "POST", b"/reports?token=secret", CONTINUED, STATE)).status == 200
    request, exchange = await collector.span("POST everything"), await collector.span("POST")
    assert (request.trace_id, request.parent_id, request.kind) == (TRACE, PARENT, "SERVER")
    assert (exchange.trace_id, exchange.parent_id, exchange.kind) == (TRACE, request.span_id, "CLIENT")
    assert request.state == exchange.state == "vendor=opaque,other=x"
    assert request.attributes | {"respond_async.request_id": "", "respond_async.end": ""} == {
        "http.request.method": "POST",
        "http.response.status_code": 200,
        "url.scheme": "http",
        "url.path": "/reports",
        "server.address": "api.example.com",
        "server.port": 81,
        "client.address": "127.0.0.1",
        "network.peer.address": "127.0.0.1",
        "respond_async.route": "everything",
        "respond_async.plan": "sync",
        "respond_async.request_id": "",
        "respond_async.end": "",
    }
    assert exchange.attributes == {
        "http.request.method": "POST",
        "http.response.status_code": 200,
        "server.address": "127.0.0.1",
        "server.port": origin.port,
        "url.full": f"{origin.url}/reports",
        "respond_async.origin": "legacy",
    }
    assert (request.error, exchange.error, request.links, exchange.links) == (None, None, [], [])
    assert 0 < exchange.seconds <= request.seconds < 5
    assert request.service == "edge"


async def test_the_origin_gets_the_exchange_as_parent_and_the_state_byte_for_byte(
    traced: Proxy, origin: ScriptedOrigin, collector: Collector
) -> None:
    await ask(traced, "GET", b"/", CONTINUED, STATE)
    exchange = await collector.span("GET")
    assert sent(origin) == (TRACE, exchange.span_id, True)
    assert (b"TraceState", b"vendor=opaque, other=x") in origin.requests[0].fields


@pytest.mark.parametrize("fields", [(), ((b"traceparent", b"00-what"), STATE), (CONTINUED, CONTINUED, STATE)])
async def test_without_a_valid_traceparent_a_trace_begins(
    traced: Proxy, origin: ScriptedOrigin, collector: Collector, fields: tuple[Field, ...]
) -> None:
    await ask(traced, "GET", b"/", *fields)
    request, exchange = await collector.span("GET everything"), await collector.span("GET")
    assert (request.parent_id, exchange.parent_id) == ("", request.span_id)
    assert sent(origin) == (request.trace_id, exchange.span_id, True)
    assert request.trace_id != TRACE
    assert origin.requests[0].fields_named(b"tracestate") == []


async def test_what_goes_wrong_is_an_error_in_both_spans(
    traced: Proxy, origin: ScriptedOrigin, collector: Collector
) -> None:
    origin.script(read_all(), close())
    assert (await ask(traced, "GET", b"/")).status == 502
    request, exchange = await collector.span("GET everything"), await collector.span("GET")
    assert request.error == "The origin closed the connection without an answer."
    assert (request.attributes["http.response.status_code"], request.attributes["error.type"]) == (
        502,
        "origin-broke-off",
    )
    assert (exchange.error, exchange.attributes["error.type"]) == ("", "origin-broke-off")
    assert "http.response.status_code" not in exchange.attributes


async def test_a_response_that_breaks_off_is_told_with_its_status(
    traced: Proxy, origin: ScriptedOrigin, collector: Collector
) -> None:
    origin.script(read_all(), send(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nabc"), close())
    async with RawClient(port=traced.port) as client:
        await client.exchange("GET", b"/", [(b"Host", b"h")])
    exchange = await collector.span("GET")
    assert exchange.attributes["http.response.status_code"] == 200
    assert exchange.attributes["error.type"] == "origin-broke-off"


async def test_an_error_of_the_client_is_none_of_the_server(
    traced: Proxy, origin: ScriptedOrigin, collector: Collector
) -> None:
    origin.script(read_all(), answer(404))
    await ask(traced, "GET", b"/")
    request, exchange = await collector.span("GET everything"), await collector.span("GET")
    assert (request.error, exchange.error) == (None, "")
    assert exchange.attributes["error.type"] == "404"
    assert "error.type" not in request.attributes


async def test_a_client_that_leaves_closes_the_exchange(
    traced: Proxy, origin: ScriptedOrigin, collector: Collector
) -> None:
    origin.script(stall())
    async with RawClient(port=traced.port) as client:
        await client.send(b"GET / HTTP/1.1\r\nHost: h\r\n\r\n")
        await origin.request_received()
    request, exchange = await collector.span("GET everything"), await collector.span("GET")
    assert request.attributes["error.type"] == "client-left"
    assert "http.response.status_code" not in request.attributes
    assert exchange.attributes["error.type"] == "closed"


async def test_what_never_gets_to_an_origin_has_one_span(traced: Proxy, collector: Collector) -> None:
    await ask(traced, "OPTIONS", b"*", (b"Max-Forwards", b"0"))
    await ask(traced, "PROPFIND", b"/.async/never-was")
    await ask(traced, "CONNECT", b"example.com:443")
    assert (await collector.span("CONNECT (none)")).attributes["error.type"] == "method-not-implemented"
    assert (await collector.span("OPTIONS (none)")).attributes["respond_async.plan"] == "here"
    status = await collector.span("HTTP (status)")
    assert status.attributes["http.request.method"] == "_OTHER"
    assert status.attributes["http.request.method_original"] == "PROPFIND"
    assert len(collector.spans()) == 3


async def test_nothing_of_a_span_is_secret(traced: Proxy, origin: ScriptedOrigin, collector: Collector) -> None:
    credential = (b"Authorization", b"Bearer SGVsbG8")
    accepted = await ask(traced, "POST", b"/it?token=secret&password=1", LATER, credential, (b"Cookie", b"secret=1"))
    status_url = path_of(accepted)
    assert (await ask(traced, "GET", status_url + b"?token=1", LONG_POLL, credential)).status == 200
    await collector.span("GET (status)")
    await collector.span("operation everything")
    said = " ".join(map(str, collector.spans()))
    assert [word for word in [*SECRETS, status_url.decode().removeprefix("/.async/")] if word in said] == []


# Later.


async def test_an_operation_has_a_span_that_is_linked_across_the_202(
    traced: Proxy, origin: ScriptedOrigin, collector: Collector
) -> None:
    go = asyncio.Event()
    origin.script(read_all(), wait_for(go), answer(201, body=b"done"))
    status_url = path_of(await ask(traced, "POST", b"/reports", LATER, CONTINUED))
    request = await collector.span("POST everything")
    assert request.attributes["http.response.status_code"] == 202
    assert request.attributes["respond_async.plan"] == "race"
    assert "answered 202" in str(request.attributes["respond_async.why"])
    go.set()
    assert (await ask(traced, "GET", status_url, LONG_POLL)).status == 201
    operation, exchange = await collector.span("operation everything"), await collector.span("POST")
    assert (operation.trace_id, operation.parent_id, operation.kind) == (TRACE, request.span_id, "INTERNAL")
    assert (operation.links, request.links) == ([request.as_parent], [operation.as_parent])
    assert operation.attributes["respond_async.operation"] == request.attributes["respond_async.operation"]
    assert operation.attributes["respond_async.state"] == "completed"
    assert operation.attributes["http.response.status_code"] == 201
    assert (operation.attributes["respond_async.bytes"], operation.attributes["url.path"]) == (4, "/reports")
    assert (exchange.trace_id, exchange.parent_id) == (TRACE, request.span_id)
    assert sent(origin) == (TRACE, exchange.span_id, True)
    assert len(collector.named("POST")) == 1


async def test_a_request_for_the_status_url_is_linked_to_the_operation(
    traced: Proxy, origin: ScriptedOrigin, collector: Collector
) -> None:
    status_url = path_of(await ask(traced, "GET", b"/", LATER))
    await ask(traced, "GET", status_url, LONG_POLL)
    operation, status = await collector.span("operation everything"), await collector.span("GET (status)")
    assert status.links == [operation.as_parent]
    assert status.trace_id != operation.trace_id
    assert status.attributes["url.path"] == "/.async/" + str(operation.attributes["respond_async.operation"])


@pytest.mark.parametrize("settles", [False, True], ids=["under way", "settled"])
async def test_so_is_one_that_ends_it(
    traced: Proxy, origin: ScriptedOrigin, collector: Collector, *, settles: bool
) -> None:
    origin.script(*([read_all(), answer(200)] if settles else [stall()]))
    status_url = path_of(await ask(traced, "GET", b"/", LATER))
    if settles:
        assert (await ask(traced, "GET", status_url, LONG_POLL)).status == 200
    assert (await ask(traced, "DELETE", status_url)).status == 200
    operation, status = await collector.span("operation everything"), await collector.span("DELETE (status)")
    assert status.links == [operation.as_parent]


async def test_an_operation_that_fails_is_an_error(traced: Proxy, origin: ScriptedOrigin, collector: Collector) -> None:
    origin.script(read_all(), close())
    status_url = path_of(await ask(traced, "POST", b"/", LATER))
    await ask(traced, "GET", status_url, LONG_POLL)
    operation = await collector.span("operation everything")
    assert operation.error == "The origin closed the connection without an answer."
    assert operation.attributes["error.type"] == "origin-broke-off"
    assert operation.attributes["respond_async.state"] == "failed"


async def test_a_dismissed_operation_is_none(traced: Proxy, origin: ScriptedOrigin, collector: Collector) -> None:
    origin.script(stall())
    await ask(traced, "DELETE", path_of(await ask(traced, "POST", b"/", LATER)))
    operation, exchange = await collector.span("operation everything"), await collector.span("POST")
    assert (operation.error, operation.attributes["respond_async.state"]) == (None, "dismissed")
    assert exchange.attributes["error.type"] == "closed"


async def test_an_operation_from_before_tracing_is_told_of_by_nobody(
    collector: Collector, start_proxy: StartProxy, origin: ScriptedOrigin, tmp_path: Path
) -> None:
    stored = {"store": {"url": f"sqlite://{tmp_path / 'store'}"}}
    origin.script(stall())
    before = await start_proxy(settings_for(origin.url) | stored)
    status_url = path_of(await ask(before, "GET", b"/", LATER))
    await before.close()
    proxy = await start_proxy(settings_for(origin.url) | stored | {"tracing": {"otlp": collector.url}})
    assert (await ask(proxy, "GET", status_url)).status == 502
    await proxy.close()
    (status,) = collector.spans()
    assert (status.name, status.links) == ("GET (status)", [])


# What is recorded.


async def test_the_clients_decision_is_respected(
    start_traced: StartTraced, origin: ScriptedOrigin, collector: Collector
) -> None:
    proxy = await start_traced(sample=1)
    unrecorded = f"00-{TRACE}-{PARENT}-00".encode()
    status_url = path_of(await ask(proxy, "GET", b"/first", LATER, (b"traceparent", unrecorded)))
    await ask(proxy, "GET", status_url, LONG_POLL, (b"traceparent", unrecorded))
    await ask(proxy, "GET", b"/second", CONTINUED)
    assert (sent(origin, 1).trace_id, sent(origin, 1).sampled, sent(origin, 2).sampled) == (TRACE, False, True)
    await collector.span("GET everything")
    assert [span.attributes["url.path"] for span in collector.named("GET everything")] == ["/second"]
    assert collector.named("operation everything") == collector.named("GET (status)") == []


async def test_of_the_traces_that_begin_here_a_share_is_recorded(
    start_traced: StartTraced, origin: ScriptedOrigin, collector: Collector
) -> None:
    proxy = await start_traced(sample=0)
    for _ in range(20):
        await ask(proxy, "GET", b"/")
    await ask(proxy, "GET", b"/", CONTINUED)
    await collector.span("GET everything")
    assert [sent(origin, number).sampled for number in range(1, 22)] == [False] * 20 + [True]
    assert len(collector.named("GET everything")) == 1


async def test_a_route_may_keep_the_trace_from_its_origin(
    start_traced: StartTraced, origin: ScriptedOrigin, collector: Collector
) -> None:
    proxy = await start_traced(request_headers={"remove": ["traceparent", "tracestate"]})
    await ask(proxy, "GET", b"/", CONTINUED, STATE)
    assert (await collector.span("GET")).trace_id == TRACE
    assert origin.requests[0].fields_named(b"traceparent") == origin.requests[0].fields_named(b"tracestate") == []


@pytest.mark.parametrize("fields", [(), (CONTINUED, STATE), ((b"traceparent", b"\xff broken"), STATE)])
async def test_without_tracing_the_fields_pass_as_all_others(
    proxy: Proxy, origin: ScriptedOrigin, fields: tuple[Field, ...]
) -> None:
    await ask(proxy, "GET", b"/", *fields)
    passed = [field for field in origin.requests[0].fields if re.fullmatch(rb"(?i)trace(parent|state)", field[0])]
    assert passed == list(fields)


# The collector.


async def test_what_the_environment_says_is_sent_along(
    start_traced: StartTraced, origin: ScriptedOrigin, collector: Collector, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_HEADERS", "api-key=abc")
    monkeypatch.setenv("OTEL_SERVICE_NAME", "named")
    await ask(await start_traced(), "GET", b"/")
    assert (await collector.span("GET")).service == "named"
    assert collector.requests[0].fields_named(b"api-key") == [b"abc"]


async def test_a_collector_that_refuses_is_complained_of_once(
    traced: Proxy, origin: ScriptedOrigin, collector: Collector, quiet_log: list[structlog.types.EventDict]
) -> None:
    collector.refuse()
    for number in (1, 2, 3):
        await ask(traced, "GET", b"/")
        await collector.requested(number)
    complaints = [line for line in quiet_log if line["event"] == "spans not exported"]
    assert [line["log_level"] for line in complaints] == ["warning"]
    assert "400" in complaints[0]["reason"]


async def test_a_collector_that_does_not_answer_holds_nobody_up() -> None:
    span = Span(
        name="late", kind=Kind.SERVER, context=TraceParent(TRACE, PARENT, sampled=True), parent=None,
        began=0, ended=1, attributes={},
    )  # fmt: skip
    async with ScriptedOrigin() as deaf:
        deaf.script(stall())
        async with asyncio.timeout(5):  # half of what the exporter itself would wait
            async with exporting(deaf.url, "edge") as tell:
                tell(span)
        await deaf.request_received()


async def test_what_is_left_at_the_end_is_sent(
    collector: Collector, start_proxy: StartProxy, origin: ScriptedOrigin
) -> None:
    proxy = await start_proxy(settings_for(origin.url), tracing={"otlp": f"{collector.url}/"})
    await ask(proxy, "GET", b"/")
    assert collector.spans() == []
    await proxy.close()
    assert {span.name for span in collector.spans()} == {"GET everything", "GET"}
