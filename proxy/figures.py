"""Figures of a process as plain data, so that those of several can be sent, kept and summed."""

from collections.abc import Iterable
from typing import Final, TypedDict

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


def lasting(figures: Figures) -> Figures:
    """Those that stay true when the process is gone: what was counted, not how things stood."""
    return [family for family in figures if family["type"] != GAUGE]


def single(name: str, type: str, documentation: str, value: float) -> Family:
    """A metric with one sample and no labels."""
    sample = f"{name}_total" if type == "counter" else name
    return Family(name=name, type=type, whole=False, documentation=documentation, samples=[(sample, {}, value)])


def _with(family: Family, sums: dict[tuple[str, tuple[tuple[str, str], ...]], float]) -> Family:
    samples: list[Sample] = [(sample, dict(labels), value) for (sample, labels), value in sums.items()]
    return {**family, "samples": samples}
