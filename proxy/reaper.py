"""What time does to operations: what dead processes left is taken over, what is overdue settled, the expired dropped.

What was learned meanwhile of how long they take is shared.
"""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Final

import structlog

from proxy import chronicle
from proxy.errors import OriginTimeout, StoreUnavailable
from proxy.ledger import Ledger
from proxy.operation import Failure
from proxy.store import Usage

Step = Callable[[], Awaitable[None]]  # of a round; raises StoreUnavailable

log = structlog.get_logger()

ROUND: Final = 2.0  # seconds between two looks
OVERDUE: Final = "The response was not complete in time, and the process that ran it did not say so."
WHY: Final = (
    "The origin's response was not complete in time (respond_async.timeout of route {}), and the process that ran it did"
    " not say so."
)


class Reaper:
    """One loop over the store."""

    def __init__(self, ledger: Ledger, take_over: Step, share: Step) -> None:
        """`share` tells others how long operations take here, and learns it from them."""
        self._ledger = ledger
        self._take_over = take_over
        self._share = share
        self._called = asyncio.Event()
        self.usage = Usage(0, 0, 0, 0)  # of the store, at the last look

    def look_now(self) -> None:
        """Do not wait for the next round: a process has died."""
        self._called.set()

    async def run(self) -> None:
        """Look again and again, until cancelled. Trouble of the store's is left for the next time."""
        while True:
            self._called.clear()
            await self.look()
            with suppress(TimeoutError):
                async with asyncio.timeout(ROUND):
                    await self._called.wait()

    async def look(self) -> None:
        """One round, in which trouble at one step keeps no other from its turn."""
        steps = (self._take_over, self._settle_overdue, self._drop_expired, self._measure, self._share)
        troubles = [trouble for step in steps if (trouble := await _trouble_at(step)) is not None]
        for reason, cause in dict.fromkeys((trouble.detail, trouble.cause) for trouble in troubles):
            log.warning("store not swept", reason=reason, cause=cause)

    async def _settle_overdue(self) -> None:
        """Settle what runs beyond its timeout: its keeper lives, but is stopped or stuck."""
        for operation in await self._ledger.store.overdue(self._ledger.monotonic()):
            failure = Failure.of(OriginTimeout(OVERDUE))
            why = WHY.format(operation.route)
            await self._ledger.settle(operation.failed(failure, self._ledger.now(), why))

    async def _drop_expired(self) -> None:
        if count := await self._ledger.store.expire(self._ledger.now()):
            chronicle.expired(count)

    async def _measure(self) -> None:
        self.usage = await self._ledger.store.usage()


async def _trouble_at(step: Step) -> StoreUnavailable | None:
    """What the store had against it, if that was it."""
    try:
        await step()
    except StoreUnavailable as exc:
        return exc
    except Exception:  # without rounds nothing that is left would ever end
        log.exception("round failed")
    return None
