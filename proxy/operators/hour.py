"""The last hour of every route, from what was counted: plain arithmetic on figures that were taken every few seconds.

Figures only grow. A point is what they have grown by since the ones before, per second; durations are estimated from
the buckets of their histogram, as Prometheus does.
"""

from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from itertools import islice
from math import inf
from typing import Any, Final, NamedTuple

from proxy.figures import Figures, Sample

STEP: Final = 10.0  # seconds
LENGTH: Final = 360  # points: an hour
PREFIX: Final = "respond_async_"
FAILURES: Final = ("errors_total", "operation_failures_total")


class Point(NamedTuple):
    """A route during one step."""

    requests: float  # a second
    operations: float  # a second
    p50: float | None  # seconds that so many of the requests took at most; None: there were none
    p95: float | None
    p99: float | None
    in_time: float | None  # of those that might have been answered later, the share that was answered at once
    failures: dict[str, int]  # by code


class Moment(NamedTuple):
    """All routes that there was something of, during one step."""

    number: int  # one after the other, from 1
    at: float  # when the step ended
    points: dict[str, Point]


def sent_moment(parts: list[Any]) -> Moment:
    """One that came as JSON."""
    number, at, points = parts
    return Moment(number, at, {route: Point(*values) for route, values in points.items()})


@dataclass(slots=True)
class Counted:
    """What was counted of a route until some time."""

    requests: float = 0
    accepted: float = 0
    in_time: float = 0
    buckets: dict[float, float] = field(default_factory=dict)  # how many took at most so many seconds
    failures: dict[str, float] = field(default_factory=dict)


NONE: Final = Counted()


class Hour:
    """Points of the last hour."""

    def __init__(self, begun: float) -> None:
        """`begun` is when counting began, by a clock that nobody sets."""
        self._moments: deque[Moment] = deque(maxlen=LENGTH)
        self._until = begun
        self._counted: dict[str, Counted] = {}

    def take(self, figures: Figures, until: float, at: float) -> None:
        """Make points of what was counted until then, by that clock, and note the time for them."""
        counted, seconds = by_route(figures), until - self._until
        if seconds > 0:
            self._moments.append(Moment(self.latest + 1, at, dict(_points(self._counted, counted, seconds))))
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

    def of(self, route: str) -> Iterator[tuple[float, Point]]:
        """The points of a route."""
        return ((moment.at, moment.points.get(route, QUIET)) for moment in self._moments)


QUIET: Final = Point(0.0, 0.0, None, None, None, None, {})


def by_route(figures: Figures) -> dict[str, Counted]:
    """Sort them by the routes that they are about."""
    found: dict[str, Counted] = {}
    for family in figures:
        for name, labels, value in family["samples"]:
            if "route" in labels:
                _count(found.setdefault(labels["route"], Counted()), (name.removeprefix(PREFIX), labels, value))
    return found


def point(before: Counted, now: Counted, seconds: float) -> Point:
    """What became of a route meanwhile."""
    accepted, in_time = _more(before.accepted, now.accepted), _more(before.in_time, now.in_time)
    took = {bound: _more(before.buckets.get(bound, 0), count) for bound, count in now.buckets.items()}
    return Point(
        requests=round(_more(before.requests, now.requests) / seconds, 3),
        operations=round(accepted / seconds, 3),
        p50=quantile(0.50, took),
        p95=quantile(0.95, took),
        p99=quantile(0.99, took),
        in_time=round(in_time / (in_time + accepted), 4) if in_time + accepted else None,
        failures=_failures(before.failures, now.failures),
    )


def quantile(share: float, buckets: dict[float, float]) -> float | None:
    """What so large a share stays below, from how many stay below each bound; None if there is nothing.

    Within a bucket all are taken to be spread evenly, and those above the last finite bound to be at it.
    """
    total = buckets.get(inf, 0)
    if not total:
        return None
    rank, lower, below = share * total, 0.0, 0.0
    for bound in sorted(buckets):
        count = buckets[bound]
        if count >= rank and count > below:
            return lower if bound == inf else round(lower + (bound - lower) * (rank - below) / (count - below), 6)
        lower, below = bound, count
    return lower


def _points(before: dict[str, Counted], now: dict[str, Counted], seconds: float) -> Iterator[tuple[str, Point]]:
    for route, counted in now.items():
        one = point(before.get(route, NONE), counted, seconds)
        if one != QUIET:
            yield route, one


def _count(counted: Counted, sample: Sample) -> None:
    match sample:
        case "requests_total", _, value:
            counted.requests += value
        case "preferences_total", {"outcome": "accepted"}, value:
            counted.accepted += value
        case "preferences_total", {"outcome": "in_time"}, value:
            counted.in_time += value
        case "request_seconds_bucket", {"le": bound}, value:
            counted.buckets[float(bound)] = value
        case name, {"code": code}, value if name in FAILURES:
            counted.failures[code] = counted.failures.get(code, 0) + value


def _failures(before: dict[str, float], now: dict[str, float]) -> dict[str, int]:
    more = {code: int(_more(before.get(code, 0), count)) for code, count in now.items()}
    return {code: count for code, count in more.items() if count}


def _more(before: float, now: float) -> float:
    """What is counted only grows, as long as nobody counts anew."""
    return max(now - before, 0)
