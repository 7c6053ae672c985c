"""Figures: what a measurement is made of, the contenders in turn, and the statistics of what comes of it."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from statistics import median
from typing import Final, NamedTuple

from bench.machine import Cores

MIB: Final = 1 << 20
Figures = Mapping[str, float]  # name, with the unit where it is not clear -> one round's value
Series = list[float]  # one figure, round by round
Rounds = dict[str, dict[str, Series]]  # contender -> figure -> series


class Effort(NamedTuple):
    """How much is done: sizes, lengths, repetitions."""

    rounds: int
    seconds: int  # of one round of a load
    size: int  # bytes of what is large
    crowds: int  # rounds with many running operations: each takes long, and is many requests
    running: int  # operations at once
    probes: int
    stored: int  # operations
    few: int  # operations of the small store
    swept: int  # operations
    once: int  # operations, one at a time


FULL: Final = Effort(5, 3, 1024 * MIB, 3, 10_000, 500, 1_000_000, 1_000, 100_000, 1_000)
QUICK: Final = Effort(2, 1, 64 * MIB, 1, 1_000, 100, 20_000, 1_000, 2_000, 200)


class Bench(NamedTuple):
    """What a case has to work with."""

    effort: Effort
    cores: Cores
    folder: Path  # a new one, removed afterwards


class Spread(NamedTuple):
    """A series in three figures."""

    low: float
    median: float
    high: float


def in_turn(rounds: int, contenders: Mapping[str, Callable[[], Figures]]) -> Rounds:
    """A B C A B C …, so that what the machine does meanwhile happens to all of them."""
    measured: Rounds = {name: {} for name in contenders}
    for _ in range(rounds):
        for name, measure in contenders.items():
            for figure, value in measure().items():
                measured[name].setdefault(figure, []).append(value)
    return measured


def joined(*parts: Rounds) -> Rounds:
    """The figures of several measurements of the same contenders."""
    together: Rounds = {}
    for part in parts:
        for name, figures in part.items():
            together[name] = together.get(name, {}) | figures
    return together


def spread(series: Iterable[float]) -> Spread:
    values = sorted(series)
    return Spread(values[0], median(values), values[-1])


def percentile(values: Iterable[float], percent: float) -> float:
    """The least value that is not below so many per cent of them (nearest rank)."""
    ordered = sorted(values)
    rank = -(-len(ordered) * percent // 100)  # rounded up
    return ordered[max(int(rank), 1) - 1]


def ratios(series: Sequence[float], others: Sequence[float]) -> Series:
    """Round by round: what was measured one after the other is compared with each other."""
    return [one / other for one, other in zip(series, others, strict=True)]


def differences(series: Sequence[float], others: Sequence[float]) -> Series:
    """Round by round, as for `ratios`."""
    return [one - other for one, other in zip(series, others, strict=True)]
