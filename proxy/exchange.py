"""One request to an origin and its response.

An exchange has exactly one owner, who closes it: first the handler of the client's request, after the hand-over the
keeper. A request goes out once. Only when no byte of it can have been acted upon is it sent once more: for a safe,
empty-handed method on a connection that had served before and turned out dead.
"""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Coroutine, Iterator
from functools import partial
from itertools import chain, repeat
from time import monotonic
from types import TracebackType
from typing import Any, Final, NamedTuple, Self, TypeVar

from proxy.connection import Connection
from proxy.errors import Busy, OriginBrokeOff, OriginTimeout, OriginUnreachable, ProxyError
from proxy.fields import addressed
from proxy.message import LAST_CHUNK, Field, RequestHead, ResponseHead, chunk
from proxy.origin import Origin
from proxy.pool import Turn
from proxy.reasons import Hold
from proxy.response import WentStale
from proxy.spool import Content

T = TypeVar("T")

CLOSED: Final = "The exchange was closed before its response was complete."
CHUNKED: Final[Field] = (b"Transfer-Encoding", b"chunked")
REPEATABLE: Final = frozenset({"GET", "HEAD", "OPTIONS"})
SAFE: Final = REPEATABLE | {"TRACE"}  # RFC 9110 section 9.2.1


class Deadlines(NamedTuple):
    """How long an exchange may wait for what; numbers are seconds."""

    turn: Turn  # how it waits for its own, when the origin has all the connections it may have
    head: float  # from the request's sending to the head of the response; infinite: who waits sees to it
    idle: float  # longest silence while content flows, either way


class Outcome(NamedTuple):
    """What became of an exchange, when it is closed."""

    origin: str  # its name
    scheme: str
    authority: str  # of the server that was asked, or would have been
    seconds: float  # since it began
    status: int | None  # of the response, as far as there was one
    error: str | None  # the code of what ended it early


def pauses() -> Iterator[float]:
    """Growing pauses in seconds, without end, while the store or the origin is in trouble."""
    return chain((0.1, 0.2, 0.5, 1.0, 2.0), repeat(5.0))


class Exchange:
    """A request, and the response once it comes. As a context it closes itself, unless it was handed over meanwhile."""

    def __init__(
        self,
        origin: Origin,
        request: RequestHead,
        content: Content,
        deadlines: Deadlines,
        offers: tuple[bytes, ...] = (),
    ) -> None:
        """The offers are protocols that the request asks to switch to: then the head may be that of a 101."""
        self.request = request
        self._offers = offers
        self.content = content
        self._origin = origin
        self._deadlines = deadlines
        self._gate: Callable[[], Awaitable[bool]] | None = None
        self._turn_came: asyncio.Future[None] | None = None  # there once it was started
        self._line_known: asyncio.Future[None] | None = None  # the same: whether it has to stand in line for its turn
        self._connection: Connection | None = None
        self._tasks: list[asyncio.Task[Any]] = []
        self.when_over: Callable[[Exchange], None] | None = None  # called when it is closed, and its outcome known
        self._failure: ProxyError | None = None  # what ended it early
        self.handed_over = False
        self._sent_whole = False
        # When, on a clock of its own; 0 before it happens.
        self._asked = monotonic()  # for a connection
        self.sent_at = 0.0  # the first byte of the request
        self.answered_at = 0.0  # by the head of the response
        self.ended_at = 0.0  # by the last byte of its body, where it did not come with the head
        self.closed = False  # by us

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, trace: TracebackType | None
    ) -> None:
        if not self.handed_over:
            self.close()

    def hand_over(self) -> None:
        """From now on somebody else closes it."""
        self.handed_over = True

    def hand_back(self) -> None:
        """The other one would not have it: it is the context's to close again."""
        self.handed_over = False

    def start(self) -> None:
        """Begin, as a task of this exchange's own: it goes on when whoever waits for the answer stops waiting."""
        loop = asyncio.get_running_loop()
        self._turn_came, self._line_known = loop.create_future(), loop.create_future()
        if self._admitted_at_once() is not None:  # who asks now is to know that it does not wait
            self._turn_came.set_result(None)
        self._answer = self._own(self.head())

    @property
    def is_waiting(self) -> bool:
        """Whether a started exchange still waits for its turn, so that its origin knows nothing of it."""
        return not (self._answer.done() or self._turn_came is None or self._turn_came.done())

    @property
    def held_by(self) -> Hold | None:
        """What keeps one that waits from its turn (see `Origin.held_by`); None if it does not wait."""
        return self._origin.held_by(self._deadlines.turn) if self.is_waiting else None

    @property
    def patience(self) -> float:
        """Seconds that a client waits for its turn at this origin."""
        return self._origin.settings.queue_timeout

    async def turn_within(self, wait: float | None) -> bool:
        """Whether its turn comes, or an error instead of it, within `wait` seconds."""
        if self._turn_came is not None and self.is_waiting:
            await _any_of({self._turn_came, self._answer}, wait)
        return not self.is_waiting

    async def line_known_within(self, wait: float) -> None:
        """Wait, for so many seconds at most, until it is known whether it has to stand in line for its turn."""
        if self._turn_came is not None and self._line_known is not None and self.is_waiting:
            await _any_of({self._turn_came, self._line_known, self._answer}, wait)

    def hold(self, gate: Callable[[], Awaitable[bool]]) -> None:
        """Have nothing sent before `gate` says so; what it raises ends the exchange. Only while it waits."""
        self._gate = gate

    async def answered_within(self, wait: float | None) -> bool:
        """Whether the head of the response, or the error instead of it, is there within `wait` seconds of now."""
        if not self._answer.done() and wait != 0:
            await asyncio.wait({self._answer}, timeout=wait)
        return self._answer.done()

    async def answered(self) -> None:
        """Wait for the same, however long it takes: for ten thousands that wait, in less memory than `asyncio.wait` needs."""
        if not self._answer.done():
            woken: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            self._answer.add_done_callback(partial(_wake, woken))
            await woken

    def answer(self) -> ResponseHead:
        """The head of the response to a started exchange that has answered. Raises as `head` does."""
        if self._answer.cancelled():
            raise OriginBrokeOff(CLOSED)
        return self._answer.result()

    async def head(self) -> ResponseHead:
        """Send the request and wait for the head of its response. Raises OriginError, and what reading content raises."""
        try:
            connection = self._connection or self._admitted_at_once() or await self._admitted()
            if self._turn_came is not None and not self._turn_came.done():
                self._turn_came.set_result(None)
            try:
                head = await self._attempt(connection)
            except WentStale:
                if not self._may_repeat():
                    raise
                head = await self._attempt(await self._another())
        except ProxyError as exc:
            self._failure = exc
            raise
        self.answered_at = monotonic()
        return head

    def times(self, now: float) -> tuple[float, float | None]:
        """Seconds in which it waited for its turn and a connection, and those from its sending to the head of its response.

        What is not over yet has lasted until now; the second is None if it was not sent.
        """
        sent = self.sent_at
        return (sent - self._asked, (self.answered_at or now) - sent) if sent else (now - self._asked, None)

    def lasted(self) -> float:
        """Seconds since its sending; 0 before."""
        return monotonic() - self.sent_at if self.sent_at else 0.0

    @property
    def may_be_done(self) -> bool:
        """Whether the origin may have carried out what changes something there: all of the request was sent to it."""
        return self._sent_whole and self.request.method not in SAFE

    def arrived(self) -> bytes:
        """What of the response's body is here already."""
        return self.connection.arrived()

    @property
    def whole(self) -> bool:
        """Whether all of the response has arrived."""
        return self.connection.response.complete

    @property
    def version(self) -> tuple[int, int]:
        """The HTTP version of the response."""
        return self.connection.response.version

    @property
    def length(self) -> int | None:
        """The length of the response's body in bytes, where it is known in advance."""
        return self.connection.response.length

    async def pieces(self) -> AsyncGenerator[bytes, None]:
        """The response's body, piece by piece. Raises OriginError where it does not end as it should."""
        # Asked for each time: once this is closed, the connection may be another exchange's.
        try:
            while piece := await self.connection.piece(self._deadlines.idle):
                yield piece
        except ProxyError as exc:
            self._failure = exc
            raise
        self.ended_at = monotonic()

    def take_over(self) -> tuple[asyncio.Transport, bytes]:
        """After a 101: the connection, for the other protocol until this is closed, and what has come of that already."""
        return self.connection.take_over()

    def close(self) -> None:
        """End it. The connection is kept for others if the exchange is over, and dropped if it is not."""
        try:
            if self.when_over is not None:
                tell, self.when_over = self.when_over, None
                tell(self)
        finally:  # whatever becomes of the telling
            self._close()

    def _close(self) -> None:
        self.closed = True
        for task in self._tasks:
            task.cancel()
        self.content.close()
        self._drop_connection()

    def outcome(self) -> Outcome:
        """What became of it, for who is told that it is over."""
        origin, connection = self._origin, self._connection
        authority = (connection.authority if connection is not None else origin.settings.url[0].authority).decode()
        response = connection.response if connection is not None else None
        over = response is not None and (response.complete or response.switched)
        error = self._failure.code if self._failure is not None else None if over else "closed"
        status = response.head.status if response is not None and response.head is not None else None
        seconds = monotonic() - self._asked
        return Outcome(origin.name, origin.settings.url[0].scheme, authority, seconds, status, error)

    @property
    def connection(self) -> Connection:
        """The one that it has; from the head of its response to its end."""
        if self._connection is None:
            raise OriginBrokeOff(CLOSED)
        return self._connection

    def _admitted_at_once(self) -> Connection | None:
        """A connection that lies idle, if there is one and nobody's leave is needed."""
        if self._gate is None:
            self._connection = self._origin.idle_connection(self._deadlines.turn)
        return self._connection

    async def _admitted(self) -> Connection:
        """A connection, and leave to use it. Who needs leave waits in line again where either cannot be had."""
        for pause in pauses():
            try:
                self._connection = await self._origin.connection(self._deadlines.turn, self._know_line)
            except (OriginUnreachable, OriginTimeout, Busy):  # nothing was sent
                if self._gate is None:
                    raise
            if self._connection is not None and (self._gate is None or await self._gate()):
                break
            self._drop_connection()
            await asyncio.sleep(pause)
        return self.connection

    def _know_line(self) -> None:
        if self._line_known is not None and not self._line_known.done():
            self._line_known.set_result(None)

    async def _another(self) -> Connection:
        """A new connection in the place of the one that went stale."""
        stale, self._connection = self.connection, None
        self._connection = await self._origin.another(stale)
        return self._connection

    def _drop_connection(self) -> None:
        if self._connection is not None:
            self._origin.give_back(self._connection)
            self._connection = None

    def _attempt(self, connection: Connection) -> Awaitable[ResponseHead]:
        """Send the request, as far as it is there. What is returned waits for the head of the response."""
        self.sent_at = monotonic()
        connection.begin(self.request.method, self._offers)
        whole = self.content.whole
        if whole is None:
            return self._upload_and_listen(connection)
        head = self._head_to_wire(connection)
        connection.write(head + self._encoded(whole) + self._last_chunk if self.content.present else head)
        self._sent_to_its_end(connection)
        return connection.head(self._deadlines.head)

    async def _upload_and_listen(self, connection: Connection) -> ResponseHead:
        """Send the content as it comes. A response that does not wait for its end is the answer, and ends the upload."""
        upload = self._own(self._upload(connection))
        try:
            while not (upload.done() or connection.answered):
                await asyncio.wait({upload, connection.response.news()}, return_when=asyncio.FIRST_COMPLETED)
            if not connection.answered:
                upload.result()
            return await connection.head(self._deadlines.head)
        finally:
            upload.cancel()

    async def _upload(self, connection: Connection) -> None:
        connection.write(self._head_to_wire(connection))
        async for piece in self.content.pieces():
            connection.write(self._encoded(piece))
            await connection.drain(self._deadlines.idle)
        connection.write(self._last_chunk)
        self._sent_to_its_end(connection)

    def _sent_to_its_end(self, connection: Connection) -> None:
        connection.sent_whole()
        self._sent_whole = True

    def _encoded(self, piece: bytes) -> bytes:
        return chunk(piece) if self.content.length is None else piece

    @property
    def _last_chunk(self) -> bytes:
        return LAST_CHUNK if self.content.length is None else b""

    def _head_to_wire(self, connection: Connection) -> bytes:
        """The head with its framing made anew: a known length stays one, because legacy origins do not read chunks."""
        request = addressed(self.request, connection.authority)
        if not self.content.present:
            return request.to_wire()
        length = self.content.length
        return request.to_wire(CHUNKED if length is None else (b"Content-Length", b"%d" % length))

    def _may_repeat(self) -> bool:
        return self.connection.used and self.request.method in REPEATABLE and not self.content.present

    def _own(self, work: Coroutine[Any, Any, T]) -> asyncio.Task[T]:
        task = asyncio.get_running_loop().create_task(work)
        task.add_done_callback(_look_at)
        self._tasks.append(task)
        return task


async def _any_of(futures: set[asyncio.Future[Any]], wait: float | None) -> None:
    """Wait for the first of them, for so many seconds at most."""
    await asyncio.wait(futures, timeout=wait, return_when=asyncio.FIRST_COMPLETED)


def _wake(waiter: asyncio.Future[None], _: asyncio.Task[Any]) -> None:
    if not waiter.done():
        waiter.set_result(None)


def _look_at(task: asyncio.Task[Any]) -> None:
    """Whoever waited for the task may be gone: then its failure concerns nobody."""
    if not task.cancelled():
        task.exception()
