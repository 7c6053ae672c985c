"""The store with what a change of it needs: the time, and who is told that an operation is settled."""

from collections.abc import Callable
from typing import Final, NamedTuple

from proxy.clock import Clock
from proxy.operation import Operation, State
from proxy.store import UNSETTLED, Store


class Course(NamedTuple):
    """How an operation came to its end, as far as who settles it knows. Lengths of time are seconds."""

    queued: float | None = None  # how long its request waited for its turn
    origin: float | None = None  # from its sending to the head of the response, or the end without one
    ended: float | None = None  # when the last byte of the response had come, by the ledger's monotonic clock
    lag: float | None = None  # from then until it was settled


UNKNOWN: Final = Course()

Told = Callable[[Operation, Course], None]


class Ledger:
    """Where operations are settled, whoever settles them."""

    def __init__(self, store: Store, clock: Clock, on_settled: Told) -> None:
        self.store = store
        self.now = clock.now  # for dates and expiry
        self.monotonic = clock.monotonic  # for deadlines
        self._on_settled = on_settled

    async def settle(
        self, operation: Operation, course: Course = UNKNOWN, states: frozenset[State] = UNSETTLED
    ) -> bool:
        """Settle it, if it is in one of these states, and nobody else has. Raises StoreUnavailable."""
        won = await self.store.settle(operation, states)
        if won:
            lag = None if course.ended is None else self.monotonic() - course.ended
            self._on_settled(operation, course._replace(lag=lag))
        return won
