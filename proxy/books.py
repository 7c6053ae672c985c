"""Where the accounts of requests go when these are over: the metrics, the log, and the recent ones to look at."""

import structlog

from proxy.access import AccessLog
from proxy.account import Account
from proxy.clock import Clock
from proxy.errors import ProxyError
from proxy.metrics import Metrics
from proxy.recent import Recent

log = structlog.get_logger()


class Books:
    """Those of one process."""

    def __init__(self, metrics: Metrics, clock: Clock) -> None:
        self.metrics = metrics
        self.recent = Recent()
        self._access = AccessLog(clock)
        self._clock = clock

    def enter(self, account: Account) -> None:
        """Take the account of a request that is over now."""
        account.over()
        now = self._clock.now()  # the same wherever it is shown
        self.metrics.request(account)
        if self._access.enabled:
            self._access.write(account, now)
        if account.trace is not None:
            account.trace.over(account.facts, account.seconds)
        if account.notable:
            self.recent.add(account, now)

    def refuse(self, account: Account, error: ProxyError) -> None:
        """Take the account of what never became a request."""
        self.metrics.refused(error)
        what = {"peer": account.client.link.peer.address, "code": error.code, "detail": error.detail or None}
        log.info("request refused", id=account.id, **what, why=account.why)
        self.recent.add(account, self._clock.now())
