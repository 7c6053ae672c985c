"""What becomes of the operations that a dead process left behind.

What was never sent waits for its turn again, here. What was under way is sent once more where its method is safe or
its route says so, and otherwise settled as interrupted: its effect at the origin is unknown.
"""

import asyncio
from collections.abc import Mapping

import structlog

from proxy.errors import Interrupted
from proxy.later import Later
from proxy.ledger import Ledger
from proxy.operation import Failure, KeptRequest, Operation

log = structlog.get_logger()

NO_ROUTE = "It was never sent: its route is no longer there, or answers nothing later."


class Recovery:
    """Takes over for one process."""

    def __init__(self, ledger: Ledger, keeper_id: str, laters: Mapping[str, Later]) -> None:
        """The laters are those of the routes that answer later, by the routes' names."""
        self._ledger = ledger
        self._keeper_id = keeper_id
        self._laters = laters
        self._ended = False

    def end(self) -> None:
        """Leave what is found from now on to others."""
        self._ended = True

    async def take_over(self) -> None:
        """Settle or resume every operation whose process is dead. Raises StoreUnavailable."""
        if not self._ended:
            # At once: a store commits them together.
            await asyncio.gather(*map(self._take_over_one, await self._ledger.store.orphans()))

    async def _take_over_one(self, orphan: Operation) -> None:
        later = self._laters.get(orphan.route)
        request = await self._ledger.store.request(orphan.id)
        if later is not None and request is not None and later.may_send(orphan):
            await self._resume(orphan, later, request)
        else:
            interrupted = Interrupted("" if orphan.is_running else NO_ROUTE)
            await self._ledger.settle(orphan.failed(Failure.of(interrupted), self._ledger.now()))

    async def _resume(self, orphan: Operation, later: Later, request: KeptRequest) -> None:
        mine = orphan.returned(self._keeper_id)
        if await self._ledger.store.take_over(orphan, mine):
            log.info("operation taken over", operation=mine.short_id, route=mine.route, attempts=mine.attempts)
            later.resume(mine, request)
