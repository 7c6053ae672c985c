"""`Prefer: wait` at the status URL: a long poll that ends with the settling (contract 4)."""

import asyncio
from collections.abc import Callable
from statistics import median
from time import perf_counter

import pytest

from tests.operations.conftest import Start
from tests.operations.house import House, both_stores, document, eventually, names
from tests.raw_client import Field, Response
from tests.scripted_origin import ScriptedOrigin, answer, close, read_all, stall, wait_for

HALF_A_MINUTE: Field = (b"Prefer", b"wait=30")


@pytest.fixture
def gate(origin: ScriptedOrigin) -> asyncio.Event:
    """The origin answers `done` once this is set."""
    gate = asyncio.Event()
    origin.script(read_all(), wait_for(gate), answer(200, body=b"done"))
    return gate


async def begun(house: House, polls: int = 1) -> None:
    await eventually(lambda: len(house.service._monitor._polls) == polls)


@both_stores
async def test_it_ends_with_the_result(house: House, gate: asyncio.Event) -> None:
    path = await house.accepted()
    async with asyncio.TaskGroup() as group:
        poll = group.create_task(house.ask("GET", path, HALF_A_MINUTE))
        await begun(house)
        assert not poll.done()
        gate.set()
    assert (poll.result().status, poll.result().body) == (200, b"done")


@both_stores
async def test_it_ends_soon_after_the_settling(
    house: House, origin: ScriptedOrigin, record_property: Callable[[str, object], None]
) -> None:
    lags = [await _lag(house, origin) for _ in range(9)]
    record_property("milliseconds from settling to answer", [round(1000 * lag, 1) for lag in sorted(lags)])
    assert median(lags) < 0.2  # twenty milliseconds are promised; a busy machine is forgiven


async def _lag(house: House, origin: ScriptedOrigin) -> float:
    """Seconds from the origin's answer to the client's."""
    gate = asyncio.Event()
    origin.script(read_all(), wait_for(gate), answer(200, body=b"done"))
    path = await house.accepted()
    async with asyncio.TaskGroup() as group:
        poll = group.create_task(house.ask("GET", path, HALF_A_MINUTE))
        await begun(house)
        opened = perf_counter()
        gate.set()
        assert (await poll).status == 200
        return perf_counter() - opened


async def test_it_ends_with_a_failure(house: House, origin: ScriptedOrigin) -> None:
    gate = asyncio.Event()
    origin.script(read_all(), wait_for(gate), close())
    path = await house.accepted()
    async with asyncio.TaskGroup() as group:
        poll = group.create_task(house.ask("GET", path, HALF_A_MINUTE))
        await begun(house)
        gate.set()
    assert (poll.result().status, poll.result().field(b"asyncresult")) == (502, b"502")


@both_stores
async def test_it_ends_with_a_delete(house: House, gate: asyncio.Event) -> None:
    path = await house.accepted()
    async with asyncio.TaskGroup() as group:
        poll = group.create_task(house.ask("GET", path, HALF_A_MINUTE))
        await begun(house)
        assert (await house.ask("DELETE", path)).status == 200
    assert (poll.result().status, document(poll.result())["code"]) == (404, "unknown-operation")


@both_stores
async def test_after_its_time_it_tells_that_the_operation_runs(start: Start, origin: ScriptedOrigin) -> None:
    house = await start({"wait": "0ms", "max_wait": "100ms"})
    origin.script(read_all(), stall())
    path = await house.accepted()
    plain = await house.ask("GET", path)
    polled = await house.ask("GET", path, (b"Prefer", b"wait=3600"))
    assert house.store.calls["settled"] == 1
    assert (polled.status, polled.body, names(polled)) == (202, plain.body, names(plain))


@pytest.mark.parametrize("wait", [b"wait=0", b"wait=-1", b"wait=1s", b"respond-async", b"wait"])
async def test_without_a_wait_it_does_not_wait(house: House, gate: asyncio.Event, wait: bytes) -> None:
    path = await house.accepted()
    assert (await house.ask("GET", path, (b"Prefer", wait))).status == 202
    assert house.store.calls["settled"] == 0


async def test_a_settled_operation_is_not_waited_for(house: House, gate: asyncio.Event) -> None:
    gate.set()
    path = await house.accepted()
    await house.outcome(path)
    before = house.store.calls["settled"]
    assert (await house.ask("GET", path, HALF_A_MINUTE)).status == 200
    assert house.store.calls["settled"] == before


async def test_head_can_poll_too(house: House, gate: asyncio.Event) -> None:
    path = await house.accepted()
    async with asyncio.TaskGroup() as group:
        poll = group.create_task(house.ask("HEAD", path, HALF_A_MINUTE))
        await begun(house)
        gate.set()
    assert (poll.result().status, poll.result().body) == (200, b"")


@both_stores
async def test_a_hundred_pollers_of_one_operation_are_all_answered(house: House, gate: asyncio.Event) -> None:
    path = await house.accepted()
    async with asyncio.TaskGroup() as group:
        polls = [group.create_task(house.ask("GET", path, HALF_A_MINUTE)) for _ in range(100)]
        await begun(house, 100)
        gate.set()
    assert {(poll.result().status, poll.result().body) for poll in polls} == {(200, b"done")}


async def test_a_poller_that_leaves_changes_nothing(house: House, origin: ScriptedOrigin, gate: asyncio.Event) -> None:
    path = await house.accepted()
    client = await house.client()
    await client.send(b"GET " + path + b" HTTP/1.1\r\nHost: x\r\nPrefer: wait=30\r\n\r\n")
    await begun(house)
    client.reset()
    await begun(house, 0)
    assert origin.open_connections
    assert (await house.ask("GET", path)).status == 202
    gate.set()
    assert (await house.outcome(path)).body == b"done"


async def test_a_drain_ends_polls_at_once_with_what_is_known(house: House, gate: asyncio.Event) -> None:
    path = await house.accepted()
    async with asyncio.TaskGroup() as group:
        polls = [group.create_task(house.ask("GET", path, HALF_A_MINUTE)) for _ in range(5)]
        await begun(house, 5)
        drained = group.create_task(house.service.drain(30))
        answers: list[Response] = [await poll for poll in polls]
        assert not drained.done()
        gate.set()
    assert {one.status for one in answers} == {202}
    assert {one.field(b"connection") for one in answers} == {b"close"}
