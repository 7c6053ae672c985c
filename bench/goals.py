"""What is wanted of the proxy, and whether it was reached: medians of what was measured one after the other."""

from collections.abc import Callable
from typing import Final, NamedTuple

from bench.cases.observed import OFF, ON
from bench.rounds import Rounds, Series, Spread, differences, ratios, spread

OURS: Final = "ours"


class Goal(NamedTuple):
    """One line of the table. `value` makes a series of a case's rounds; KeyError where a contender is missing."""

    case: str
    measured: str
    value: Callable[[Rounds], Series]
    limit: float
    at_least: bool  # or at most
    unit: str = ""

    @property
    def wanted(self) -> str:
        return f"{'≥' if self.at_least else '≤'} {number(self.limit)}{self.unit}"

    def met(self, reached: float) -> bool:
        return reached >= self.limit if self.at_least else reached <= self.limit


class Verdict(NamedTuple):
    """A goal, and how it stands."""

    goal: Goal
    reached: Spread

    @property
    def met(self) -> bool:
        return self.goal.met(self.reached.median)


def judged(cases: dict[str, Rounds]) -> list[Verdict]:
    """All goals of which the cases tell something."""
    verdicts = []
    for goal in GOALS:
        try:
            series = goal.value(cases[goal.case])
        except KeyError:  # not measured, or not against this one
            continue
        verdicts.append(Verdict(goal, spread(series)))
    return verdicts


def number(value: float) -> str:
    """With three digits that count, and without an exponent."""
    if abs(value) >= 100:
        return f"{value:,.0f}"
    return f"{value:.3g}" if abs(value) >= 0.001 else f"{value:.3f}"


def _of(figure: str, contender: str = OURS) -> Callable[[Rounds], Series]:
    return lambda rounds: rounds[contender][figure]


def _ratio(figure: str, other: str) -> Callable[[Rounds], Series]:
    """Ours, as a multiple of another's."""
    return _kept(figure, OURS, other)


def _kept(figure: str, one: str, other: str) -> Callable[[Rounds], Series]:
    """One contender's, as a multiple of another's."""
    return lambda rounds: ratios(rounds[one][figure], rounds[other][figure])


def _more(figure: str, other: str) -> Callable[[Rounds], Series]:
    """How much more ours is than another's."""
    return lambda rounds: differences(rounds[OURS][figure], rounds[other][figure])


def _largest(figure: str) -> Callable[[Rounds], Series]:
    """Of the contender that stands last: that of the most operations."""
    return lambda rounds: list(rounds.values())[-1][figure]


def _grown(figure: str) -> Callable[[Rounds], Series]:
    """How much more it is with the most operations than with the fewest."""

    def value(rounds: Rounds) -> Series:
        few, many = rounds.values()
        return differences(many[figure], few[figure])

    return value


def _doubled(figure: str) -> Callable[[Rounds], Series]:
    """With two workers, as a multiple of that with one."""
    return _kept(figure, "2 workers", "1 worker")


GOALS: Final = (
    Goal("small", "requests/s against nginx", _ratio("requests/s", "nginx"), 0.5, at_least=True),
    Goal("small", "requests/s against the naive proxy", _ratio("requests/s", "naive"), 2.5, at_least=True),
    Goal("latency", "median latency over nginx's", _more("p50, ms", "nginx"), 0.15, at_least=False, unit=" ms"),
    Goal("large", "download against nginx", _ratio("down, MB/s", "nginx"), 0.6, at_least=True),
    Goal("large", "upload against nginx", _ratio("up, MB/s", "nginx"), 0.6, at_least=True),
    Goal("large", "memory of the download", _of("down, MiB over idle"), 32, at_least=False, unit=" MiB"),
    Goal("large", "memory of the upload", _of("up, MiB over idle"), 32, at_least=False, unit=" MiB"),
    Goal(
        "operations",
        "operations/s against the naive proxy's requests/s",
        lambda rounds: ratios(rounds[OURS]["operations/s"], rounds["naive"]["requests/s"]),
        0.4,
        at_least=True,
    ),
    Goal("operations", "lag at half load, p50", _of("lag p50, ms"), 3, at_least=False, unit=" ms"),
    Goal("operations", "lag at half load, p99", _of("lag p99, ms"), 15, at_least=False, unit=" ms"),
    Goal("operations", "one at a time: accept latency, p99", _of("accepted p99, ms"), 5, at_least=False, unit=" ms"),
    Goal("polls", "polls/s against a bare aiohttp server", _ratio("polls/s", "bare aiohttp"), 0.5, at_least=True),
    Goal(
        "crowd",
        "memory of a running operation",
        _of("memory per running operation, KiB"),
        16,
        at_least=False,
        unit=" KiB",
    ),
    Goal("crowd", "a synchronous request meanwhile, p99", _of("p99 with these, ms"), 20, at_least=False, unit=" ms"),
    Goal(
        "stored",
        "GET of a result, p99, over that in a small store",
        _grown("GET p99, ms"),
        2,
        at_least=False,
        unit=" ms",
    ),
    Goal(
        "stored",
        "longest wait for a synchronous request while many are swept",
        _largest("longest request meanwhile, ms"),
        20,
        at_least=False,
        unit=" ms",
    ),
    Goal(
        "stored",
        "longest wait for a GET while many are swept",
        _largest("longest GET meanwhile, ms"),
        20,
        at_least=False,
        unit=" ms",
    ),
    Goal("workers", "requests/s of 2 workers against 1", _doubled("requests/s"), 1.7, at_least=True),
    Goal("workers", "operations/s of 2 workers against 1", _doubled("operations/s"), 1.7, at_least=True),
    Goal("workers", "CPU time of a request, 2 workers against 1", _doubled("CPU µs/request"), 1.18, at_least=False),
    Goal(
        "workers", "CPU time of an operation, 2 workers against 1", _doubled("CPU µs/operation"), 1.18, at_least=False
    ),
    Goal(
        "observed",
        "requests/s with everything on against everything off",
        _kept("requests/s", ON, OFF),
        0.9,
        at_least=True,
    ),
    Goal("start", "first answered request", _of("first answer, s"), 0.5, at_least=False, unit=" s"),
    Goal("start", "`respond-async --version`", _of("--version, s"), 0.15, at_least=False, unit=" s"),
)
