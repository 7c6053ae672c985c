"""How the processes on one store learn from each other how long the exchanges of a route take."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace

import pytest

from proxy.errors import StoreUnavailable
from proxy.operation import State
from proxy.pace import Pace, Paces
from proxy.picture import MEMORY, Picture
from proxy.store import Store, open_store
from tests.operations.house import Flaky, eventually
from tests.store.samples import AMPLE, KEEPER, running

OPERATION = replace(running(), began=1000.0, retry_after=1.0)  # of the route "reports"


@pytest.fixture
async def store() -> AsyncIterator[Store]:
    async with open_store("memory", None, AMPLE, KEEPER) as store:
        yield store


def seen(paces: Paces, seconds: float, times: int) -> Pace:
    """The pace of the route after so many exchanges that took so long."""
    pace = paces.of("reports", at_once=2, left_alone=lambda: False)
    for _ in range(times):
        pace.observe(seconds)
    return pace


def words(paces: Paces) -> str:
    return paces.estimate(OPERATION, 1000.0, before=0).words


def test_what_was_seen_tells_of_the_next(store: Store) -> None:
    paces = Paces(store)
    seen(paces, 60, 10)
    assert words(paces) == "about 60 s left"
    queued = replace(OPERATION, state=State.QUEUED, began=None)
    assert paces.estimate(queued, 1000.0, before=3).words == "queued, 3 before it, about 3 min left"


def test_nothing_is_known_of_a_route_that_is_not_here(store: Store) -> None:
    assert words(Paces(store)) == "running for 0 s"


async def test_what_one_process_has_seen_others_know(store: Store) -> None:
    one, other = Paces(store), Paces(store)
    seen(one, 60, 10)
    seen(other, 60, 0)
    await one.share()
    assert words(other) == "running for 0 s"
    await other.share()
    assert words(other) == words(one) == "about 60 s left"


async def test_what_all_have_seen_is_added_up_and_counted_once(store: Store) -> None:
    several = [Paces(store) for _ in range(5)]
    for number, paces in enumerate(several):
        seen(paces, 10.0 * (number + 1), 4)
    for _ in range(3):
        await asyncio.gather(*(paces.share() for paces in several))
    learned = Picture.decode((await store.learned())["reports"])
    assert learned.weights == Picture.of([10.0, 20.0, 30.0, 40.0, 50.0] * 4).weights


async def test_two_shares_of_one_process_at_once_add_what_was_seen_once(store: Store) -> None:
    paces = Paces(store)
    seen(paces, 60, 10)
    await asyncio.gather(paces.share(), paces.share())
    assert Picture.decode((await store.learned())["reports"]).total == 10


async def test_what_is_seen_while_it_shares_is_shared_the_next_time(store: Store) -> None:
    flaky = Flaky(store)
    paces = Paces(flaky)
    pace = seen(paces, 60, 10)
    gate = flaky.hold("learn")
    async with asyncio.TaskGroup() as group:
        group.create_task(paces.share())
        await eventually(lambda: flaky.calls["learn"] == 1)
        pace.observe(60)
        gate.set()
    assert Picture.decode((await store.learned())["reports"]).total == 10
    await paces.share()
    assert Picture.decode((await store.learned())["reports"]).total == 11


async def test_where_the_store_is_in_trouble_nothing_that_was_seen_is_lost(store: Store) -> None:
    flaky = Flaky(store)
    paces = Paces(flaky)
    seen(paces, 60, 10)
    flaky.fail("learn")
    with pytest.raises(StoreUnavailable):
        await paces.share()
    assert await store.learned() == {}
    await paces.share()
    assert Picture.decode((await store.learned())["reports"]).total == 10


async def test_what_is_known_already_is_not_written_again(store: Store) -> None:
    flaky = Flaky(store)
    paces = Paces(flaky)
    seen(paces, 60, 10)
    await paces.share()
    await paces.share()
    assert flaky.calls["learn"] == 1


async def test_more_than_can_be_remembered_at_once_is_no_more_than_that(store: Store) -> None:
    paces = Paces(store)
    seen(paces, 60, 10_000)
    await paces.share()
    assert Picture.decode((await store.learned())["reports"]).total == MEMORY


def test_the_next_end_is_the_sooner_the_more_run_at_once() -> None:
    pace = Pace(at_once=1)
    assert pace.next_end(1) == 1
    for _ in range(10):
        pace.observe(60)
    assert 58 <= pace.next_end(1) <= 62
    assert pace.next_end(10) == 6
    assert pace.next_end(1000) == 1
    for _ in range(1000):
        pace.observe(1e6)
    assert pace.next_end(1) == 600


def test_an_outlook_is_made_anew_only_for_enough_news() -> None:
    pace = Pace(at_once=1)
    for _ in range(64):
        pace.observe(60)
    looked = pace.outlook
    for _ in range(8):
        assert pace.outlook is looked
        pace.observe(60)
    pace.observe(60)
    assert pace.outlook is not looked
