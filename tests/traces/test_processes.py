"""Traces go on in other processes: what one has begun, another tells."""

import os
from pathlib import Path
from signal import SIGKILL

from tests.process.child import Child, path_of, stored_settings
from tests.raw_client import Field
from tests.scripted_origin import ScriptedOrigin, answer, read_all, stall
from tests.traces.collector import Collector

STATE: Field = (b"tracestate", b"vendor=opaque, other=x")
CONTINUED: Field = (b"traceparent", b"00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01")
LATER: Field = (b"Prefer", b"respond-async, wait=0")
LONG_POLL: Field = (b"Prefer", b"wait=10")
ENVIRON = {"OTEL_BSP_SCHEDULE_DELAY": "10"}


async def test_an_operation_that_another_process_recovers_keeps_its_place_in_the_trace(
    origin: ScriptedOrigin, collector: Collector, tmp_path: Path
) -> None:
    settings = stored_settings(origin.url, tmp_path) | {"tracing": {"otlp": collector.url}}
    origin.queue([stall()])
    origin.script(read_all(), answer(200, body=b"x"))
    async with Child(settings, tmp_path, environ=ENVIRON) as child:
        status_url = path_of(await child.ask("GET", b"/slow", LATER, CONTINUED, STATE))
        request = await collector.span("GET everything")
        first = (await origin.request_received(1)).field(b"traceparent") or b""
        os.kill(child.workers[0], SIGKILL)
        again = (await origin.request_complete(2)).field(b"traceparent") or b""
        assert (await child.ask("GET", status_url, LONG_POLL)).status == 200
        operation, exchange = await collector.span("operation everything"), await collector.span("GET")
        status = await collector.span("GET (status)")
        await child.stop()
    assert (operation.trace_id, operation.parent_id) == (request.trace_id, request.span_id)
    assert (operation.links, request.links) == ([request.as_parent], [operation.as_parent])
    assert operation.attributes["respond_async.attempts"] == 2
    assert (exchange.trace_id, exchange.parent_id) == (request.trace_id, operation.span_id)
    assert exchange.state == request.state == "vendor=opaque,other=x"
    assert again.decode() == exchange.as_parent
    assert first != again
    assert first[:36] == again[:36] == CONTINUED[1][:36]
    assert status.links == [operation.as_parent]


async def test_nor_does_another_process_show_more_of_an_id_behind_a_prefix(
    origin: ScriptedOrigin, collector: Collector, tmp_path: Path
) -> None:
    settings = stored_settings(origin.url, tmp_path) | {"tracing": {"otlp": collector.url}}
    origin.queue([stall()])
    origin.script(read_all(), answer(200, body=b"x"))
    async with Child(settings, tmp_path, environ=ENVIRON) as child:
        status_url = path_of(await child.ask("GET", b"/r1/.async/" + b"Ab-_" * 6, LATER))
        await origin.request_received(1)
        os.kill(child.workers[0], SIGKILL)
        assert (await origin.request_complete(2)).target == b"/r1/.async/" + b"Ab-_" * 6
        assert (await child.ask("GET", status_url, LONG_POLL)).status == 200
        operation, exchange = await collector.span("operation everything"), await collector.span("GET")
        await child.stop()
    assert operation.attributes["url.path"] == "/r1/.async/Ab-_Ab-_"
    assert exchange.attributes["url.full"] == f"{origin.url}/r1/.async/Ab-_Ab-_"


async def test_a_worker_that_is_stopped_sends_what_it_has_and_one_that_is_forked_anew_traces_too(
    origin: ScriptedOrigin, collector: Collector, tmp_path: Path
) -> None:
    settings = stored_settings(origin.url, tmp_path) | {"tracing": {"otlp": collector.url}}
    async with Child(settings, tmp_path) as child:
        assert (await child.ask("GET", b"/one")).status == 200
        await child.reload(settings)
        assert (await child.ask("GET", b"/two")).status == 200
        await child.stop()
    assert sorted(str(span.attributes["url.path"]) for span in collector.named("GET everything")) == ["/one", "/two"]
