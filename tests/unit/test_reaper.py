"""What time does to operations: rounds that settle what is overdue and drop what has expired, and that survive trouble."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace

import pytest
import structlog

import proxy.reaper
from proxy.clock import Clock
from proxy.errors import StoreUnavailable
from proxy.ledger import Ledger
from proxy.operation import Operation, State
from proxy.reaper import Reaper
from proxy.store import Store, open_store
from tests.store.samples import AMPLE, HEAD, KEEPER, running, stored


class StoppedClock(Clock):
    """Always the same time, on both clocks."""

    def now(self) -> float:
        return 5000.0

    def monotonic(self) -> float:
        return 100.0


class Rounds:
    """What a reaper calls first in each round; it refuses the first few."""

    def __init__(self, trouble: int = 0) -> None:
        self._trouble = trouble
        self.begun = 0
        self.reached = asyncio.Event()

    async def take_over(self) -> None:
        self.begun += 1
        if self.begun <= self._trouble:
            raise StoreUnavailable("in trouble")
        if self.begun >= self._trouble + 3:
            self.reached.set()


async def nothing() -> None:
    """What else a reaper does in each round."""


@pytest.fixture
async def store() -> AsyncIterator[Store]:
    async with open_store("memory", None, AMPLE, KEEPER) as store:
        yield store


@pytest.fixture
def told() -> list[Operation]:
    """The operations of whose settling somebody was told."""
    return []


@pytest.fixture
def ledger(store: Store, told: list[Operation]) -> Ledger:
    return Ledger(store, StoppedClock(), lambda operation, _: told.append(operation))


async def run_until(reaper: Reaper, reached: asyncio.Event) -> None:
    task = asyncio.get_running_loop().create_task(reaper.run())
    await asyncio.wait_for(reached.wait(), 5)
    task.cancel()
    await asyncio.wait({task})


async def test_what_is_overdue_is_settled_and_counted(store: Store, ledger: Ledger, told: list[Operation]) -> None:
    late, in_time = replace(running(), overdue=100.0), replace(running(), overdue=100.5)
    for operation in (late, in_time):
        await store.create(operation)
    await Reaper(ledger, Rounds().take_over, nothing).look()
    settled = await store.get(late.id)
    assert settled is not None
    assert settled.failure is not None
    assert (settled.state, settled.failure.code, settled.settled_at) == (State.FAILED, "origin-timeout", 5000.0)
    assert "(respond_async.timeout of route reports)" in settled.why
    assert told == [settled]
    assert await store.get(in_time.id) == in_time


async def test_its_rounds_drop_what_has_expired(
    store: Store, ledger: Ledger, quiet_log: list[structlog.types.EventDict], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(proxy.reaper, "ROUND", 0.001)
    operation = running(keep=100.0)
    await store.create(operation)
    assert await store.settle(operation.completed(HEAD, await stored(store, operation, b"x"), 2000.0))
    rounds = Rounds()
    await run_until(Reaper(ledger, rounds.take_over, nothing), rounds.reached)
    assert await store.get(operation.id) is None
    assert (await store.usage()).bytes == 0
    assert next(line["count"] for line in quiet_log if line["event"] == "operations expired") == 1


async def test_it_knows_how_full_the_store_was_when_it_looked(store: Store, ledger: Ledger) -> None:
    rounds = Rounds()
    reaper = Reaper(ledger, rounds.take_over, nothing)
    await store.create(running())
    await reaper.look()
    assert reaper.usage == await store.usage()
    assert reaper.usage.running == 1


async def test_a_call_makes_it_look_before_the_next_round(ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(proxy.reaper, "ROUND", 3600.0)
    rounds = Rounds()
    reaper = Reaper(ledger, rounds.take_over, nothing)
    task = asyncio.get_running_loop().create_task(run_until(reaper, rounds.reached))
    async with asyncio.timeout(5):
        while not rounds.reached.is_set():  # each look is one round
            reaper.look_now()
            await asyncio.sleep(0)
    await task
    assert rounds.begun >= 3


async def test_trouble_of_the_stores_is_left_for_the_next_round(
    ledger: Ledger, quiet_log: list[structlog.types.EventDict], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(proxy.reaper, "ROUND", 0.001)
    rounds = Rounds(trouble=2)
    await run_until(Reaper(ledger, rounds.take_over, nothing), rounds.reached)
    assert [line["log_level"] for line in quiet_log] == ["warning", "warning"]


async def in_trouble() -> None:
    raise StoreUnavailable("in trouble")


async def test_trouble_at_one_step_of_a_round_keeps_no_other_from_its_turn(
    store: Store, ledger: Ledger, quiet_log: list[structlog.types.EventDict]
) -> None:
    expired, late, shared = running(keep=100.0), replace(running(), overdue=100.0), asyncio.Event()
    for operation in (expired, late):
        await store.create(operation)
    assert await store.settle(expired.completed(HEAD, await stored(store, expired, b"x"), 2000.0))

    async def share() -> None:
        shared.set()

    reaper = Reaper(ledger, in_trouble, share)
    await reaper.look()
    assert await store.get(expired.id) is None
    settled = await store.get(late.id)
    assert settled is not None
    assert settled.state is State.FAILED
    assert (reaper.usage, shared.is_set()) == (await store.usage(), True)
    assert [line["reason"] for line in quiet_log if line["event"] == "store not swept"] == ["in trouble"]


async def test_the_same_trouble_at_several_steps_is_told_once(
    ledger: Ledger, quiet_log: list[structlog.types.EventDict]
) -> None:
    await Reaper(ledger, in_trouble, in_trouble).look()
    assert [line["reason"] for line in quiet_log] == ["in trouble"]
