"""One connection in one thread, which performs in one transaction whatever has gathered meanwhile: group commit.

One fsync serves all changes that arrived during the last one, and one wake-up of the event loop all their waiters;
for reads it is one snapshot and one change of threads. The lists live in the event loop, the connection in the thread.

A change should be one statement, or statements of which any first part may stand alone: SQLite undoes a failed
statement by itself, so that its neighbours in the group need no savepoints. Where it has to be more, it takes back what
the first ones did.
"""

import asyncio
import sqlite3
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from typing import Any, Final, Self, TypeVar

from proxy.errors import ProxyError, StoreUnavailable
from proxy.store.faults import translated

LARGEST_GROUP: Final = 128  # bounds how long the last of a group waits for its neighbours

T = TypeVar("T")
Change = Callable[[sqlite3.Connection], T]


@dataclass(frozen=True, slots=True, eq=False)
class _Item:
    """A change, who waits for it, and what is to follow it in the event loop even if nobody waits any more."""

    change: Change[Any]
    then: Callable[[Any], object] | None
    done: asyncio.Future[Any]

    def finish(self, outcome: object) -> None:
        if isinstance(outcome, Exception):
            if not self.done.done():
                self.done.set_exception(outcome)
            return
        if self.then is not None:
            self.then(outcome)
        if not self.done.done():
            self.done.set_result(outcome)


class Lane:
    """Performs changes (or reads) in the order in which they come. Closing waits for those that have come."""

    def __init__(self, name: str, connect: Callable[[], sqlite3.Connection], begin: str) -> None:
        self._thread = ThreadPoolExecutor(1, name)
        self._connect = connect
        self._begin = begin
        self._gathered: list[_Item] = []
        self._busy = False
        self._closed = False

    async def __aenter__(self) -> Self:
        loop = asyncio.get_running_loop()
        try:
            with translated():
                self._connection = await loop.run_in_executor(self._thread, self._connect)
        except BaseException:
            self._thread.shutdown(wait=False)
            raise
        return self

    async def __aexit__(self, *_: object) -> None:
        self._closed = True
        self._start(len(self._gathered))
        # All that is left is now in the thread's own queue: a cancellation from here on loses nothing.
        self._thread.submit(self._connection.close)
        await asyncio.to_thread(self._thread.shutdown)

    async def run(self, change: Change[T], then: Callable[[T], object] | None = None) -> T:
        """What the change returned, once it is durable. Raises StoreUnavailable, and a ProxyError that the change raised.

        `then` is called with it in the event loop at that moment, even if the caller was cancelled.
        """
        if self._closed:
            raise StoreUnavailable("The store is closed.")
        done: asyncio.Future[T] = asyncio.get_running_loop().create_future()
        self._gathered.append(_Item(change, then, done))
        if not self._busy:
            self._busy = True
            done.get_loop().call_soon(self._start, LARGEST_GROUP)  # what comes in this turn of the loop comes along
        with translated():
            return await done

    def _start(self, largest: int) -> None:
        group, self._gathered = self._gathered[:largest], self._gathered[largest:]
        self._busy = bool(group)
        if group:
            changes = [item.change for item in group]
            # Not run_in_executor: its second future, chained to the first, costs as much as a statement.
            loop, finish = asyncio.get_running_loop(), partial(self._finish, group)
            done = self._thread.submit(self._perform, changes)
            done.add_done_callback(lambda future: loop.call_soon_threadsafe(finish, future))

    def _perform(self, changes: list[Change[Any]]) -> list[Any]:
        with self._connection:  # commits, or rolls back
            self._connection.execute(self._begin)
            return [self._outcome(change) for change in changes]

    def _outcome(self, change: Change[T]) -> T | Exception:
        try:
            return change(self._connection)
        except (sqlite3.Error, ProxyError) as exc:
            if not self._connection.in_transaction:  # a full disk, for one, makes SQLite roll back the whole group
                raise
            return exc

    def _finish(self, group: list[_Item], future: Future[list[Any]]) -> None:
        error = future.exception()
        outcomes = future.result() if error is None else [error] * len(group)
        for item, outcome in zip(group, outcomes, strict=True):
            item.finish(outcome)
        self._start(LARGEST_GROUP)
