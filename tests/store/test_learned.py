"""What a store keeps of routes, and what it shows of a response that is coming in."""

import asyncio
from dataclasses import replace
from pathlib import Path

import pytest

from proxy.operation import Operation, Progress
from proxy.store import Store, open_store
from tests.store.conftest import Open
from tests.store.samples import AMPLE, KEEPER, LARGE, MIB, REQUEST, body_of, completed, queued, running

BEGUN = Progress(0, 80 * MIB, 1234.5)


async def test_nothing_is_learned_at_first(store: Store) -> None:
    assert await store.learned() == {}


async def test_what_was_learned_of_a_route_is_replaced_by_who_knows_it(store: Store) -> None:
    assert await store.learn("reports", None, b"one")
    assert await store.learn("r\xe9sum\xe9s \u20ac", None, bytes(range(256)))
    assert not await store.learn("reports", None, b"unaware")
    assert not await store.learn("reports", b"wrong", b"unaware")
    assert await store.learn("reports", b"one", b"two")
    assert await store.learned() == {"reports": b"two", "r\xe9sum\xe9s \u20ac": bytes(range(256))}


async def test_of_many_that_learn_at_once_none_is_overwritten(store: Store) -> None:
    async def add() -> None:
        learned = False
        while not learned:
            before = (await store.learned()).get("reports")
            learned = await store.learn("reports", before, (before or b"") + b"x")

    await asyncio.gather(*(add() for _ in range(20)))
    assert await store.learned() == {"reports": b"x" * 20}


async def test_what_was_learned_survives_a_restart_and_is_shared(tmp_path: Path) -> None:
    async with (
        open_store("sqlite", tmp_path, AMPLE, KEEPER) as one,
        open_store("sqlite", tmp_path, AMPLE, "other") as other,
    ):
        assert await one.learn("reports", None, b"one")
        assert await other.learn("reports", b"one", b"both")
    async with open_store("sqlite", tmp_path, AMPLE, KEEPER) as again:
        assert await again.learned() == {"reports": b"both"}


async def test_a_full_store_still_learns(open_sized: Open) -> None:
    async with open_sized(1) as store:
        await completed(store, b"x")
        assert await store.learn("reports", None, b"one")


async def test_who_writes_a_body_sees_to_the_byte_how_far_it_has_come(store: Store) -> None:
    operation = running()
    await store.create(operation)
    async with store.sink(operation.id, BEGUN) as sink:
        assert await store.get(operation.id) == replace(operation, progress=BEGUN)
        for received in (1, 300_001, 600_001):
            await sink.write(bytes(1 if received == 1 else 300_000))
            assert await store.get(operation.id) == replace(operation, progress=replace(BEGUN, received=received))
    assert await store.settle(operation.dismissed(2000.0))
    assert await store.get(operation.id) == operation.dismissed(2000.0)


async def broken_off(store: Store, operation: Operation) -> None:
    async with store.sink(operation.id, BEGUN) as sink:
        await sink.write(b"x")
        raise EOFError


async def test_a_body_that_is_discarded_leaves_no_progress(store: Store) -> None:
    operation = running()
    await store.create(operation)
    with pytest.raises(EOFError):
        await broken_off(store, operation)
    assert await store.get(operation.id) == operation


async def test_a_request_that_is_written_is_no_progress(store: Store) -> None:
    operation = queued()
    await store.create(operation)
    async with store.request_sink(operation.id) as sink:
        await sink.write(LARGE)
        assert await store.get(operation.id) == operation


async def test_other_processes_see_it_to_within_a_mib_and_nothing_of_a_small_one(tmp_path: Path) -> None:
    operation = running()
    async with (
        open_store("sqlite", tmp_path, AMPLE, KEEPER) as one,
        open_store("sqlite", tmp_path, AMPLE, "other") as other,
    ):
        await one.create(operation)
        async with one.sink(operation.id, BEGUN) as sink:
            await sink.write(bytes(MIB - 1))
            assert await other.get(operation.id) == operation
            await sink.write(bytes(MIB))
            assert await other.get(operation.id) == replace(operation, progress=replace(BEGUN, received=2 * MIB - 1))


async def test_what_was_begun_again_has_made_no_progress(tmp_path: Path) -> None:
    operation = running("dead")
    async with open_store("sqlite", tmp_path, AMPLE, "dead") as dead:
        await dead.create(operation, REQUEST)
        async with dead.sink(operation.id, BEGUN) as sink:
            await sink.write(bytes(MIB))
    async with open_store("sqlite", tmp_path, AMPLE, KEEPER) as store:
        [orphan] = await store.orphans()
        assert orphan.progress == replace(BEGUN, received=MIB)
        mine = orphan.returned(KEEPER)
        assert mine.progress is None
        assert await store.take_over(orphan, mine)
        assert await store.get(operation.id) == mine
        started = mine.started(overdue=5.0, began=1500.0)
        assert await store.start(started)
        assert await store.get(operation.id) == started


async def test_when_it_was_begun_is_kept(store: Store) -> None:
    operation = replace(running(), began=998.5)
    await store.create(operation)
    assert await store.get(operation.id) == operation
    done = await completed(store, b"x")
    assert await body_of(store, done) == b"x"
