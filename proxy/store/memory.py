"""The store for trying things out: all promises but durability, in the memory of one process."""

import zlib
from collections import Counter
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterable
from collections.abc import Set as AbstractSet
from contextlib import AbstractContextManager, asynccontextmanager
from dataclasses import replace
from functools import partial
from itertools import count, islice

from proxy.operation import BodyRef, KeptRequest, Operation, Progress, State
from proxy.store.bodies import inline_pieces
from proxy.store.faults import full
from proxy.store.growth import Growth
from proxy.store.listing import SETTLED, UNSETTLED, Page, Wanted
from proxy.store.protocol import UNKNOWN, UNLIMITED, Quotas, Sink, Store, Usage
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
        self._numbers = count(1)
        self._positions: dict[str, int] = {}  # ids, in the order of creation
        self._requests: dict[str, KeptRequest] = {}  # of unsettled operations
        self._growth: dict[str, int] = {}  # bytes of the bodies that running operations have so far
        self._coming: dict[str, _MemorySink] = {}  # bodies that are being written
        self._learned: dict[str, bytes] = {}  # by route
        self._watch = Watch()
        self._tombstones: set[str] = set()  # ids
        self._bytes = 0  # of all that

    async def create(
        self, operation: Operation, request: KeptRequest | None = None, quotas: Quotas = UNLIMITED
    ) -> None:
        if self._bytes >= self._max_size:
            raise full()
        quotas.require_room(operation, self._queued_on, self._unsettled_of)
        self._operations[require_token(operation.id)] = operation
        self._positions[operation.id] = next(self._numbers)
        if request is not None:
            self._requests[operation.id] = request
            self._bytes += _size(request.content)

    async def get(self, id: str) -> Operation | None:
        operation = self._operations.get(id)
        return None if operation is None else self._with_progress(operation)

    async def request(self, id: str) -> KeptRequest | None:
        return self._requests.get(id)

    async def start(self, operation: Operation) -> bool:
        return self._replace(operation, operation.keeper, {State.QUEUED})

    async def take_over(self, orphan: Operation, operation: Operation) -> bool:
        return self._replace(operation, orphan.keeper, {orphan.state})

    async def settle(self, operation: Operation, states: frozenset[State] = UNSETTLED) -> bool:
        if not self._replace(operation, operation.keeper, UNSETTLED & states):
            return False
        self._drop_request(operation.id)
        self._watch.wake(operation.id)
        return True

    async def settled(self, id: str, timeout: float | None = None) -> Operation | None:
        return await self._watch.settled(id, timeout, self.get)

    def when_settled(self, id: str, call: Callable[[], object]) -> AbstractContextManager[None]:
        return self._watch.waiting(id, call)

    def wake(self, id: str) -> None:
        self._watch.wake(id)

    @asynccontextmanager
    async def sink(self, id: str, coming: Progress = UNKNOWN) -> AsyncIterator[Sink]:
        sink = self._coming[id] = _MemorySink(Growth(partial(self._grow, require_token(id)), coming))
        try:
            yield sink
        finally:
            del self._coming[id]
        sink.complete()

    @asynccontextmanager
    async def request_sink(self, id: str) -> AsyncIterator[Sink]:
        sink = _MemorySink(Growth(partial(self._grow, require_token(id)), UNKNOWN))
        yield sink
        sink.complete()

    def body(self, operation: Operation, start: int = 0, stop: int | None = None) -> AsyncGenerator[bytes, None]:
        if operation.body is None:
            raise ValueError("only a completed operation has a body")
        return inline_pieces(operation.body, start, stop)

    def request_body(self, id: str, ref: BodyRef) -> AsyncGenerator[bytes, None]:  # noqa: ARG002  # it is all in `ref`
        return inline_pieces(ref, 0, None)

    async def remove(self, id: str) -> bool:
        removed = self._operations.get(id)
        if removed is not None:
            self._drop(removed)
            self._watch.wake(id)
        return removed is not None

    @asynccontextmanager
    async def taking_over(self) -> AsyncIterator[bool]:
        yield True

    async def orphans(self) -> list[Operation]:
        orphans = [one for one in self._unsettled() if one.keeper != self._keeper]
        return sorted(orphans, key=lambda operation: operation.created)

    async def overdue(self, now: float) -> list[Operation]:
        return [one for one in self._operations.values() if one.overdue is not None and one.overdue <= now]

    async def page(self, wanted: Wanted, limit: int, before: int | None = None) -> Page:
        """It looks at all of them: what is in memory is soon looked through."""
        found: list[Operation] = []
        for id, position in reversed(self._positions.items()):
            if before is not None and position >= before:
                continue
            if len(found) == limit:
                return Page(found, self._positions[found[-1].id])
            if id not in self._tombstones and wanted.includes(self._operations[id]):
                found.append(self._listed(id))
        return Page(found, None)

    async def last_settled(self, routes: frozenset[str], limit: int) -> list[Operation]:
        wanted = Wanted(SETTLED, routes)
        found = [one for one in self._operations.values() if wanted.includes(one) and one.id not in self._tombstones]
        latest = sorted(found, key=lambda one: one.settled_at or 0.0, reverse=True)
        return [self._listed(one.id) for one in latest[:limit]]

    async def beginning(self, prefix: str) -> list[Operation]:
        ids = (id for id in self._operations if id.startswith(prefix) and id not in self._tombstones)
        return [self._listed(id) for id in islice(ids, 2)]

    async def queued_before(self, operation: Operation) -> int:
        queued = (one for one in self._in(State.QUEUED) if one.origin == operation.origin)
        line = sorted(queued, key=lambda one: one.created)  # of equals the first to be inserted stays first
        return next((place for place, one in enumerate(line) if one.id == operation.id), 0)

    async def places_in_line(self, ids: Iterable[str]) -> dict[str, int]:
        wanted, length, places = set(ids), Counter[str](), {}
        for one in sorted(self._in(State.QUEUED), key=lambda one: one.created):
            if one.id in wanted:
                places[one.id] = length[one.origin]
            length[one.origin] += 1
        return places

    async def unsettled_of(self, client: str) -> int:
        return self._unsettled_of(client)

    async def expire(self, now: float) -> int:
        forgotten = [one for one in self._operations.values() if one.forgotten is not None and one.forgotten <= now]
        for one in forgotten:
            self._drop(one)
        expired = [one for one in self._operations.values() if one.has_expired(now) and one.id not in self._tombstones]
        for one in expired:
            self._bury(one)
        return len(forgotten) + len(expired)

    async def learned(self) -> dict[str, bytes]:
        return dict(self._learned)

    async def learn(self, route: str, before: bytes | None, after: bytes) -> bool:
        if self._learned.get(route) != before:
            return False
        self._learned[route] = after
        return True

    async def usage(self) -> Usage:
        queued, running = len(self._in(State.QUEUED)), len(self._in(State.RUNNING))
        settled = len(self._operations) - queued - running - len(self._tombstones)
        failed, dismissed = (self._ended_as(state) for state in (State.FAILED, State.DISMISSED))
        return Usage(queued, running, settled, self._bytes, failed, dismissed)

    def _replace(self, operation: Operation, keeper: str, states: AbstractSet[State]) -> bool:
        """Put it in the place of one that has this keeper and one of these states, if there is such a one."""
        stored = self._operations.get(operation.id)
        if stored is None or stored.keeper != keeper or stored.state not in states:
            return False
        self._bytes += _stored(operation) - self._growth.pop(operation.id, 0)
        self._operations[operation.id] = operation
        return True

    async def _grow(self, id: str, progress: Progress) -> bool:
        size = progress.received
        more = size - self._growth.get(id, 0)
        if self._bytes + more > self._max_size:
            return False
        operation = self._operations.get(id)
        if operation is not None and operation.is_running and operation.keeper == self._keeper:
            self._growth[id] = size
            self._bytes += more
        return True

    def _drop(self, operation: Operation) -> None:
        self._bytes -= _stored(operation) + self._growth.pop(operation.id, 0)
        self._drop_request(operation.id)
        self._tombstones.discard(operation.id)
        del self._operations[operation.id], self._positions[operation.id]

    def _drop_request(self, id: str) -> None:
        request = self._requests.pop(id, None)
        if request is not None:
            self._bytes -= _size(request.content)

    def _bury(self, operation: Operation) -> None:
        """Leave a tombstone."""
        self._bytes -= _stored(operation)
        self._tombstones.add(operation.id)
        if operation.body is not None:
            self._operations[operation.id] = replace(operation, body=replace(operation.body, inline=None))

    def _with_progress(self, operation: Operation) -> Operation:
        coming = self._coming.get(operation.id)
        return replace(operation, progress=coming.progress) if coming and operation.is_running else operation

    def _listed(self, id: str) -> Operation:
        operation = self._with_progress(self._operations[id])
        return replace(operation, body=operation.body and replace(operation.body, inline=None))

    def _in(self, state: State) -> list[Operation]:
        return [one for one in self._operations.values() if one.state is state]

    def _ended_as(self, state: State) -> int:
        return sum(one.id not in self._tombstones for one in self._in(state))

    def _unsettled(self) -> list[Operation]:
        return [one for one in self._operations.values() if not one.is_settled]

    def _queued_on(self, route: str) -> int:
        return sum(one.route == route for one in self._in(State.QUEUED))

    def _unsettled_of(self, client: str) -> int:
        return sum(one.client == client for one in self._unsettled()) if client else 0


class _MemorySink:
    """Gathers the pieces."""

    def __init__(self, growth: Growth) -> None:
        self._growth = growth
        self._content = bytearray()
        self._ref: BodyRef | None = None

    @property
    def progress(self) -> Progress:
        return self._growth.progress()

    async def write(self, piece: bytes) -> None:
        await self._growth.add(len(piece))
        self._content += piece

    @property
    def ref(self) -> BodyRef:
        if self._ref is None:
            raise ValueError("a body has a reference once it is whole")
        return self._ref

    def complete(self) -> None:
        content = bytes(self._content)
        self._ref = BodyRef(len(content), zlib.crc32(content), content)


def _size(content: BodyRef | None) -> int:
    return 0 if content is None else content.size


def _stored(operation: Operation) -> int:
    """The bytes that the operation's body takes now."""
    return 0 if operation.body is None or operation.body.inline is None else operation.body.size
