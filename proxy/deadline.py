"""A deadline that is set again and again, and hardly ever met.

Every exchange waits under one, and almost all are answered long before it. So the timer is left standing when a wait is
over: when it fires it looks what is to be met now, and is set again if that is later. A deadline is kept to the
millisecond all the same.
"""

import asyncio
from math import inf
from typing import Final, NamedTuple

from proxy.errors import OriginTimeout

TICK: Final = 0.001  # seconds: the event loop's timers are no finer


class Late(NamedTuple):
    """What is said of an origin that was too slow."""

    detail: str
    error_type: str


class Deadline:
    """The deadline of one wait at a time, for an origin."""

    __slots__ = ("_at", "_fires", "_late", "_timer", "_waiter")

    def __init__(self) -> None:
        self._waiter: asyncio.Future[None] | None = None
        self._at = 0.0  # by the clock of the event loop
        self._late: Late | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._fires = inf

    def set(self, waiter: asyncio.Future[None], at: float, late: Late) -> None:
        """End this wait with OriginTimeout if it is not over by then."""
        self._waiter, self._at, self._late = waiter, at, late
        if at < self._fires:
            self._start(waiter.get_loop())

    def cancel(self) -> None:
        """Nobody will wait any more: let go of the event loop."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer, self._fires = None, inf

    def _start(self, loop: asyncio.AbstractEventLoop) -> None:
        self.cancel()
        self._timer, self._fires = loop.call_at(self._at, self._look), self._at

    def _look(self) -> None:
        self._timer, self._fires = None, inf
        waiter, late = self._waiter, self._late
        if waiter is None or late is None or waiter.done():
            return  # whoever waits next starts a timer again
        loop = waiter.get_loop()
        if loop.time() + TICK < self._at:
            self._start(loop)
        else:
            waiter.set_exception(OriginTimeout(late.detail, error_type=late.error_type))
