"""The store in a folder: rows in SQLite, large bodies in files, both shared by all processes that have it open."""

import asyncio
import sqlite3
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterable
from contextlib import AbstractAsyncContextManager, AbstractContextManager, asynccontextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Final, TypeVar

from proxy.errors import Busy, StoreUnavailable, TooManyOperations
from proxy.operation import BodyRef, KeptRequest, Operation, Progress, State
from proxy.store import changes, lists, queries
from proxy.store.bodies import Bodies, is_part
from proxy.store.changes import Dropped
from proxy.store.database import connect
from proxy.store.folder import Folder
from proxy.store.keepers import Keepers, mark_in
from proxy.store.known import Known
from proxy.store.lane import Change, Lane
from proxy.store.listing import UNSETTLED, Page, Wanted
from proxy.store.protocol import UNKNOWN, UNLIMITED, Quotas, Sink, Store, Usage
from proxy.store.threads import Threads
from proxy.store.tokens import is_token, require_token
from proxy.store.watch import Watch

T = TypeVar("T")

STRAY_AFTER: Final = 900.0  # seconds: between a request's content and its operation lie a few milliseconds
PORTIONS: Final = 20  # of a list, looked at for one page of it
A_MOMENT: Final = 0.05  # seconds in which a change is committed, unless the disk is in trouble


@asynccontextmanager
async def open_sqlite(path: Path, max_size: int, keeper: str) -> AsyncIterator[Store]:
    """See open_store."""
    folder = Folder(path)
    database = partial(connect, folder.database)
    async with Threads() as threads:
        with await threads.run(partial(folder.open, keeper)) as file:
            known = Known(partial(mark_in, file), asyncio.get_running_loop().time)
            async with (
                Lane("store-writes", database, "BEGIN IMMEDIATE") as writes,
                Lane("store-reads", database, "BEGIN") as reads,
            ):
                store = SqliteStore(folder, max_size, writes, reads, threads, keeper=keeper, known=known)
                async with store.watching():
                    yield store


class SqliteStore:
    """See Store. Built by open_sqlite."""

    def __init__(
        self, folder: Folder, max_size: int, writes: Lane, reads: Lane, threads: Threads, *, keeper: str, known: Known
    ) -> None:
        self._folder = folder
        self._keeper = keeper
        self._known = known
        self._under_way: dict[str, asyncio.Future[None]] = {}  # the latest change of each operation
        self._max_size = max_size
        self._writes = writes
        self._reads = reads
        self._threads = threads
        self._keepers = Keepers(folder.keepers)
        self._bodies = Bodies(folder.bodies, threads)
        self._requests = Bodies(folder.requests, threads)
        self._watch = Watch()
        self._seen_version = 0

    def watching(self) -> AbstractAsyncContextManager[None]:
        """Meanwhile, notice what other processes settle."""
        return self._watch.looking(self._unsettled)

    async def create(
        self, operation: Operation, request: KeptRequest | None = None, quotas: Quotas = UNLIMITED
    ) -> None:
        require_token(operation.id)
        try:
            self._folder.require_database()
            then = self._changed_to(operation)
            await self._change(operation, partial(changes.insert, operation, request, quotas, self._max_size), then)
        except (StoreUnavailable, Busy, TooManyOperations):
            self._requests.drop([operation.id] if request and request.content else [])
            raise

    async def get(self, id: str) -> Operation | None:
        if (change := self._under_way.get(id)) is not None:
            await asyncio.wait({change}, timeout=A_MOMENT)
        operation = self._known.get(id) or await self._find(id)
        return None if operation is None else self._with_progress(operation)

    async def request(self, id: str) -> KeptRequest | None:
        return await self._reads.run(partial(queries.request, id)) if is_token(id) else None

    async def start(self, operation: Operation) -> bool:
        return await self._change(operation, partial(changes.start, operation), self._changed_to(operation))

    async def take_over(self, orphan: Operation, operation: Operation) -> bool:
        then = self._changed_to(operation)
        taken_over = await self._change(operation, partial(changes.take_over, orphan, operation), then)
        if taken_over:
            await self._tell(orphan.keeper)
        return taken_over

    async def settle(self, operation: Operation, states: frozenset[State] = UNSETTLED) -> bool:
        changed_to = self._changed_to(operation)

        def then(dropped: Dropped | None) -> None:
            self._ended(dropped)
            changed_to(dropped is not None)

        dropped = await self._change(operation, partial(changes.settle, operation, states), then)
        if dropped is not None:
            await self._tell(operation.keeper)
        return dropped is not None

    async def settled(self, id: str, timeout: float | None = None) -> Operation | None:
        return await self._watch.settled(id, timeout, self.get)

    def when_settled(self, id: str, call: Callable[[], object]) -> AbstractContextManager[None]:
        return self._watch.waiting(id, call)

    def wake(self, id: str) -> None:
        self._known.forget(id)
        self._watch.wake(id)

    def sink(self, id: str, coming: Progress = UNKNOWN) -> AbstractAsyncContextManager[Sink]:
        return self._bodies.sink(id, partial(self._grow, id), coming)

    def body(self, operation: Operation, start: int = 0, stop: int | None = None) -> AsyncGenerator[bytes, None]:
        if operation.body is None:
            raise ValueError("only a completed operation has a body")
        return self._bodies.read(operation.id, operation.body, start, stop)

    def request_sink(self, id: str) -> AbstractAsyncContextManager[Sink]:
        return self._requests.sink(id, partial(self._grow, id))

    def request_body(self, id: str, ref: BodyRef) -> AsyncGenerator[bytes, None]:
        return self._requests.read(id, ref, 0, None)

    async def remove(self, id: str) -> bool:
        dropped = await self._writes.run(partial(changes.delete, id), self._ended) if is_token(id) else None
        if dropped is not None:
            await self._tell(dropped.keeper)
        return dropped is not None

    @asynccontextmanager
    async def taking_over(self) -> AsyncIterator[bool]:
        file = await self._threads.run(self._keepers.begin_taking_over)
        try:
            yield file is not None
        finally:
            if file is not None:
                file.close()  # at once, for whoever asks next; nothing was written, so it waits for no disk

    async def orphans(self) -> list[Operation]:
        keepers = await self._reads.run(queries.keepers)
        found = []
        for keeper in await self._threads.run(partial(self._dead, keepers)):
            found += await self._all(partial(queries.unsettled_under, keeper))
        return sorted(found, key=lambda operation: operation.created)

    async def overdue(self, now: float) -> list[Operation]:
        return await self._all(partial(queries.overdue, now))

    async def page(self, wanted: Wanted, limit: int, before: int | None = None) -> Page:
        found: list[Operation] = []
        for _ in range(PORTIONS):
            room = limit - len(found)
            more, before = await self._reads.run(partial(lists.page, wanted, room, before))
            found += map(self._with_progress, more)
            if before is None or len(found) == limit:
                break
        return Page(found, before)

    async def last_settled(self, routes: frozenset[str], limit: int) -> list[Operation]:
        return await self._reads.run(partial(lists.last_settled, routes, limit))

    async def beginning(self, prefix: str) -> list[Operation]:
        return [self._with_progress(one) for one in await self._reads.run(partial(lists.beginning, prefix))]

    async def queued_before(self, operation: Operation) -> int:
        return await self._reads.run(partial(queries.queued_before, operation))

    async def places_in_line(self, ids: Iterable[str]) -> dict[str, int]:
        return await self._reads.run(partial(queries.places_in_line, list(ids)))

    async def unsettled_of(self, client: str) -> int:
        return await self._reads.run(partial(queries.unsettled_of, client))

    async def expire(self, now: float) -> int:
        await self._threads.run(self._folder.look_for_database)
        touched = 0
        while swept := await self._writes.run(partial(changes.sweep, now), self._swept):
            touched += len(swept)
        await self._drop_strays()
        await self._drop_requests_of_nobody(now)
        return touched

    async def usage(self) -> Usage:
        return await self._reads.run(queries.totals)

    async def learned(self) -> dict[str, bytes]:
        return await self._reads.run(queries.learned)

    async def learn(self, route: str, before: bytes | None, after: bytes) -> bool:
        return await self._writes.run(partial(changes.learn, route, before, after))

    async def _grow(self, id: str, progress: Progress) -> bool:
        return await self._writes.run(partial(changes.grow, id, self._keeper, progress, self._max_size))

    def _with_progress(self, operation: Operation) -> Operation:
        """The operation, and, if its body comes in here, how far that is."""
        if not operation.is_running or operation.keeper != self._keeper:
            return operation
        progress = self._bodies.progress(operation.id)
        return operation if progress is None else replace(operation, progress=progress)

    async def _find(self, id: str) -> Operation | None:
        if not is_token(id):
            return None
        since = self._known.moment()
        operation = await self._reads.run(partial(queries.select, id))
        if operation is not None and operation.keeper == self._keeper:
            self._known.found(operation, since)
        return operation

    async def _change(self, operation: Operation, change: Change[T], then: Callable[[T], object]) -> T:
        """Make a change of an operation, during which only the database knows how that stands."""
        over = self._under_way[operation.id] = asyncio.get_running_loop().create_future()
        self._known.begin_change(operation.id)
        try:
            return await self._writes.run(change, then)
        finally:
            self._known.end_change(operation.id)
            over.set_result(None)
            if self._under_way.get(operation.id) is over:
                del self._under_way[operation.id]

    def _changed_to(self, operation: Operation) -> Callable[[object], None]:
        """What is to follow a change, by its outcome: only False means that there was none."""
        since = self._known.moment()

        def then(outcome: object) -> None:
            if outcome is False or operation.keeper != self._keeper:
                self._known.forget(operation.id)
            else:
                self._known.changed(operation, since)

        return then

    async def _tell(self, keeper: str) -> None:
        """Let the process of another keeper know, before anybody else does, that something of its own was changed."""
        if keeper != self._keeper:
            await self._threads.run(partial(self._keepers.mark, keeper))

    def _ended(self, dropped: Dropped | None) -> None:
        if dropped is not None:
            self._swept([dropped])

    def _swept(self, dropped: list[Dropped]) -> None:
        for one in dropped:
            self._known.forget(one.id)
            self._watch.wake(one.id)
        self._bodies.drop([one.id for one in dropped if one.body])
        self._requests.drop([one.id for one in dropped if one.request])

    def _dead(self, keepers: list[str]) -> list[str]:
        return [keeper for keeper in keepers if keeper != self._keeper and not self._keepers.is_alive(keeper)]

    async def _all(self, portion: Callable[[Operation | None, sqlite3.Connection], list[Operation]]) -> list[Operation]:
        """What is read in portions, each from the last operation of the one before on."""
        found: list[Operation] = []
        while more := await self._reads.run(partial(portion, found[-1] if found else None)):
            found += more
        return found

    async def _unsettled(self) -> set[str] | None:
        self._seen_version, ids = await self._reads.run(partial(queries.unsettled_ids, self._seen_version))
        if ids is not None:
            self._known.retain(ids)
        return ids

    async def _drop_strays(self) -> None:
        files = await self._bodies.some()
        needed = await self._reads.run(partial(queries.body_files, set(files.values())))
        strays = [file for file, id in files.items() if not (id in needed and (needed[id] or not is_part(file)))]
        await self._bodies.remove(strays)

    async def _drop_requests_of_nobody(self, now: float) -> None:
        # Young ones may be another process's, on their way into the database.
        files = await self._requests.some(now - STRAY_AFTER)
        needed = await self._reads.run(partial(queries.request_files, set(files.values())))
        await self._requests.remove([file for file, id in files.items() if id not in needed or is_part(file)])
