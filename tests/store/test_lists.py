"""Lists of operations, in every store: the newest first, filtered, in pages."""

import asyncio
from dataclasses import replace
from math import inf

import pytest

from proxy.errors import Interrupted
from proxy.operation import Failure, Operation, Progress, State
from proxy.store import SETTLED, UNSETTLED, Store, Usage, Wanted
from proxy.store.listing import LEEWAY, NOT_COMPLETED
from proxy.store.lists import LOOKED_AT_AT_ONCE
from proxy.store.sqlite import PORTIONS
from tests.store.conftest import Open
from tests.store.samples import HEAD, LARGE, MIB, completed, queued, running, stored

EVERYTHING = Wanted()


async def created(store: Store, *operations: Operation) -> list[str]:
    """The ids of these operations, which are in the store now, the newest first."""
    for operation in operations:
        await store.create(operation)
    return [operation.id for operation in reversed(operations)]


async def ids(store: Store, wanted: Wanted = EVERYTHING, limit: int = 100) -> list[str]:
    """Those of all pages."""
    found, page = [], await store.page(wanted, limit)
    found += page.operations
    while page.next is not None:
        page = await store.page(wanted, limit, page.next)
        assert len(page.operations) <= limit
        found += page.operations
    return [one.id for one in found]


async def test_the_newest_comes_first_whatever_its_time_says(store: Store) -> None:
    assert await ids(store) == []
    expected = await created(store, running(), queued(created=5000.0), queued(created=3000.0))
    assert await ids(store) == expected


@pytest.mark.parametrize("limit", [1, 2, 3, 4, 5])
async def test_pages_of_any_size_show_all_of_them_once(store: Store, limit: int) -> None:
    expected = await created(store, *(running() for _ in range(4)))
    assert await ids(store, limit=limit) == expected


async def test_what_comes_and_goes_between_two_pages_moves_nothing(store: Store) -> None:
    newest, second, third, oldest = await created(store, *(running() for _ in range(4)))
    first = await store.page(EVERYTHING, 2)
    assert [listed.id for listed in first.operations] == [newest, second]
    await store.remove(second)
    await created(store, running())
    rest = await store.page(EVERYTHING, 2, first.next)
    assert [listed.id for listed in rest.operations] == [third, oldest]


async def test_states_are_told_apart(store: Store) -> None:
    waits, runs, done, failed, dismissed = queued(), running(), running(), running(), running()
    await created(store, waits, runs, done, failed, dismissed)
    await store.settle(done.completed(HEAD, await stored(store, done, b"result"), 2000.0))
    await store.settle(failed.failed(Failure.of(Interrupted("It stopped.")), 2000.0))
    await store.settle(dismissed.dismissed(2000.0))
    expected = {
        State.QUEUED: waits, State.RUNNING: runs, State.COMPLETED: done, State.FAILED: failed, State.DISMISSED: dismissed,
    }  # fmt: skip
    for state, operation in expected.items():
        assert await ids(store, Wanted(states=frozenset({state}))) == [operation.id]
    assert await ids(store, Wanted(states=NOT_COMPLETED)) == [dismissed.id, failed.id]
    assert await ids(store, Wanted(states=UNSETTLED)) == [runs.id, waits.id]
    assert await ids(store, Wanted(states=SETTLED)) == [dismissed.id, failed.id, done.id]
    assert await ids(store, Wanted(states=frozenset({State.QUEUED, State.FAILED}))) == [failed.id, waits.id]


async def test_it_is_known_how_many_ended_how(store: Store) -> None:
    done, failed, dismissed = [running() for _ in range(3)]
    await created(store, done, failed, dismissed, queued())
    await store.settle(done.completed(HEAD, await stored(store, done, b"result"), 2000.0))
    await store.settle(failed.failed(Failure.of(Interrupted("It stopped.")), 2000.0))
    await store.settle(dismissed.dismissed(2000.0))
    assert await store.usage() == Usage(queued=1, running=0, settled=3, bytes=6, failed=1, dismissed=1)
    await store.remove(dismissed.id)
    assert await store.usage() == Usage(queued=1, running=0, settled=2, bytes=6, failed=1, dismissed=0)
    await store.expire(2150.0)
    assert await store.usage() == Usage(queued=1, running=0, settled=0, bytes=0, failed=0, dismissed=0)
    await store.expire(2250.0)
    assert await store.usage() == Usage(queued=1, running=0, settled=0, bytes=0, failed=0, dismissed=0)


async def test_the_last_settled_come_in_the_order_of_their_end(store: Store) -> None:
    one, two, three = running(), replace(running(), route="other"), running()
    await created(store, one, two, three, running())
    for operation, now in ((two, 2000.0), (three, 2001.0), (one, 2002.0)):
        await store.settle(operation.dismissed(now))
    assert [found.id for found in await store.last_settled(frozenset(), 10)] == [one.id, three.id, two.id]
    assert [found.id for found in await store.last_settled(frozenset(), 2)] == [one.id, three.id]
    assert [found.id for found in await store.last_settled(frozenset({"other"}), 10)] == [two.id]


async def test_routes_and_times_are_told_apart(store: Store) -> None:
    one = replace(queued(created=1000.0), route="one")
    two = replace(queued(created=2000.0), route="two")
    three = replace(running(), route="three", created=3000.0)
    await created(store, one, two, three)
    assert await ids(store, Wanted(routes=frozenset({"one", "three"}))) == [three.id, one.id]
    assert await ids(store, Wanted(earliest=2000.0)) == [three.id, two.id]
    assert await ids(store, Wanted(latest=2000.0)) == [two.id, one.id]
    assert await ids(store, Wanted(UNSETTLED, frozenset({"two", "three"}), 1500.0, 2500.0)) == [two.id]
    assert await ids(store, Wanted(routes=frozenset({"none"}))) == []


async def test_what_has_expired_is_shown_until_it_is_swept(store: Store) -> None:
    done = await completed(store, b"result", now=2000.0, keep=100.0)
    assert await ids(store) == [done.id]
    await store.expire(2150.0)
    assert await store.get(done.id) is not None
    assert await ids(store) == []
    assert await store.beginning(done.short_id) == []


@pytest.mark.parametrize("content", [b"small", LARGE])
async def test_bodies_are_not_read(store: Store, content: bytes) -> None:
    done = await completed(store, content)
    [listed] = (await store.page(EVERYTHING, 10)).operations
    assert done.body is not None
    assert listed == replace(done, body=replace(done.body, inline=None))


async def test_it_shows_how_much_has_been_received(store: Store) -> None:
    runs = running()
    await store.create(runs)
    async with store.sink(runs.id, Progress(0, 5 * MIB, 1001.0)) as sink:
        await sink.write(bytes(3 * MIB))
        [listed] = (await store.page(Wanted(states=UNSETTLED), 10)).operations
        assert listed.progress == Progress(3 * MIB, 5 * MIB, 1001.0)
        assert await store.beginning(runs.short_id) == [listed]


async def test_an_operation_is_found_by_the_beginning_of_its_id(store: Store) -> None:
    one, two = (replace(running(), id=f"{beginning}{'x' * 16}") for beginning in ("abc-defg", "abc_defg"))
    await created(store, one, two)
    assert await store.beginning("abc-defg") == [one]
    assert await store.beginning(two.id) == [two]
    assert {listed.id for listed in await store.beginning("abc")} == {one.id, two.id}
    assert await store.beginning("abcdefgh") == []
    assert await store.beginning("%") == []


async def test_where_hardly_any_is_wanted_a_page_looks_at_so_many_and_goes_on_from_there(open_sized: Open) -> None:
    many = LOOKED_AT_AT_ONCE * PORTIONS + 1
    async with open_sized(1 << 40) as store:
        sought = replace(running(), route="sought")
        await store.create(sought)
        await asyncio.gather(*(store.create(running()) for _ in range(many)))
        pages = 1
        page = await store.page(Wanted(routes=frozenset({"sought"})), 10)
        while page.next is not None:
            page = await store.page(Wanted(routes=frozenset({"sought"})), 10, page.next)
            pages += 1
        assert [listed.id for listed in page.operations] == [sought.id]
        assert pages <= 2


async def test_a_list_of_young_ones_ends_where_the_old_begin(open_sized: Open) -> None:
    async with open_sized(1 << 40) as store:
        await asyncio.gather(*(store.create(running()) for _ in range(LOOKED_AT_AT_ONCE + 10)))
        page = await store.page(Wanted(earliest=running().created + LEEWAY + 1), 10)
        assert page == ([], None)
        assert await ids(store, Wanted(earliest=-inf), limit=1000) != []
