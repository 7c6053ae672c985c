"""The clocks: one for dates and expiry, one for deadlines, which nobody can set."""

import time
from datetime import UTC, datetime
from email.utils import formatdate


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
        now = self.now()
        second = int(now)
        if second != self._stamped_second:
            self._stamped_second = second
            self._stamp = datetime.fromtimestamp(second, UTC).isoformat(timespec="seconds").removesuffix("+00:00")
        return f"{self._stamp}.{int((now - second) * 1_000_000):06}Z"

    def date(self) -> bytes:
        """Now, as the Date field wants it (RFC 9110 section 5.6.7); made once a second."""
        second = int(self.now())
        if second != self._second:
            self._second, self._date = second, formatdate(second, usegmt=True).encode()
        return self._date
