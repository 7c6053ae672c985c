"""What a body that is being written takes of the store's room, told to its figures from time to time."""

from collections.abc import Awaitable, Callable
from typing import Final

from proxy.store.faults import full

STEP: Final = 1_048_576  # bytes between two times: few enough for the limit to hold, many enough to cost nothing

Grow = Callable[[int], Awaitable[bool]]  # tells how far it has grown; False if there is no room for that


class Growth:
    """Of one body."""

    def __init__(self, grow: Grow) -> None:
        self._grow = grow
        self._size = 0
        self._told = 0

    async def add(self, size: int) -> None:
        """So many bytes more are about to be written. Raises StoreUnavailable if the store is full."""
        self._size += size
        if self._size - self._told >= STEP:
            self._told = self._size
            if not await self._grow(self._size):
                raise full()
