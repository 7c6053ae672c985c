"""What was promised with a 202, and what has become of it: the accounts that tests assert and a soak prints."""

import sys
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field, fields
from enum import Enum
from typing import Final

from tests.faults.work import MIB, Work


class Seen(Enum):
    """What a status URL says of an operation."""

    QUEUED = "queued"
    RUNNING = "running"
    COMPLETED = "completed"  # whole, and byte for byte what belongs to its number
    INTERRUPTED = "interrupted"
    FAILED = "failed"
    GONE = "gone"  # 404 or 410
    WRONG = "wrong"  # looks whole, and is not what the origin sent
    BROKEN_OFF = "broken off"  # the answer itself did not come to its end
    UNAVAILABLE = "unavailable"  # 503: the store is in trouble


SETTLED: Final = frozenset({Seen.COMPLETED, Seen.INTERRUPTED, Seen.FAILED})
UNREADABLE: Final = frozenset({Seen.UNAVAILABLE, Seen.BROKEN_OFF})  # nothing is said of it, by a service that ends


@dataclass(eq=False)
class Promise:
    """A 202 that a client has got."""

    work: Work
    path: bytes  # of the status URL
    deletions: int = 0  # DELETEs that were sent; the answers may have been lost
    deleted: bool = False  # and it was answered with 200
    seen: Seen | None = None  # what it was settled as, once a client has seen that
    lost: bool = False


@dataclass
class Counts:
    """The table at the end. What has to be zero is in MUST_BE_ZERO."""

    rounds: int = 0
    accepted: int = 0
    completed: int = 0
    interrupted: int = 0
    failed: int = 0
    deleted: int = 0
    answered: int = 0  # synchronously
    refused: int = 0  # connections, while nobody listened
    reset: int = 0  # connections, by a process that died
    lost: int = 0  # accepted, and no longer there
    stuck: int = 0  # neither settled nor sent again within five seconds of the restart
    sent_twice: int = 0  # a request that is not safe reached the origin more than once, a safe one more than twice
    truncated_as_whole: int = 0
    contradicted: int = 0  # settled one way, and later another; deleted, and there again
    damaged_requests: int = 0
    tracebacks: int = 0
    checks_failed: int = 0  # rounds that ended with a failed assertion
    connections_too_many: int = 0
    out_of_order: int = 0
    refused_by_reload: int = 0
    reset_by_reload: int = 0
    failed_by_reload: int = 0
    interrupted_by_reload: int = 0
    peak_memory: int = 0  # bytes, of one process
    descriptors_before: int = 0
    descriptors_after: int = 0

    def add(self, other: "Counts") -> None:
        """Those of another bench too: the highest memory, and the sum of all others."""
        for column in fields(self):
            mine, theirs = getattr(self, column.name), getattr(other, column.name)
            setattr(self, column.name, max(mine, theirs) if column.name == "peak_memory" else mine + theirs)

    def faults(self) -> dict[str, int]:
        """What has to be zero and is not."""
        return {name: getattr(self, name) for name in MUST_BE_ZERO if getattr(self, name)}

    def table(self) -> Iterator[str]:
        for column in fields(self):
            value = getattr(self, column.name)
            shown = f"{value / MIB:.0f} MiB" if column.name == "peak_memory" else str(value)
            must = "   must be 0" if column.name in MUST_BE_ZERO else ""
            yield f"{column.name.replace('_', ' '):24}{shown:>10}{must}"


MUST_BE_ZERO: Final = (
    "lost",
    "stuck",
    "sent_twice",
    "truncated_as_whole",
    "contradicted",
    "damaged_requests",
    "tracebacks",
    "checks_failed",
    "connections_too_many",
    "out_of_order",
    "refused_by_reload",
    "reset_by_reload",
    "failed_by_reload",
    "interrupted_by_reload",
)


@dataclass
class Ledger:
    """All promises so far, all requests that were sent, and the counts."""

    counts: Counts = field(default_factory=Counts)
    promises: list[Promise] = field(default_factory=list)
    sent: dict[int, Work] = field(default_factory=dict)  # by number, whatever was answered

    def promised(self, promise: Promise) -> None:
        self.promises.append(promise)
        self.counts.accepted += 1

    def note(self, promise: Promise, seen: Seen, *, was_deleted: bool) -> None:
        """A client saw this at its status URL, which was deleted already when it asked, or was not."""
        if seen is Seen.WRONG:
            self.counts.truncated_as_whole += 1
        elif seen is Seen.GONE:
            if not promise.deletions:
                self.lose(promise, "a client was told that there is none")
        elif seen in UNREADABLE:
            return
        elif was_deleted:
            self._contradict(promise, seen)
        elif seen in SETTLED:
            if promise.seen not in (None, seen):
                self._contradict(promise, seen)  # settled is for good
            promise.seen = promise.seen or seen

    def lose(self, promise: Promise, how: str) -> None:
        """Nobody knows of it any more, though nobody asked for that."""
        print(f"lost: {promise}: {how}", file=sys.stderr)  # noqa: T201  # what a soak shows of it
        self.counts.lost += not promise.lost
        promise.lost = True

    def _contradict(self, promise: Promise, seen: Seen) -> None:
        print(f"contradicted: {promise}: now it is {seen.value}", file=sys.stderr)  # noqa: T201  # as above
        self.counts.contradicted += 1

    def check_arrivals(self, arrivals: Counter[int], damaged: set[int]) -> None:
        """Who came to the origin too often, or not as it was sent."""
        most = {number: 2 if work.is_safe else 1 for number, work in self.sent.items()}
        self.counts.sent_twice = sum(arrivals[number] > limit for number, limit in most.items())
        self.counts.damaged_requests = len(damaged)

    def close(self) -> None:
        """Count how all of them ended."""
        how = Counter("deleted" if promise.deleted else promise.seen for promise in self.promises)
        self.counts.completed, self.counts.interrupted = how[Seen.COMPLETED], how[Seen.INTERRUPTED]
        self.counts.failed, self.counts.deleted = how[Seen.FAILED], how["deleted"]
