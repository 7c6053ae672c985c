"""The promise of every store of operations, whatever it is made of.

Two kinds of waiting meet here. `create` and `settle` return when what they wrote is durable, so that a 202 or a result
is never shown before it would survive a crash. `settled` is the one notification there is: an operation has left
`running`; long polls, cancellation from elsewhere and the keeper's own stop signal all wait on it.

Three stages of a row: running; settled; and, once `expire` has dropped the body, a tombstone, which `get` still shows
as the operation it was, so that its status URL can say 410, until it is forgotten.
"""

from collections.abc import AsyncGenerator
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import Protocol

from proxy.operation import BodyRef, Operation


@dataclass(frozen=True, slots=True)
class Usage:
    """How full a store is."""

    running: int  # operations
    settled: int  # operations, tombstones not counted
    bytes: int  # of all stored bodies, counted from the settling on


class Sink(Protocol):
    """Takes one body, piece by piece. Leaving its context cleanly makes the body whole; an exception discards it."""

    async def write(self, piece: bytes) -> None:
        """Take a piece; returns when there is room for the next. Raises StoreUnavailable."""
        ...

    @property
    def ref(self) -> BodyRef:
        """The whole body, to settle the operation with. Only after its context was left cleanly."""
        ...


class Store(Protocol):
    """Operations by id. Raises StoreUnavailable, nothing else.

    Every method can be cancelled at any time; a write that has begun is then still done or not done as a whole.
    Ids are URL-safe base64 of at least 22 characters; whatever else is asked for is unknown.
    """

    async def create(self, operation: Operation) -> None:
        """Add a running operation. It is durable when this returns. Refused with StoreUnavailable when it is full."""
        ...

    async def get(self, id: str) -> Operation | None:
        """The operation as it is; None if it never was, was removed or is forgotten.

        May be past its expiry: ask `has_expired`. Its body may be gone then, though head and body's size still show.
        """
        ...

    async def settle(self, operation: Operation) -> bool:
        """Replace the running operation of the same id and the same keeper by this settled one, durably.

        False, and nothing changed, if somebody else was first or it is gone: the first to settle wins.
        """
        ...

    async def settled(self, id: str, timeout: float | None = None) -> Operation | None:
        """The operation once it has left running, or as it then is after `timeout` seconds; None if it is gone.

        Woken at once by a change made in this process, within a quarter of a second by one made in another.
        """
        ...

    def sink(self, id: str) -> AbstractAsyncContextManager[Sink]:
        """Where the body of the operation's response goes, after it was created and before it is settled."""
        ...

    def body(self, operation: Operation, start: int = 0, stop: int | None = None) -> AsyncGenerator[bytes, None]:
        """The bytes [start, stop) of a completed operation's body, in pieces, with bounded memory.

        Length and checksum are verified on the way, the length before the first piece, the checksum (where the whole is
        read) before the last: a torn body raises StoreUnavailable and never ends cleanly. So does one that was dropped
        before its first piece was read, unless `operation` brings it inline; reading that has begun goes on. Close it (`aclosing`) where it may not be read to its end.
        """
        ...

    async def remove(self, id: str) -> bool:
        """Drop the operation and its body, whatever its state. False if it was gone. Wakes who waits for it."""
        ...

    async def orphans(self) -> list[Operation]:
        """The running operations whose keeper is no longer alive."""
        ...

    async def expire(self, now: float) -> int:
        """Drop the bodies of expired operations and the tombstones that are forgotten; how many operations it touched.

        Bodies that no operation refers to (left by a crash) are dropped too, a limited number of files per call.
        """
        ...

    async def usage(self) -> Usage:
        """What counts towards the store's limits now."""
        ...
