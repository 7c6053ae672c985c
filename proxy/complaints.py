"""Warnings that strangers can cause at will: each is told at once, and then how often it was repeated, now and then."""

import asyncio
from typing import Final, NamedTuple, Protocol

SILENCE: Final = 60.0  # seconds between two lines that say the same


class Complaint(NamedTuple):
    """What a line says. There are few different ones."""

    reason: str
    at: str | None  # the line of code


class Log(Protocol):
    """Writes the line; with `more`, so many more of it were not told."""

    def __call__(self, complaint: Complaint, **more: int) -> None: ...


class Complaints:
    """Those of one kind, in one process."""

    def __init__(self, log: Log) -> None:
        self._log = log
        self._more: dict[Complaint, int] = {}  # how often it was not told since it was
        self._timers: dict[Complaint, asyncio.TimerHandle] = {}

    def tell(self, complaint: Complaint) -> None:
        """Log it now, or count it for the next time."""
        if complaint in self._more:
            self._more[complaint] += 1
        else:
            self._log(complaint)
            self._be_silent(complaint)

    def close(self) -> None:
        """Tell of what was counted."""
        for complaint in list(self._more):
            self._timers.pop(complaint).cancel()
            if more := self._more.pop(complaint):
                self._log(complaint, more=more)

    def _be_silent(self, complaint: Complaint) -> None:
        self._more[complaint] = 0
        self._timers[complaint] = asyncio.get_running_loop().call_later(SILENCE, self._sum_up, complaint)

    def _sum_up(self, complaint: Complaint) -> None:
        del self._timers[complaint]
        if more := self._more.pop(complaint):
            self._log(complaint, more=more)
            self._be_silent(complaint)
