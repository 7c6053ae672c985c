"""One store, several processes: what dead ones left running is settled, and living ones hear of each other (P1, P2)."""

import asyncio
from dataclasses import replace
from pathlib import Path

import pytest

import proxy.store.watch
from proxy.operation import Operation, State
from proxy.store import open_store
from tests.conftest import StartProxy, settings_for
from tests.operations.conftest import Start
from tests.operations.house import House, document, eventually
from tests.raw_client import RawClient, Response
from tests.scripted_origin import ScriptedOrigin, answer, read_all, stall, wait_for
from tests.store.samples import AMPLE, completed
from tests.store.samples import running as an_operation


@pytest.fixture
def kind() -> str:
    return "sqlite"


@pytest.fixture
async def houses(start: Start) -> tuple[House, House]:
    return await start(keeper="keeper-one"), await start(keeper="keeper-two")


def assert_interrupted(response: Response) -> None:
    assert (response.status, document(response)["code"]) == (502, "interrupted")
    assert response.fields_named(b"asyncresult") == [b"502"]
    assert "unknown" in document(response)["title"]


def ownerless(operation: Operation) -> Operation:
    return replace(operation, route="everything", owner_digest=None)


async def test_at_its_start_a_proxy_settles_what_a_dead_one_left_running(
    start_proxy: StartProxy, origin: ScriptedOrigin, tmp_path: Path
) -> None:
    folder = tmp_path / "store"
    orphan = ownerless(an_operation("dead-keeper", keep=1e9))
    async with open_store("sqlite", folder, AMPLE, "dead-keeper") as store:
        await store.create(orphan)
        done = await completed(store, b"x" * 100_000, keeper="dead-keeper", keep=1e10)
    proxy = await start_proxy(settings_for(origin.url) | {"store": {"url": f"sqlite://{folder}"}})
    async with RawClient(port=proxy.port) as client:
        assert_interrupted(await client.exchange("GET", b"/.async/" + orphan.id.encode()))
        assert (await client.exchange("GET", b"/.async/" + done.id.encode())).status == 404  # it has an owner
    assert origin.requests == []


async def test_the_death_of_a_process_is_noticed_by_one_that_runs(
    start_proxy: StartProxy, origin: ScriptedOrigin, tmp_path: Path
) -> None:
    folder = tmp_path / "store"
    proxy = await start_proxy(settings_for(origin.url) | {"store": {"url": f"sqlite://{folder}"}})
    orphan = ownerless(an_operation("dying-keeper", keep=1e9))
    path = b"/.async/" + orphan.id.encode()
    async with (
        RawClient(port=proxy.port, limit=10) as client,
        open_store("sqlite", folder, AMPLE, "dying-keeper") as store,
    ):
        await store.create(orphan)
        await proxy.service.recovery.take_over()
        assert (await client.exchange("GET", path)).status == 202
    async with RawClient(port=proxy.port, limit=10) as client:
        assert_interrupted(await client.exchange("GET", path, [(b"Prefer", b"wait=30")]))


async def test_any_process_answers_for_any_operation(houses: tuple[House, House], origin: ScriptedOrigin) -> None:
    gate = asyncio.Event()
    origin.script(read_all(), wait_for(gate), answer(200, body=b"x" * 200_000))
    one, other = houses
    path = await one.accepted()
    assert (await other.ask("GET", path)).status == 202
    gate.set()
    assert (await other.outcome(path)).body == b"x" * 200_000
    assert (await one.outcome(path)).body == b"x" * 200_000


async def test_a_process_that_tells_of_a_settling_wakes_those_who_wait_elsewhere(
    houses: tuple[House, House], origin: ScriptedOrigin, monkeypatch: pytest.MonkeyPatch
) -> None:
    gate = asyncio.Event()
    origin.script(read_all(), wait_for(gate), answer(200, body=b"done"))
    one, other = houses
    path = await one.accepted()
    monkeypatch.setattr(proxy.store.watch, "_LOOK_EVERY", 3600)  # from the next look on
    one.service.tell_settled = lambda id_: other.service.hear_settled([id_])
    async with asyncio.TaskGroup() as group:
        poll = group.create_task(other.outcome(path))
        await eventually(lambda: len(other.service._monitor._polls) == 1)
        await asyncio.sleep(0.2)  # the last look of before
        gate.set()
    assert poll.result().body == b"done"


async def test_a_delete_at_another_process_closes_the_exchange(
    houses: tuple[House, House], origin: ScriptedOrigin
) -> None:
    origin.script(read_all(), stall())
    one, other = houses
    path = await one.accepted()
    await origin.request_received()
    assert (await other.ask("DELETE", path)).status == 200
    await origin.connection_closed()
    await one.quiet()
    assert [(await house.ask("GET", path)).status for house in houses] == [404, 404]


async def test_a_living_process_is_not_taken_for_a_dead_one(
    houses: tuple[House, House], origin: ScriptedOrigin
) -> None:
    gate = asyncio.Event()
    origin.script(read_all(), wait_for(gate), answer(200, body=b"done"))
    one, other = houses
    path = await one.accepted()
    await other.service.recovery.take_over()
    assert (await other.ask("GET", path)).status == 202
    gate.set()
    assert (await other.outcome(path)).body == b"done"


async def test_a_process_whose_operation_others_settled_does_not_overwrite_it(
    houses: tuple[House, House], origin: ScriptedOrigin
) -> None:
    gate = asyncio.Event()
    origin.script(read_all(), wait_for(gate), answer(200, body=b"done"))
    one, other = houses
    path = await one.accepted()
    held = one.store.hold("settle")
    gate.set()
    await eventually(lambda: one.store.calls["settle"] == 1)
    assert (await other.ask("DELETE", path)).status == 200
    held.set()
    await one.quiet()
    operation = await one.operation(path)
    assert operation is None or operation.state is State.DISMISSED
    assert [(await house.ask("GET", path)).status for house in houses] == [404, 404]
