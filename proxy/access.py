"""The line that the log has for every request, and the ids by which requests are found in it.

At level info every request has one, so lines of JSON are made here, from prepared parts, and go straight to where lines
go; all other formats are structlog's.
"""

import asyncio
import logging
from collections.abc import Iterator
from json.encoder import encode_basestring_ascii as quoted
from secrets import token_hex
from typing import Final

import structlog

from proxy.account import Account
from proxy.clock import Clock
from proxy.observe import as_json, takes_json

log = structlog.get_logger()

ID_DIGITS: Final = 32  # 128 random bits
IDS_AT_ONCE: Final = 256

LONGEST: Final = 0.1  # seconds, of what is written quickly
WRITTEN: Final = [f"{tenths / 10_000:.4f}" for tenths in range(1_001)]  # each until then: to find it costs less


class AccessLog:
    """Writes access lines, and knows whether anybody wants them. Made after logging is configured.

    The lines of all requests that are over in one turn of the event loop are made together, after it: code that has just
    run runs again in half the time.
    """

    def __init__(self, clock: Clock) -> None:
        self._timestamp = clock.timestamp
        self._log = structlog.get_logger().bind()  # to what is configured, which the module's loggers look up each time
        self._put = takes_json()
        self._over: list[tuple[Account, float]] = []  # each with when it was
        self.enabled: bool = self._log.is_enabled_for(logging.INFO)

    def write(self, account: Account, now: float) -> None:
        """Have the line written of a request that is over now."""
        if not self._over:
            asyncio.get_running_loop().call_soon(self._write_all)
        self._over.append((account, now))

    def _write_all(self) -> None:
        over, self._over = self._over, []
        for account, now in over:
            try:
                self._write(account, now)
            except Exception:  # one line's defect is no other's
                log.exception("line not written", id=account.id)

    def _write(self, account: Account, now: float) -> None:
        put, waiting, origin = self._put, account.waiting, account.origin
        if put is None:
            self._log.info("request", **account.facts())
        elif waiting is None or origin is None or account.seconds > LONGEST or not account.is_ordinary:
            put(as_json({"timestamp": self._timestamp(now), "level": "info", "event": "request", **account.facts()}))
        else:  # the same, for most requests
            client = account.client
            put(
                f'{{"timestamp": "{self._timestamp(now)}", "level": "info", "event": "request", "status": {account.status},'
                f' "method": "{client.head.method}", "path": {quoted(account.path)},'
                f' "seconds": {WRITTEN[int(account.seconds * 10_000 + 0.5)]}, "bytes": {client.sent},'
                f' "received": {account.received}, "route": "{account.route}", "peer": "{client.link.peer.address}",'
                f' "plan": "{account.plan}", "end": "{account.end}", "id": {quoted(account.id)},'
                f' "waiting": {WRITTEN[int(waiting * 10_000 + 0.5)]}, "origin": {WRITTEN[int(origin * 10_000 + 0.5)]}}}'
            )


def request_ids() -> Iterator[bytes]:
    """Ids for requests that came without one, drawn in blocks: asking the system for random bytes is what costs."""
    while True:
        digits = token_hex(IDS_AT_ONCE * ID_DIGITS // 2).encode()
        for start in range(0, len(digits), ID_DIGITS):
            yield digits[start : start + ID_DIGITS]
