"""Figures of a process as plain data, so that those of several can be sent, kept and summed.

Of many routes there are many. So they are rows of numbers, which become text only where somebody reads them; and they
come in pieces, so that whoever makes, sends or shows them can do something else in between.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import chain
from operator import add
from typing import Final, NamedTuple, TypedDict, TypeVar

Row = tuple[Sequence[str], Sequence[float]]  # values of the labels, and numbers; a list where it comes from JSON
T = TypeVar("T")

GAUGE: Final = "gauge"  # the kind that ends with its process
HISTOGRAM: Final = "histogram"
MOST: Final = 100  # rows of one piece: work of less than a millisecond


class Family(TypedDict):
    """One metric, or a piece of it, with some of its rows."""

    name: str
    type: str
    whole: bool  # whether each process tells of the whole service, so that the highest counts and not the sum
    documentation: str
    labels: Sequence[str]  # their names
    bounds: Sequence[float]  # upper ones of a histogram's buckets; the last bucket is above them all
    rows: Sequence[Row]  # each with one number or, of a histogram, how many there are in each bucket, and their sum


Figures = list[Family]

# Upper bounds of what is counted together, in seconds: close enough for percentiles, from 1 ms to an hour.
SECONDS: Final = (
    0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 20, 30, 60, 120, 300, 600, 1200, 1800, 3600,
)  # fmt: skip


class Took(NamedTuple):
    """How long some things took."""

    in_each: Sequence[int]  # more than one of SECONDS and at most the next; the last are above them all
    seconds: float  # all together


class Counted(NamedTuple):
    """What was counted of a route, in short: the little that its last hour is made of."""

    accepted: int  # answered with 202
    in_time: int  # might have been, but the origin was faster
    requests: Took  # to the end of their answers, a 202 among these
    operations: Took  # from the 202 to the settling
    failures: Mapping[str, int]  # of requests and of operations, by code


NO_TIME: Final = Took([0] * (len(SECONDS) + 1), 0.0)
NONE: Final = Counted(0, 0, NO_TIME, NO_TIME, {})

ByRoute = Mapping[str, Counted]


def summed(parts: Iterable[Iterable[Family]]) -> Figures:
    """Row by row, the sum of them all; the highest, where each tells of the whole. Pieces of a family become one."""
    families: dict[str, Family] = {}
    sums: dict[str, dict[tuple[str, ...], Sequence[float]]] = {}
    for family in chain.from_iterable(parts):
        families.setdefault(family["name"], family)
        rows, both = sums.setdefault(family["name"], {}), max if family["whole"] else add
        for values, numbers in family["rows"]:
            key = tuple(values)
            rows[key] = list(map(both, rows[key], numbers)) if key in rows else numbers
    return [{**family, "rows": list(sums[name].items())} for name, family in families.items()]


def lasting(figures: Figures) -> Figures:
    """Those that stay true when the process is gone: what was counted, not how things stood."""
    return [family for family in figures if family["type"] != GAUGE]


def single(name: str, type: str, documentation: str, value: float) -> Family:
    """A metric with one number and no labels."""
    return Family(
        name=name, type=type, whole=False, documentation=documentation, labels=(), bounds=(), rows=[((), (value,))]
    )


def batches(rows: Iterable[T]) -> Iterator[list[T]]:
    """Some of them at a time, as they are now; one batch at least."""
    found = list(rows)
    return (found[start : start + MOST] for start in range(0, max(len(found), 1), MOST))


def pieces(figures: Iterable[Family]) -> Iterator[Family]:
    """The same in pieces."""
    return ({**family, "rows": some} for family in figures for some in batches(family["rows"]))


def packed(families: Iterable[Family]) -> Iterator[Figures]:
    """Some pieces at a time, as long as these are small."""
    pack: Figures = []
    rows = 0
    for family in families:
        pack.append(family)
        rows += len(family["rows"])
        if rows >= MOST:
            yield pack
            pack, rows = [], 0
    if pack:
        yield pack
