"""What every store promises of operations that wait for their turn, are started, and are taken over."""

import asyncio
from dataclasses import replace

import pytest

from proxy.errors import Busy, Interrupted, TooManyOperations
from proxy.operation import Failure
from proxy.store import Quotas, Store, Usage
from tests.store.samples import HEAD, KEEPER, MIB, NOTHING, REQUEST, completed, queued, running, stored, written


async def test_a_queued_operation_is_there_as_it_was(store: Store) -> None:
    operation = replace(queued(client="digest"), attempts=1)
    await store.create(operation)
    assert await store.get(operation.id) == operation
    assert await store.usage() == Usage(queued=1, running=0, settled=0, bytes=0)


async def test_starting_it_is_there_for_all_to_see(store: Store) -> None:
    operation = queued()
    await store.create(operation)
    assert await store.start(operation.started(overdue=77.5))
    started = await store.get(operation.id)
    assert started == operation.started(overdue=77.5)
    assert await store.usage() == Usage(0, 1, 0, 0)


async def test_only_a_queued_operation_of_the_same_keeper_is_started(store: Store) -> None:
    operation, over, never = queued(), queued(), queued()
    await store.create(operation)
    await store.create(over)
    await store.settle(over.dismissed(2000.0))
    started = operation.started(overdue=77.5)
    assert not await store.start(replace(started, keeper="somebody-else"))
    assert await store.get(operation.id) == operation
    assert await store.start(started)
    assert not await store.start(started)
    assert not await store.start(over.started(overdue=77.5))
    assert not await store.start(never.started(overdue=77.5))


async def test_one_of_many_that_start_at_once_wins(store: Store) -> None:
    operation = queued()
    await store.create(operation)
    won = await asyncio.gather(*[store.start(operation.started(overdue=float(n))) for n in range(10)])
    assert sum(won) == 1


async def test_what_waits_can_be_dismissed_and_can_fail(store: Store) -> None:
    one, two = queued(), queued()
    for operation, end in ((one, one.dismissed(2000.0)), (two, two.failed(Failure.of(Interrupted()), 2000.0))):
        await store.create(operation)
        assert await store.settle(end)
        assert await store.get(operation.id) == end
    assert await store.usage() == Usage(0, 0, 2, 0, failed=1, dismissed=1)


async def test_a_wait_goes_on_through_line_and_run_until_the_end(store: Store) -> None:
    operation = queued()
    await store.create(operation)
    async with asyncio.timeout(5), asyncio.TaskGroup() as group:
        waiter = group.create_task(store.settled(operation.id))
        started = operation.started(overdue=77.5)
        assert await store.start(started)
        assert await store.settled(operation.id, timeout=0.01) == started
        assert not waiter.done()
        done = started.completed(HEAD, await stored(store, started, b"done"), 2000.0)
        assert await store.settle(done)
    assert waiter.result() == done


async def test_what_waits_does_not_expire(store: Store) -> None:
    operation = queued()
    await store.create(operation)
    assert await store.expire(1e12) == 0
    assert await store.get(operation.id) == operation


async def test_a_removed_one_is_not_started(store: Store) -> None:
    operation = queued()
    await store.create(operation)
    assert await store.remove(operation.id)
    assert not await store.start(operation.started(overdue=77.5))
    assert await store.usage() == NOTHING


# The line


async def test_the_line_is_by_age_and_then_by_arrival(store: Store) -> None:
    third, second, first = queued(created=1002.0), queued(created=1001.0), queued(created=1000.0)
    fourth = queued(created=1002.0)
    for operation in (third, second, first, fourth):
        await store.create(operation)
    places = [await store.queued_before(operation) for operation in (first, second, third, fourth)]
    assert places == [0, 1, 2, 3]
    asked = [fourth.id, second.id, "A" * 22]
    assert await store.places_in_line(asked) == {second.id: 1, fourth.id: 3}


async def test_each_origin_has_a_line_of_its_own(store: Store) -> None:
    first, other, sent, last = queued(), queued(origin="other"), running(), queued(created=1001.0)
    for operation in (first, other, sent, last):
        await store.create(operation)
    assert await store.queued_before(last) == 1
    asked = [operation.id for operation in (last, sent, other, first)]
    assert await store.places_in_line(asked) == {first.id: 0, last.id: 1, other.id: 0}


async def test_the_line_moves_up(store: Store) -> None:
    first, second, third = [queued(created=1000.0 + n) for n in range(3)]
    for operation in (first, second, third):
        await store.create(operation)
    await store.start(first.started(overdue=77.5))
    assert await store.queued_before(third) == 1
    await store.remove(second.id)
    assert await store.queued_before(third) == 0


async def test_who_is_taken_over_keeps_its_place(store: Store) -> None:
    first, second = queued("long-gone"), queued(created=1001.0)
    await store.create(first)
    await store.create(second)
    returned = first.returned(KEEPER)
    assert await store.take_over(first, returned)
    assert [await store.queued_before(one) for one in (returned, second)] == [0, 1]


# Quotas


async def test_a_route_has_only_so_many_in_line(store: Store) -> None:
    quotas = Quotas(max_queued=2, max_of_client=None)
    first = queued()
    await store.create(first, None, quotas)
    await store.create(queued(), None, quotas)
    with pytest.raises(Busy, match="2"):
        await store.create(queued(), None, quotas)
    await store.create(running(), None, quotas)
    await store.create(replace(queued(), route="another"), None, quotas)
    await store.start(first.started(overdue=77.5))
    await store.create(queued(), None, quotas)
    assert await store.usage() == Usage(3, 2, 0, 0)


async def test_a_client_has_only_so_many_under_way(store: Store) -> None:
    quotas = Quotas(max_queued=None, max_of_client=2)
    one, two = queued(client="a"), replace(running(), client="a")
    for operation in (one, two, queued(client="b"), queued()):
        await store.create(operation, None, quotas)
    for refused in (queued(client="a"), replace(running(), client="a")):
        with pytest.raises(TooManyOperations, match="2"):
            await store.create(refused, None, quotas)
        assert await store.get(refused.id) is None
    assert [await store.unsettled_of(client) for client in ("a", "b", "c", "")] == [2, 1, 0, 0]
    await store.settle(two.dismissed(2000.0))
    await store.create(queued(client="a"), None, quotas)


async def test_a_quota_of_none_at_all_refuses_the_first(store: Store) -> None:
    with pytest.raises(Busy):
        await store.create(queued(), None, Quotas(0, None))
    with pytest.raises(TooManyOperations):
        await store.create(replace(running(), client="a"), None, Quotas(None, 0))
    await store.create(running(), None, Quotas(0, 0))


async def test_quotas_hold_for_those_who_come_at_once(store: Store) -> None:
    quotas = Quotas(max_queued=10, max_of_client=None)
    outcomes = await asyncio.gather(*[store.create(queued(), None, quotas) for _ in range(30)], return_exceptions=True)
    assert [type(outcome) for outcome in outcomes] == [type(None)] * 10 + [Busy] * 20
    assert (await store.usage()).queued == 10


async def test_a_refused_operation_leaves_nothing(store: Store) -> None:
    refused = queued()
    request = replace(REQUEST, content=await written(store.request_sink(refused.id), b"content"))
    with pytest.raises(Busy):
        await store.create(refused, request, Quotas(0, None))
    assert await store.request(refused.id) is None
    assert await store.usage() == NOTHING


# Orphans


async def test_orphans_are_queued_or_running_and_the_oldest_come_first(store: Store) -> None:
    young, old = queued("long-gone", created=1002.0), replace(running("another"), created=1001.0)
    over = running("long-gone")
    for operation in (young, old, over, queued(), running()):
        await store.create(operation)
    await store.settle(over.dismissed(2000.0))
    assert await store.orphans() == [old, young]


@pytest.mark.parametrize("state", ["queued", "running"])
async def test_an_orphan_is_taken_over_once(store: Store, state: str) -> None:
    waiting = queued("long-gone")
    orphan = waiting if state == "queued" else waiting.started(overdue=77.5)
    await store.create(orphan)
    returned = orphan.returned(KEEPER)
    assert await store.take_over(orphan, returned)
    assert await store.get(orphan.id) == returned
    assert not await store.take_over(orphan, orphan.returned("third"))
    assert await store.orphans() == []
    assert await store.usage() == Usage(1, 0, 0, 0)


async def test_its_old_keeper_can_change_it_no_more(store: Store) -> None:
    orphan = queued("long-gone")
    await store.create(orphan)
    returned = orphan.returned(KEEPER)
    assert await store.take_over(orphan, returned)
    assert not await store.start(orphan.started(overdue=77.5))
    assert not await store.settle(orphan.dismissed(2000.0))
    assert await store.start(returned.started(overdue=88.5))


async def test_what_went_on_meanwhile_is_not_taken_over(store: Store) -> None:
    orphan, over, never = queued("long-gone"), queued("long-gone"), queued("long-gone")
    await store.create(orphan)
    await store.create(over)
    started = orphan.started(overdue=77.5)
    await store.start(started)
    await store.settle(over.dismissed(2000.0))
    for one in (orphan, over, never):
        assert not await store.take_over(one, one.returned(KEEPER))
    assert await store.get(orphan.id) == started


# What is overdue


async def test_running_operations_are_overdue_whoever_runs_them(store: Store) -> None:
    mine, theirs = [queued(keeper).started(overdue=77.5) for keeper in (KEEPER, "long-gone")]
    later, waiting, over = queued().started(overdue=78.0), queued(), queued().started(overdue=1.0)
    for operation in (mine, theirs, later, waiting, over, running()):
        await store.create(operation)
    await store.settle(over.dismissed(2000.0))
    assert await store.overdue(77.4) == []
    assert sorted(await store.overdue(77.5), key=lambda one: one.id) == sorted([mine, theirs], key=lambda one: one.id)
    assert await store.take_over(theirs, theirs.returned(KEEPER))
    assert await store.overdue(77.5) == [mine]


async def test_all_that_are_overdue_are_found(store: Store) -> None:
    late = [queued().started(overdue=float(number % 7)) for number in range(250)]
    await asyncio.gather(*map(store.create, late))
    found = await store.overdue(6.0)
    assert {one.id for one in found} == {one.id for one in late}
    assert len(found) == 250


# Bodies under way


async def test_a_body_counts_while_it_is_written(store: Store) -> None:
    operation = running()
    await store.create(operation)
    async with store.sink(operation.id) as sink:
        await sink.write(bytes(MIB - 1))
        assert (await store.usage()).bytes == 0
        await sink.write(bytes(MIB))
        assert MIB < (await store.usage()).bytes <= 2 * MIB - 1
        await sink.write(bytes(10))
    assert await store.settle(operation.completed(HEAD, sink.ref, 2000.0))
    assert (await store.usage()).bytes == 2 * MIB + 9


@pytest.mark.parametrize("way", ["settled", "removed", "taken over"])
async def test_a_body_that_came_to_nothing_counts_no_more(store: Store, way: str) -> None:
    operation = running()
    await store.create(operation)
    await stored(store, operation, bytes(2 * MIB))
    assert (await store.usage()).bytes > MIB
    match way:
        case "settled":
            assert await store.settle(operation.dismissed(2000.0))
        case "removed":
            assert await store.remove(operation.id)
        case _:
            assert await store.take_over(operation, operation.returned("somebody-else"))
    assert (await store.usage()).bytes == 0


async def test_a_second_body_takes_the_place_of_the_first(store: Store) -> None:
    operation = running()
    await store.create(operation)
    await stored(store, operation, bytes(3 * MIB))
    async with store.sink(operation.id) as sink:
        await sink.write(bytes(MIB))
        assert (await store.usage()).bytes == MIB


async def test_what_is_written_for_somebody_elses_operation_does_not_count(store: Store) -> None:
    theirs, over = running("somebody-else"), await completed(store, b"")
    await store.create(theirs)
    for operation in (theirs, over, running(), queued()):
        async with store.sink(operation.id) as sink:
            await sink.write(bytes(MIB))
    assert (await store.usage()).bytes == 0
