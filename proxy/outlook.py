"""What a picture of the past says of an exchange that has run for so long: how long it may still take, when to ask again.

Who asks a tenth of its age later again and again notices its end with a lag of at most a tenth of its duration: that is
what is done where nothing is known. Where something is known, an ask is left out if hardly anything ends before the
next: one that asks at `t` finds late what had ended before `t / 1.1`, and that is held against the asks it saves.
"""

from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Mapping
from math import ceil, log
from typing import Final

from proxy.picture import BINS, EDGES, Picture, bin_of

LAG: Final = 0.1  # of its duration, by which the end of an operation may be noticed late
SOONEST: Final = 1  # second between two asks, and so by which any end may be noticed late
LONGEST: Final = 600  # seconds between two asks: who is told to wait longer will not come back
PRICE: Final = 200  # asks that may be saved for one operation more whose end is noticed later than that
DOUBT: Final = 0.5  # exchanges that may have ended where none was seen to end
MOST_KEPT: Final = 1024  # ages, in whole seconds, of which is known what was found out
RARE: Final = 0.02  # share of exchanges that are said to take longer than usual


class Outlook:
    """What one picture says."""

    def __init__(self, picture: Picture) -> None:
        self._seen = sorted(picture.weights)  # bins
        self._edges, self._below = _cumulated(picture.weights, self._seen)
        self._asks: dict[int, int] = {}  # what was found out, by whole seconds of age
        self.mean = picture.mean  # seconds; 0 where nothing is known
        self._has_end = picture.total > 0 and picture.weights.get(BINS - 1, 0.0) <= RARE * picture.total

    def left(self, age: float) -> float | None:
        """Seconds in which half of those have ended that took longer than that; None if hardly any is known that did."""
        below, total = self._weight_below(age), self._below[-1]
        if total - below <= RARE * total:
            return None
        return max(self._quantile((below + total) / 2) - age, 0.0)

    def is_exceeded(self, age: float) -> bool:
        """Whether hardly any is known that took longer than that, in whole seconds, as ages are told."""
        return self._has_end and self.left(int(age)) is None  # what is in the last bin may have taken any time

    def ask_after(self, age: float) -> int:
        """In how many whole seconds to ask again, at least one."""
        age = int(age)
        asked = self._asks.get(age)
        if asked is None:
            if len(self._asks) >= MOST_KEPT:  # all but its time is lost: the same is found out again
                self._asks.clear()
            asked = self._asks[age] = min(self._not_in_vain(age, self._best(age)), LONGEST)
        return asked

    def _best(self, age: float) -> int:
        """The ask that saves the most, less the price of what it finds late."""
        best = by_age(age)
        below, asks, most = self._weight_below(age), asks_by_age(age) + 1, 0.0
        left = self._below[-1] - below
        for seconds in self._worth_a_look(age, best):
            cost = PRICE * (self._late_at(age + seconds) - below)
            if cost > left * MOST_ASKS:  # as for all that come later
                break
            gain = left * (asks_by_age(age + seconds) - asks) - cost
            if gain > most:
                best, most = seconds, gain
        return best

    def _worth_a_look(self, age: float, more_than: int) -> Iterator[int]:
        """In how many seconds, more than so many, all of a bin has ended, or nearly all."""
        for number in self._seen[bisect_left(self._seen, bin_of(age + more_than)) :]:
            end = EDGES[number + 1] - age
            yield from (seconds for seconds in (int(end), ceil(end)) if seconds > more_than)

    def _late_at(self, asked: float) -> float:
        """The weight of what an ask finds late, if nobody asked before."""
        return self._weight_below(min(asked - SOONEST, asked / (1 + LAG)))

    def _not_in_vain(self, age: float, seconds: int) -> int:
        """So many seconds, or fewer, where nothing is known to end in the last of them."""
        place = bisect_left(self._seen, bin_of(age + seconds))
        if place == 0 or (place < len(self._seen) and EDGES[self._seen[place]] < age + seconds):
            return seconds
        end = EDGES[self._seen[place - 1] + 1]
        return min(ceil(end - age), seconds) if end > age else seconds

    def _weight_below(self, seconds: float) -> float:
        """The weight of all that took less."""
        return _between(seconds, self._edges, self._below)

    def _quantile(self, weight: float) -> float:
        """The duration below which there is so much weight."""
        return _between(weight, self._below, self._edges)


def by_age(age: float) -> int:
    """In how many seconds to ask again where nothing is known."""
    return min(max(int(LAG * age), SOONEST), LONGEST)


def asks_by_age(age: float) -> float:
    """How many asks by the age come before that age, about."""
    apart = SOONEST / LAG  # the age until which they are as soon as may be
    return age if age <= apart else apart + log(age / apart) / log(1 + LAG)


MOST_ASKS: Final = asks_by_age(EDGES[-1])


def _cumulated(weights: Mapping[int, float], seen: list[int]) -> tuple[list[float], list[float]]:
    """Durations, and the weight below each: in between, it grows evenly, and a little where no end was seen."""
    edges, below = [0.0], [0.0]
    for number in seen:
        if EDGES[number] > edges[-1]:
            edges.append(EDGES[number])
            below.append(below[-1] + DOUBT)
        edges.append(EDGES[number + 1])
        below.append(below[-1] + weights[number])
    return edges, below


def _between(value: float, known: list[float], wanted: list[float]) -> float:
    """What belongs to a value, where that is known of some, in rising order."""
    after = bisect_right(known, value)
    if after == len(known):
        return wanted[-1]
    share = (value - known[after - 1]) / (known[after] - known[after - 1])
    return wanted[after - 1] + share * (wanted[after] - wanted[after - 1])
