"""One request of a client: its head, its content as it comes, and the response as it goes.

The response head is written as the bytes that it is; framing is made anew for whoever asked (RFC 9112 section 6). The
head waits for the first piece of content, so that a small response is one write.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Final, Protocol

from proxy.clock import Clock
from proxy.config import Limits
from proxy.errors import RequestTimeout, RequestTooLarge
from proxy.forwarded import Peer
from proxy.grammar import number
from proxy.inflow import NOTHING, Inflow
from proxy.message import (
    CONTENT_LENGTH,
    LAST_CHUNK,
    Field,
    Reply,
    RequestHead,
    ResponseHead,
    chunk,
    has_body,
)
from proxy.spool import NO_CONTENT, Content
from proxy.words import so_many

CONTINUE: Final = b"HTTP/1.1 100 Continue\r\n\r\n"
CLOSE: Final[Field] = (b"Connection", b"close")
KEEP_ALIVE: Final[Field] = (b"Connection", b"keep-alive")
CHUNKED: Final[Field] = (b"Transfer-Encoding", b"chunked")


class Link(Protocol):
    """The connection that a request came on, as far as a request is concerned."""

    limits: Limits
    peer: Peer
    clock: Clock
    writing_paused: bool  # whether the client takes less than it is sent
    half_closed: bool  # whether it says nothing more
    why_given_up: str | None  # why the proxy breaks off the request that is under way, if it does

    @property
    def local(self) -> bytes:
        """The authority of the address that the client reached."""
        ...

    @property
    def draining(self) -> bool:
        """Whether the connection is to be closed after this response."""
        ...

    def send(self, data: bytes) -> None:
        """Write. Raises ConnectionError if the client has left."""
        ...

    async def drain(self) -> None:
        """Wait until the client takes more. Raises ConnectionError if it takes nothing for too long, or has left."""
        ...

    def abort(self, *, reset: bool = False) -> None:
        """Break the connection off; with `reset`, in a way that cannot be taken for its end."""
        ...

    def take_over(self) -> tuple[asyncio.Transport, bytes]:
        """Let the request have the connection for another protocol, with what has come on it already."""
        ...


class ClientContent:
    """The content of a request, straight from the client's connection."""

    present = True

    def __init__(self, inflow: Inflow, length: int | None, limits: Limits, invite: Callable[[], None]) -> None:
        self.length = length
        self.limit: int | None = None  # bytes
        self._inflow = inflow
        self._limits = limits
        self._invite = invite
        self._received = 0
        self._waited = 0.0  # seconds; the time in which whoever takes the pieces is at work is not the client's

    @property
    def whole(self) -> bytes | None:
        if not self._inflow.ended or self._received:
            return None
        return self._counted(self._inflow.take())

    async def pieces(self) -> AsyncIterator[bytes]:
        """Raises RequestTimeout, RequestTooLarge, BadRequest; ConnectionError if the client has left."""
        self._invite()
        while piece := self._inflow.take() or await self._arrival():
            yield self._counted(piece)

    def close(self) -> None:
        pass

    async def _arrival(self) -> bytes:
        """What the client sends next."""
        now, gap = asyncio.get_running_loop().time, self._limits.body_timeout
        began = now()
        piece = await self._inflow.next(gap)
        self._waited += now() - began
        if self._waited > gap and not self._inflow.ended:
            self._require_rate(self._received + len(piece))
        return piece

    def _require_rate(self, received: int) -> None:
        least = self._limits.min_upload_rate
        if received < least * self._waited:
            what = f"The content came at less than {so_many(least, 'byte')} per second"
            raise RequestTimeout(f"{what}.", why=f"{what} (limits.min_upload_rate).")

    def _counted(self, piece: bytes) -> bytes:
        self._received += len(piece)
        if self.limit is not None and self._received > self.limit:
            raise RequestTooLarge(f"The request has more than {so_many(self.limit, 'byte')} of content.")
        return piece


class ClientRequest:
    """A request of a client, and the response to it."""

    def __init__(self, head: RequestHead, inflow: Inflow, link: Link, *, keep_alive: bool) -> None:
        self.head = head
        self.link = link
        self.id = b""  # by which it is found in the log; empty before it has one
        self.status = 0  # of the response; 0 before it began
        self.sent = 0  # bytes of its content
        self.tunnelled: int | None = (
            None  # bytes received of another protocol, where the connection was switched to one
        )
        self.started = False  # whether bytes of it are out
        self.keep_alive = keep_alive  # the connection goes on afterwards
        self.is_last = not keep_alive  # the client has said that it asks nothing more
        self._inflow = inflow
        self._chunked = False
        self._until_close = False
        self._bodiless = False
        self._length: int | None = None  # of its content, where it was announced
        self._pending = b""  # its head, until the first piece of content

    def content(self, limit: int) -> Content:
        """The request's content, at most `limit` bytes.

        Raises RequestTooLarge if the head tells that it is more, and what content has failed with already.
        """
        if self._inflow is NOTHING:
            return NO_CONTENT
        if self._inflow.error is not None:
            raise self._inflow.error
        fields = self.head.fields
        chunked = fields.first(b"transfer-encoding") is not None
        announced = fields.first(b"content-length")
        length = None if chunked or announced is None else number(announced)
        if length is not None and length > limit:
            raise RequestTooLarge.announced(length, limit)
        content = ClientContent(self._inflow, length, self.link.limits, self._invite)
        content.limit = limit
        return content

    def begin(self, head: ResponseHead, length: int | None) -> None:
        """Make the head ready. `length` is that of the content in bytes, None if only its end will tell."""
        self.status = head.status
        self.sent, self._length = 0, length
        self._chunked = self._until_close = False  # an error may take the place of a response that never went out
        self._bodiless = not has_body(self.head.method, head.status)
        framed, framing = self._framed(head, length)
        self._pending = framed.to_wire(*framing, *self._persistence())

    @property
    def is_whole(self) -> bool:
        """Whether the response has all the content that its head announced."""
        return self.sent == self._length

    @property
    def arrived(self) -> bool:
        """Whether all of the request is here."""
        return self._inflow.ended

    @property
    def received(self) -> int:
        """How many bytes have come after its head."""
        return self._inflow.received if self.tunnelled is None else self.tunnelled

    @property
    def buffered(self) -> int:
        """How many bytes of its content wait for whoever takes them."""
        return self._inflow.buffered

    @property
    def lasts_until_close(self) -> bool:
        """Whether the end of the connection is the end of the response that has begun."""
        return self._until_close and self.started

    @property
    def will_be_answered(self) -> bool:
        """Whether all of it is here, and its response will have an end, as far as is known."""
        return self.arrived and not (self.started and self._length is None)

    def discard(self) -> None:
        """Drop what nobody has taken of the content: the connection reads no more while too much of it lies here."""
        self._inflow.take()

    async def flush(self) -> None:
        """Send the head now, because content is not there yet."""
        await self._sent(b"")

    async def write(self, piece: bytes) -> None:
        """Send a piece of content. Raises ConnectionError if the client has left."""
        await self._sent(self._encoded(piece))

    def end(self, piece: bytes = b"") -> Awaitable[None]:
        """Send the last piece, and the end."""
        return self._sent(self._encoded(piece) + (LAST_CHUNK if self._chunked else b""))

    async def respond(self, reply: Reply) -> None:
        """Send a whole response of the proxy's own."""
        fields = reply.head.fields.plus((b"Date", self.link.clock.date()))  # RFC 9110 section 6.6.1
        if reply.content:  # HEAD tells the length of what GET would get (section 9.3.2)
            fields = fields.plus((b"Content-Length", b"%d" % len(reply.content)))
        self.begin(reply.head._replace(fields=fields), len(reply.content))
        await self.end(reply.content)

    async def switch(self, head: ResponseHead) -> tuple[asyncio.Transport, bytes]:
        """Send a 101, and give the connection to the other protocol, with what has come of that already."""
        self.status, self._length, self.keep_alive = head.status, None, False
        self._pending = head.with_fields(head.fields.without(CONTENT_LENGTH)).to_wire()  # RFC 9110 section 8.6
        await self.flush()
        return self.link.take_over()

    def abort(self) -> None:
        """Break the response off, so that what was sent does not look whole."""
        self.keep_alive = False
        self.link.abort(reset=self._until_close)

    def _framed(self, head: ResponseHead, length: int | None) -> tuple[ResponseHead, tuple[Field, ...]]:
        """The head, and the framing field that this client needs besides."""
        if self._bodiless:
            # A length tells of what GET or a 200 would have; 204 never has any, to HEAD neither (RFC 9110 section 8.6).
            return (head.with_fields(head.fields.without(CONTENT_LENGTH)) if head.status == 204 else head), ()
        if length is not None:
            announced = head.fields.has(b"content-length")
            return head, () if announced else ((b"Content-Length", b"%d" % length),)
        if self.head.version >= (1, 1):
            self._chunked = True
            return head, (CHUNKED,)
        self._until_close, self.keep_alive = True, False  # HTTP/1.0 knows no chunks
        return head, ()

    def _persistence(self) -> tuple[Field, ...]:
        # A client that is still sending would not know where its next request begins (RFC 9112 section 9.6).
        self.keep_alive = self.keep_alive and self._inflow.ended and not self.link.draining
        if not self.keep_alive:
            return (CLOSE,)
        return () if self.head.version >= (1, 1) else (KEEP_ALIVE,)

    def _encoded(self, piece: bytes) -> bytes:
        if self._bodiless:
            return b""
        self.sent += len(piece)
        return chunk(piece) if self._chunked else piece

    async def _sent(self, data: bytes) -> None:
        if self._pending:
            data, self._pending = self._pending + data, b""
        if data:
            self.link.send(data)
            self.started = True
            if self.link.writing_paused:
                await self.link.drain()

    def _invite(self) -> None:
        """Answer `Expect: 100-continue` (RFC 9110 section 10.1.1), now that somebody wants the content."""
        expects = b"100-continue" in self.head.fields.members(b"expect")
        if expects and self.head.version >= (1, 1) and not self.started and not self._inflow.ended:
            self.link.send(CONTINUE)
