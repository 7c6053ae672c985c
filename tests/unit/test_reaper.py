"""What time does to operations: orphans, expiry, and rounds that survive a store in trouble."""

import asyncio
from collections.abc import AsyncIterator

import pytest
import structlog

import proxy.reaper
from proxy.errors import StoreUnavailable
from proxy.operation import Operation, State
from proxy.reaper import Reaper
from proxy.store import Store, open_store
from tests.store.samples import AMPLE, HEAD, KEEPER, running, stored


class Rounds:
    """A store that counts the reaper's rounds, and refuses the first few."""

    def __init__(self, store: Store, trouble: int = 0) -> None:
        self._store = store
        self._trouble = trouble
        self.rounds = 0
        self.reached = asyncio.Event()

    async def orphans(self) -> list[Operation]:
        self.rounds += 1
        if self.rounds <= self._trouble:
            raise StoreUnavailable("in trouble")
        return await self._store.orphans()

    async def settle(self, operation: Operation) -> bool:
        return await self._store.settle(operation)

    async def expire(self, now: float) -> int:
        touched = await self._store.expire(now)
        if self.rounds >= self._trouble + 3:
            self.reached.set()
        return touched


@pytest.fixture
async def store() -> AsyncIterator[Store]:
    async with open_store("memory", None, AMPLE, KEEPER) as store:
        yield store


@pytest.fixture(autouse=True)
def short_rounds(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(proxy.reaper, "ROUND", 0.001)


def reaper_of(store: object, now: float = 5000.0, told: list[Operation] | None = None) -> Reaper:
    return Reaper(store, lambda: now, (told if told is not None else []).append)  # type: ignore[arg-type]  # all that it asks


async def run_until(reaper: Reaper, reached: asyncio.Event) -> None:
    task = asyncio.get_running_loop().create_task(reaper.run())
    await asyncio.wait_for(reached.wait(), 5)
    task.cancel()
    await asyncio.wait({task})


async def test_an_orphan_is_settled_as_interrupted_and_counted(store: Store) -> None:
    orphan, told = running(keeper="dead"), list[Operation]()
    await store.create(orphan)
    await reaper_of(store, told=told).settle_orphans()
    settled = await store.get(orphan.id)
    assert settled is not None
    assert settled.state is State.FAILED
    assert settled.failure is not None
    assert (settled.failure.code, settled.settled_at) == ("interrupted", 5000.0)
    assert told == [settled]


async def test_what_has_a_living_keeper_is_left_alone(store: Store) -> None:
    mine, told = running(), list[Operation]()
    await store.create(mine)
    await reaper_of(store, told=told).settle_orphans()
    assert await store.get(mine.id) == mine
    assert told == []


async def test_an_orphan_that_somebody_else_settled_first_is_not_counted() -> None:
    class Late:
        async def orphans(self) -> list[Operation]:
            return [running(keeper="dead")]

        async def settle(self, _: Operation) -> bool:
            return False

    told: list[Operation] = []
    await reaper_of(Late(), told=told).settle_orphans()
    assert told == []


async def test_its_rounds_find_orphans_and_drop_what_has_expired(store: Store) -> None:
    operation = running(keep=100.0)
    await store.create(operation)
    assert await store.settle(operation.completed(HEAD, await stored(store, operation, b"x"), 2000.0))
    orphan = running(keeper="dead", keep=1e6)
    await store.create(orphan)
    rounds = Rounds(store)
    await run_until(reaper_of(rounds, now=5000.0), rounds.reached)
    assert await store.get(operation.id) is None
    assert (await store.usage()).bytes == 0
    settled = await store.get(orphan.id)
    assert settled is not None
    assert settled.state is State.FAILED


async def test_trouble_of_the_stores_is_left_for_the_next_round(
    store: Store, quiet_log: list[structlog.types.EventDict]
) -> None:
    orphan = running(keeper="dead", keep=1e6)
    await store.create(orphan)
    rounds = Rounds(store, trouble=2)
    await run_until(reaper_of(rounds), rounds.reached)
    settled = await store.get(orphan.id)
    assert settled is not None
    assert settled.state is State.FAILED
    assert [line["log_level"] for line in quiet_log] == ["warning", "warning"]
