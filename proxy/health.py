"""Whether a server can be tried: what its connections and its checks have shown.

After `unhealthy_after` connections in a row that could not be made, a server is left alone for `unhealthy_for`; then one
attempt decides, while all others still leave it alone. A check that fails leaves it alone until one succeeds.
"""

import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from math import inf

import structlog

from proxy.errors import OriginError

log = structlog.get_logger()


class Health:
    """How one server does."""

    def __init__(self, origin: str, server: str, after: int, seconds: float, changed: Callable[[], None]) -> None:
        """`changed` is called when it may be worth looking again."""
        self._names = {"origin": origin, "server": server}
        self._after = after
        self._seconds = seconds
        self._changed = changed
        self._failures = 0  # connections in a row
        self._until: float | None = None  # when it may be tried again; None: at any time
        self._deciding = False  # an attempt is under way that decides
        self._reason: str | None = None  # why it was left alone last

    @property
    def left_alone(self) -> bool:
        return self._until is not None and (self._deciding or asyncio.get_running_loop().time() < self._until)

    @property
    def reason(self) -> str | None:
        """Why it is left alone, or has yet to show that it is back; None: it is well."""
        return None if self._until is None else self._reason

    @property
    def pause(self) -> float | None:
        """How long until it may be tried again; None: until it has changed."""
        if self._until is None or self._until == inf or self._deciding:
            return None
        return max(self._until - asyncio.get_running_loop().time(), 0)

    @contextmanager
    def attempt(self) -> Iterator[None]:
        """One attempt to connect, which tells by its end how the server does."""
        decides = self._until is not None
        self._deciding |= decides
        try:
            yield
        except OriginError as exc:
            self._failed(exc)
            raise
        else:
            if self._until != inf:
                self.well()
        finally:
            if decides:
                self._deciding = False
                self._changed()

    def well(self) -> None:
        """A connection could be made, or a check succeeded."""
        self._failures = 0
        if self._until is not None:
            self._until = None
            log.info("origin is back", **self._names)
            self._changed()

    def ill(self, reason: OriginError) -> None:
        """A check failed: leave the server alone until one succeeds."""
        self._leave_alone(inf, reason)

    def _failed(self, reason: OriginError) -> None:
        self._failures += 1
        if self._failures >= self._after and self._until != inf:
            self._leave_alone(asyncio.get_running_loop().time() + self._seconds, reason)

    def _leave_alone(self, until: float, reason: OriginError) -> None:
        if self._until is None:
            log.warning("origin left alone", **self._names, reason=reason.detail, cause=reason.cause)
        self._until, self._reason = until, reason.detail
