"""The clocks: one for dates and expiry, one for deadlines, which nobody can set."""

import time
from email.utils import formatdate
from math import floor
from typing import Final

from proxy.words import timestamp

MILLISECOND: Final = 0.001  # seconds


class Clock:
    """What time it is."""

    def __init__(self) -> None:
        self._second = 0
        self._date = b""
        self._stamped = 0.0
        self._stamp = ""

    def now(self) -> float:
        """Seconds since the epoch."""
        return time.time()  # noqa: TID251  # the one place that reads it

    def monotonic(self) -> float:
        """Seconds since some moment that is the same for all processes of the machine until it restarts."""
        return time.monotonic()

    def timestamp(self, now: float) -> str:
        """This moment, of a moment ago, to the millisecond (RFC 3339); made once for those that come one after the other."""
        if not 0 <= now - self._stamped < MILLISECOND:
            self._stamped = floor(now / MILLISECOND) * MILLISECOND
            self._stamp = timestamp(now)
        return self._stamp

    def date(self) -> bytes:
        """Now, as the Date field wants it (RFC 9110 section 5.6.7); made once a second."""
        second = int(self.now())
        if second != self._second:
            self._second, self._date = second, formatdate(second, usegmt=True).encode()
        return self._date
