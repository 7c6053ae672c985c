"""The clocks: one for dates and expiry, one for deadlines, which nobody can set."""

import time
from datetime import UTC, datetime
from email.utils import formatdate
from typing import Final

TIMESTAMP: Final = "%s.%06dZ"


class Clock:
    """What time it is."""

    def __init__(self) -> None:
        self._second = 0
        self._date = b""
        self._stamped_second = 0
        self._stamp = ""

    def now(self) -> float:
        """Seconds since the epoch."""
        return time.time()  # noqa: TID251  # the one place that reads it

    def monotonic(self) -> float:
        """Seconds since some moment that is the same for all processes of the machine until it restarts."""
        return time.monotonic()

    def timestamp(self) -> str:
        """Now, to the microsecond (RFC 3339); what is above a second is made once in each."""
        past = self.now() - self._stamped_second
        if not 0 <= past < 1:
            past += self._stamped_second
            self._stamped_second = int(past)
            past -= self._stamped_second
            stamp = datetime.fromtimestamp(self._stamped_second, UTC).isoformat(timespec="seconds")
            self._stamp = stamp.removesuffix("+00:00")
        return TIMESTAMP % (self._stamp, past * 1_000_000)

    def date(self) -> bytes:
        """Now, as the Date field wants it (RFC 9110 section 5.6.7); made once a second."""
        second = int(self.now())
        if second != self._second:
            self._second, self._date = second, formatdate(second, usegmt=True).encode()
        return self._date
