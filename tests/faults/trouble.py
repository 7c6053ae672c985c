"""A service whose disk takes nothing any more, and then does again: what has to hold meanwhile, and afterwards."""

from contextlib import AbstractContextManager, ExitStack
from typing import Final

from tests.faults.desk import Desk
from tests.faults.ledger import Seen
from tests.faults.work import MIB

SMALL: Final = 100  # bytes: a result that lives in the database
LARGE: Final = 2 * MIB  # one that needs a file
NOT_STORED: Final = frozenset({Seen.FAILED, Seen.RUNNING})  # to settle takes room too


async def assert_all_is_well(desk: Desk) -> None:
    """Everything can be stored and read again."""
    await desk.until_told("later")
    for size in (SMALL, LARGE):
        await desk.done(size=size)
    assert max(desk.origin.arrivals.values()) == 1, "a POST was sent twice"


async def assert_lives_through(desk: Desk, trouble: AbstractContextManager[None]) -> None:
    """A disk that takes nothing any more, and then does again."""
    stored = [await desk.done(size=size) for size in (SMALL, LARGE)]
    with ExitStack() as gate:
        gate.enter_context(desk.origin.held())
        running = [await desk.later(size=size) for size in (SMALL, LARGE)]
        with trouble:
            gate.close()  # only now are they answered
            promised = await desk.until_told("now")
            for _ in range(5):
                await desk.now()
            assert [await desk.look(promise) for promise in stored] == [Seen.COMPLETED, Seen.COMPLETED]
            assert await desk.outcome(running[1], seconds=1) in NOT_STORED
    assert await desk.outcome(running[1]) is Seen.FAILED, "its result came when there was no room for it"
    for promise in [running[0], *promised]:
        assert await desk.outcome(promise) in {Seen.COMPLETED, Seen.FAILED}
    assert [await desk.look(promise) for promise in stored] == [Seen.COMPLETED, Seen.COMPLETED]
    await assert_all_is_well(desk)
