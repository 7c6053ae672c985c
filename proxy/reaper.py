"""What time does to operations: the orphans of dead processes are settled, the expired are dropped."""

import asyncio
from collections.abc import Callable
from contextlib import suppress
from typing import Final

import structlog

from proxy.errors import Interrupted, StoreUnavailable
from proxy.operation import Failure, Operation
from proxy.store import Store

log = structlog.get_logger()

ROUND: Final = 2.0  # seconds between two looks


class Reaper:
    """One loop over the store."""

    def __init__(self, store: Store, now: Callable[[], float], on_settled: Callable[[Operation], None]) -> None:
        self._store = store
        self._now = now
        self._on_settled = on_settled
        self._wanted = asyncio.Event()

    def look(self) -> None:
        """Do not wait for the next round: a process has died."""
        self._wanted.set()

    async def run(self) -> None:
        """Look again and again, until cancelled. Trouble of the store's is left for the next time."""
        while True:
            self._wanted.clear()
            try:
                await self.settle_orphans()
                await self._store.expire(self._now())
            except StoreUnavailable as exc:
                log.warning("store not swept", reason=exc.detail, cause=exc.cause)
            with suppress(TimeoutError):
                async with asyncio.timeout(ROUND):
                    await self._wanted.wait()

    async def settle_orphans(self) -> None:
        """Settle what dead processes left running as interrupted: its effect at the origin is unknown."""
        await asyncio.gather(*map(self._settle, await self._store.orphans()))  # at once: a store commits them together

    async def _settle(self, orphan: Operation) -> None:
        interrupted = orphan.failed(Failure.of(Interrupted()), self._now())
        if await self._store.settle(interrupted):
            self._on_settled(interrupted)
