"""Figures of a process as plain data, so that those of several can be sent, kept and summed."""

from collections import Counter
from collections.abc import Iterable, Mapping
from operator import add
from typing import Final, NamedTuple, TypedDict

Sample = tuple[str, dict[str, str], float]  # name, labels, value; a list where it comes from JSON

GAUGE: Final = "gauge"  # the kind that ends with its process


class Family(TypedDict):
    """One metric with all its samples."""

    name: str
    type: str
    whole: bool  # whether each process tells of the whole service, so that the highest counts and not the sum
    documentation: str
    samples: list[Sample]


Figures = list[Family]

# Upper bounds of what is counted together, in seconds: close enough for percentiles, from 1 ms to an hour.
SECONDS: Final = (
    0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 20, 30, 60, 120, 300, 600, 1200, 1800, 3600,
)  # fmt: skip


class Counted(NamedTuple):
    """What was counted of a route, in short: all figures of many routes are more than is looked at every few seconds."""

    accepted: int  # answered with 202
    in_time: int  # might have been, but the origin was faster
    took: list[int]  # requests that took more than one of SECONDS and at most the next; the last are above all of them
    failures: dict[str, int]  # of requests and of operations, by code


ByRoute = Mapping[str, Counted]


def summed(parts: Iterable[Figures]) -> Figures:
    """Sample by sample, the sum of them all; the highest, where each tells of the whole."""
    families: dict[str, Family] = {}
    values: dict[str, dict[tuple[str, tuple[tuple[str, str], ...]], float]] = {}
    for family in (family for figures in parts for family in figures):
        name = family["name"]
        families.setdefault(name, family)
        sums = values.setdefault(name, {})
        for sample, labels, value in family["samples"]:
            key = sample, tuple(labels.items())
            before = sums.get(key, 0)
            sums[key] = max(before, value) if family["whole"] else before + value
    return [_with(family, values[name]) for name, family in families.items()]


def counted(parts: Iterable[ByRoute]) -> dict[str, Counted]:
    """What they come to together. A route's may be a list, as it comes from JSON."""
    found: dict[str, Counted] = {}
    for routes in parts:
        for route, one in routes.items():
            found[route] = _plus(found[route], *one) if route in found else Counted(*one)
    return found


def lasting(figures: Figures) -> Figures:
    """Those that stay true when the process is gone: what was counted, not how things stood."""
    return [family for family in figures if family["type"] != GAUGE]


def single(name: str, type: str, documentation: str, value: float) -> Family:
    """A metric with one sample and no labels."""
    sample = f"{name}_total" if type == "counter" else name
    return Family(name=name, type=type, whole=False, documentation=documentation, samples=[(sample, {}, value)])


def _plus(one: Counted, accepted: int, in_time: int, took: list[int], failures: dict[str, int]) -> Counted:
    return Counted(
        one.accepted + accepted,
        one.in_time + in_time,
        list(map(add, one.took, took)),
        dict(Counter(one.failures) + Counter(failures)),
    )


def _with(family: Family, sums: dict[tuple[str, tuple[tuple[str, str], ...]], float]) -> Family:
    samples: list[Sample] = [(sample, dict(labels), value) for (sample, labels), value in sums.items()]
    return {**family, "samples": samples}
