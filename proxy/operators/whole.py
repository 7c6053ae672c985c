"""The service as a whole, over all its processes."""

import asyncio
from collections.abc import Callable
from typing import NoReturn, Protocol

from proxy.clock import Clock
from proxy.operators.hour import STEP, Hour, Moment
from proxy.operators.report import ROUTES, Answer, Question, Report


class Whole(Protocol):
    """Who can be asked for what only all processes together know."""

    async def ask(self, question: Question) -> Answer:
        """What they come to together."""
        ...

    async def moments(self, after: int) -> list[Moment]:
        """Some of the last hour's after the one of this number, the oldest first; none if there are no more."""
        ...


class Alone:
    """A service of one process."""

    def __init__(self, report: Callable[[Question], Report], clock: Clock) -> None:
        self._report = report
        self._clock = clock
        self._since = clock.now()
        self._hour = Hour(clock.monotonic())

    async def ask(self, question: Question) -> Answer:
        return Answer(self._report(question), workers=1, since=self._since)

    async def moments(self, after: int) -> list[Moment]:
        return self._hour.after(after)

    async def keep_looking(self) -> NoReturn:
        """Make the points of its last hour."""
        while True:
            await asyncio.sleep(STEP)
            counted = self._report(ROUTES).get("routes", {})
            self._hour.take(counted, self._clock.monotonic(), self._clock.now())
