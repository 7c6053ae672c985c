"""Who waits for which operation to be settled, and how they hear of it.

A change made in this process wakes its waiters by name. What other processes change is found by one look at regular
intervals for all waiters together, however many there are.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from contextlib import asynccontextmanager, suppress
from typing import Final

from proxy.errors import StoreUnavailable
from proxy.operation import Operation

_LOOK_EVERY: Final = 0.1  # seconds: how late a change made by another process is noticed

Get = Callable[[str], Awaitable[Operation | None]]


class Watch:
    """The waiters of one store, each a function that is called. Lives in the event loop."""

    def __init__(self) -> None:
        self._waiters: dict[str, set[Callable[[], object]]] = {}

    async def settled(self, id: str, seconds: float | None, get: Get) -> Operation | None:
        """The operation once it is settled, or as it is after so many seconds."""
        clock = asyncio.get_running_loop().time
        deadline = None if seconds is None else clock() + seconds
        woken = asyncio.Event()
        with self.waiting(id, woken.set):  # before the first look: what happens after it wakes us
            operation = await get(id)
            while operation is not None and not operation.is_settled and (deadline is None or clock() < deadline):
                await _until(woken, deadline)
                operation = await get(id)
        return operation

    def wake(self, id: str) -> None:
        """Have everybody who waits for the operation look at it again."""
        for waiter in tuple(self._waiters.get(id, ())):
            waiter()

    @asynccontextmanager
    async def looking(self, unsettled: Callable[[], Awaitable[Iterable[str] | None]]) -> AsyncIterator[None]:
        """Meanwhile, wake who waits for an operation that is no longer among the unsettled.

        `unsettled` gives the ids of those, or None if nothing has changed since it was asked last.
        """
        # Not a TaskGroup: it would wrap what is raised inside of the context, which is the whole program, into a group.
        task = asyncio.get_running_loop().create_task(self._look(unsettled), name="store-watch")
        try:
            yield
        finally:
            task.cancel()
            await asyncio.wait({task})

    async def _look(self, unsettled: Callable[[], Awaitable[Iterable[str] | None]]) -> None:
        while True:
            await asyncio.sleep(_LOOK_EVERY)
            if waited_for := set(self._waiters):  # before the look, which knows nothing of what is created meanwhile
                with suppress(StoreUnavailable):  # those who ask hear of it; the next look may do better
                    self._wake_all_but(await unsettled(), waited_for)

    def _wake_all_but(self, unsettled: Iterable[str] | None, waited_for: set[str]) -> None:
        if unsettled is not None:
            for id in waited_for.difference(unsettled):
                self.wake(id)

    def waiting(self, id: str, call: Callable[[], object]) -> "Waiting":
        """Meanwhile, have it called when the operation is settled or gone; perhaps more than once."""
        return Waiting(self._waiters, id, call)


class Waiting:
    """A waiter's time as one. A class, since there may be ten thousands, and a suspended generator is larger."""

    __slots__ = ("_call", "_id", "_waiters")

    def __init__(self, waiters: dict[str, set[Callable[[], object]]], id: str, call: Callable[[], object]) -> None:
        self._waiters = waiters
        self._id = id
        self._call = call

    def __enter__(self) -> None:
        self._waiters.setdefault(self._id, set()).add(self._call)

    def __exit__(self, *_: object) -> None:
        others = self._waiters[self._id]
        others.discard(self._call)
        if not others:
            del self._waiters[self._id]


async def _until(woken: asyncio.Event, deadline: float | None) -> None:
    """Wait for the event or the deadline, whichever is first."""
    if deadline is None:
        await woken.wait()
        woken.clear()
        return
    with suppress(TimeoutError):
        async with asyncio.timeout_at(deadline):
            await woken.wait()
    woken.clear()
