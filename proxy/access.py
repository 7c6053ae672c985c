"""The line that the log has for every request, and the ids by which requests are found in it."""

import logging
from collections.abc import Iterator, Mapping
from secrets import token_hex
from typing import Final

import structlog

ID_DIGITS: Final = 32  # 128 random bits
IDS_AT_ONCE: Final = 256


class AccessLog:
    """Writes access lines, and knows whether anybody wants them. Made after logging is configured."""

    def __init__(self) -> None:
        self._log = structlog.get_logger().bind()  # to what is configured, which the module's loggers look up each time
        self.enabled: bool = self._log.is_enabled_for(logging.INFO)

    def line(
        self,
        *,
        status: int,
        method: str,
        path: str,
        seconds: float,
        sent: int,
        received: int | None,
        route: str,
        peer: str,
        request_id: str | None,
        error: Mapping[str, str | None],
    ) -> None:
        """Write the line of a request that is over. `path` is without query; `sent` is in bytes, of the content.

        `received` is what came from the client through a tunnel, else None.
        """
        log = self._log
        log.info(
            "request",
            status=status,
            method=method,
            path=path,
            seconds=round(seconds, 4),
            bytes=sent,
            received=received,
            route=route,
            peer=peer,
            id=request_id,
            **error,
        )


def request_ids() -> Iterator[bytes]:
    """Ids for requests that came without one, drawn in blocks: asking the system for random bytes is what costs."""
    while True:
        digits = token_hex(IDS_AT_ONCE * ID_DIGITS // 2).encode()
        for start in range(0, len(digits), ID_DIGITS):
            yield digits[start : start + ID_DIGITS]
