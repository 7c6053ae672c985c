"""The service as a whole, over all its processes."""

import asyncio
from collections.abc import Callable, Iterator
from typing import NoReturn, Protocol

from proxy.clock import Clock
from proxy.figures import Figures
from proxy.metrics import by_route
from proxy.operators.hour import STEP, Hour, Moment
from proxy.operators.report import FIGURES, Answer, Question, Report, with_figures


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

    def __init__(self, report: Callable[[Question], tuple[Report, Iterator[Figures]]], clock: Clock) -> None:
        self._report = report
        self._clock = clock
        self._since = clock.now()
        self._hour = Hour(clock.monotonic())

    async def ask(self, question: Question) -> Answer:
        report, figures = self._report(question)
        told = []
        for some in figures:
            told.append(some)
            await asyncio.sleep(0)
        return Answer(with_figures(report, told), workers=1, since=self._since)

    async def moments(self, after: int) -> list[Moment]:
        return self._hour.after(after)

    async def keep_looking(self) -> NoReturn:
        """Make the points of its last hour."""
        while True:
            await asyncio.sleep(STEP)
            figures = (await self.ask(FIGURES)).report.get("figures", [])
            self._hour.take(by_route(figures), self._clock.monotonic(), self._clock.now())
