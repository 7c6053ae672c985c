"""Lists of operations: which are wanted, those that were found, and where the list goes on.

The newest come first, in the order in which they were created in the store. A position lies between two operations; it
stays where it is when operations come and go.
"""

from dataclasses import dataclass
from math import inf
from typing import Final, NamedTuple

from proxy.operation import Operation, State

UNSETTLED: Final = frozenset({State.QUEUED, State.RUNNING})
NOT_COMPLETED: Final = frozenset({State.FAILED, State.DISMISSED})
SETTLED: Final = frozenset({State.COMPLETED, *NOT_COMPLETED})
ANY: Final = frozenset(State)
LEEWAY: Final = 3600.0  # seconds by which clocks may have been set back: so much older, and all that follow are too


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which operations a list is to show. Tombstones are never shown."""

    states: frozenset[State] = ANY
    routes: frozenset[str] = frozenset()  # none: of all routes
    earliest: float = -inf  # time of creation
    latest: float = inf

    def includes(self, operation: Operation) -> bool:
        return (
            operation.state in self.states
            and (not self.routes or operation.route in self.routes)
            and self.earliest <= operation.created <= self.latest
        )

    def ends_before(self, created: float) -> bool:
        """Whether none is wanted that was created before one of that time."""
        return created < self.earliest - LEEWAY


class Page(NamedTuple):
    """A part of a list."""

    operations: list[Operation]  # without the bytes of their bodies
    next: int | None  # position from which on there may be more; None: that was all
