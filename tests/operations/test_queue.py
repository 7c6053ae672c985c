"""An origin that is full: who waits, for how long, in which order, and what is told of it (contract 3, 4 and 6)."""

import asyncio
from collections.abc import Callable
from dataclasses import replace
from functools import partial

import pytest
import structlog

from proxy import forward
from proxy.places import Places
from tests.operations.conftest import Start
from tests.operations.house import AT_ONCE, LONG_POLL, House, both_stores, document, eventually, status_path
from tests.raw_client import Field, Response, request
from tests.scripted_origin import Request, Script, ScriptedOrigin, answer, read_all, wait_for

ONE = {"max_connections": 1}


class Gates:
    """Lets the origin answer one target after the other."""

    def __init__(self, origin: ScriptedOrigin) -> None:
        self._origin = origin
        self._gates: dict[bytes, asyncio.Event] = {}
        self.persistent = True  # whether it keeps connections open
        origin.route(self._script)

    def open(self, target: bytes) -> None:
        self._of(target).set()

    async def arrived(self, target: bytes) -> None:
        await eventually(lambda: target in self.targets)

    @property
    def targets(self) -> list[bytes]:
        """In the order in which they arrived."""
        return [one.target for one in self._origin.requests]

    def _script(self, request: Request) -> Script:
        fields = [] if self.persistent else [(b"Connection", b"close")]
        return [read_all(), wait_for(self._of(request.target)), answer(200, fields, request.target)]

    def _of(self, target: bytes) -> asyncio.Event:
        return self._gates.setdefault(target, asyncio.Event())


@pytest.fixture
def gates(origin: ScriptedOrigin) -> Gates:
    return Gates(origin)


async def full(start: Start, origin: ScriptedOrigin, gates: Gates, **respond_async: object) -> House:
    """A house whose origin takes one connection, which has the request for /first."""
    house = await start(respond_async, origins={"legacy": {"url": origin.url} | ONE})
    await house.accepted("POST", b"/first")
    await gates.arrived(b"/first")
    return house


def progress(response: Response) -> bytes | None:
    return response.field(b"x-progress")


@pytest.mark.parametrize("room", [True, False])
async def test_nobody_is_told_to_stand_in_line_before_the_broker_has_said_so(
    start: Start, origin: ScriptedOrigin, gates: Gates, monkeypatch: pytest.MonkeyPatch, *, room: bool
) -> None:
    house = await (start() if room else full(start, origin, gates))
    deliver, said = Places._deliver, list[Callable[[], None]]()
    monkeypatch.setattr(forward, "AN_ANSWER", 60.0)
    monkeypatch.setattr(forward, "A_MOMENT", 60.0)
    with monkeypatch.context() as patched:
        patched.setattr(Places, "_deliver", lambda *given: said.append(partial(deliver, *given)))
        async with asyncio.TaskGroup() as group:
            asked = group.create_task(house.ask("POST", b"/next", AT_ONCE))
            await eventually(lambda: said != [])
            assert not asked.done()
            patched.undo()
            for deliver_now in said:
                deliver_now()
    assert document(asked.result())["status"] == ("running" if room else "queued")


async def test_what_is_told_of_a_queued_operation_is_how_it_was_when_that_was_decided(
    start: Start, origin: ScriptedOrigin, gates: Gates, quiet_log: list[structlog.types.EventDict]
) -> None:
    house = await start(origins={"legacy": {"url": origin.url, "max_connections": 2}})
    for target in (b"/first", b"/second"):
        await house.accepted("POST", target)
        await gates.arrived(target)
    created = house.store.hold("create")
    async with asyncio.TaskGroup() as group:
        third = group.create_task(house.accepted("POST", b"/third"))
        await eventually(lambda: house.store.calls["create"] == 3)
        for target in (b"/first", b"/second"):
            gates.open(target)
        await eventually(lambda: house.running == 0)
        created.set()
    [queued] = [line for line in quiet_log if line["event"] == "operation queued"]
    assert queued["why"] == (
        "The request had no turn at origin legacy yet: all its connections were in use (max_connections of origin legacy: 2)."
    )
    gates.open(b"/third")
    assert (await house.outcome(third.result())).body == b"/third"


@both_stores
async def test_an_operation_that_finds_the_origin_full_is_queued_and_served_in_its_turn(
    start: Start, origin: ScriptedOrigin, gates: Gates
) -> None:
    house = await full(start, origin, gates)
    accepted = await house.ask("POST", b"/second", AT_ONCE, body=b"x" * 100_000)
    assert (accepted.status, document(accepted)["status"]) == (202, "queued")
    third = await house.accepted("POST", b"/third")
    asked = await house.ask("GET", third)
    assert (asked.status, document(asked)["status"], progress(asked)) == (202, "queued", b"queued, 1 before it")
    assert gates.targets == [b"/first"], "nothing of what waits was sent"
    gates.open(b"/first")
    await gates.arrived(b"/second")
    assert document(await house.ask("GET", status_path(accepted)))["status"] == "running"
    assert progress(await house.ask("GET", third)) == b"next in line, about 1 s left"
    gates.open(b"/second")
    gates.open(b"/third")
    outcomes = [await house.outcome(path) for path in (status_path(accepted), third)]
    assert [outcome.body for outcome in outcomes] == [b"/second", b"/third"]
    assert gates.targets == [b"/first", b"/second", b"/third"]
    assert [one.size for one in origin.requests] == [0, 100_000, 0]


async def test_a_long_poll_lasts_until_a_queued_operation_is_settled(
    start: Start, origin: ScriptedOrigin, gates: Gates
) -> None:
    house = await full(start, origin, gates)
    path = await house.accepted("POST", b"/second")
    async with asyncio.TaskGroup() as group:
        poll = group.create_task(house.outcome(path))
        gates.open(b"/first")
        await gates.arrived(b"/second")
        gates.open(b"/second")
    assert poll.result().body == b"/second"


async def test_operations_are_sent_in_the_order_in_which_they_came(
    start: Start, origin: ScriptedOrigin, gates: Gates
) -> None:
    house = await full(start, origin, gates)
    targets = [b"/%d" % number for number in range(20)]
    paths = [await house.accepted("POST", target) for target in targets]
    for target in [b"/first", *targets]:
        gates.open(target)
    assert [(await house.outcome(path)).body for path in paths] == targets
    assert gates.targets == [b"/first", *targets]


async def test_synchronous_requests_go_before_queued_operations(
    start: Start, origin: ScriptedOrigin, gates: Gates
) -> None:
    house = await full(start, origin, gates)
    path = await house.accepted("POST", b"/later")
    async with asyncio.TaskGroup() as group:
        now = group.create_task(house.ask("GET", b"/now"))
        await eventually(lambda: house.waiting == 2)
        gates.open(b"/first")
        await gates.arrived(b"/now")
        gates.open(b"/now")
        gates.open(b"/later")
    assert now.result().body == b"/now"
    assert (await house.outcome(path)).body == b"/later"
    assert gates.targets == [b"/first", b"/now", b"/later"]


async def test_a_turn_that_comes_within_the_wait_makes_a_synchronous_answer(
    start: Start, origin: ScriptedOrigin, gates: Gates
) -> None:
    house = await full(start, origin, gates)
    gates.open(b"/second")
    async with asyncio.TaskGroup() as group:
        asked = group.create_task(house.ask("POST", b"/second", (b"Prefer", b"respond-async, wait=9")))
        await eventually(lambda: house.waiting == 1)
        gates.open(b"/first")
    assert (asked.result().status, asked.result().body) == (200, b"/second")


async def test_a_full_queue_refuses_with_an_honest_retry_after(
    start: Start, origin: ScriptedOrigin, gates: Gates
) -> None:
    house = await full(start, origin, gates, max_queued=1)
    await house.accepted("POST", b"/second")
    refused = await house.ask("POST", b"/third", AT_ONCE)
    assert (refused.status, document(refused)["code"]) == (503, "busy")
    assert int(refused.field(b"retry-after") or b"0") >= 1
    assert refused.field(b"proxy-status") == b"respond-async; error=connection_limit_reached"
    gates.open(b"/first")
    await gates.arrived(b"/second")
    await house.accepted("POST", b"/third")
    assert b"/third" not in gates.targets, "what was refused was not sent"


@pytest.mark.usefixtures("connects_in_time")
async def test_with_max_queued_0_nothing_waits(start: Start, origin: ScriptedOrigin, gates: Gates) -> None:
    house = await full(start, origin, gates, max_queued=0)
    assert (await house.ask("POST", b"/second", AT_ONCE)).status == 503
    gates.open(b"/first")
    await house.quiet()
    assert (await house.ask("POST", b"/second", AT_ONCE)).status == 202


@both_stores
async def test_a_queued_operation_that_is_deleted_is_never_sent(
    start: Start, origin: ScriptedOrigin, gates: Gates
) -> None:
    house = await full(start, origin, gates)
    path = await house.accepted("POST", b"/second")
    deleted = await house.ask("DELETE", path)
    assert (deleted.status, document(deleted)["status"]) == (200, "dismissed")
    assert (await house.ask("GET", path)).status == 404
    third = await house.accepted("POST", b"/third")
    gates.open(b"/first")
    gates.open(b"/third")
    assert (await house.outcome(third)).status == 200
    assert gates.targets == [b"/first", b"/third"]


@both_stores
async def test_nothing_is_sent_before_the_store_knows_that_it_is(
    start: Start, origin: ScriptedOrigin, gates: Gates
) -> None:
    house = await full(start, origin, gates)
    path = await house.accepted("POST", b"/second", body=b"x")
    held = house.store.hold("start")
    gates.open(b"/first")
    gates.open(b"/second")
    await eventually(lambda: house.store.calls["start"] == 1)
    assert gates.targets == [b"/first"]
    assert document(await house.ask("GET", path))["status"] == "queued"
    held.set()
    assert (await house.outcome(path)).body == b"/second"


@both_stores
async def test_one_that_is_deleted_at_the_very_moment_of_its_turn_is_not_sent(
    start: Start, origin: ScriptedOrigin, gates: Gates
) -> None:
    house = await full(start, origin, gates)
    path = await house.accepted("POST", b"/second")
    held = house.store.hold("start")
    gates.open(b"/first")
    await eventually(lambda: house.store.calls["start"] == 1)
    assert (await house.ask("DELETE", path)).status == 200
    held.set()
    await house.quiet()
    assert gates.targets == [b"/first"]
    assert house.in_use == 0


async def test_so_is_one_for_which_a_connection_was_made(start: Start, origin: ScriptedOrigin, gates: Gates) -> None:
    gates.persistent = False
    house = await full(start, origin, gates)
    path = await house.accepted("POST", b"/second")
    held = house.store.hold("start")
    gates.open(b"/first")
    await eventually(lambda: house.store.calls["start"] == 1)
    assert (await house.ask("DELETE", path)).status == 200
    held.set()
    await house.quiet()
    third = await house.accepted("POST", b"/third")
    gates.open(b"/third")
    assert (await house.outcome(third)).status == 200
    assert gates.targets == [b"/first", b"/third"]


@both_stores
async def test_a_store_in_trouble_delays_a_turn_and_does_not_lose_it(
    start: Start, origin: ScriptedOrigin, gates: Gates
) -> None:
    house = await full(start, origin, gates)
    path = await house.accepted("POST", b"/second")
    house.store.fail("start", times=2)
    gates.open(b"/first")
    gates.open(b"/second")
    assert (await house.outcome(path)).body == b"/second"
    assert house.store.calls["start"] == 3
    assert gates.targets == [b"/first", b"/second"]


async def test_a_queued_operation_waits_for_an_origin_that_cannot_be_reached(
    start: Start, origin: ScriptedOrigin, gates: Gates, unused_port: int
) -> None:
    gates.persistent = False
    house = await full(start, origin, gates)
    path = await house.accepted("POST", b"/second", body=b"x")
    server = next(iter(house.origins["legacy"].servers))
    there, server.url = server.url, replace(server.url, port=unused_port)
    gates.open(b"/first")
    await eventually(lambda: server.health._failures >= 2)
    assert document(await house.ask("GET", path))["status"] == "queued"
    server.url = there
    gates.open(b"/second")
    assert (await house.outcome(path)).body == b"/second"
    assert gates.targets == [b"/first", b"/second"]


async def test_of_one_that_waits_for_an_origin_that_is_left_alone_nothing_is_foretold(
    start: Start, origin: ScriptedOrigin, gates: Gates, unused_port: int
) -> None:
    gates.persistent = False
    house = await start(origins={"legacy": {"url": origin.url, "unhealthy_after": 1, "unhealthy_for": "1h"} | ONE})
    await house.accepted("POST", b"/first")
    await gates.arrived(b"/first")
    path = await house.accepted("POST", b"/second")
    legacy = house.origins["legacy"]
    [server] = legacy.servers
    there, server.url = server.url, replace(server.url, port=unused_port)
    gates.open(b"/first")
    await eventually(lambda: legacy.left_alone and legacy.waiting == 1)
    asked = await house.ask("GET", path)
    assert progress(asked) == b"next in line, the origin cannot be reached"
    assert "estimated_completion" not in document(asked)
    server.url = there
    server.health.well()
    gates.open(b"/second")
    assert (await house.outcome(path)).body == b"/second"
    assert legacy.waiting == 0


async def test_while_the_store_is_in_trouble_operations_keep_no_place_from_synchronous_requests(
    start: Start, origin: ScriptedOrigin, gates: Gates
) -> None:
    house = await full(start, origin, gates)
    await house.accepted("POST", b"/second")
    for call in ("start", "settle"):
        house.store.fail(call, times=3)
    gates.open(b"/first")
    gates.open(b"/now")
    await eventually(lambda: house.store.calls["start"] >= 1 and house.store.calls["settle"] >= 1)
    assert (await house.ask("GET", b"/now")).body == b"/now"
    assert gates.targets == [b"/first", b"/now"]
    gates.open(b"/second")
    await house.quiet()
    assert gates.targets == [b"/first", b"/now", b"/second"]


async def test_a_refused_request_keeps_no_place_where_it_is_to_be_finished(
    start: Start, origin: ScriptedOrigin, gates: Gates
) -> None:
    settings = {"wait": "0s", "max_queued": 1}
    house = await start(settings, {"on_disconnect": "finish"}, origins={"legacy": {"url": origin.url} | ONE})
    await house.accepted("POST", b"/first")
    await gates.arrived(b"/first")
    await house.accepted("POST", b"/second")
    assert (await house.ask("POST", b"/third", AT_ONCE)).status == 503
    for target in (b"/first", b"/second", b"/now"):
        gates.open(target)
    assert (await house.ask("GET", b"/now")).body == b"/now"
    await house.quiet()
    assert (house.in_use, house.waiting) == (0, 0)


async def test_a_store_that_refuses_lets_the_client_wait_for_its_turn(
    start: Start, origin: ScriptedOrigin, gates: Gates
) -> None:
    house = await full(start, origin, gates)
    house.store.fail("create")
    gates.open(b"/second")
    async with asyncio.TaskGroup() as group:
        asked = group.create_task(house.ask("POST", b"/second", AT_ONCE, body=b"x"))
        await eventually(lambda: house.store.calls["create"] == 2)
        gates.open(b"/first")
    assert (asked.result().status, asked.result().body) == (200, b"/second")


async def test_a_client_that_no_operation_could_be_made_for_is_told_of_the_full_origin(
    start: Start, origin: ScriptedOrigin, gates: Gates
) -> None:
    house = await start(route={"timeout": "50ms"}, origins={"legacy": {"url": origin.url} | ONE})
    await house.accepted("POST", b"/first")
    await gates.arrived(b"/first")
    house.store.fail("create")
    response = await house.ask("POST", b"/second", AT_ONCE)
    assert (response.status, document(response)["code"]) == (503, "busy")


async def test_a_client_that_leaves_before_its_202_takes_its_place_in_line_with_it(
    start: Start, origin: ScriptedOrigin, gates: Gates
) -> None:
    house = await full(start, origin, gates)
    held = house.store.hold("create")
    client = await house.client()
    await client.send(request("POST", b"/second", [AT_ONCE]))
    await eventually(lambda: house.store.calls["create"] == 2)
    client.close()
    held.set()
    gates.open(b"/first")
    await house.quiet()
    assert gates.targets == [b"/first"]


async def test_with_finish_such_a_request_is_sent_all_the_same(
    start: Start, origin: ScriptedOrigin, gates: Gates
) -> None:
    house = await start(route={"on_disconnect": "finish"}, origins={"legacy": {"url": origin.url} | ONE})
    await house.accepted("POST", b"/first")
    await gates.arrived(b"/first")
    held = house.store.hold("create")
    client = await house.client()
    await client.send(request("POST", b"/second", [AT_ONCE]))
    await eventually(lambda: house.store.calls["create"] == 2)
    client.close()
    held.set()
    gates.open(b"/first")
    gates.open(b"/second")
    await house.quiet()
    assert gates.targets == [b"/first", b"/second"]


async def test_a_slow_route_does_not_take_all_of_an_origin(
    start: Start, origin: ScriptedOrigin, gates: Gates, quiet_log: list[structlog.types.EventDict]
) -> None:
    routes = [
        {"name": "slow", "match": {"path": "/slow"}, "origin": "legacy", "respond_async": {"max_running": 1}},
        {"name": "rest", "origin": "legacy", "respond_async": {}},
    ]
    house = await start(routes=routes)
    slow = [await house.accepted("POST", target) for target in (b"/slow/1", b"/slow/2")]
    other = await house.accepted("POST", b"/other")
    await gates.arrived(b"/other")
    assert document(await house.ask("GET", slow[1]))["status"] == "queued"
    [queued] = [line for line in quiet_log if line["event"] == "operation queued"]
    assert queued["why"] == (
        "The request had no turn at origin legacy yet: no more operations of its route may be there"
        " (respond_async.max_running of route slow: 1)."
    )
    gates.open(b"/other")
    assert (await house.outcome(other)).status == 200
    assert b"/slow/2" not in gates.targets
    gates.open(b"/slow/1")
    gates.open(b"/slow/2")
    assert [(await house.outcome(path)).status for path in slow] == [200, 200]


ALICE: Field = (b"Authorization", b"Basic YWxpY2U6")
BOB: Field = (b"Authorization", b"Basic Ym9iOg==")


@both_stores
async def test_a_client_with_enough_operations_is_refused_and_others_are_not(
    start: Start, origin: ScriptedOrigin, gates: Gates
) -> None:
    house = await start(limits={"max_operations_per_client": 2})
    paths = [await house.accepted("POST", target, ALICE) for target in (b"/1", b"/2")]
    refused = await house.ask("POST", b"/3", AT_ONCE, ALICE)
    assert (refused.status, document(refused)["code"]) == (429, "too-many-operations")
    assert int(refused.field(b"retry-after") or b"0") >= 1
    assert b"/3" not in gates.targets
    for other in (BOB, (b"X-Nobody", b"")):
        await house.accepted("POST", b"/other", other)
    gates.open(b"/1")
    assert (await house.ask("GET", paths[0], LONG_POLL, ALICE)).status == 200
    await house.accepted("POST", b"/3", ALICE)


async def test_who_shows_another_credential_beside_the_first_is_another_client(start: Start, gates: Gates) -> None:
    house = await start(limits={"max_operations_per_client": 1})
    await house.accepted("POST", b"/1", ALICE)
    both = await house.accepted("POST", b"/2", ALICE, BOB)
    for fields in ([ALICE], [ALICE, BOB]):
        assert (await house.ask("POST", b"/3", AT_ONCE, *fields)).status == 429
    gates.open(b"/2")
    assert (await house.ask("GET", both, LONG_POLL, ALICE, BOB)).status == 200
    await house.accepted("POST", b"/4", ALICE, BOB)


async def test_a_quota_that_is_used_up_while_the_origin_works_costs_the_preference_only(
    start: Start, origin: ScriptedOrigin, gates: Gates
) -> None:
    house = await start(limits={"max_operations_per_client": 1})
    held = house.store.hold("create")
    async with asyncio.TaskGroup() as group:
        asked = [group.create_task(house.ask("POST", target, AT_ONCE)) for target in (b"/1", b"/2")]
        await eventually(lambda: house.store.calls["create"] == 2)
        held.set()
        gates.open(b"/1")
        gates.open(b"/2")
    assert sorted(one.result().status for one in asked) == [200, 202]
    assert sorted(gates.targets) == [b"/1", b"/2"], "each was sent once"
