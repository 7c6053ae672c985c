"""`python -m bench.asking`: when to ask again, simulated: how often clients ask that follow Retry-After, and how late they are.

Each operation is asked for by a client that does as it is told, from its 202 to the first answer after its end; then its
route learns how long it took, by the code of the product, from nothing on. No clock runs, and the figures are always
the same. What others do is judged with hindsight: the interval that would have been the best for these operations.
"""

import sys
from collections.abc import Callable, Iterable, Iterator
from math import ceil, exp, fsum
from pathlib import Path
from random import Random
from typing import Final, NamedTuple

from proxy.pace import Pace

FILE: Final = Path(__file__).parents[1] / "docs" / "asking.md"
BEGIN: Final = "<!-- simulated: `make asking` writes what follows -->"
END: Final = "<!-- simulated: to here -->"
OPERATIONS: Final = 1000  # of each kind
LONGEST: Final = 1800.0  # seconds: the default `timeout`
LAG: Final = 0.1  # of its duration: whoever sees the end of an operation later than that, and than a second, is late
LATE: Final = 0.05  # share of operations that may be seen late
INTERVALS: Final = range(1, 121)  # seconds: what clients might do without a Retry-After

Draw = Callable[[Random, float], float]  # the seconds that an operation takes, when this share of all is over

KINDS: Final[dict[str, Draw]] = {
    "always 60 s": lambda _, __: 60.0,
    "60 s, give or take 2 s": lambda random, _: random.gauss(60, 2),
    "uniform, 30 to 90 s": lambda random, _: random.uniform(30, 90),
    "log-normal, median 60 s, sigma 0.5": lambda random, _: 60 * exp(random.gauss(0, 0.5)),
    "log-normal, median 60 s, sigma 1": lambda random, _: 60 * exp(random.gauss(0, 1)),
    "exponential, mean 60 s": lambda random, _: random.expovariate(1 / 60),
    "half 5 s, half 120 s": lambda random, _: random.gauss(*random.choice([(5, 0.3), (120, 5)])),
    "Pareto, from 20 s on, alpha 1.5": lambda random, _: 20 * random.paretovariate(1.5),
    "drifting from 30 s to 120 s": lambda random, gone: random.gauss(30 + 90 * gone, 3),
    "always 5 s": lambda _, __: 5.0,
    "exponential, mean 3 s": lambda random, _: random.expovariate(1 / 3),
}


class Course(NamedTuple):
    """How it went with operations of one kind, in the mean of all."""

    asks: float  # for one operation
    late: float  # share of them that were seen late
    lag: float  # seconds from the end to the ask that saw it, for each second of duration


class Fixed(NamedTuple):
    """The same, for clients that always ask after so many seconds."""

    interval: int
    course: Course


class Comparison(NamedTuple):
    """Of operations of one kind."""

    ours: Course
    each_second: Course
    as_timely: Fixed  # the longest interval that keeps to the share that may be late
    as_near: Fixed  # the longest interval with as little lag


def durations(draw: Draw, number: int = OPERATIONS) -> list[float]:
    """Those of operations of one kind, always the same ones."""
    random = Random(7240)  # noqa: S311  # a simulation
    return [min(max(draw(random, index / number), 0.01), LONGEST) for index in range(number)]


def compared(taken: list[float]) -> Comparison:
    """What becomes of clients of operations that take so long."""
    ours = _course(taken, as_told(taken))
    fixed = [Fixed(interval, _course(taken, regular(taken, interval))) for interval in INTERVALS]
    return Comparison(
        ours,
        each_second=fixed[0].course,
        as_timely=max((one for one in fixed if one.course.late <= LATE), default=fixed[0]),
        as_near=max((one for one in fixed if one.course.lag <= ours.lag), default=fixed[0]),
    )


def as_told(taken: Iterable[float]) -> Iterator[tuple[int, float]]:
    """For each operation, how often it was asked for, and the lag, where clients follow Retry-After."""
    pace = Pace(at_once=1)
    for seconds in taken:
        age, asks = 0, 0
        while age < seconds:
            age, asks = age + pace.outlook.ask_after(age), asks + 1
        yield asks, age - seconds
        pace.observe(seconds)


def regular(taken: Iterable[float], interval: int) -> Iterator[tuple[int, float]]:
    """The same, where they ask at regular intervals."""
    for seconds in taken:
        asks = ceil(seconds / interval)
        yield asks, asks * interval - seconds


def is_late(lag: float, seconds: float) -> bool:
    """Whether the end of an operation of so many seconds was seen late."""
    return lag > max(LAG * seconds, 1.0) + 1e-9


def table(comparisons: dict[str, Comparison]) -> str:
    """All of it, in Markdown."""
    lines = [
        "| operations take | asks | late | lag | every second: asks | as timely: every | asks | as little lag: every | asks |",
        "|---|--:|--:|--:|--:|--:|--:|--:|--:|",
    ]
    for kind, (ours, each_second, as_timely, as_near) in comparisons.items():
        fixed = "".join(f" {one.interval} s | {one.course.asks:.1f} |" for one in (as_timely, as_near))
        lines.append(
            f"| {kind} | **{ours.asks:.1f}** | {ours.late:.1%} | {ours.lag:.1%} | {each_second.asks:.1f} |{fixed}"
        )
    return "\n".join(lines) + "\n"


def simulated() -> dict[str, Comparison]:
    """The comparison of every kind."""
    return {kind: compared(durations(draw)) for kind, draw in KINDS.items()}


def publish(drawn: str, document: Path = FILE) -> None:
    """Write the table into the document."""
    before, _, rest = document.read_text().partition(BEGIN)
    _, _, after = rest.partition(END)
    document.write_text(f"{before}{BEGIN}\n\n{drawn}\n{END}{after}")


def _course(taken: list[float], seen: Iterable[tuple[int, float]]) -> Course:
    asks, lags = zip(*seen, strict=True)
    late = sum(map(is_late, lags, taken))
    return Course(sum(asks) / len(taken), late / len(taken), fsum(lags) / fsum(taken))


def main() -> None:
    """Simulate, print, and write the document."""
    drawn = table(simulated())
    sys.stdout.write(drawn)
    publish(drawn)


if __name__ == "__main__":
    main()
