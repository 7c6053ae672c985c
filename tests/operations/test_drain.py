"""What a stop does to operations: it waits for them, settles the late ones, and takes no more (P1, P2)."""

import asyncio

import pytest
import structlog

from proxy.operation import State
from tests.conftest import Proxy
from tests.exchange.problems import assert_problem
from tests.operations.conftest import Start
from tests.operations.house import AT_ONCE, House, both_stores, document, eventually, names
from tests.raw_client import RawClient, request
from tests.scripted_origin import ScriptedOrigin, answer, read_all, stall, wait_for


@pytest.fixture
def gate(origin: ScriptedOrigin) -> asyncio.Event:
    """The origin answers `done` once this is set."""
    gate = asyncio.Event()
    origin.script(read_all(), wait_for(gate), answer(200, body=b"done"))
    return gate


async def state_of(house: House, path: bytes) -> State | None:
    operation = await house.operation(path)
    return operation.state if operation else None


@both_stores
async def test_it_waits_for_what_runs(house: House, gate: asyncio.Event) -> None:
    paths = [await house.accepted() for _ in range(5)]
    async with asyncio.TaskGroup() as group:
        drained = group.create_task(house.service.drain(30))
        await eventually(lambda: house.service._keeper.draining)
        assert (drained.done(), house.running) == (False, 5)
        gate.set()
    assert [await state_of(house, path) for path in paths] == [State.COMPLETED] * 5
    assert not house.has_work


@pytest.mark.parametrize("kind", ["sqlite"])
async def test_what_comes_too_late_is_settled_as_interrupted(start: Start, origin: ScriptedOrigin) -> None:
    house, next_house = await start(keeper="keeper-one"), await start(keeper="keeper-two")
    origin.script(read_all(), answer(200, [(b"Content-Length", b"9")], b"short"), stall())
    paths = [await house.accepted() for _ in range(5)]
    await eventually(lambda: house.store.calls["sink"] == 5)
    await house.service.drain(0.05)
    assert (house.running, house.has_work, house.in_use) == (0, False, 0)
    for path in paths:
        response = await next_house.ask("GET", path)
        assert (response.status, document(response)["code"]) == (502, "interrupted")
        assert response.fields_named(b"asyncresult") == [b"502"]
        assert response.field(b"proxy-status") == b"respond-async; error=proxy_internal_error"
    assert len(origin.requests) == 5


@both_stores
async def test_a_store_in_trouble_does_not_keep_the_process_from_stopping(
    house: House, origin: ScriptedOrigin, gate: asyncio.Event
) -> None:
    await house.accepted()
    house.store.fail(on="settle", times=1000)
    await asyncio.wait_for(house.service.drain(0), 5)
    assert (house.has_work, house.in_use) == (False, 0)


async def test_a_request_that_is_under_way_still_becomes_an_operation_and_is_waited_for(
    start: Start, origin: ScriptedOrigin, gate: asyncio.Event
) -> None:
    house = await start({"wait": "100ms"})
    async with asyncio.TaskGroup() as group:
        asked = group.create_task(house.ask("POST", b"/", (b"Prefer", b"respond-async")))
        await origin.request_complete()
        drained = group.create_task(house.service.drain(30))
        response = await asked
        assert (response.status, drained.done()) == (202, False)
        assert response.field(b"connection") == b"close"
        gate.set()
    [id] = house.store.created
    assert await state_of(house, id.encode()) is State.COMPLETED


async def test_a_keeper_that_drains_takes_nothing_over_and_the_client_is_answered_synchronously(
    house: House, origin: ScriptedOrigin, gate: asyncio.Event
) -> None:
    await house.service._keeper.drain(0)
    client = await house.client()
    await client.send(request("POST", b"/", [AT_ONCE], b""))
    await origin.request_complete()
    gate.set()
    response = await client.response("POST")
    assert (response.status, response.body) == (200, b"done")
    assert b"preference-applied" not in names(response)
    assert not house.store.calls


async def test_drained_twice_is_drained(house: House, gate: asyncio.Event) -> None:
    path = await house.accepted()
    async with asyncio.TaskGroup() as group:
        first = group.create_task(house.service.drain(30))
        await eventually(lambda: house.service._keeper.draining)
        await house.service.drain(0)
        await first
    assert await state_of(house, path) is State.FAILED


async def test_an_exchange_without_client_is_given_its_time_and_then_closed(
    start: Start, origin: ScriptedOrigin
) -> None:
    house = await start(route={"on_disconnect": "finish"})
    origin.script(read_all(), stall())
    client = await house.client()
    await client.send(request("POST", b"/", [(b"Prefer", b"respond-async")], b""))
    await origin.request_complete()
    client.reset()
    await eventually(lambda: house.has_work)
    await house.service.drain(0.05)
    assert (house.has_work, house.in_use) == (False, 0)
    await origin.connection_closed()


async def test_a_client_that_leaves_meanwhile_has_left(
    house: House, origin: ScriptedOrigin, quiet_log: list[structlog.types.EventDict]
) -> None:
    origin.script(read_all(), stall())
    client = await house.client()
    await client.send(request("GET", b"/", [(b"X-Request-Id", b"left")]))
    await origin.request_complete()
    drained = asyncio.create_task(house.service.drain(30))
    await eventually(lambda: house.service.draining)
    client.reset()
    await drained
    (line,) = [line for line in quiet_log if line["event"] == "request" and line["id"] == "left"]
    assert (line["status"], line["end"], line["error"]) == (499, "CH", "client-left")


async def test_a_request_that_is_given_up_is_told_so(proxy: Proxy, client: RawClient, origin: ScriptedOrigin) -> None:
    origin.script(read_all(), stall())
    await client.send(request("GET", b"/"))
    await origin.request_received()
    async with asyncio.TaskGroup() as group:
        group.create_task(proxy.service.drain(0.05))
        response = await client.response()
    assert_problem(response, 503, "shutting-down", "destination_unavailable", instance="/")
    assert (response.field(b"retry-after"), response.field(b"connection")) == (b"1", b"close")
    await origin.connection_closed()
