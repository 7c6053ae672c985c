"""How long the exchanges of a route take, for those who ask when to come again."""

from math import ceil
from typing import Final

WEIGHT: Final = 0.2  # of the newest exchange in the mean: the last dozen counts
LONGEST: Final = 600  # seconds: who is told to wait longer will not come back


class Pace:
    """A moving mean of durations in seconds, of one route in one process."""

    def __init__(self) -> None:
        self._mean: float | None = None

    def observe(self, seconds: float) -> None:
        """Take another one into account."""
        self._mean = seconds if self._mean is None else self._mean + WEIGHT * (seconds - self._mean)

    def next_end(self, at_once: float) -> int:
        """In how many whole seconds, at least one, the next of so many that run at once may be expected to end."""
        return min(max(ceil((self._mean or 0) / at_once), 1), LONGEST)
