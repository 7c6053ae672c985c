"""What is counted, as plain numbers that become figures when somebody looks.

A request is counted several times, and looked at seldom: counting costs a look-up and an addition, no more.
"""

from bisect import bisect_left
from collections import defaultdict
from collections.abc import Callable, Sequence
from itertools import accumulate
from math import inf

from proxy.figures import PASSING, Family, Sample, single


class Counts:
    """How often something happened, by the values of its labels."""

    def __init__(self, name: str, documentation: str, labels: Sequence[str]) -> None:
        self._name = name
        self._documentation = documentation
        self._labels = labels
        self._counts: defaultdict[tuple[object, ...], int] = defaultdict(int)

    def add(self, *values: object) -> None:
        """Count one more."""
        self._counts[values] += 1

    def family(self) -> Family:
        samples: list[Sample] = [
            (f"{self._name}_total", dict(zip(self._labels, map(str, values), strict=True)), float(count))
            for values, count in self._counts.items()
        ]
        return Family(name=self._name, type="counter", documentation=self._documentation, samples=samples)


class Durations:
    """How long something took, in seconds, by one label."""

    def __init__(self, name: str, documentation: str, label: str, bounds: Sequence[float]) -> None:
        self._name = name
        self._documentation = documentation
        self._label = label
        self._bounds = (*bounds, inf)
        self._buckets: defaultdict[str, list[int]] = defaultdict(lambda: [0] * len(self._bounds))
        self._sums: defaultdict[str, float] = defaultdict(float)

    def observe(self, value: str, seconds: float) -> None:
        """Count one more."""
        self._buckets[value][bisect_left(self._bounds, seconds)] += 1
        self._sums[value] += seconds

    def family(self) -> Family:
        samples = [sample for value in self._buckets for sample in self._samples(value)]
        return Family(name=self._name, type="histogram", documentation=self._documentation, samples=samples)

    def _samples(self, value: str) -> list[Sample]:
        """As Prometheus has them: each bucket with all that took less."""
        labels, up_to = {self._label: value}, list(accumulate(self._buckets[value]))
        return [
            *(
                (f"{self._name}_bucket", labels | {"le": _bound(bound)}, float(count))
                for bound, count in zip(self._bounds, up_to, strict=True)
            ),
            (f"{self._name}_count", labels, float(up_to[-1])),
            (f"{self._name}_sum", labels, self._sums[value]),
        ]


class Gauge:
    """How something stands, read when somebody looks."""

    def __init__(self, name: str, documentation: str, read: Callable[[], float]) -> None:
        self._name = name
        self._documentation = documentation
        self._read = read

    def family(self) -> Family:
        return single(self._name, PASSING, self._documentation, float(self._read()))


def _bound(bound: float) -> str:
    """A bound as Prometheus writes it."""
    return "+Inf" if bound == inf else repr(float(bound))
