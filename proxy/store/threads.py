"""Threads for work on files, so that a slow disk never holds up the event loop."""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Final, Self, TypeVar

from proxy.errors import StoreUnavailable
from proxy.store.faults import translated

_AT_ONCE: Final = 8  # bodies that can wait for the disk before others wait for them

T = TypeVar("T")


class Threads:
    """A pool whose work, once given to it, is done whoever is cancelled meanwhile. Closing waits for it."""

    def __init__(self) -> None:
        self._pool = ThreadPoolExecutor(_AT_ONCE, "store-files")
        self._closed = False

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        self._closed = True
        await asyncio.to_thread(self._pool.shutdown)

    async def run(self, work: Callable[[], T]) -> T:
        """What the work returns. Raises StoreUnavailable for its OSErrors."""
        if self._closed:
            raise StoreUnavailable("The store is closed.")
        future = asyncio.get_running_loop().run_in_executor(self._pool, work)
        # Looked at, so that asyncio does not complain of a failure which nobody waits for any more.
        future.add_done_callback(lambda done: done.exception())
        # Awaiting the future itself would cancel work that has not begun: a clean-up might never happen.
        await asyncio.wait({future})
        with translated():
            return future.result()

    def post(self, work: Callable[[], object]) -> None:
        """Have the work done; nobody waits for it, and it may fail."""
        if self._closed:
            work()
        else:
            self._pool.submit(work)
