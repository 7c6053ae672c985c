"""The backend is protected, also across a crash: never a connection too many, everything served, in order (P1, P4)."""

from pathlib import Path

import pytest

from tests.faults.conftest import Open
from tests.faults.desk import Desk
from tests.faults.ledger import Promise, Seen
from tests.faults.patience import until
from tests.faults.queueing import AT_ONCE, BACKEND, out_of_order, queue_round

ORDERS = 60


@pytest.fixture
async def busy(open_desk: Open) -> Desk:
    return await open_desk(origin=BACKEND, max_queued=ORDERS, timeout="1m")


async def queue_up(desk: Desk, orders: int = ORDERS) -> list[Promise]:
    promises = [await desk.later("POST", arrives=False) for _ in range(orders)]
    await until(lambda: len(desk.origin.arrivals) == AT_ONCE, "as many as may be at once")
    return promises


async def test_a_queue_survives_a_kill_in_its_middle(tmp_path: Path) -> None:
    """Row: kill -9 with a queue: all are served, but for those under way, in the order in which they were accepted."""
    counts = await queue_round(tmp_path, seed=5, orders=ORDERS)
    assert counts.faults() == {}
    assert counts.completed + counts.interrupted == ORDERS


async def test_what_waits_its_turn_says_so_and_survives_a_crash(busy: Desk) -> None:
    """Row: kill -9: POSTs that were never sent are sent afterwards; only those that were are interrupted."""
    with busy.origin.held():
        promises = await queue_up(busy)
        seen = [await busy.look(promise) for promise in promises]
        assert seen == [Seen.RUNNING] * AT_ONCE + [Seen.QUEUED] * (ORDERS - AT_ONCE)
        await busy.service.kill()
        await busy.service.start()
    outcomes = [await busy.outcome(promise) for promise in promises]
    assert outcomes == [Seen.INTERRUPTED] * AT_ONCE + [Seen.COMPLETED] * (ORDERS - AT_ONCE)
    assert set(busy.origin.arrivals.values()) == {1}
    assert out_of_order(busy.origin.order) == 0
    assert busy.origin.most_open <= AT_ONCE


@pytest.mark.parametrize("point", ["sent-durable", "first-byte-sent"])
async def test_a_kill_around_the_first_byte_of_what_had_waited(busy: Desk, point: str) -> None:
    """Row: kill -9 after the `sent` commit before the first byte, and right after the first byte: at most once."""
    with busy.origin.held():
        promises = await queue_up(busy)
        busy.service.doom(point)
    await busy.service.struck(point)
    outcomes = [await busy.outcome(promise) for promise in promises]
    assert set(outcomes) <= {Seen.COMPLETED, Seen.INTERRUPTED}
    assert outcomes.count(Seen.INTERRUPTED) <= AT_ONCE
    assert max(busy.origin.arrivals.values()) == 1
    assert busy.origin.most_open <= AT_ONCE


async def test_a_queued_operation_that_is_deleted_is_never_sent(busy: Desk) -> None:
    with busy.origin.held():
        promises = await queue_up(busy)
        assert (await busy.service.ask("DELETE", promises[-1].path)).status == 200
        assert await busy.look(promises[-1]) is Seen.GONE
    assert {await busy.outcome(promise) for promise in promises[:-1]} == {Seen.COMPLETED}
    assert promises[-1].work.number not in busy.origin.arrivals
