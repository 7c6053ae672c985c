"""What becomes of the operations of a process that died, by method, by route and by whether they were sent (P1, P2, P4)."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from proxy.message import Fields, RequestHead
from proxy.operation import KeptRequest, State
from proxy.store import Store, open_store
from tests.operations.conftest import Start
from tests.operations.house import House, document, eventually
from tests.raw_client import Response
from tests.scripted_origin import ScriptedOrigin, answer, read_all, stall, wait_for
from tests.store.samples import AMPLE
from tests.store.samples import running as an_operation

DEAD = "dead-keeper"
LARGE = bytes(range(256)) * 1000


@pytest.fixture
def kind() -> str:
    return "sqlite"


@asynccontextmanager
async def dying(folder: Path) -> AsyncIterator[Store]:
    """A process that is dead when the context is left."""
    async with open_store("sqlite", folder / "store", AMPLE, DEAD) as store:
        yield store


def kept(method: str, content: bytes | None = None) -> KeptRequest:
    fields = Fields([(b"Host", b"api.example.com"), (b"X-Odd", b"\xff  \x80"), (b"x-odd", b"")])
    return KeptRequest(
        RequestHead(method, b"/it?a=%2f", fields), b"api.example.com", "http", b"api.example.com", "127.0.0.1", None
    )


async def left_behind(
    folder: Path,
    method: str,
    content: bytes | None = None,
    *,
    keep_request: bool = True,
    **changes: Any,  # noqa: ANN401  # what an operation has
) -> bytes:
    """The path of the status URL of an operation whose process is dead."""
    base = an_operation(DEAD, keep=1e9)
    summary = replace(base.request, method=method)
    facts = {"route": "everything", "origin": "legacy", "owner_digest": None, "attempts": 1, "overdue": 1e12}
    operation = replace(base, request=summary, created=time.time(), **(facts | changes))
    async with dying(folder) as store:
        request = kept(method)
        if content is not None:
            async with store.request_sink(operation.id) as sink:
                await sink.write(content)
            request = replace(request, content=sink.ref)
        await store.create(operation, request if keep_request else None)
    return b"/.async/" + operation.id.encode()


QUEUED: dict[str, Any] = {"state": State.QUEUED, "attempts": 0, "overdue": None}


async def recovered(start: Start, **respond_async: str) -> House:
    house = await start(respond_async)
    await house.service.recovery.take_over()
    return house


def code_of(response: Response) -> str:
    code: str = document(response)["code"]
    return code


@pytest.mark.parametrize("method", ["GET", "HEAD"])
async def test_a_safe_request_is_sent_again_as_it_was(
    start: Start, origin: ScriptedOrigin, tmp_path: Path, method: str
) -> None:
    path = await left_behind(tmp_path, method)
    origin.script(read_all(), answer(200, [(b"X-Origin", b"yes")], b"" if method == "HEAD" else b"done"))
    house = await recovered(start)
    outcome = await house.outcome(path)
    assert (outcome.status, outcome.field(b"x-origin"), outcome.field(b"asyncresult")) == (200, b"yes", b"200")
    (sent,) = origin.requests
    assert (sent.method, sent.target) == (method, b"/it?a=%2f")
    assert list(sent.fields) == [(b"Host", b"api.example.com"), (b"X-Odd", b"\xff  \x80"), (b"x-odd", b"")]


async def test_any_other_is_settled_as_interrupted_and_not_sent(
    start: Start, origin: ScriptedOrigin, tmp_path: Path
) -> None:
    path = await left_behind(tmp_path, "POST", b"x")
    house = await recovered(start)
    outcome = await house.ask("GET", path)
    assert (outcome.status, code_of(outcome)) == (502, "interrupted")
    assert origin.requests == []


@pytest.mark.parametrize("content", [None, b"", b"small", LARGE], ids=["none", "empty", "small", "large"])
async def test_what_was_never_sent_is_sent_whatever_its_method(
    start: Start, origin: ScriptedOrigin, tmp_path: Path, content: bytes | None
) -> None:
    path = await left_behind(tmp_path, "POST", content, **QUEUED)
    origin.script(read_all(), answer(201, body=b"made"))
    house = await recovered(start)
    outcome = await house.outcome(path)
    assert (outcome.status, outcome.body) == (201, b"made")
    (sent,) = origin.requests
    length = None if content is None else b"%d" % len(content)
    assert (sent.method, sent.body, dict(sent.fields).get(b"Content-Length")) == ("POST", content or b"", length)


async def test_a_route_can_have_everything_sent_again(start: Start, origin: ScriptedOrigin, tmp_path: Path) -> None:
    path = await left_behind(tmp_path, "POST", LARGE)
    origin.script(read_all(), answer(200, body=b"done"))
    house = await recovered(start, on_interrupt="resend")
    assert (await house.outcome(path)).body == b"done"
    assert [one.body for one in origin.requests] == [LARGE]


async def test_a_route_can_have_nothing_sent_again(start: Start, origin: ScriptedOrigin, tmp_path: Path) -> None:
    running = await left_behind(tmp_path, "GET")
    queued = await left_behind(tmp_path, "GET", **QUEUED)
    origin.script(read_all(), answer(200, body=b"done"))
    house = await recovered(start, on_interrupt="fail")
    assert code_of(await house.ask("GET", running)) == "interrupted"
    assert (await house.outcome(queued)).body == b"done"
    assert len(origin.requests) == 1


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        pytest.param({"attempts": 2}, "it is not sent a third time", id="sent twice already"),
        pytest.param({"keep_request": False}, "(respond_async.on_interrupt of route everything)", id="its request was not kept"),
        pytest.param({"route": "gone"}, "route gone is no longer there, or has no respond_async; the pro", id="its route is gone"),
        pytest.param({"route": "gone"} | QUEUED, "it was never sent.", id="its route is gone, and it was queued"),
    ],
)  # fmt: skip
async def test_what_cannot_be_sent_again_is_settled_with_the_reason(
    start: Start, origin: ScriptedOrigin, tmp_path: Path, changes: dict[str, Any], why: str
) -> None:
    path = await left_behind(tmp_path, "GET", **changes)
    house = await recovered(start)
    await later_still(house)
    told = await house.ask("GET", path)
    assert code_of(told) == "interrupted"
    operation = await house.operation(path)
    assert operation is not None
    assert why in operation.why
    assert operation.why.encode() not in told.body
    assert origin.requests == []


async def later_still(house: House) -> None:
    """When others have had their time to take over what is of a route that is not here."""
    house.clock.on += 11.0
    await house.service.recovery.take_over()


async def test_what_is_of_another_services_route_is_left_to_it_for_a_while(
    start: Start, origin: ScriptedOrigin, tmp_path: Path
) -> None:
    path = await left_behind(tmp_path, "POST", b"x", **QUEUED)
    origin.script(read_all(), answer(200, body=b"done"))
    stranger = await start(routes=[{"name": "other", "origin": "legacy", "respond_async": {}}], keeper="stranger")
    await stranger.service.recovery.take_over()
    knows = await start(keeper="keeper-two")
    await knows.service.recovery.take_over()
    assert (await knows.outcome(path)).body == b"done"
    await later_still(stranger)
    assert len(origin.requests) == 1


@pytest.mark.parametrize("changes", [{}, QUEUED], ids=["running", "queued"])
async def test_so_is_one_whose_route_answers_nothing_later_any_more(
    start: Start, origin: ScriptedOrigin, tmp_path: Path, changes: dict[str, Any]
) -> None:
    path = await left_behind(tmp_path, "GET", **changes)
    house = await start(routes=[{"name": "everything", "origin": "legacy"}])
    await house.service.recovery.take_over()
    await later_still(house)
    assert code_of(await house.ask("GET", path)) == "interrupted"
    assert origin.requests == []


async def test_an_operation_is_sent_twice_at_most(start: Start, origin: ScriptedOrigin, tmp_path: Path) -> None:
    path = await left_behind(tmp_path, "GET")
    origin.script(read_all(), stall())
    house = await recovered(start)
    await origin.request_received()
    operation = await house.operation(path)
    assert operation is not None
    assert (operation.state, operation.attempts, operation.keeper) == (State.RUNNING, 2, "keeper-one")


async def test_what_waits_when_a_process_stops_is_sent_by_the_next(
    start: Start, origin: ScriptedOrigin, tmp_path: Path
) -> None:
    gate, one = asyncio.Event(), {"legacy": {"url": origin.url, "max_connections": 1}}
    origin.script(read_all(), wait_for(gate), answer(200, body=b"done"))
    house = await start(origins=one)
    running = await house.accepted("POST", b"/running")
    await origin.request_received()
    queued = [await house.accepted("POST", b"/%d" % number, body=LARGE) for number in range(3)]
    await house.service.drain(0)
    next_house = await start(origins=one, keeper="keeper-two")
    assert code_of(await next_house.ask("GET", running)) == "interrupted"
    assert document(await next_house.ask("GET", queued[0]))["status"] == "queued"
    await house.close()
    gate.set()
    await next_house.service.recovery.take_over()
    assert [(await next_house.outcome(path)).body for path in queued] == [b"done"] * 3
    assert [one.target for one in origin.requests] == [b"/running", b"/0", b"/1", b"/2"]
    assert [one.body for one in origin.requests[1:]] == [LARGE] * 3


async def test_two_processes_that_find_an_orphan_send_it_once(
    start: Start, origin: ScriptedOrigin, tmp_path: Path
) -> None:
    paths = [await left_behind(tmp_path, "POST", b"x", **QUEUED) for _ in range(10)]
    origin.script(read_all(), answer(200, body=b"done"))
    houses = [await start(keeper=keeper) for keeper in ("keeper-one", "keeper-two")]
    await asyncio.gather(*[house.service.recovery.take_over() for house in houses])
    assert [(await houses[0].outcome(path)).body for path in paths] == [b"done"] * 10
    assert len(origin.requests) == 10


async def test_what_waits_when_a_drain_begins_is_left_to_others_at_once(start: Start, origin: ScriptedOrigin) -> None:
    gate, one = asyncio.Event(), {"legacy": {"url": origin.url, "max_connections": 1}}
    origin.script(read_all(), wait_for(gate), answer(200, body=b"done"))
    house, successor = await start(origins=one), await start(keeper="keeper-two")
    running, queued = [await house.accepted("POST", target) for target in (b"/running", b"/queued")]
    await origin.request_received()
    async with asyncio.TaskGroup() as group:
        group.create_task(house.service.drain(30))
        await eventually(lambda: house.service._keeper.queued == 0)
        await successor.service.recovery.take_over()
        await origin.request_received(2)
        gate.set()
    assert [(await successor.outcome(path)).body for path in (running, queued)] == [b"done"] * 2
    assert [one.target for one in origin.requests] == [b"/running", b"/queued"]


async def test_only_one_process_at_a_time_takes_over(start: Start, origin: ScriptedOrigin, tmp_path: Path) -> None:
    path = await left_behind(tmp_path, "POST", **QUEUED)
    origin.script(read_all(), answer(200, body=b"done"))
    one, other = await start(keeper="keeper-one"), await start(keeper="keeper-two")
    async with one.store.taking_over() as alone:
        await other.service.recovery.take_over()
        assert (alone, document(await other.ask("GET", path))["status"]) == (True, "queued")
    await eventually_taken_over(other, path)
    assert (await other.outcome(path)).body == b"done"


async def eventually_taken_over(house: House, path: bytes) -> None:
    """A thread releases what kept others from it."""
    async with asyncio.timeout(5):
        while not house.has_work:
            await house.service.recovery.take_over()


async def test_a_process_that_drains_takes_nothing_over(start: Start, origin: ScriptedOrigin, tmp_path: Path) -> None:
    house = await start()
    await house.service.drain(0)
    await left_behind(tmp_path, "GET")
    await house.service.recovery.take_over()
    assert origin.requests == []
    assert not house.has_work


async def test_location_of_a_request_that_was_sent_again_is_what_it_would_have_been(
    start: Start, origin: ScriptedOrigin, tmp_path: Path
) -> None:
    path = await left_behind(tmp_path, "GET")
    origin.script(read_all(), answer(201, [(b"Location", b"there")]))
    house = await recovered(start)
    assert (await house.outcome(path)).field(b"location") == b"http://example.com/there"


async def test_an_operation_whose_living_process_does_nothing_is_settled_when_it_is_overdue(
    start: Start, origin: ScriptedOrigin
) -> None:
    origin.script(read_all(), stall())
    one, other = await start({"timeout": "1s"}, keeper="keeper-one"), await start(keeper="keeper-two")
    path = await one.accepted("POST", b"/it")
    held = one.store.hold("settle")  # as good as stopped
    other.clock.on += 7.0
    await other.service.reaper.look()
    outcome = await other.ask("GET", path)
    assert (outcome.status, code_of(outcome)) == (504, "origin-timeout")
    await origin.connection_closed()
    held.set()


async def test_a_wall_clock_that_jumps_makes_nothing_overdue(start: Start, origin: ScriptedOrigin) -> None:
    gate = asyncio.Event()
    origin.script(read_all(), wait_for(gate), answer(200, body=b"done"))
    house = await start({"timeout": "60s"})
    path = await house.accepted("POST", b"/it")
    for jump in (3600.0, -7200.0):
        house.clock.ahead += jump
        await house.service.reaper.look()
        assert (await house.ask("GET", path)).status == 202
    gate.set()
    assert (await house.outcome(path)).body == b"done"


async def test_a_kept_request_is_gone_when_its_operation_is_settled(
    start: Start, origin: ScriptedOrigin, tmp_path: Path
) -> None:
    origin.script(read_all(), answer(200, body=b"done"))
    house = await start()
    secret = b"Bearer " + b"s3cr3t" * 8
    path = await house.accepted("GET", b"/it", (b"Authorization", secret))
    await eventually(lambda: len(origin.requests) == 1)
    await house.ask("GET", path, (b"Prefer", b"wait=9"), (b"Authorization", secret))
    await house.quiet()
    operation = await house.operation(path)
    assert operation is not None
    assert await house.store.request(operation.id) is None
    assert operation.is_settled


async def test_it_is_stored_as_running_before_it_is_sent_on_a_connection_that_lies_idle(
    start: Start, origin: ScriptedOrigin, tmp_path: Path
) -> None:
    origin.script(read_all(), answer(200, body=b"done"))
    house = await start()
    assert (await house.ask("GET", b"/")).body == b"done"
    path = await left_behind(tmp_path, "POST", b"x", **QUEUED)
    await house.service.recovery.take_over()
    assert (await house.outcome(path)).body == b"done"
    assert (house.store.calls["start"], len(origin.connections)) == (1, 1)
