"""The promise of every store of operations, whatever it is made of.

Two kinds of waiting meet here. `create`, `start`, `take_over` and `settle` return when what they wrote is durable, so
that a 202, an unsafe request or a result never goes out before it would survive a crash. `settled` is the one
notification there is: an operation has been settled, or is gone; long polls, cancellation from elsewhere and the
keeper's own stop signal all wait on it.

Four stages of a row: queued; running; settled; and, once `expire` has dropped the body, a tombstone, which `get` still
shows as the operation it was, so that its status URL can say 410, until it is forgotten.

While an operation is queued or running it belongs to its keeper, and only a value with that keeper's name can replace
it. Its request may be kept with it, and is dropped, overwritten, by the very change that settles or removes it.
"""

from collections.abc import AsyncGenerator, Callable, Iterable
from contextlib import AbstractAsyncContextManager, AbstractContextManager
from dataclasses import dataclass
from typing import Final, NamedTuple, Protocol

from proxy.errors import Busy, TooManyOperations
from proxy.operation import BodyRef, KeptRequest, Operation, Progress, State
from proxy.store.listing import UNSETTLED, Page, Wanted


@dataclass(frozen=True, slots=True)
class Usage:
    """How full a store is."""

    queued: int  # operations
    running: int  # operations
    settled: int  # operations, tombstones not counted
    bytes: int  # of bodies, of kept requests' content, and of bodies that are being written, these to within a MiB each
    failed: int = 0  # of the settled ones
    dismissed: int = 0  # of these too; all others are completed


class Quotas(NamedTuple):
    """How many unsettled operations there may be before one more is refused. None: any number."""

    max_queued: int | None  # on the route, if the one more would be queued too
    max_of_client: int | None  # of the client, if the one more names any

    def require_room(
        self, operation: Operation, queued_on: Callable[[str], int], unsettled_of: Callable[[str], int]
    ) -> None:
        """Raise Busy or TooManyOperations if there is no room for the operation."""
        most = self.max_queued
        if most is not None and operation.state is State.QUEUED and (waiting := queued_on(operation.route)) >= most:
            why = (
                f"No more operations of route {operation.route} may wait for a turn at origin {operation.origin}:"
                f" {waiting} did already (respond_async.max_queued of route {operation.route}: {most})."
            )
            raise Busy(f"No more operations of this route may wait for their turn than {most}.", why=why)
        most = self.max_of_client
        if most is not None and operation.client and unsettled_of(operation.client) >= most:
            why = f"The client had as many operations under way as it may: {most} (limits.max_operations_per_client)."
            raise TooManyOperations(f"It has as many as it may have at once: {most}.", why=why)


UNKNOWN: Final = Progress(0, None, 0.0)  # how far a body has come of which nothing is known
UNLIMITED: Final = Quotas(None, None)


class Sink(Protocol):
    """Takes one body, piece by piece. Leaving its context cleanly makes the body whole; an exception discards it."""

    async def write(self, piece: bytes) -> None:
        """Take a piece; returns when there is room for the next. Raises StoreUnavailable, also when the store is full."""
        ...

    @property
    def ref(self) -> BodyRef:
        """The whole body, to settle or create the operation with. Only after its context was left cleanly."""
        ...


class Store(Protocol):
    """Operations by id. Raises StoreUnavailable, and nothing else but what `create` says.

    Every method can be cancelled at any time; a write that has begun is then still done or not done as a whole.
    Ids are URL-safe base64 of at least 22 characters; whatever else is asked for is unknown.
    """

    async def create(
        self, operation: Operation, request: KeptRequest | None = None, quotas: Quotas = UNLIMITED
    ) -> None:
        """Add an operation that is queued or running, and keep its request. Both are durable when this returns.

        Refused with StoreUnavailable when the store is full. Raises Busy and TooManyOperations by the quotas, which hold
        over all processes. When it raises, nothing was added, and what was written of the request's content is dropped.
        """
        ...

    async def get(self, id: str) -> Operation | None:
        """The operation as it is, with its progress; None if it never was, was removed or is forgotten.

        May be past its expiry: ask `has_expired`. Its body may be gone then, though head and body's size still show.
        """
        ...

    async def request(self, id: str) -> KeptRequest | None:
        """The request that is kept with an unsettled operation; None if there is none, or none any more."""
        ...

    async def start(self, operation: Operation) -> bool:
        """Replace the queued operation of the same id and the same keeper by this running one, durably.

        False, and nothing changed, if it is gone, no longer queued, or another keeper's: then it is not to be sent.
        """
        ...

    async def take_over(self, orphan: Operation, operation: Operation) -> bool:
        """Replace the orphan by what it becomes under a living keeper, durably, if its keeper and state are still its own.

        False, and nothing changed, if somebody else was first. From then on the old keeper can change it no more.
        """
        ...

    async def settle(self, operation: Operation, states: frozenset[State] = UNSETTLED) -> bool:
        """Replace the unsettled operation of the same id and the same keeper by this settled one, durably.

        False, and nothing changed, if somebody else was first or it is gone: the first to settle wins. So if it is in
        none of the `states` now.
        """
        ...

    async def settled(self, id: str, timeout: float | None = None) -> Operation | None:
        """The operation once it is settled, or as it then is after `timeout` seconds; None if it is gone.

        Woken at once by a change made in this process, within a quarter of a second by one made in another.
        """
        ...

    def when_settled(self, id: str, call: Callable[[], object]) -> AbstractContextManager[None]:
        """While in the context, have it called as soon as the operation is settled or gone, as `settled` is woken.

        For who has to act on it and need not wait; what happened before the context was entered is not told.
        """
        ...

    def wake(self, id: str) -> None:
        """Another process is known to have settled it: those who wait here need not wait until that is noticed."""
        ...

    def request_sink(self, id: str) -> AbstractAsyncContextManager[Sink]:
        """Where the content of a request goes, before its operation is created, and soon: one that is not is dropped.

        It counts towards the store's limits once the operation is created; until then it only needs room.
        """
        ...

    def request_body(self, id: str, ref: BodyRef) -> AsyncGenerator[bytes, None]:
        """The content of a kept request, in pieces, verified as by `body`."""
        ...

    def sink(self, id: str, coming: Progress = UNKNOWN) -> AbstractAsyncContextManager[Sink]:
        """Where the body of the operation's response goes, while it is running under this store's keeper.

        `coming` is what is known of it beforehand. While it is written, `get` shows how far it has come: in this
        process as it is, in others to within a MiB, and nothing before the first.
        What is written counts towards the store's limits from the first MiB on, until the operation is settled.
        """
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

    def taking_over(self) -> AbstractAsyncContextManager[bool]:
        """Whether this process is alone, among all, in taking over what dead ones left. Another may be at it: then not."""
        ...

    async def orphans(self) -> list[Operation]:
        """The queued and running operations whose keeper is no longer alive, the oldest first."""
        ...

    async def overdue(self, now: float) -> list[Operation]:
        """The running operations, whoever their keeper is, whose time was up by `now`, in seconds of CLOCK_MONOTONIC."""
        ...

    async def page(self, wanted: Wanted, limit: int, before: int | None = None) -> Page:
        """At most `limit` of the wanted operations, the newest first, from a position on; without one, from the newest.

        It looks at a bounded number of operations: where few are wanted it may find fewer than the limit, even none, and
        still name the position from which on to look further.
        """
        ...

    async def last_settled(self, routes: frozenset[str], limit: int) -> list[Operation]:
        """The operations of these routes, of all if there are none, that were settled last, the latest first.

        It looks at a bounded number of them, and may find fewer than there are of a route where little goes on.
        """
        ...

    async def beginning(self, prefix: str) -> list[Operation]:
        """Those operations, two at most, whose id begins so. Tombstones are not among them."""
        ...

    async def queued_before(self, operation: Operation) -> int:
        """How many queued operations of the same origin were created before this one."""
        ...

    async def places_in_line(self, ids: Iterable[str]) -> dict[str, int]:
        """The same of several, as far as they are queued: at once, since a line may be long."""
        ...

    async def unsettled_of(self, client: str) -> int:
        """How many operations of this client are queued or running."""
        ...

    async def expire(self, now: float) -> int:
        """Drop the bodies of expired operations and the tombstones that are forgotten; how many operations it touched.

        Bodies that no operation refers to (left by a crash) are dropped too, a limited number of files per call, and so
        is content of requests whose operation was not created in a quarter of an hour.
        """
        ...

    async def learned(self) -> dict[str, bytes]:
        """What was learned of each route, as `learn` was last given it: a few hundred bytes each."""
        ...

    async def learn(self, route: str, before: bytes | None, after: bytes) -> bool:
        """Replace what was learned of a route, None if that is nothing, durably.

        False, and nothing changed, if it is not that any more: several processes learn, and none overwrites another.
        """
        ...

    async def usage(self) -> Usage:
        """What counts towards the store's limits now."""
        ...
