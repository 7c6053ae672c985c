"""Fault table, row: the clock jumps an hour either way while operations run.

P2: deadlines are monotonic, so nothing is settled early, and nothing is never settled; P1: nothing is lost.
"""

import pytest

from tests.faults.conftest import Open
from tests.faults.ledger import Seen
from tests.faults.work import MIB

HOUR = 3600

jumps = pytest.mark.parametrize("jump", [HOUR, -HOUR], ids=["forward", "back"])


@jumps
async def test_what_runs_goes_on_and_what_is_kept_is_kept(open_desk: Open, jump: int) -> None:
    """Row: clock jumps. Twice as long as the jump is how long results are kept here."""
    desk = await open_desk(keep="2h")
    kept = await desk.done(size=MIB)
    with desk.origin.held():
        running = await desk.later(size=MIB)
        desk.service.points.shift_clock(jump)
        assert await desk.look(running) is Seen.RUNNING
        assert await desk.look(kept) is Seen.COMPLETED
        assert await desk.outcome(running, seconds=3) is Seen.RUNNING, "the reaper has looked at it meanwhile"
    assert await desk.outcome(running) is Seen.COMPLETED
    await desk.done(size=MIB)
    desk.service.points.shift_clock(0)
    assert await desk.look(running) is Seen.COMPLETED
    assert await desk.look(kept) is Seen.COMPLETED


@jumps
async def test_a_timeout_takes_as_long_as_it_always_does(open_desk: Open, jump: int) -> None:
    """Row: clock jumps. An origin that never answers is given up although the clock says that there is an hour to go."""
    desk = await open_desk(timeout="2s")
    with desk.origin.held():
        promise = await desk.later()
        desk.service.points.shift_clock(jump)
        assert await desk.look(promise) is Seen.RUNNING
        assert await desk.outcome(promise) is Seen.FAILED


@jumps
async def test_after_a_restart_an_hour_earlier_or_later_all_is_settled(open_desk: Open, jump: int) -> None:
    """Row: clock jumps, across a crash."""
    desk = await open_desk(keep="2h")
    kept = await desk.done(size=MIB)
    with desk.origin.held():
        running = await desk.later("POST")
        await desk.service.kill()
        desk.service.points.shift_clock(jump)
        await desk.service.start()
        assert await desk.outcome(running, seconds=5) is Seen.INTERRUPTED
    assert await desk.look(kept) is Seen.COMPLETED
    assert desk.origin.arrivals[running.work.number] == 1
