"""SIGTERM drains: what is under way ends well, what cannot end in time is told to be interrupted, nothing is lost."""

import asyncio
import json
from pathlib import Path
from signal import SIGINT, SIGKILL, SIGTERM

import pytest

from tests.process.child import Child, path_of, stored_settings
from tests.raw_client import Field, Pattern, RawClient, request
from tests.scripted_origin import Request, Script, ScriptedOrigin, answer, read_all, stall, wait_for

LATER: Field = (b"Prefer", b"respond-async, wait=0")
BODY = bytes(range(256)) * 1000


def gated(gate: asyncio.Event) -> Script:
    return [read_all(), wait_for(gate), answer(200, body=BODY)]


async def test_sigterm_drains(origin: ScriptedOrigin, tmp_path: Path) -> None:
    soon, settings = asyncio.Event(), stored_settings(origin.url, tmp_path) | {"drain_timeout": "4s"}
    origin.route(lambda request: [stall()] if request.target == b"/never" else gated(soon))
    async with Child(settings, tmp_path) as child:
        done = path_of(await child.ask("POST", b"/later", LATER, body=b""))
        late = path_of(await child.ask("POST", b"/never", LATER, body=b""))
        async with child.client() as synchronous, child.client() as polling, child.client() as idle:
            await idle.exchange("GET", late)
            await synchronous.send(request("GET", b"/now"))
            await polling.send(request("GET", late, [(b"Prefer", b"wait=60")]))
            await origin.request_received(3)
            await child.begins_to_drain()
            poll = await polling.response()
            assert (poll.status, poll.field(b"connection")) == (202, b"close"), "a long poll tells what is known"
            with pytest.raises(ConnectionRefusedError):
                await child.ask("GET", b"/")
            assert (await child.operator_asks(b"/livez")).status == 200
            soon.set()
            response = await synchronous.response()
            assert (response.status, response.body, response.field(b"connection")) == (200, BODY, b"close")
            assert await synchronous.eof()
            assert await idle.eof(), "an idle connection is closed, a moment later"
        assert await child.exit_code() == 0
        assert child.lines[-1]["event"] == "stopped"
    async with Child(settings, tmp_path) as child:
        result = await child.ask("GET", done)
        assert (result.status, result.body) == (200, BODY)
        await assert_interrupted(child, late)
    assert len(origin.requests) == 3, "nothing was sent twice"


async def assert_interrupted(child: Child, path: bytes) -> None:
    response = await child.ask("GET", path)
    assert (response.status, response.field(b"asyncresult")) == (502, b"502")
    assert response.field(b"proxy-status") == b"respond-async; error=proxy_internal_error"
    assert json.loads(response.body)["code"] == "interrupted"


async def test_an_upload_that_is_under_way_is_received_to_its_end(origin: ScriptedOrigin, tmp_path: Path) -> None:
    async with Child(stored_settings(origin.url, tmp_path), tmp_path) as child, child.client() as client:
        body = Pattern(1_000_000)
        await client.send(request("POST", b"/", [(b"Content-Length", b"1000000")]))
        await origin.request_received()
        await child.begins_to_drain()
        for piece in body:
            await client.send(piece)
        response = await client.response()
        assert (response.status, response.field(b"connection")) == (200, b"close")
        assert (await origin.request_complete()).sha256 == body.sha256
        assert await child.exit_code() == 0


async def test_a_download_that_is_under_way_is_sent_to_its_end(origin: ScriptedOrigin, tmp_path: Path) -> None:
    body = Pattern(20_000_000)
    origin.script(answer(200, body=body))
    async with Child(stored_settings(origin.url, tmp_path), tmp_path) as child, child.client() as client:
        await client.send(request("GET", b"/"))
        response = await client.begin()
        await child.begins_to_drain()
        assert (await response.finish(keep=False)).sha256 == body.sha256
        assert await client.eof()
        assert await child.exit_code() == 0


async def test_a_head_that_is_under_way_is_answered(origin: ScriptedOrigin, tmp_path: Path) -> None:
    async with Child(stored_settings(origin.url, tmp_path), tmp_path) as child, child.client() as client:
        await client.exchange("GET", b"/")
        head = request("GET", b"/")
        await client.send(head[:10])
        await child.ask("GET", b"/")  # so that those bytes have arrived
        await child.begins_to_drain()
        await client.send(head[10:])
        response = await client.response()
        assert (response.status, response.field(b"connection")) == (200, b"close")
        assert await child.exit_code() == 0


async def test_a_client_that_has_just_connected_is_answered(origin: ScriptedOrigin, tmp_path: Path) -> None:
    async with Child(stored_settings(origin.url, tmp_path), tmp_path) as child, child.client() as client:
        async with child.client() as silent, child.client() as idle:
            await idle.exchange("GET", b"/")  # so that those before it have been accepted
            await child.begins_to_drain()
            response = await client.exchange("GET", b"/")
            assert (response.status, response.field(b"connection")) == (200, b"close")
            assert await silent.eof(), "a moment later"
            assert await idle.eof()
        assert await child.exit_code() == 0


async def test_a_second_signal_stops_at_once_whichever_they_are(origin: ScriptedOrigin, tmp_path: Path) -> None:
    settings = stored_settings(origin.url, tmp_path) | {"drain_timeout": "1h"}
    origin.script(stall())
    async with Child(settings, tmp_path) as child, child.client() as client:
        path = path_of(await child.ask("POST", b"/", LATER, body=b""))
        await client.send(request("GET", b"/"))
        await origin.request_received(2)
        child.signal(SIGINT)
        assert (
            "a second signal, such as another Ctrl-C, breaks it off at once" in (await child.logged("draining"))["note"]
        )
        under_way = await child.logged("under way")
        assert (under_way["requests"], under_way["operations"]) == (1, 1)
        child.signal(SIGTERM)
        assert await child.exit_code() == 0
        settled = await child.logged("operation settled")
        assert settled["detail"] == "Find out at the origin whether it took effect before the request is sent again."
        cut = await child.logged("request", 2)
        told_twice = "The proxy was told a second time to stop, and so broke it off at once."
        assert {settled["why"], cut["why"]} == {told_twice}, "drain_timeout had nothing to do with it"
        await client.wire.until(lambda: client.wire.end is not None, "end of the connection")
        methods = [line["method"] for line in child.lines if line["event"] == "request"]
        assert methods == ["POST", "GET"], "what is broken off at the very end has its line too"
    async with Child(settings, tmp_path) as child:
        await assert_interrupted(child, path)


async def test_a_request_that_will_not_end_does_not_keep_it(origin: ScriptedOrigin, tmp_path: Path) -> None:
    settings = stored_settings(origin.url, tmp_path) | {"drain_timeout": "200ms"}
    origin.script(stall())
    async with Child(settings, tmp_path) as child, child.client() as client:
        await client.send(request("GET", b"/"))
        await origin.request_received()
        child.signal(SIGTERM)
        assert await child.exit_code() == 0
        await origin.connection_closed()


async def test_after_a_kill_what_ran_is_interrupted_and_what_was_done_is_still_there(
    origin: ScriptedOrigin, tmp_path: Path
) -> None:
    small, large = b"small\x00\xff", bytes(range(256)) * 4000

    def script(request: Request) -> Script:
        bodies = {b"/small": small, b"/large": large}
        body = bodies.get(request.target)
        return [stall()] if body is None else [read_all(), answer(201, [(b"X-One", b"1")], body)]

    origin.route(script)
    settings = stored_settings(origin.url, tmp_path)
    async with Child(settings, tmp_path) as child:
        paths = {}
        for target in (b"/small", b"/large"):
            paths[target] = path_of(await child.ask("POST", target, LATER, body=b"order"))
            assert (await child.ask("GET", paths[target], (b"Prefer", b"wait=5"))).status == 201
        running = path_of(await child.ask("POST", b"/running", LATER, body=b"order"))
        await origin.request_received(3)
        child.signal(SIGKILL)
        assert await child.exit_code() == -SIGKILL
    async with Child(settings, tmp_path) as child:
        await assert_interrupted(child, running)
        for target, body in ((b"/small", small), (b"/large", large)):
            result = await child.ask("GET", paths[target])
            assert (result.status, result.body, result.field(b"x-one")) == (201, body, b"1")
            assert result.field(b"asyncresult") == b"201"
    assert len(origin.requests) == 3, "a request that is not safe is not sent again"


async def test_a_new_process_may_start_while_the_old_one_drains(origin: ScriptedOrigin, tmp_path: Path) -> None:
    gate, settings = asyncio.Event(), stored_settings(origin.url, tmp_path)
    origin.script(*gated(gate))
    async with Child(settings, tmp_path) as old:
        path = path_of(await old.ask("POST", b"/", LATER, body=b""))
        await old.begins_to_drain()
        async with Child(settings, tmp_path) as new:
            assert (await new.ask("GET", path)).status == 202, "the old one still runs it"
            async with RawClient(port=new.port) as client:
                await client.send(request("GET", path, [(b"Prefer", b"wait=10")]))
                await origin.request_complete()
                gate.set()
                response = await client.response()
            assert (response.status, response.body) == (200, BODY)
        assert await old.exit_code() == 0
