"""What can be told of an operation that is not settled: how long it may still take, how far it is, when to ask again.

A response of known length that is coming in tells by its rate; before that, the past of its route does. What nothing is
known of is left out, never made up.
"""

from math import ceil
from typing import Final, NamedTuple

from proxy.operation import Operation, Progress
from proxy.outlook import LONGEST, SOONEST, Outlook, by_age
from proxy.words import amount

SOON: Final = 0.2  # of the age: what is left of a response that is then asked for at its end, and not half-way
FIRST_RATE: Final = 1.0  # second after which it is known how fast a response comes in
FARTHEST: Final = 30 * 86_400.0  # seconds: nothing is foretold beyond that
LONGEST_AGE: Final = 10**10  # seconds that are written out
ROUGH: Final = 20  # seconds from which on an estimate is rounded to five


class Estimate(NamedTuple):
    """Of one operation, at one moment."""

    retry_after: int  # whole seconds, at least one
    words: str  # how far it is, or at least for how long it has been running; under 100 characters
    progress: str | None = None  # the same words, if they tell more than its age
    left: float | None = None  # seconds until it is settled
    done: int | None = None  # bytes of its response that are here
    size: int | None = None  # bytes that its response will have
    stranded: bool = False  # whether it waits until its origin can be reached, which nobody can foretell


def of_running(operation: Operation, now: float, outlook: Outlook) -> Estimate:
    """The estimate of an operation that has been sent."""
    age, arriving = operation.age(now), operation.progress
    left = None if arriving is None else _left_by_rate(arriving, now)
    if left is None:
        left, ask = outlook.left(age), outlook.ask_after(age)
    else:
        ask = _ask_by_rate(left, age)
    progress = _progress(arriving, left)
    words = progress or f"running for {min(int(age), LONGEST_AGE)} s"
    if left is None and outlook.is_exceeded(age):
        progress = words = f"{words}, longer than usual"
    done, size = (None, None) if arriving is None else (arriving.received, arriving.size)
    return Estimate(_retry_after(operation, ask), words, progress, left, done, size)


def of_queued(operation: Operation, now: float, outlook: Outlook, before: int, at_once: float) -> Estimate:
    """The estimate of one that waits for its turn behind so many others, of which so many are sent at once."""
    age, own = operation.age(now), outlook.left(0.0)
    left = None if own is None else _foretold((before + 1) * outlook.mean / at_once + own)
    ask = max(outlook.ask_after(0.0), by_age(age + (left or 0.0)))
    words = _place(before)
    if left is not None:
        words = f"{words}, about {span(left)} left"
    return Estimate(_retry_after(operation, ask), words, words, left)


def of_stranded(operation: Operation, now: float, before: int) -> Estimate:
    """The estimate of one that waits behind so many others until its origin can be reached again."""
    words = f"{_place(before)}, the origin cannot be reached"
    return Estimate(_retry_after(operation, by_age(operation.age(now))), words, words, stranded=True)


def span(seconds: float) -> str:
    """A length of time, as precise as an estimate is."""
    whole = max(round(seconds), 1)
    if whole >= ROUGH:
        whole = 5 * round(seconds / 5)
    for unit, size in (("d", 86_400), ("h", 3600), ("min", 60)):
        if whole >= 2 * size:
            return f"{round(whole / size)} {unit}"
    return f"{whole} s"


def _place(before: int) -> str:
    return f"queued, {before} before it" if before else "next in line"


def _progress(arriving: Progress | None, left: float | None) -> str | None:
    parts = []
    if arriving is not None and arriving.received:
        whole = "" if arriving.size is None else f" of {amount(arriving.size)}"
        parts.append(amount(arriving.received) + (whole or " received"))
    if left is not None:
        parts.append(f"about {span(left)} left")
    return ", ".join(parts) or None


def _left_by_rate(arriving: Progress, now: float) -> float | None:
    """Seconds until the whole response is there, if it goes on as it has come; None if that is not known."""
    taken = now - arriving.since
    if arriving.size is None or not arriving.received or taken < FIRST_RATE:
        return None
    return _foretold(max(arriving.size - arriving.received, 0) * taken / arriving.received)


def _ask_by_rate(left: float, age: float) -> int:
    """At the end, once that is near. Before, half-way: the rate may change."""
    return min(max(ceil(left if left <= SOON * age else left / 2), SOONEST), LONGEST)


def _foretold(seconds: float) -> float | None:
    return seconds if seconds <= FARTHEST else None


def _retry_after(operation: Operation, ask: int) -> int:
    return max(ceil(operation.retry_after), ask, 1)
