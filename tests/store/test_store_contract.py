"""What every store promises; see proxy.store.protocol."""

import asyncio
import contextlib
import dataclasses
import zlib

import pytest

import proxy.store.watch
from proxy.errors import Interrupted, StoreUnavailable
from proxy.operation import Failure, Operation, State
from proxy.store import ANY, Sink, Store, Usage, Wanted
from tests.store.conftest import Open
from tests.store.samples import HEAD, LARGE, NOTHING, body_of, cancelled_at, completed, running, stored


async def test_what_was_created_is_there_as_it_was(store: Store) -> None:
    operation = running()
    await store.create(operation)
    assert await store.get(operation.id) == operation


async def test_an_operation_without_an_owner_keeps_having_none(store: Store) -> None:
    operation = dataclasses.replace(running(), owner_digest=None)
    await store.create(operation)
    assert await store.get(operation.id) == operation


async def test_an_unusual_target_comes_back_character_by_character(store: Store) -> None:
    summary = dataclasses.replace(running().request, uri="http://h/\udcff\x01\u20ac")
    operation = dataclasses.replace(running(), request=summary)
    await store.create(operation)
    assert await store.get(operation.id) == operation


@pytest.mark.parametrize(
    "id_",
    [
        pytest.param("A" * 22, id="never existed"),
        pytest.param("../../../../etc/passwd-and-some", id="path traversal"),
        pytest.param("A" * 10_240, id="10 KiB"),
        pytest.param("A" * 22 + "\0", id="NUL"),
        pytest.param("A" * 22 + "\n", id="line feed"),
        pytest.param("A" * 22 + "\udcff", id="surrogate"),
        pytest.param("\u0661" * 22, id="digits of another script"),
        pytest.param("", id="empty"),
        pytest.param("A" * 21, id="too short"),
    ],
)
async def test_unknown_ids_are_nobody(store: Store, id_: str) -> None:
    assert await store.get(id_) is None
    assert await store.settled(id_, timeout=5) is None
    assert not await store.remove(id_)


async def test_an_operation_whose_id_could_leave_the_folder_is_a_mistake_of_the_caller(store: Store) -> None:
    with pytest.raises(ValueError, match="id of an operation"):
        await store.create(dataclasses.replace(running(), id="../../../../etc/passwd-and-some"))
    with pytest.raises(ValueError, match="id of an operation"):
        async with store.sink("../../../../etc/passwd-and-some"):
            pytest.fail("no sink was to be opened")


async def test_every_way_of_settling_is_kept(store: Store) -> None:
    one, two, three = [running() for _ in range(3)]
    for operation in (one, two, three):
        await store.create(operation)
    ends = [
        one.completed(HEAD, await stored(store, one, b"result"), 2000.0),
        two.failed(Failure.of(Interrupted("The proxy stopped.")), 2001.0, "It did not wait (drain_timeout)."),
        three.dismissed(2002.0, "An operator dismissed it."),
    ]
    for end in ends:
        assert await store.settle(end)
        assert await store.get(end.id) == end
    assert [one.why for one in (await store.page(Wanted(), 3)).operations] == [end.why for end in reversed(ends)]


async def test_the_first_to_settle_wins(store: Store) -> None:
    operation = running()
    await store.create(operation)
    ref = await stored(store, operation, b"late")
    assert await store.settle(operation.dismissed(2000.0))
    assert not await store.settle(operation.completed(HEAD, ref, 2001.0))
    assert await store.get(operation.id) == operation.dismissed(2000.0)


async def test_one_of_many_that_settle_at_once_wins(store: Store) -> None:
    operation = running()
    await store.create(operation)
    ends = [operation.dismissed(2000.0 + n) for n in range(20)]
    won = await asyncio.gather(*map(store.settle, ends))
    assert [end for end, first in zip(ends, won, strict=True) if first] == [await store.get(operation.id)]


async def test_only_its_keeper_can_settle_an_operation(store: Store) -> None:
    operation = running()
    await store.create(operation)
    assert not await store.settle(dataclasses.replace(operation, keeper="somebody-else").dismissed(2000.0))
    assert await store.get(operation.id) == operation


@pytest.mark.parametrize("state", [State.QUEUED, State.RUNNING])
async def test_who_settles_can_name_the_states_from_which_it_may(store: Store, state: State) -> None:
    operation = dataclasses.replace(running(), state=state)
    await store.create(operation)
    assert not await store.settle(operation.dismissed(2000.0), ANY - {state})
    assert not await store.settle(operation.dismissed(2000.0), frozenset())
    assert await store.get(operation.id) == operation
    assert await store.settle(operation.dismissed(2001.0), frozenset({state}))
    assert not await store.settle(operation.dismissed(2002.0), ANY)
    assert await store.get(operation.id) == operation.dismissed(2001.0)


async def test_what_was_never_created_cannot_be_settled(store: Store) -> None:
    assert not await store.settle(running().dismissed(2000.0))


@pytest.mark.parametrize(
    "content",
    [
        pytest.param(b"", id="empty"),
        pytest.param(b"x", id="small"),
        pytest.param(LARGE[:65_536], id="64 KiB"),
        pytest.param(LARGE[:65_537], id="one byte more"),
        pytest.param(LARGE[:262_144], id="one piece"),
        pytest.param(LARGE, id="several pieces"),
    ],
)
async def test_a_body_comes_back_byte_for_byte(store: Store, content: bytes) -> None:
    operation = await completed(store, content)
    assert operation.body is not None
    assert (operation.body.size, operation.body.checksum) == (len(content), zlib.crc32(content))
    assert await store.get(operation.id) == operation
    assert await body_of(store, operation) == content


@pytest.mark.parametrize("content", [LARGE[:5000], LARGE], ids=["small", "large"])
@pytest.mark.parametrize(
    ("start", "stop"),
    [
        pytest.param(0, 1, id="first byte"),
        pytest.param(1, None, id="all but the first"),
        pytest.param(0, 4999, id="from the beginning"),
        pytest.param(1000, 3000, id="middle"),
        pytest.param(4999, 1 << 60, id="past the end"),
        pytest.param(300, 300, id="nothing"),
    ],
)
async def test_a_part_of_a_body_can_be_read(store: Store, content: bytes, start: int, stop: int | None) -> None:
    operation = await completed(store, content)
    assert await body_of(store, operation, start, stop) == content[start:stop]


async def test_a_body_is_read_in_pieces(store: Store) -> None:
    operation = await completed(store, LARGE)
    assert [len(piece) async for piece in store.body(operation)] == [262_144, 262_144, 115_712]


async def test_many_small_pieces_make_one_body(store: Store) -> None:
    operation = running()
    await store.create(operation)
    async with store.sink(operation.id) as sink:
        for start in range(0, 100_000, 100):
            await sink.write(LARGE[start : start + 100])
    assert await body_of(store, operation.completed(HEAD, sink.ref, 2000.0)) == LARGE[:100_000]


async def test_a_body_has_no_reference_before_it_is_whole(store: Store) -> None:
    sink = await _abandoned(store, running())
    with pytest.raises(ValueError, match="whole"):
        _ = sink.ref


async def test_only_completed_operations_have_bodies(store: Store) -> None:
    with pytest.raises(ValueError, match="completed"):
        store.body(running())


@pytest.fixture
def no_looks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have stores wake nobody because they found a change: what wakes is its event."""
    monkeypatch.setattr(proxy.store.watch, "_LOOK_EVERY", 3600)


@pytest.mark.usefixtures("no_looks")
async def test_settling_wakes_all_who_wait_at_once(store: Store) -> None:
    operation = running()
    await store.create(operation)
    async with asyncio.TaskGroup() as group:
        waiters = [group.create_task(store.settled(operation.id)) for _ in range(50)]
        await _asleep(store, operation.id, 50)
        assert await store.settle(operation.dismissed(2000.0))
    assert [waiter.result() for waiter in waiters] == [operation.dismissed(2000.0)] * 50


async def test_waiting_for_what_is_settled_takes_no_time(store: Store) -> None:
    operation = await completed(store, b"done")
    assert await asyncio.wait_for(store.settled(operation.id), 5) == operation


@pytest.mark.parametrize("seconds", [0, 0.02])
async def test_a_wait_that_ends_early_shows_the_running_operation(store: Store, seconds: float) -> None:
    operation = running()
    await store.create(operation)
    assert await asyncio.wait_for(store.settled(operation.id, seconds), 5) == operation


async def test_removing_wakes_those_who_wait(store: Store) -> None:
    operation = running()
    await store.create(operation)
    async with asyncio.TaskGroup() as group:
        waiter = group.create_task(store.settled(operation.id))
        await _asleep(store, operation.id, 1)
        assert await store.remove(operation.id)
    assert waiter.result() is None


async def test_a_waiter_that_is_cancelled_leaves_the_others_waiting(store: Store) -> None:
    operation = running()
    await store.create(operation)
    async with asyncio.TaskGroup() as group:
        leaves = group.create_task(store.settled(operation.id))
        stays = group.create_task(store.settled(operation.id))
        await _asleep(store, operation.id, 2)
        leaves.cancel()
        await asyncio.wait({leaves})
        assert await store.settle(operation.dismissed(2000.0))
    assert leaves.cancelled()
    assert stays.result() == operation.dismissed(2000.0)


async def test_what_was_removed_is_gone_whatever_it_was(store: Store) -> None:
    unfinished = running()
    await store.create(unfinished)
    done = await completed(store, LARGE)
    for operation in (unfinished, done):
        assert await store.remove(operation.id)
        assert await store.get(operation.id) is None
        assert not await store.remove(operation.id)
        assert not await store.settle(unfinished.dismissed(2000.0))
    assert await store.usage() == NOTHING


async def test_usage_counts_what_is_there(store: Store) -> None:
    await store.create(running())
    await store.create(running())
    await completed(store, b"12345")
    await completed(store, LARGE)
    assert await store.usage() == Usage(queued=0, running=2, settled=2, bytes=5 + len(LARGE))


async def test_a_full_store_takes_no_more_operations_but_settles_those_it_has(open_sized: Open) -> None:
    async with open_sized(10) as store:
        late = running()
        await store.create(late)
        done = await completed(store, b"0123456789")
        with pytest.raises(StoreUnavailable, match="full"):
            await store.create(running())
        assert await store.settle(late.completed(HEAD, await stored(store, late, b"more"), 2000.0))
        assert await store.remove(done.id)
        await store.create(running())


async def test_an_expired_operation_is_a_tombstone_until_it_is_forgotten(store: Store) -> None:
    done = await completed(store, LARGE, now=2000.0, keep=100.0)
    assert await store.expire(2099.0) == 0
    assert await body_of(store, done) == LARGE

    assert await store.expire(2100.0) == 1
    assert await store.expire(2199.0) == 0
    tombstone = await store.get(done.id)
    assert tombstone is not None
    assert tombstone.has_expired(2199.0)
    assert (tombstone.state, tombstone.head) == (State.COMPLETED, HEAD)
    with pytest.raises(StoreUnavailable):
        await body_of(store, tombstone)
    assert await store.usage() == NOTHING

    assert await store.expire(2200.0) == 1
    assert await store.get(done.id) is None


async def test_the_tombstone_of_a_small_result_has_no_body_either(store: Store) -> None:
    done = await completed(store, b"small")
    await store.expire(2100.0)
    tombstone = await store.get(done.id)
    assert tombstone is not None
    with pytest.raises(StoreUnavailable):
        await body_of(store, tombstone)


async def test_what_expired_long_ago_is_forgotten_in_one_go(store: Store) -> None:
    done = await completed(store, b"old")
    assert await store.expire(1e6) == 1
    assert await store.get(done.id) is None
    assert await store.usage() == NOTHING


async def test_a_failure_leaves_a_tombstone_too(store: Store) -> None:
    operation = running()
    await store.create(operation)
    failed = operation.failed(Failure.of(Interrupted()), 2000.0)
    await store.settle(failed)
    assert await store.expire(2100.0) == 1
    assert await store.get(operation.id) == failed


async def test_running_operations_never_expire(store: Store) -> None:
    operation = running(keep=1.0)
    await store.create(operation)
    assert await store.expire(1e12) == 0
    assert await store.get(operation.id) == operation


async def test_many_expire_in_one_call(store: Store) -> None:
    operations = [running() for _ in range(120)]
    await asyncio.gather(*map(store.create, operations))
    await asyncio.gather(*[store.settle(operation.dismissed(2000.0)) for operation in operations])
    assert await store.expire(2150.0) == 120
    assert await store.usage() == NOTHING


async def test_running_operations_of_unknown_keepers_are_orphans(store: Store) -> None:
    mine, theirs, over = running(), running("long-gone"), running("long-gone")
    for operation in (mine, theirs, over):
        await store.create(operation)
    await store.settle(over.dismissed(2000.0))
    assert await store.orphans() == [theirs]
    assert await store.settle(theirs.failed(Failure.of(Interrupted()), 2001.0))
    assert await store.orphans() == []


async def test_a_life_cut_short_anywhere_leaves_the_store_sound(store: Store) -> None:
    async def life(operation: Operation) -> None:
        await store.create(operation)
        ref = await stored(store, operation, LARGE)
        await store.settle(operation.completed(HEAD, ref, 2000.0))
        await store.settled(operation.id)
        await body_of(store, operation.completed(HEAD, ref, 2000.0))
        await store.remove(operation.id)

    suspension, cut_short = 0, True
    while cut_short:
        suspension += 1
        operation = running()
        cut_short = await cancelled_at(life(operation), suspension)
        left = await store.settled(operation.id, timeout=0)
        if left is not None and left.state is State.COMPLETED:
            await _whole_or_removed(store, left)
        await store.remove(operation.id)
    assert await store.usage() == NOTHING


async def _whole_or_removed(store: Store, operation: Operation) -> None:
    """A removal that was cancelled goes on, and may end between a look at the operation and the reading of its body."""
    try:
        assert await body_of(store, operation) == LARGE
    except StoreUnavailable:
        assert await store.get(operation.id) is None


async def _abandoned(store: Store, operation: Operation) -> Sink:
    """The sink of a body that broke off."""
    with contextlib.suppress(EOFError):
        async with store.sink(operation.id) as sink:
            await sink.write(LARGE)
            raise EOFError
    return sink


async def _asleep(store: Store, id_: str, waiters: int) -> None:
    """Until so many wait for the operation and have looked at it."""
    async with asyncio.timeout(5):
        while len(store._watch._waiters.get(id_, ())) < waiters:  # type: ignore[attr-defined]  # both stores have one
            await store.settled(id_, timeout=0.001)
        await store.get(id_)  # comes after the waiters' own looks
