"""A client that costs next to nothing: one request after the other on a connection, bytes to bytes.

It reads what the contenders write, and nothing more: answers with a Content-Length.
"""

import asyncio
import re
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Final, NamedTuple, cast

from bench.running import CannotMeasure

LATER: Final = b"Prefer: respond-async, wait=0\r\n"
PATIENT: Final = b"Prefer: wait=30\r\n"
LENGTH: Final = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)
LOCATION: Final = re.compile(rb"\r\nlocation: http://[^/]+(/\S+)", re.IGNORECASE)


class Answer(NamedTuple):
    """A response."""

    head: bytes
    content: bytes
    at: float  # when its last byte was there: seconds of CLOCK_MONOTONIC

    @property
    def status(self) -> int:
        return int(self.head[9:12])

    def require(self, status: int) -> "Answer":
        if self.status != status:
            raise CannotMeasure(f"{status} was expected: {self.head!r} {self.content!r}")
        return self

    @property
    def monitor(self) -> bytes:
        """The path of the status URL."""
        found = LOCATION.search(self.require(202).head)
        if found is None:
            raise CannotMeasure(f"no Location: {self.head!r}")
        return found[1]


class Connection(asyncio.Protocol):
    """One connection; see `connected`."""

    def __init__(self) -> None:
        self._transport: asyncio.Transport
        self._read = b""
        self._answer: asyncio.Future[Answer]

    async def ask(self, target: bytes, fields: bytes = b"", method: bytes = b"GET") -> Answer:
        """Send a request; its answer, once it is there whole."""
        self._answer = asyncio.get_running_loop().create_future()
        self._transport.write(b"%b %b HTTP/1.1\r\nHost: bench\r\n%b\r\n" % (method, target, fields))
        return await self._answer

    async def operate(self, target: bytes, method: bytes = b"GET") -> Answer:
        """Have it done later, and wait for the result."""
        accepted = await self.ask(target, LATER, method)
        return (await self.ask(accepted.monitor, PATIENT)).require(200)

    def close(self) -> None:
        self._transport.abort()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        at = time.monotonic()
        self._read += data
        head, end, content = self._read.partition(b"\r\n\r\n")
        if end and len(content) >= _length(head):
            self._read = b""
            self._answer.set_result(Answer(head, content, at))

    def connection_lost(self, exc: Exception | None) -> None:
        if not self._answer.done():
            self._answer.set_exception(
                CannotMeasure(f"the connection ended without an answer ({exc or 'closed by the other side'})")
            )


@asynccontextmanager
async def connected(port: int, count: int) -> AsyncIterator[list[Connection]]:
    """So many connections."""
    loop = asyncio.get_running_loop()
    async with AsyncExitStack() as stack:
        connections = []
        for _ in range(count):
            _, connection = await loop.create_connection(Connection, "127.0.0.1", port)
            stack.callback(connection.close)
            connections.append(connection)
        yield connections


def _length(head: bytes) -> int:
    found = LENGTH.search(head)
    if found is None:
        raise CannotMeasure(f"no Content-Length: {head!r}")
    return int(found[1])
