"""What is counted, as plain numbers that become figures when somebody looks.

A request is counted several times, and looked at seldom: counting costs a look-up and an addition, no more.
"""

from bisect import bisect_left
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from math import inf

from proxy.figures import GAUGE, HISTOGRAM, Family, Row, batches

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

    def pieces(self) -> Iterator[Family]:
        """All of it as it stands; each piece as it is when it is taken."""
        for some in batches(self._counts.items()):
            rows: list[Row] = [(list(map(str, values)), (count.value,)) for values, count in some if count.value]
            yield Family(
                name=self._name,
                type="counter",
                whole=False,
                documentation=self._documentation,
                labels=self._labels,
                bounds=(),
                rows=rows,
            )


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

    def pieces(self) -> Iterator[Family]:
        """All of them as they stand; each piece as it is when it is taken."""
        for some in batches(self._series.items()):
            rows: list[Row] = [
                ((value,), (*series.buckets, series.sum)) for value, series in some if any(series.buckets)
            ]
            yield Family(
                name=self._name,
                type=HISTOGRAM,
                whole=False,
                documentation=self._documentation,
                labels=(self._label,),
                bounds=self._bounds[:-1],
                rows=rows,
            )


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

    def pieces(self) -> Iterator[Family]:
        """All that it has."""
        yield Family(
            name=self._name,
            type=GAUGE,
            whole=self._whole,
            documentation=self._documentation,
            labels=self._labels,
            bounds=(),
            rows=[(values, (value,)) for values, value in self._read().items()],
        )
