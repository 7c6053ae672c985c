"""A client's connection, whose requests are answered one after the other.

It has one deadline, for whatever it waits for just now: the first byte, the rest of a head, or the next request. Content
and responses have deadlines of their own (see `client` and `drain`).
"""

import asyncio
import socket
import struct
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager, suppress
from functools import cached_property
from typing import Final, Protocol, cast

from proxy.client import ClientRequest
from proxy.clock import Clock
from proxy.config import Limits
from proxy.deadline import Deadline
from proxy.errors import DEFECT, Busy, ProxyError, RequestTimeout
from proxy.forwarded import Peer
from proxy.inflow import NOTHING
from proxy.intake import Intake
from proxy.message import Fields, Reply, RequestHead
from proxy.words import so_many

LONGEST_LINGERING: Final = 5.0  # seconds for a client that still sends after it has its answer
LEFT: Final = "the client has left"
NONE_AT_ALL: Final = RequestHead("", b"/", Fields())  # of what never became a request

Handler = Callable[[ClientRequest], Awaitable[None]]
Refusal = Callable[[ClientRequest, ProxyError], Reply]
PeerOf = Callable[[str | None], Peer]  # by its IP address, None for a Unix socket


class Front(Protocol):
    """What all connections have in common."""

    handler: Handler
    refusal: Refusal
    peer: PeerOf
    limits: Limits
    clock: Clock
    draining: bool
    patience: float  # while it drains: seconds for the next request of a connection
    answers_half_closed: bool  # whether who closes its own side may still want what it has asked for

    def admit(self, connection: "ClientConnection") -> bool:
        """Count one more connection, unless there are as many as may be."""
        ...

    def release(self, connection: "ClientConnection", *, admitted: bool) -> None:
        """It is closed, though whoever answered on it may not have ended yet. Can be called again."""
        ...


class ClientConnection(asyncio.Protocol):
    """The protocol of one client's connection."""

    def __init__(self, front: Front) -> None:
        self.limits = front.limits
        self.clock = front.clock
        self.peer = front.peer(None)
        self.writing_paused = False
        self._front = front
        self._loop = asyncio.get_running_loop()
        self._transport: asyncio.Transport
        self._intake = Intake(self, self._loop)
        self._drained: asyncio.Future[None] | None = None  # there while somebody waits for the client to take more
        self._task: asyncio.Task[None]
        self._deadline = Deadline(self._loop, self._is_late)  # of what it waits for
        self._hurried = False  # whether that is the end of a head
        self._rest: asyncio.TimerHandle | None = None  # there once it closes and the client has yet to take something
        self._idle_since = 0.0
        self._admitted = False
        self.half_closed = False
        self.why_given_up: str | None = None
        self._current: ClientRequest | None = None  # whose answer is under way
        self._lost: asyncio.Future[None] = self._loop.create_future()
        self.closed: asyncio.Future[None] = self._loop.create_future()  # and whoever answered has ended, too

    # What a request uses (client.Link).

    @cached_property
    def local(self) -> bytes:
        sockname = self._transport.get_extra_info("sockname")
        if not isinstance(sockname, tuple):
            return b"localhost"
        host, port = sockname[:2]
        return (f"[{host}]:{port}" if ":" in host else f"{host}:{port}").encode()

    @property
    def draining(self) -> bool:
        return self._front.draining

    @property
    def answering(self) -> bool:
        """Whether a request is under way on it."""
        return self._current is not None

    def send(self, data: bytes) -> None:
        if self._transport.is_closing():
            raise ConnectionResetError(LEFT)
        self._transport.write(data)

    async def drain(self) -> None:
        if not self.writing_paused:
            return
        self._drained = self._loop.create_future()
        timer = self._loop.call_later(self.limits.send_timeout, self.abort)
        try:
            await self._drained
        finally:
            timer.cancel()
            self._drained = None

    def abort(self, *, reset: bool = False) -> None:
        if reset and not self._transport.is_closing():  # else there is no socket any more
            sock = self._transport.get_extra_info("socket")
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self._transport.abort()

    def take_over(self) -> tuple[asyncio.Transport, bytes]:
        """Let the request that is under way have the connection for another protocol, until it has been answered.

        Returns the transport, which takes another protocol, and what has come on it already.
        """
        self._deadline.cancel()
        self._lost.set_result(None)
        return self._transport, self._intake.release()

    # What the server uses.

    def close_when_idle(self) -> None:
        """Close it when it has waited its time for a request: a client may be sending one at this moment."""
        if self._intake.is_awaited and not self._intake.in_head:
            self._deadline.set(self._idle_since + self._front.patience)

    def gives_way(self) -> bool:
        """Break it off if there is no request on it, so that another can have its place. Returns whether that was so."""
        if self._current is not None or self._intake.first is not None:
            return False
        self._front.release(self, admitted=self._admitted)
        self.abort()
        return True

    def give_up(self, why: str) -> None:
        """Cancel the handler of the request that is under way; it may still say why."""
        self.why_given_up = why
        self._task.cancel()

    # What the event loop calls.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = self._intake.transport = cast("asyncio.Transport", transport)
        peername = transport.get_extra_info("peername")
        self.peer = self._front.peer(peername[0] if isinstance(peername, tuple) else None)
        self._task = self._loop.create_task(self._serve())
        self._task.add_done_callback(self._end)
        self._admitted = self._front.admit(self)
        if not self._admitted:
            most = f"limits.max_connections: {self.limits.max_connections}"
            self._intake.put(Busy("Too many connections are open.", why=f"Too many connections are open ({most})."))

    def data_received(self, data: bytes) -> None:
        self._intake.feed(data)
        if not self._hurried and self._intake.is_awaited and self._intake.in_head:
            self._hurry()

    def eof_received(self) -> bool:
        """The client has left, or only has nothing more to ask (RFC 9112 section 9.6). Returns whether it stays open.

        What ends with the connection must not look whole where it is cut.
        """
        self.half_closed = True
        if self._front.answers_half_closed and self._owes_answer:
            return True
        if self._current is not None and self._current.lasts_until_close:
            self.abort(reset=True)
        return False

    @property
    def _owes_answer(self) -> bool:
        """Whether something was asked in full, and its answer will come to an end."""
        request = self._current or self._intake.first
        return request is not None and (not isinstance(request, ClientRequest) or request.will_be_answered)

    def pause_writing(self) -> None:
        self.writing_paused = True

    def resume_writing(self) -> None:
        self.writing_paused = False
        if self._drained is not None and not self._drained.done():
            self._drained.set_result(None)

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002  # whatever it was, the client has left
        self._deadline.cancel()
        self._intake.fail(ConnectionResetError(LEFT))
        if self._drained is not None and not self._drained.done():
            self._drained.set_exception(ConnectionResetError(LEFT))
        if self._rest is not None:
            self._rest.cancel()
        self._lost.set_result(None)
        self._front.release(self, admitted=self._admitted)
        self._task.cancel()
        self._end()

    def _end(self, _: object = None) -> None:
        """Be closed when both the connection and whoever answered on it have ended."""
        if self._lost.done() and self._task.done() and not self.closed.done():
            self._front.release(self, admitted=self._admitted)
            self.closed.set_result(None)

    # Requests, one after the other.

    async def _serve(self) -> None:
        """Answer one request after the other, to the last."""
        self._expect(self.limits.header_timeout)
        self._hurried = not self.draining
        try:
            while await self._answer(await self._intake.next()):
                self._expect(self.limits.keepalive_timeout)
        finally:
            self._close()

    async def _answer(self, request: ClientRequest | ProxyError) -> bool:
        """Whether the connection goes on afterwards."""
        if isinstance(request, ProxyError):
            await self._refuse(ClientRequest(NONE_AT_ALL, NOTHING, self, keep_alive=False), request)
            await self._linger()
            return False
        self._current = request
        try:
            await self._front.handler(request)
        except Exception as exc:  # noqa: BLE001  # it must not take the whole connection along without a word
            error = ProxyError(DEFECT)
            error.__cause__ = exc
            await self._refuse(request, error)
        if request.arrived:
            request.discard()
        if not (request.keep_alive or self._is_last(request)):
            await self._linger()
        return request.keep_alive

    def _is_last(self, request: ClientRequest) -> bool:
        """Whether nothing comes behind it. Without a half-close, as in TLS, a client could not be asked to stop."""
        return request.arrived and (request.is_last or not self._transport.can_write_eof())

    async def _refuse(self, client: ClientRequest, error: ProxyError) -> None:
        reply = self._front.refusal(client, error)
        client.keep_alive = False
        if client.started:
            self.abort()
            return
        with suppress(ConnectionError):
            await client.respond(reply)

    async def _linger(self) -> None:
        """Let a client that still sends have its answer: to close at once would be a reset (RFC 9112 section 9.6)."""
        if self._transport.is_closing() or self._lost.done() or self.half_closed or self.draining:
            return
        self._current = None
        self._intake.drop()
        if self._transport.can_write_eof():
            self._transport.write_eof()
        self._transport.resume_reading()
        await asyncio.wait({self._lost}, timeout=LONGEST_LINGERING)

    # Its time.

    def _expect(self, patience: float) -> None:
        """Wait for the next request, and give a head that has begun behind the last one its time from now."""
        self._current = None
        self._intake.go_on()
        self._idle_since, self._hurried = self._loop.time(), False
        if self._intake.in_head:
            self._hurry()
        else:
            self._deadline.set(self._idle_since + (self._front.patience if self.draining else patience))

    def _hurry(self) -> None:
        """A head has begun, or may have."""
        self._hurried = True
        self._deadline.set(self._loop.time() + self.limits.header_timeout)

    def _is_late(self) -> None:
        """It has waited too long. While a request is under way it waits for nothing."""
        if not self._intake.is_awaited:
            return
        if self._intake.in_head:
            what = f"The request's head took more than {so_many(self.limits.header_timeout, 'second')}"
            self._intake.put(RequestTimeout(f"{what}.", why=f"{what} (limits.header_timeout)."))
        elif _has_unread(self._transport):  # it was in time, and the event loop has been too busy to read it
            self._hurry()
        else:
            _end_at_once(self._transport)
            self._close()

    def _close(self) -> None:
        """Close it, and let the client take the rest of its answer, as long as it takes any."""
        self._current = None
        if not self._lost.done():
            self._transport.close()
            self._deadline.cancel()
            self._see_out(self._transport.get_write_buffer_size())

    def _see_out(self, left: int) -> None:
        self._rest = self._loop.call_later(self.limits.send_timeout, self._rest_is_late, left)

    def _rest_is_late(self, before: int) -> None:
        left = self._transport.get_write_buffer_size()
        if left < before:
            self._see_out(left)
        else:
            self._transport.abort()


def _has_unread(transport: asyncio.Transport) -> bool:
    """Whether there is something to be read that the event loop has not read yet."""
    with suppress(OSError), _socket_of(transport) as sock:
        return bool(sock.recv(1, socket.MSG_PEEK | socket.MSG_DONTWAIT))
    return False


def _end_at_once(transport: asyncio.Transport) -> None:
    """Let the client know in this moment that nothing more is read.

    The transport ends a turn of the event loop after it is closed: what came until then would be lost and, worse, be
    reset (RFC 9112 section 9.6). TLS has a farewell of its own, and what is still to be sent goes first.
    """
    if transport.can_write_eof() and not transport.get_write_buffer_size():
        with suppress(OSError), _socket_of(transport) as sock:
            sock.shutdown(socket.SHUT_WR)


@contextmanager
def _socket_of(transport: asyncio.Transport) -> Iterator[socket.socket]:
    """The transport's own, of which that shows but what neither reads nor shuts down. Raises OSError if it is gone."""
    shown = transport.get_extra_info("socket")
    if shown is None:  # TLS lets go of it a turn before it says that the connection is lost
        raise ConnectionResetError(LEFT)
    sock = socket.socket(shown.family, shown.type, shown.proto, shown.fileno())
    try:
        yield sock
    finally:
        sock.detach()
