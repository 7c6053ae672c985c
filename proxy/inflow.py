"""The content of a client's request as it arrives: what its connection puts in, and whoever wants it takes out."""

import asyncio
from collections import deque
from collections.abc import Callable
from typing import Final

from proxy.errors import RequestTimeout
from proxy.words import so_many

HIGH_WATER: Final = 256 * 1024  # bytes that have come and were not taken, above which nothing more is read


class Inflow:
    """Content on its way in: pieces, and then its end or an error."""

    __slots__ = ("_pieces", "_relieved", "_waiter", "buffered", "ended", "error", "received")

    def __init__(self, relieved: Callable[[], None]) -> None:
        """`relieved` is called when what had come has been taken."""
        self._relieved = relieved
        self._pieces: deque[bytes] = deque()
        self._waiter: asyncio.Future[None] | None = None
        self.error: Exception | None = None  # why no more of it will come
        self.buffered = 0  # bytes
        self.received = 0  # bytes, those that were taken with them
        self.ended = False  # all of it has come

    # What the connection does.

    def feed(self, piece: bytes) -> None:
        self._pieces.append(piece)
        self.buffered += len(piece)
        self.received += len(piece)
        self._wake()

    def end(self) -> None:
        self.ended = True
        self._wake()

    def fail(self, error: Exception) -> None:
        """No more of it will come. What has come is given out first."""
        if not self.ended:
            self.error = error
            self._wake()

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    # What the reader does.

    def take(self) -> bytes:
        """What is here, without waiting."""
        if not self._pieces:
            return b""
        taken = self._pieces[0] if len(self._pieces) == 1 else b"".join(self._pieces)
        self._pieces.clear()
        self.buffered = 0
        self._relieved()
        return taken

    async def next(self, limit: float) -> bytes:
        """What is here or comes next, b"" at the end.

        Raises RequestTimeout after `limit` seconds without anything, and what the connection failed with.
        """
        while not (piece := self.take()):
            if self.ended:
                break
            if self.error is not None:
                raise self.error
            await self._arrival(limit)
        return piece

    async def _arrival(self, limit: float) -> None:
        loop = asyncio.get_running_loop()
        waiter = self._waiter = loop.create_future()
        timer = loop.call_later(limit, _expire, waiter, limit)
        try:
            await waiter
        finally:
            timer.cancel()
            self._waiter = None


def _expire(waiter: "asyncio.Future[None]", limit: float) -> None:
    if not waiter.done():
        what = f"No content came for {so_many(limit, 'second')}"
        waiter.set_exception(RequestTimeout(f"{what}.", why=f"{what} (limits.body_timeout)."))


NOTHING: Final = Inflow(lambda: None)  # of a request without content
NOTHING.end()
