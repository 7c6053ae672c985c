"""The line that the log has for every request, and the ids by which requests are found in it.

At level info every request has one, so lines of JSON are made here, from prepared parts, and go straight to where lines
go; all other formats are structlog's.
"""

import logging
from collections.abc import Iterator
from datetime import UTC, datetime
from json.encoder import encode_basestring_ascii as quoted
from secrets import token_hex
from typing import Final

import structlog

from proxy.account import Account
from proxy.observe import as_json, takes_json

ID_DIGITS: Final = 32  # 128 random bits
IDS_AT_ONCE: Final = 256

LINE: Final = (
    '{"timestamp": "%sZ", "level": "info", "event": "request", "status": %d, "method": "%s", "path": %s, "seconds": %.4f,'
    ' "bytes": %d, "received": %d, "route": "%s", "peer": %s, "plan": "%s", "end": "%s"%s}'
)


class AccessLog:
    """Writes access lines, and knows whether anybody wants them. Made after logging is configured."""

    def __init__(self) -> None:
        self._log = structlog.get_logger().bind()  # to what is configured, which the module's loggers look up each time
        self._put = takes_json()
        self.enabled: bool = self._log.is_enabled_for(logging.INFO)

    def write(self, account: Account) -> None:
        """Write the line of a request that is over."""
        if self._put is None:
            log = self._log
            log.info("request", **account.facts())
        else:
            self._put(_line(account, datetime.now(UTC)))


def _line(account: Account, now: datetime) -> str:
    """The same as `facts` has, in JSON."""
    client = account.client
    return LINE % (
        now.isoformat(timespec="microseconds")[:-6],
        account.status,
        client.head.method,
        quoted(account.path[: account.shown]),
        account.seconds,
        client.sent,
        client.received,
        account.route,
        quoted(client.link.peer.address),
        account.plan,
        account.end,
        _more(account),
    )


def _more(account: Account) -> str:
    """What not every request has."""
    more = f', "id": {quoted(account.id)}' if account.request_id else ""
    if (trace_id := account.trace_id) is not None:
        more += f', "trace": "{trace_id}"'
    if account.waiting is not None:
        more += f', "waiting": {account.waiting:.4f}'
    if account.origin is not None:
        more += f', "origin": {account.origin:.4f}'
    if account.operation is not None or account.why is not None or account.wrong is not None:
        more += f", {as_json({name: fact for name, fact in account.remarks().items() if fact is not None})[1:-1]}"
    return more


def request_ids() -> Iterator[bytes]:
    """Ids for requests that came without one, drawn in blocks: asking the system for random bytes is what costs."""
    while True:
        digits = token_hex(IDS_AT_ONCE * ID_DIGITS // 2).encode()
        for start in range(0, len(digits), ID_DIGITS):
            yield digits[start : start + ID_DIGITS]
