"""The store for trying things out: all promises but durability, in the memory of one process."""

import zlib
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace

from proxy.errors import StoreUnavailable
from proxy.operation import BodyRef, Operation
from proxy.store.bodies import inline_pieces
from proxy.store.protocol import Sink, Store, Usage
from proxy.store.tokens import require_token
from proxy.store.watch import Watch


@asynccontextmanager
async def open_memory(max_size: int, keeper: str) -> AsyncIterator[Store]:
    """See open_store."""
    yield MemoryStore(max_size, keeper)


class MemoryStore:
    """See Store. Every body is inline, however long."""

    def __init__(self, max_size: int, keeper: str) -> None:
        self._max_size = max_size
        self._keeper = keeper
        self._operations: dict[str, Operation] = {}
        self._watch = Watch()
        self._tombstones: set[str] = set()  # ids
        self._bytes = 0  # of all bodies

    async def create(self, operation: Operation) -> None:
        if self._bytes >= self._max_size:
            raise StoreUnavailable("The store is full.")
        self._operations[require_token(operation.id)] = operation

    async def get(self, id: str) -> Operation | None:
        return self._operations.get(id)

    async def settle(self, operation: Operation) -> bool:
        running = self._operations.get(operation.id)
        if running is None or not running.is_running or running.keeper != operation.keeper:
            return False
        self._operations[operation.id] = operation
        self._bytes += _stored(operation)
        self._watch.wake(operation.id)
        return True

    async def settled(self, id: str, timeout: float | None = None) -> Operation | None:
        return await self._watch.settled(id, timeout, self.get)

    @asynccontextmanager
    async def sink(self, id: str) -> AsyncIterator[Sink]:
        require_token(id)
        sink = _MemorySink()
        yield sink
        sink.complete()

    def body(self, operation: Operation, start: int = 0, stop: int | None = None) -> AsyncGenerator[bytes, None]:
        if operation.body is None:
            raise ValueError("only a completed operation has a body")
        return inline_pieces(operation.body, start, stop)

    async def remove(self, id: str) -> bool:
        removed = self._operations.get(id)
        if removed is not None:
            self._drop(removed)
            self._watch.wake(id)
        return removed is not None

    async def orphans(self) -> list[Operation]:
        return [one for one in self._operations.values() if one.is_running and one.keeper != self._keeper]

    async def expire(self, now: float) -> int:
        forgotten = [one for one in self._operations.values() if one.forgotten is not None and one.forgotten <= now]
        for one in forgotten:
            self._drop(one)
        expired = [one for one in self._operations.values() if one.has_expired(now) and one.id not in self._tombstones]
        for one in expired:
            self._bury(one)
        return len(forgotten) + len(expired)

    async def usage(self) -> Usage:
        running = sum(one.is_running for one in self._operations.values())
        return Usage(running, len(self._operations) - running - len(self._tombstones), self._bytes)

    def _drop(self, operation: Operation) -> None:
        self._bytes -= _stored(operation)
        self._tombstones.discard(operation.id)
        del self._operations[operation.id]

    def _bury(self, operation: Operation) -> None:
        """Leave a tombstone."""
        self._bytes -= _stored(operation)
        self._tombstones.add(operation.id)
        if operation.body is not None:
            self._operations[operation.id] = replace(operation, body=replace(operation.body, inline=None))


class _MemorySink:
    """Gathers the pieces."""

    def __init__(self) -> None:
        self._content = bytearray()
        self._ref: BodyRef | None = None

    async def write(self, piece: bytes) -> None:
        self._content += piece

    @property
    def ref(self) -> BodyRef:
        if self._ref is None:
            raise ValueError("a body has a reference once it is whole")
        return self._ref

    def complete(self) -> None:
        content = bytes(self._content)
        self._ref = BodyRef(len(content), zlib.crc32(content), content)


def _stored(operation: Operation) -> int:
    """The bytes that the operation's body takes now."""
    return 0 if operation.body is None or operation.body.inline is None else operation.body.size
