"""What is wanted of the proxy, and whether it was reached: medians of what was measured one after the other."""

from collections.abc import Callable
from typing import Final, NamedTuple

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
    return f"{value:.3g}"


def _of(figure: str, contender: str = OURS) -> Callable[[Rounds], Series]:
    return lambda rounds: rounds[contender][figure]


def _ratio(figure: str, other: str) -> Callable[[Rounds], Series]:
    """Ours, as a multiple of another's."""
    return lambda rounds: ratios(rounds[OURS][figure], rounds[other][figure])


def _more(figure: str, other: str) -> Callable[[Rounds], Series]:
    """How much more ours is than another's."""
    return lambda rounds: differences(rounds[OURS][figure], rounds[other][figure])


GOALS: Final = (
    Goal("small", "requests/s against nginx", _ratio("requests/s", "nginx"), 0.5, at_least=True),
    Goal("small", "requests/s against the naive proxy", _ratio("requests/s", "naive"), 2.5, at_least=True),
    Goal("latency", "median latency over nginx's", _more("p50, ms", "nginx"), 0.15, at_least=False, unit=" ms"),
)
