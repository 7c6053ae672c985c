"""What is measured, case by case: each makes figures, `goals` says what they should be."""

from collections.abc import Callable
from typing import Final, NamedTuple

from bench.cases import crowd, large, latency, observed, operations, polls, small, start, stored, workers
from bench.rounds import Bench, Rounds


class Case(NamedTuple):
    """One measurement."""

    measure: Callable[[Bench], Rounds]
    needs: tuple[str, ...]  # programs without which there is nothing to measure


CASES: Final[dict[str, Case]] = {
    "small": Case(small.measure, ("nginx", "wrk")),
    "latency": Case(latency.measure, ("nginx", "wrk")),
    "large": Case(large.measure, ("nginx",)),
    "operations": Case(operations.measure, ("nginx", "wrk")),
    "polls": Case(polls.measure, ("wrk",)),
    "crowd": Case(crowd.measure, ()),
    "stored": Case(stored.measure, ("nginx",)),
    "workers": Case(workers.measure, ("nginx", "wrk")),
    "observed": Case(observed.measure, ("nginx", "wrk")),
    "start": Case(start.measure, ("nginx",)),
}
