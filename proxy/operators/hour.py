"""The last hour of every route, from what was counted: plain arithmetic on what is taken every few seconds.

Counts only grow. A point is what they have grown by since the ones before, per second; of durations
it is told what they were at most, since all that is known of them is the buckets of their histogram, and their sum. Most routes are quiet most of the time, of which nothing is told; and
points are put into JSON once, by who makes them, since many may look at them.
"""

import json
from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import accumulate, islice
from operator import mul
from typing import Any, Final, NamedTuple

from proxy.figures import NONE, SECONDS, ByRoute, Counted, Took

STEP: Final = 10.0  # seconds
LENGTH: Final = 360  # steps: an hour
SHARES: Final = {"p50": 0.50, "p95": 0.95, "p99": 0.99}
OF_OPERATIONS: Final = [f"operation_{name}" for name in SHARES]

_json: Final = json.JSONEncoder(separators=(",", ":")).encode

Point = dict[str, Any]  # what a route did in a step; what it did not do is not there


class Moment(NamedTuple):
    """One step."""

    number: int  # one after the other, from 1
    at: float  # when it ended
    points: str  # JSON: an object with those of the routes that were not quiet


class Hour:
    """The steps of the last hour."""

    def __init__(self, begun: float) -> None:
        """`begun` is when counting began, by a clock that nobody sets."""
        self._moments: deque[Moment] = deque(maxlen=LENGTH)
        self._until = begun
        self._counted: ByRoute = {}

    def take(self, counted: ByRoute, until: float, at: float) -> None:
        """Make points of what was counted until then, by that clock, and note the time for them."""
        seconds = until - self._until
        if seconds > 0:
            points = _json(dict(_points(self._counted, counted, seconds)))
            self._moments.append(Moment(self.latest + 1, at, points))
            self._until, self._counted = until, counted

    def add(self, moments: Iterable[Moment]) -> None:
        """Take over what another one has, as far as it is not known yet."""
        self._moments.extend(moment for moment in moments if moment.number > self.latest)

    def after(self, number: int, most: int = LENGTH) -> list[Moment]:
        """Those that are later, the oldest first, and at most so many."""
        return list(islice((moment for moment in self._moments if moment.number > number), most))

    @property
    def latest(self) -> int:
        """The number of the last one; 0: there is none."""
        return self._moments[-1].number if self._moments else 0


def point(before: Counted, now: Counted, seconds: float) -> Point:
    """What became of a route meanwhile."""
    requests, operations = _took(before.requests, now.requests), _took(before.operations, now.operations)
    accepted, in_time = _more(before.accepted, now.accepted), _more(before.in_time, now.in_time)
    found: Point = {}
    if number := sum(requests.in_each):
        found["requests"] = round(number / seconds, 3)
        found.update(zip(SHARES, at_most(SHARES.values(), *requests), strict=True))
    if accepted:
        found["operations"] = round(accepted / seconds, 3)
    if any(operations.in_each):
        found.update(zip(OF_OPERATIONS, at_most(SHARES.values(), *operations), strict=True))
    if accepted or in_time:
        found["in_time"] = round(in_time / (in_time + accepted), 4)
    if failures := _failures(before.failures, now.failures):
        found["failures"] = failures
    return found


def at_most(
    shares: Iterable[float], in_each: Sequence[int], seconds: float, bounds: Sequence[float] = SECONDS
) -> Iterator[float]:
    """What so large shares took at most, from how many there are in each bucket, and what all took; there must be some.

    It is the upper bound of a bucket, or what the slowest can have taken, if all others were as fast as theirs allow.
    """
    lower = (0.0, *bounds)
    slowest = max(bucket for bucket, number in enumerate(in_each) if number)
    longest = lower[slowest] + max(seconds - sum(map(mul, lower, in_each)), 0.0)
    upper = (*bounds, longest)
    up_to = list(accumulate(in_each))
    for share in shares:
        bucket = next(bucket for bucket, number in enumerate(up_to) if number >= share * up_to[-1])
        yield round(min(upper[bucket], longest), 6)


def _took(before: Took, now: Took) -> Took:
    return Took(list(map(_more, before.in_each, now.in_each)), now.seconds - before.seconds)


def _points(before: ByRoute, now: ByRoute, seconds: float) -> Iterator[tuple[str, Point]]:
    for route, counted in now.items():
        known = before.get(route, NONE)
        if counted != known and (one := point(known, counted, seconds)):
            yield route, one


def _failures(before: Mapping[str, int], now: Mapping[str, int]) -> dict[str, int]:
    more = {code: _more(before.get(code, 0), count) for code, count in now.items()}
    return {code: count for code, count in more.items() if count}


def _more(before: int, now: int) -> int:
    """What is counted only grows, as long as nobody counts anew."""
    return max(now - before, 0)
