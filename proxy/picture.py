"""What a route remembers of how long its exchanges took: small, bounded, slow to forget.

Durations are counted in bins that grow with them, so that all are known to within the same few per cent. A picture is a
value: two are joined by adding them up, in any order, and what is then too much is forgotten by making all of it weigh
less, so that what came last counts most. As bytes it takes four for each bin that is not empty. Sums are exact (fsum):
Python 3.12 adds otherwise than 3.11, and a share that differs in its last digit can differ in what is forgotten.
"""

import struct
from collections.abc import Iterable, Mapping
from math import fsum, log2
from typing import Final, Self

BINS_PER_OCTAVE: Final = 16  # the upper end of a bin is 4.4 % above the lower
SHORTEST: Final = 0.125  # seconds; all that is shorter is in the first bin
BINS: Final = 20 * BINS_PER_OCTAVE  # up to a day and a half; all that is longer is in the last
EDGES: Final = (0.0, *(SHORTEST * 2 ** (number / BINS_PER_OCTAVE) for number in range(1, BINS + 1)))  # of the bins

MEMORY: Final = 128.0  # exchanges that a picture weighs at most
FORGOTTEN: Final = 1 / 32  # a weight that is not worth keeping
_FORM: Final = "<HH"  # a bin, and its weight
_UNIT: Final = 256  # of weights, as they are written


def bin_of(seconds: float) -> int:
    """The bin of a duration."""
    if seconds <= SHORTEST:
        return 0
    return min(int(log2(seconds / SHORTEST) * BINS_PER_OCTAVE), BINS - 1)


class Picture:
    """Durations of the past, by their bins, each with its weight. Never changed."""

    __slots__ = ("total", "weights")

    def __init__(self, weights: Mapping[int, float]) -> None:
        self.weights = weights
        self.total = fsum(weights.values())

    @classmethod
    def of(cls, durations: Iterable[float]) -> Self:
        """What is known after these, in their order, and nothing else."""
        picture = cls({})
        for seconds in durations:
            picture = picture.joined({bin_of(seconds): 1.0})
        return picture

    @property
    def mean(self) -> float:
        """Of the durations, in seconds; 0 if there are none."""
        middles = ((EDGES[number] + EDGES[number + 1]) / 2 * weight for number, weight in self.weights.items())
        return fsum(middles) / (self.total or 1.0)

    def joined(self, others: Mapping[int, float]) -> Self:
        """With these weights too."""
        weights = dict(self.weights)
        for number, weight in others.items():
            weights[number] = weights.get(number, 0.0) + weight
        share = MEMORY / max(MEMORY, fsum(weights.values()))
        return type(self)({number: weight * share for number, weight in weights.items() if weight * share >= FORGOTTEN})

    def encode(self) -> bytes:
        """As it is stored."""
        return b"".join(
            struct.pack(_FORM, number, round(self.weights[number] * _UNIT)) for number in sorted(self.weights)
        )

    @classmethod
    def decode(cls, stored: bytes) -> Self:
        """The picture that was stored. What cannot be read is as good as nothing: it will be learned again."""
        try:
            weights = {number: weight / _UNIT for number, weight in struct.iter_unpack(_FORM, stored) if number < BINS}
        except struct.error:
            weights = {}
        return cls({}).joined(weights)
