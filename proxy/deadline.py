"""A deadline that is set again and again, and hardly ever met.

Every exchange waits under one, and every connection of a client; almost all that is waited for comes long before it. So
the timer is left standing when a wait is over: when it fires it looks what is to be met now, and is set again if that
is later. A deadline is kept to the millisecond all the same.
"""

import asyncio
from collections.abc import Callable
from math import inf
from typing import Final, NamedTuple

from proxy.errors import OriginTimeout

TICK: Final = 0.001  # seconds: the event loop's timers are no finer


class _Standing:
    """A timer that is left standing, for one deadline at a time by the clock of the event loop."""

    __slots__ = ("_at", "_fires", "_timer")

    def __init__(self) -> None:
        self._at = inf
        self._timer: asyncio.TimerHandle | None = None
        self._fires = inf

    def cancel(self) -> None:
        """Nobody will wait any more: let go of the event loop."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer, self._fires = None, inf

    def _set(self, loop: asyncio.AbstractEventLoop, at: float) -> None:
        self._at = at
        if at < self._fires:
            self._start(loop)

    def _start(self, loop: asyncio.AbstractEventLoop) -> None:
        self.cancel()
        self._timer, self._fires = loop.call_at(self._at, self._look, loop), self._at

    def _look(self, loop: asyncio.AbstractEventLoop) -> None:
        self._timer, self._fires = None, inf
        if loop.time() + TICK >= self._at:
            self._missed()
        elif self._at < inf:
            self._start(loop)

    def _missed(self) -> None:
        raise NotImplementedError


class Deadline(_Standing):
    """Calls `missed` when it has passed."""

    __slots__ = ("_call", "_loop")

    def __init__(self, loop: asyncio.AbstractEventLoop, missed: Callable[[], None]) -> None:
        super().__init__()
        self._loop = loop
        self._call = missed

    def set(self, at: float) -> None:
        """From now on it is this one."""
        self._set(self._loop, at)

    def _missed(self) -> None:
        self._call()


class Late(NamedTuple):
    """What is said of an origin that was too slow."""

    detail: str
    error_type: str


class OriginDeadline(_Standing):
    """Ends a wait for an origin with OriginTimeout."""

    __slots__ = ("_late", "_waiter")

    def __init__(self) -> None:
        super().__init__()
        self._waiter: asyncio.Future[None] | None = None
        self._late: Late | None = None

    def set(self, waiter: asyncio.Future[None], at: float, late: Late) -> None:
        """End this wait if it is not over by then."""
        self._waiter, self._late = waiter, late
        self._set(waiter.get_loop(), at)

    def _missed(self) -> None:
        waiter, late = self._waiter, self._late
        if waiter is not None and late is not None and not waiter.done():
            waiter.set_exception(OriginTimeout(late.detail, error_type=late.error_type))
