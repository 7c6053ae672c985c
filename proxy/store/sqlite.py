"""The store in a folder: rows in SQLite, large bodies in files, both shared by all processes that have it open.

- `operations.db`: the rows, with small bodies in them
- `bodies/ab/<id>`: larger bodies; `.part` while they are written
- `keepers/<id>`: locked while that process lives
- `opening`: locked while a process opens the folder
"""

import sqlite3
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from functools import partial
from pathlib import Path
from typing import IO, Final

from proxy.errors import StoreUnavailable
from proxy.operation import Operation
from proxy.store import statements
from proxy.store.bodies import Bodies, is_part
from proxy.store.database import connect, prepare
from proxy.store.keepers import Keepers, exclusive
from proxy.store.lane import Lane
from proxy.store.protocol import Sink, Store, Usage
from proxy.store.statements import Dropped
from proxy.store.threads import Threads
from proxy.store.tokens import is_token, require_token
from proxy.store.watch import Watch

MOVED: Final = "The store's database is no longer in its place. What runs goes on; restart to take operations again."


@asynccontextmanager
async def open_sqlite(folder: Path, max_size: int, keeper: str) -> AsyncIterator[Store]:
    """See open_store."""
    database = partial(connect, folder / "operations.db")
    async with Threads() as threads:
        with await threads.run(partial(_open_folder, folder, keeper)):
            async with (
                Lane("store-writes", database, "BEGIN IMMEDIATE") as writes,
                Lane("store-reads", database, "BEGIN") as reads,
            ):
                store = SqliteStore(folder, max_size, writes, reads, threads, keeper=keeper)
                async with store.watching():
                    yield store


def _open_folder(folder: Path, keeper: str) -> IO[bytes]:
    """Make the folder ready; the keeper's lock. Raises StoreUnavailable with what the operator can do."""
    try:
        for part in (folder, folder / "bodies", folder / "keepers"):
            part.mkdir(mode=0o700, parents=True, exist_ok=True)
        with exclusive(folder):
            prepare(folder / "operations.db")
            keepers = Keepers(folder / "keepers")
            keepers.clear()
            return keepers.hold(keeper)
    except OSError as exc:
        raise StoreUnavailable(
            f"The store's folder {folder} cannot be used: {exc}."
            " It has to be a folder, or a place for one, that this user may write to."
        ) from exc
    except sqlite3.Error as exc:
        raise StoreUnavailable(
            f"The store's database {folder / 'operations.db'} cannot be used: {exc}. If it is damaged, put back a copy,"
            " or move the whole folder away to begin with an empty store."
        ) from exc


class SqliteStore:
    """See Store. Built by open_sqlite."""

    def __init__(
        self, folder: Path, max_size: int, writes: Lane, reads: Lane, threads: Threads, *, keeper: str
    ) -> None:
        self._file = folder / "operations.db"
        self._inode: int | None = self._file.stat().st_ino  # None: it is no longer in its place
        self._keeper = keeper
        self._max_size = max_size
        self._writes = writes
        self._reads = reads
        self._threads = threads
        self._keepers = Keepers(folder / "keepers")
        self._bodies = Bodies(folder / "bodies", threads)
        self._watch = Watch()
        self._seen_version = 0

    def watching(self) -> AbstractAsyncContextManager[None]:
        """Meanwhile, notice what other processes settle."""
        return self._watch.looking(self._running)

    async def create(self, operation: Operation) -> None:
        require_token(operation.id)
        if self._inode is None:
            raise StoreUnavailable(MOVED)
        if not await self._writes.run(partial(statements.insert, operation, self._max_size)):
            raise StoreUnavailable("The store is full.")

    async def get(self, id: str) -> Operation | None:
        return await self._reads.run(partial(statements.select, id)) if is_token(id) else None

    async def settle(self, operation: Operation) -> bool:
        return await self._writes.run(partial(statements.settle, operation), lambda _: self._watch.wake(operation.id))

    async def settled(self, id: str, timeout: float | None = None) -> Operation | None:
        return await self._watch.settled(id, timeout, self.get)

    def sink(self, id: str) -> AbstractAsyncContextManager[Sink]:
        return self._bodies.sink(id)

    def body(self, operation: Operation, start: int = 0, stop: int | None = None) -> AsyncGenerator[bytes, None]:
        if operation.body is None:
            raise ValueError("only a completed operation has a body")
        return self._bodies.read(operation.id, operation.body, start, stop)

    async def remove(self, id: str) -> bool:
        if not is_token(id):
            return False
        rows = await self._writes.run(partial(statements.delete, id), self._dropped)
        return bool(rows)

    async def orphans(self) -> list[Operation]:
        keepers = await self._reads.run(statements.running_keepers)
        found = []
        for keeper in await self._threads.run(partial(self._dead, keepers)):
            found += await self._running_of(keeper)
        return found

    async def expire(self, now: float) -> int:
        await self._threads.run(self._look_for_file)
        touched = 0
        while swept := await self._writes.run(partial(statements.sweep, now), self._dropped):
            touched += len(swept)
        await self._drop_strays()
        return touched

    async def usage(self) -> Usage:
        return await self._reads.run(statements.totals)

    def _dropped(self, rows: list[Dropped]) -> None:
        for id, _ in rows:
            self._watch.wake(id)
        self._bodies.drop([id for id, in_file in rows if in_file])

    def _look_for_file(self) -> None:
        """Make sure that what is written will be found again. SQLite itself does not mind if its file is gone."""
        try:
            if self._file.stat().st_ino != self._inode:
                self._inode = None
        except OSError:
            self._inode = None
        if self._inode is None:
            raise StoreUnavailable(MOVED)

    def _dead(self, keepers: list[str]) -> list[str]:
        return [keeper for keeper in keepers if keeper != self._keeper and not self._keepers.is_alive(keeper)]

    async def _running_of(self, keeper: str) -> list[Operation]:
        found: list[Operation] = []
        while more := await self._reads.run(partial(statements.running_of, keeper, found[-1].id if found else "")):
            found += more
        return found

    async def _running(self) -> set[str] | None:
        self._seen_version, ids = await self._reads.run(partial(statements.running_ids, self._seen_version))
        return ids

    async def _drop_strays(self) -> None:
        files = await self._bodies.some()
        running = await self._reads.run(partial(statements.body_files, set(files.values())))
        strays = [file for file, id in files.items() if not (id in running and (running[id] or not is_part(file)))]
        await self._bodies.remove(strays)
