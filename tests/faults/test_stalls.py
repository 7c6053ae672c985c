"""Fault table, row: the event loop is not stalled by the disk, nor by much to encode.

A disk that hangs is made by holding up the threads that write: whoever is answered meanwhile was not held up by them.
"""

import pytest

from tests.faults.desk import Desk
from tests.faults.ledger import Seen
from tests.faults.work import MIB, Work

PROBES = 50


async def assert_answers(desk: Desk) -> None:
    """Synchronous requests, and status URLs that can be read."""
    for _ in range(PROBES):
        assert isinstance(await desk.now("GET"), Work)


@pytest.mark.parametrize("point", ["in-body", "before-publishing"])
async def test_a_disk_that_hangs_while_a_body_is_written_holds_nobody_up(desk: Desk, point: str) -> None:
    """Row: event loop stalled by disk."""
    stored = await desk.done(size=MIB)
    with desk.service.points.armed(point, "hold"):
        promises = [await desk.later(size=MIB) for _ in range(4)]
        await assert_answers(desk)
        assert await desk.look(stored) is Seen.COMPLETED
        assert [await desk.look(promise) for promise in promises] == [Seen.RUNNING] * len(promises)
    assert [await desk.outcome(promise) for promise in promises] == [Seen.COMPLETED] * len(promises)


async def test_a_database_that_hangs_holds_up_nobody_who_needs_no_operation(desk: Desk) -> None:
    """Row: event loop stalled by disk: a commit that does not return."""
    stored = await desk.done(size=MIB)
    with desk.origin.held():
        running = await desk.later()
    with desk.service.points.armed("before-settle-commit", "hold"):
        hanging = await desk.now("GET")
        assert isinstance(hanging, Work)
        await assert_answers(desk)
        assert await desk.look(stored) is Seen.COMPLETED
    assert await desk.outcome(running) is Seen.COMPLETED
