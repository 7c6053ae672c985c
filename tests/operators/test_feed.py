"""Server-sent events: what operators see as it changes."""

import asyncio
import json
from contextlib import AsyncExitStack
from typing import NoReturn
from urllib.parse import quote

import pytest

from proxy.errors import StoreUnavailable
from proxy.operators import feed, whole
from proxy.operators.feed import MOST, Feed
from proxy.operators.filters import Asked
from proxy.operators.shown import Json
from tests.conftest import StartProxy, settings_for
from tests.operators.conftest import LOCAL, Desk
from tests.raw_client import RawClient, request
from tests.scripted_origin import ScriptedOrigin, answer, read_all, wait_for


async def test_an_operation_appears_and_completes_in_the_view(desk: Desk) -> None:
    gate = asyncio.Event()
    desk.origin.script(read_all(), wait_for(gate), answer(200, body=b"result"))
    async with desk.operator.follows("/events?state=unsettled") as events:
        view = await events.next("view")
        assert view.keys() == {"operations", "settled", "store", "origins", "service", "requests"}
        assert (view["operations"]["operations"], view["settled"]) == ([], [])
        short = (await desk.runs())[:8]
        view = await events.view(lambda view: view["operations"]["operations"])
        assert [one["id"] for one in view["operations"]["operations"]] == [short]
        gate.set()
        view = await events.view(lambda view: view["settled"])
        assert [(one["id"], one["status"]) for one in view["settled"]] == [(short, 200)]
        assert view["operations"]["operations"] == []


async def test_the_first_events_are_a_view_and_the_routes(desk: Desk) -> None:
    async with desk.operator.follows() as events:
        assert events.response.field(b"content-type") == b"text/event-stream"
        await events.next("view")
        assert (await events.next("routes"))["routes"][0]["name"] == "everything"
        assert events.response.body.startswith(b"retry: 1000\n\nevent: view\n")


async def test_who_knows_the_hour_from_another_stream_is_told_the_rest(
    start_proxy: StartProxy, origin: ScriptedOrigin, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in (feed, whole):
        monkeypatch.setattr(module, "STEP", 0.02)
    monkeypatch.setattr(feed, "TICK", 0.02)
    operator = Desk(await start_proxy(settings_for(origin.url), admin="127.0.0.1:0"), origin).operator
    async with operator.follows("/events?state=settled") as events:
        while not (told := await events.next("moments"))["moments"]:
            pass
    async with operator.follows(f"/events?state=running&after={told['after']}") as events:
        while not (rest := await events.next("moments"))["moments"]:
            pass
        assert b"event: routes" not in events.response.body
    known = [*told["moments"], *rest["moments"]]
    everything = (await operator.sees("/routes"))["moments"]
    begin = everything.index(known[0])
    assert known == everything[begin : begin + len(known)], "each of them once"


@pytest.mark.parametrize(
    "after", ["0123456789abcdef.1", "1", ".", "{name}.x", "{name}.", "{name}.1.1", "{name}.\u0661"]
)
async def test_what_is_known_of_another_hour_counts_for_nothing(desk: Desk, after: str) -> None:
    async with desk.operator.follows() as events:
        name = (await events.next("moments"))["after"].rpartition(".")[0]
    async with desk.operator.follows(f"/events?after={quote(after.format(name=name))}") as events:
        assert await events.next("routes")
        assert await events.next("moments") == {"moments": [], "after": f"{name}.0"}


async def test_what_changes_with_time_alone_is_not_sent(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    gate, looks, look = asyncio.Event(), asyncio.Semaphore(0), Feed._view

    async def noted(self: Feed, page: Asked) -> Json:
        looks.release()
        return await look(self, page)

    monkeypatch.setattr(feed, "TICK", 0.01)
    monkeypatch.setattr(Feed, "_view", noted)
    desk.origin.script(read_all(), wait_for(gate), answer(200))
    await desk.runs()
    await desk.origin.request_received()
    async with desk.operator.follows() as events:
        await events.next("view")
        for _ in range(4):  # the last of them after one that came to its end
            await looks.acquire()
        gate.set()
        view = await events.next("view")
        assert view["settled"] or view["origins"][0]["servers"][0]["idle"]


async def test_streams_end_when_others_are_to_answer(desk: Desk) -> None:
    async with desk.operator.follows() as events:
        await events.next("view")
        desk.proxy.service.leave_operators()
        assert await events.ends()
    desk.proxy.service.answer_operators()
    async with desk.operator.follows() as events:
        await events.next("view")
        await desk.proxy.service.close()
        assert await events.ends()


async def test_there_are_so_many_streams_and_no_more(desk: Desk) -> None:
    async with AsyncExitStack() as stack:
        for _ in range(MOST):
            await (await stack.enter_async_context(desk.operator.follows())).next("view")
        assert "Close one" in await desk.operator.is_refused(503, "/events")


async def test_a_stream_that_cannot_be_is_refused_before_it_begins(desk: Desk) -> None:
    assert "`queued`" in await desk.operator.is_refused(400, "/events?state=done")


async def test_head_of_a_stream_is_its_head(desk: Desk) -> None:
    async with RawClient(port=desk.proxy.admin_port) as client:
        await client.send(request("HEAD", b"/events", LOCAL))
        response = await client.response("HEAD")
        assert (response.status, response.field(b"content-type")) == (200, b"text/event-stream")
        assert await client.eof()


async def test_who_does_not_read_is_dropped(
    start_proxy: StartProxy, origin: ScriptedOrigin, monkeypatch: pytest.MonkeyPatch
) -> None:
    limits = {"send_timeout": "100ms"}
    desk = Desk(await start_proxy(settings_for(origin.url), admin="127.0.0.1:0", limits=limits), origin)
    monkeypatch.setattr(feed, "TICK", 0.001)
    monkeypatch.setattr(feed, "STEP", 0.0)
    monkeypatch.setattr(feed, "moments_text", lambda _: json.dumps("x" * 1_000_000))
    async with desk.operator.follows() as events:
        await dropped(desk)
        assert not (await events.response.finish(keep=False)).complete


async def dropped(desk: Desk) -> None:
    """Wait until nobody follows any more."""
    async with asyncio.timeout(10):
        while desk.streams:  # noqa: ASYNC110  # nobody sets an event for it
            await asyncio.sleep(0.01)


async def test_who_leaves_is_forgotten_at_once(desk: Desk) -> None:
    async with desk.operator.follows() as events:
        await events.next("view")
        assert desk.streams == 1
    await dropped(desk)


async def test_a_stream_ends_when_the_store_fails_and_is_refused_while_it_does(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def fails(*_: object) -> NoReturn:
        raise StoreUnavailable("The disk is gone.")

    async with desk.operator.follows() as events:
        await events.next("view")
        monkeypatch.setattr(desk.proxy.service._store, "page", fails)
        assert await events.ends()
    for target in ("/events", "/operations"):
        assert await desk.operator.is_refused(503, target) == (
            "The store of operations cannot be used. The disk is gone."
        )
