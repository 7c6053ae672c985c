"""How far a body that is being written has come, and what it takes of the store's room, told to that from time to time."""

from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Final

from proxy.operation import Progress
from proxy.store.faults import full

STEP: Final = 1_048_576  # bytes between two times: few enough for the limit to hold, many enough to cost nothing

Grow = Callable[[Progress], Awaitable[bool]]  # tells how far it has come; False if there is no room for that


class Growth:
    """Of one body."""

    def __init__(self, grow: Grow, coming: Progress) -> None:
        """`coming` is what is known of it before its first byte."""
        self._grow = grow
        self._coming = coming
        self._size = 0
        self._told = 0

    def progress(self, more: int = 0) -> Progress:
        """How far it has come, with so many bytes that have not been added yet."""
        return replace(self._coming, received=self._size + more)

    async def add(self, size: int) -> None:
        """So many bytes more are about to be written. Raises StoreUnavailable if the store is full."""
        self._size += size
        if self._size - self._told >= STEP:
            self._told = self._size
            if not await self._grow(self.progress()):
                raise full()
