"""What a process knows of its own operations without asking the database.

An unsettled operation is its keeper's, and so the keeper's process knows how it stands, unless another process settled,
removed or took it over. Who does that leaves a mark in the keeper's file, after the commit and before it tells anybody:
one look at the file says whether everything that is known still holds. What was settled lately is known too, for its
client is about to ask.
"""

from collections import Counter
from collections.abc import Callable
from typing import Final

from proxy.operation import Operation

LATELY: Final = 0.25  # seconds that a removal shows late which left no mark
MOST: Final = 1024  # results that are known for so long at once
LARGEST: Final = 4096  # bytes of the body of one of them

Moment = tuple[bytes, int]


class Known:
    """The operations of one keeper, as far as they are known. Lives in the event loop."""

    def __init__(self, mark: Callable[[], bytes], clock: Callable[[], float]) -> None:
        self._mark = mark  # what others last left in the keeper's file
        self._clock = clock
        self._seen = mark()
        self._changes = 0
        self._changing: Counter[str] = Counter()  # what we are changing: others may see that before we know
        self._unsettled: dict[str, Operation] = {}
        self._settled: dict[str, Operation] = {}  # since `_turned`
        self._before: dict[str, Operation] = {}  # and in the quarter of a second before that
        self._turned = clock()

    def get(self, id: str) -> Operation | None:
        """The operation as it is; None if that is not known."""
        self._look()
        return self._unsettled.get(id) or self._settled.get(id) or self._before.get(id)

    def moment(self) -> Moment:
        """What has happened so far: to be asked before the database is."""
        self._look()
        return self._seen, self._changes

    def found(self, operation: Operation, since: Moment) -> None:
        """The database had it like this, some time since that moment, under this keeper."""
        if not operation.is_settled and operation.id not in self._changing and self.moment() == since:
            self._unsettled[operation.id] = operation

    def begin_change(self, id: str) -> None:
        """We are about to change it: until that is over, only the database knows how it stands."""
        self.forget(id)
        self._changing[id] += 1

    def end_change(self, id: str) -> None:
        """The change was made, or was not."""
        self._changing[id] -= 1
        if not self._changing[id]:
            del self._changing[id]

    def changed(self, operation: Operation, since: Moment) -> None:
        """It was changed to this by us, some time since that moment."""
        self.forget(operation.id)
        if self._seen != since[0]:
            return
        if not operation.is_settled:
            self._unsettled[operation.id] = operation
        elif _is_small(operation) and len(self._settled) < MOST:
            self._settled[operation.id] = operation

    def forget(self, id: str) -> None:
        """It was changed, and not by us, or is gone."""
        self._look()
        self._changes += 1
        for operations in (self._unsettled, self._settled, self._before):
            operations.pop(id, None)

    def retain(self, unsettled: set[str]) -> None:
        """Of the unsettled, only these may still be so."""
        for id in self._unsettled.keys() - unsettled:
            self.forget(id)

    def _look(self) -> None:
        mark, now = self._mark(), self._clock()
        if mark != self._seen:
            self._seen, self._unsettled, self._settled, self._before = mark, {}, {}, {}
        if now - self._turned >= LATELY:
            self._before, self._settled, self._turned = self._settled, {}, now


def _is_small(operation: Operation) -> bool:
    body = operation.body
    return body is None or (body.inline is not None and body.size <= LARGEST)
