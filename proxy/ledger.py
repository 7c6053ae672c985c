"""The store with what a change of it needs: the time, and who is told that an operation is settled."""

from collections.abc import Callable

from proxy.clock import Clock
from proxy.operation import Operation
from proxy.store import Store


class Ledger:
    """Where operations are settled, whoever settles them."""

    def __init__(self, store: Store, clock: Clock, on_settled: Callable[[Operation], None]) -> None:
        self.store = store
        self.now = clock.now  # for dates and expiry
        self.monotonic = clock.monotonic  # for deadlines
        self._on_settled = on_settled

    async def settle(self, operation: Operation) -> bool:
        """Settle it, if nobody else has. Raises StoreUnavailable."""
        won = await self.store.settle(operation)
        if won:
            self._on_settled(operation)
        return won
