"""What is counted, as plain numbers that become figures when somebody looks.

A request is counted several times, and looked at seldom: counting costs a look-up and an addition, no more.
"""

from bisect import bisect_left
from collections import defaultdict
from collections.abc import Callable, Iterator, KeysView, Mapping, Sequence
from itertools import accumulate
from math import inf

from proxy.figures import GAUGE, Family, Sample

ByLabels = Mapping[tuple[str, ...], float]  # the values of labels, and what is counted of them


class Count:
    """How often something happened, or how much of it there was, with the same labels."""

    __slots__ = ("value",)

    def __init__(self) -> None:
        self.value = 0


class Counts:
    """The same, by the values of its labels."""

    def __init__(self, name: str, documentation: str, labels: Sequence[str]) -> None:
        self._name = name
        self._documentation = documentation
        self._labels = labels
        self._counts: defaultdict[tuple[object, ...], Count] = defaultdict(Count)

    def of(self, *values: object) -> Count:
        """That of these values: for who counts often, and keeps it. Nothing is shown of it before the first."""
        return self._counts[values]

    def add(self, *values: object) -> None:
        """Count one more."""
        self._counts[values].value += 1

    def so_far(self, *values: object) -> int:
        """How often that was."""
        count = self._counts.get(values)
        return 0 if count is None else count.value

    def items(self) -> Iterator[tuple[tuple[object, ...], int]]:
        """All that there was, and how often."""
        return ((values, count.value) for values, count in self._counts.items())

    def family(self) -> Family:
        samples: list[Sample] = [
            (f"{self._name}_total", dict(zip(self._labels, map(str, values), strict=True)), float(count.value))
            for values, count in self._counts.items()
            if count.value
        ]
        return Family(name=self._name, type="counter", whole=False, documentation=self._documentation, samples=samples)


class Series:
    """The durations of one label's value."""

    __slots__ = ("bounds", "buckets", "sum")

    def __init__(self, bounds: Sequence[float]) -> None:
        self.bounds = bounds  # upper ones, in seconds
        self.buckets = [0] * len(bounds)  # how many there are in each
        self.sum = 0.0  # seconds

    def add(self, seconds: float) -> None:
        """Count one more."""
        self.buckets[bisect_left(self.bounds, seconds)] += 1
        self.sum += seconds


class Durations:
    """How long something took, in seconds, by one label."""

    def __init__(self, name: str, documentation: str, label: str, bounds: Sequence[float]) -> None:
        self._name = name
        self._documentation = documentation
        self._label = label
        self._bounds = (*bounds, inf)
        self._series: dict[str, Series] = {}

    def of(self, value: str) -> Series:
        """Those of one value: for who counts often, and keeps them. Nothing is shown of them before the first."""
        if value not in self._series:
            self._series[value] = Series(self._bounds)
        return self._series[value]

    def so_far(self, value: str) -> list[int]:
        """How many there were of it in each bucket alone."""
        return self.of(value).buckets.copy()

    def values(self) -> KeysView[str]:
        """Those of the label that there was something of."""
        return self._series.keys()

    def family(self) -> Family:
        samples = [
            sample
            for value, series in self._series.items()
            if any(series.buckets)
            for sample in self._samples(value, series)
        ]
        return Family(
            name=self._name, type="histogram", whole=False, documentation=self._documentation, samples=samples
        )

    def _samples(self, value: str, series: Series) -> list[Sample]:
        """As Prometheus has them: each bucket with all that took less."""
        labels, up_to = {self._label: value}, list(accumulate(series.buckets))
        return [
            *(
                (f"{self._name}_bucket", labels | {"le": _bound(bound)}, float(count))
                for bound, count in zip(self._bounds, up_to, strict=True)
            ),
            (f"{self._name}_count", labels, float(up_to[-1])),
            (f"{self._name}_sum", labels, series.sum),
        ]


class Gauge:
    """How something stands, by the values of its labels, read when somebody looks."""

    def __init__(
        self,
        name: str,
        documentation: str,
        labels: Sequence[str],
        read: Callable[[], ByLabels],
        *,
        whole: bool = False,
    ) -> None:
        """`whole`: what is read is not the process's part, but all of it."""
        self._name = name
        self._documentation = documentation
        self._labels = labels
        self._read = read
        self._whole = whole

    def family(self) -> Family:
        samples: list[Sample] = [
            (self._name, dict(zip(self._labels, values, strict=True)), float(value))
            for values, value in self._read().items()
        ]
        return Family(
            name=self._name, type=GAUGE, whole=self._whole, documentation=self._documentation, samples=samples
        )


def _bound(bound: float) -> str:
    """A bound as Prometheus writes it."""
    return "+Inf" if bound == inf else repr(float(bound))
