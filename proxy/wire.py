"""The few adaptations of aiohttp's low-level server, each with its reason.

Private names of aiohttp are used here and in `parser` alone.

* The timer in `ClientConnection`: aiohttp has no timeout for a header section.
* `ClientConnection.linger`: aiohttp waits for the rest of an unread body, but resets where it reads no further.
* `ClientConnection.see_out`: a transport that closes waits without end for a client to take what is left.
* `ClientConnection.handle_error`: aiohttp answers what it cannot parse, and a handler that failed, in plain text, and
  closes a half-sent response as if it were whole.
* `_Message`: aiohttp's own request object decodes what a proxy passes on as it is.
* `_Answered`: the response is out when a handler returns; aiohttp then asks only whether the connection stays open.
"""

import asyncio
import socket
import struct
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any, Final, cast

from aiohttp import web
from aiohttp.abc import AbstractStreamWriter
from aiohttp.http import HttpRequestParser, RawRequestMessage
from aiohttp.streams import EMPTY_PAYLOAD, StreamReader

from proxy.client import ClientRequest
from proxy.clock import Clock
from proxy.config import Limits
from proxy.errors import Busy, ProxyError, RequestTimeout
from proxy.forwarded import Peer
from proxy.message import Fields, Reply, RequestHead
from proxy.parser import GuardedParser, as_error, raw_target, refused
from proxy.tally import Cell

MOST_FIELDS: Final = 1000  # of one message: a bound on objects; bytes have their own
LONGEST_LINGERING: Final = 5.0  # seconds for a client that still sends after it has its answer
PATIENCE: Final = 2.0  # seconds for the next request of an open connection, when a stop begins
LAST_WORDS: Final = 1.0  # seconds for a handler that was given up to answer
AT_ONCE: Final = 0.01  # seconds; aiohttp takes 0 for: without limit

Handler = Callable[[ClientRequest], Awaitable[None]]
Refusal = Callable[[ClientRequest, ProxyError], Reply]
PeerOf = Callable[[str | None], Peer]  # by its IP address, None for a Unix socket


class Server(web.Server):
    """Makes a connection's protocol, and hands its requests to `handler`, which responds to each.

    `refusal` writes the response to what never becomes a request, or made the handler fail.
    """

    def __init__(
        self, handler: Handler, refusal: Refusal, peer: PeerOf, limits: Limits, clock: Clock, *, admitted: Cell
    ) -> None:
        super().__init__(
            self._handle,  # type: ignore[arg-type]  # our own request and response, see _Message and _Answered
            request_factory=_Message,  # type: ignore[arg-type]
            handler_cancellation=True,
        )
        self._handler = handler
        self.refusal = refusal
        self.peer = peer
        self.limits = limits
        self.clock = clock
        self.admitted = admitted  # connections; limits are for those of all processes together
        self.draining = False
        self.patience = limits.keepalive_timeout  # while it drains: seconds for the next request of a connection

    def __call__(self) -> "ClientConnection":
        return ClientConnection(self)

    def admit(self) -> bool:
        """Count one more connection, unless there are as many as may be."""
        if self.admitted.total() >= self.limits.max_connections:
            return False
        self.admitted.add()
        return True

    async def retire(self) -> None:
        """Answer what still comes on open connections as the last of each, until all have been closed."""
        self._ask_no_more(self.limits.keepalive_timeout)
        await self._all_closed(None)

    async def drain(self, timeout: float, patience: float = PATIENCE) -> None:
        """The same for `timeout` seconds, closing what is idle for `patience`; then break off what is open."""
        # Not with aiohttp's own means: those stop reading at once, and an upload under way would never end.
        self._ask_no_more(min(patience, timeout))
        await self._all_closed(timeout)
        for connection in self._open():
            connection.give_up()
        await self._all_closed(LAST_WORDS)
        await self.shutdown(AT_ONCE)

    def _ask_no_more(self, patience: float) -> None:
        self.draining, self.patience = True, patience
        for connection in self._open():
            connection.close_when_idle()

    def _open(self) -> "list[ClientConnection]":
        return [connection for connection in self.connections if isinstance(connection, ClientConnection)]

    async def _all_closed(self, timeout: float | None) -> None:
        """Wait for it, with those that were accepted a moment ago and are not made yet."""
        with suppress(TimeoutError):
            async with asyncio.timeout(timeout):
                await asyncio.sleep(0)
                while connections := self._open():
                    await asyncio.wait([connection.closed for connection in connections])

    async def _handle(self, message: "_Message") -> "_Answered":
        await self._handler(message.request)
        return _Answered(message.request)


class ClientConnection(web.RequestHandler):
    """aiohttp's protocol for one client's connection, with deadlines and limits on what comes before a request."""

    def __init__(self, server: Server) -> None:
        self.limits = server.limits
        self.clock = server.clock
        self.peer = server.peer(None)
        self._server = server
        self.closed: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._head_timer: asyncio.TimerHandle | None = None
        self._rest_timer: asyncio.TimerHandle | None = None
        self._lingering = False
        self._idle_since = 0.0
        self._admitted = False
        super().__init__(
            server,
            loop=asyncio.get_running_loop(),
            access_log=None,  # type: ignore[arg-type]  # aiohttp's way to say: none
            keepalive_timeout=server.limits.keepalive_timeout,
            lingering_time=0,  # see linger
            max_line_size=server.limits.max_fields,
            max_field_size=server.limits.max_fields,
            max_headers=MOST_FIELDS,
            auto_decompress=False,
        )
        self._guard = GuardedParser(cast("HttpRequestParser", self._parser), server.limits.max_fields)
        self._parser = self._guard  # type: ignore[assignment]

    # What a request uses (client.Link).

    @property
    def local(self) -> bytes:
        sockname = self.transport.get_extra_info("sockname") if self.transport is not None else None
        if not isinstance(sockname, tuple):
            return b"localhost"
        host, port = sockname[:2]
        return (f"[{host}]:{port}" if ":" in host else f"{host}:{port}").encode()

    @property
    def draining(self) -> bool:
        return self._server.draining

    def send(self, data: bytes) -> None:
        if self.transport is None or self.transport.is_closing():
            raise ConnectionResetError("the client has left")
        self.transport.write(data)

    async def drain(self) -> None:
        if not self.writing_paused:
            return
        try:
            async with asyncio.timeout(self.limits.send_timeout):
                await self._drain_helper()
        except TimeoutError:
            self.abort()
            raise ConnectionResetError("the client takes nothing of its response") from None

    def abort(self, *, reset: bool = False) -> None:
        if self.transport is None:
            return
        if reset:
            sock = self.transport.get_extra_info("socket")
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.transport.abort()

    # What the server and its answers use.

    def close_when_idle(self) -> None:
        """Close it when it has waited its time for a request: a client may be sending one at this moment."""
        self._loop.call_at(self._idle_since + self._server.patience, self._close_if_idle)

    def _close_if_idle(self) -> None:
        """Close it if no request is under way, and no answer."""
        waits = self._waiter is not None and not self._waiter.done()  # else a request has come and is about to begin
        if self._lingering or (waits and not self._guard.in_head):
            self.force_close()

    def give_up(self) -> None:
        """Cancel the handler of the request that is under way; it may still say why."""
        if self._task_handler is not None:
            self._task_handler.cancel()

    def expect_next(self) -> None:
        """Wait for the next request, and give a head that has begun behind the last one its time from now."""
        self._idle_since = self._loop.time()
        if self.draining:
            self.close_when_idle()
        if self._guard.in_head and self._head_timer is None:
            self._start_head_timer()

    def see_out(self) -> None:
        """Before it closes: let the client take the rest of its answer, as long as it takes any."""
        if self.transport is not None and self._rest_timer is None:
            self._start_rest_timer(self.transport)

    async def linger(self) -> None:
        """Let a client that still sends have its answer: to close at once would be a reset (RFC 9112 section 9.6)."""
        if self.transport is None or self.transport.is_closing() or self.draining:
            return
        self._lingering = True
        self._stop_head_timer()
        if self.transport.can_write_eof():
            self.transport.write_eof()
        self.transport.resume_reading()
        await asyncio.wait({self.closed}, timeout=LONGEST_LINGERING)

    # What the event loop and aiohttp call.

    def force_close(self) -> None:
        self.see_out()
        super().force_close()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        peername = transport.get_extra_info("peername")
        self.peer = self._server.peer(peername[0] if isinstance(peername, tuple) else None)
        self._idle_since = self._loop.time()
        self._start_head_timer()
        if self.draining:
            self.close_when_idle()
        self._admitted = self._server.admit()
        if not self._admitted:
            self._refuse(Busy("Too many connections are open."))

    def connection_lost(self, exc: BaseException | None) -> None:
        self._stop_head_timer()
        if self._rest_timer is not None:
            self._rest_timer.cancel()
        if self._admitted:
            self._server.admitted.remove()
        self.closed.set_result(None)
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        if self._lingering:
            return
        super().data_received(data)
        if not self._guard.in_head:
            self._stop_head_timer()
        elif self._head_timer is None and self._waiter is not None:
            self._start_head_timer()

    def handle_error(
        self,
        request: Any,  # aiohttp's signature; it is a _Message
        status: int = 500,  # noqa: ARG002  # aiohttp's guess
        exc: BaseException | None = None,
        message: str | None = None,  # noqa: ARG002
    ) -> Any:
        client: ClientRequest = request.request
        reply = self._server.refusal(client, as_error(exc))
        if client.started:
            self.abort()
            raise ConnectionResetError("the response was broken off") from exc
        return _Refused(client, reply)

    def _start_head_timer(self) -> None:
        self.keep_alive(val=True)  # stops the timer for idle connections
        self._head_timer = self._loop.call_later(self.limits.header_timeout, self._head_is_late)

    def _stop_head_timer(self) -> None:
        if self._head_timer is not None:
            self._head_timer.cancel()
            self._head_timer = None

    def _head_is_late(self) -> None:
        self._head_timer = None
        if self._guard.in_head:
            self._refuse(RequestTimeout(f"The request's head took more than {self.limits.header_timeout:g} seconds."))
        elif self.transport is not None:
            self.transport.close()

    def _start_rest_timer(self, transport: asyncio.WriteTransport) -> None:
        left = transport.get_write_buffer_size()
        self._rest_timer = self._loop.call_later(self.limits.send_timeout, self._rest_is_late, transport, left)

    def _rest_is_late(self, transport: asyncio.WriteTransport, left: int) -> None:
        if transport.get_write_buffer_size() < left:
            self._start_rest_timer(transport)
        else:
            transport.abort()

    def _refuse(self, error: ProxyError) -> None:
        """Answer with an error in place of the request that is not there."""
        self._messages.append(refused(error))
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)


class _Message:
    """A request as aiohttp's protocol wants it."""

    __slots__ = ("_payload", "_task", "connection", "request", "writer")

    def __init__(
        self,
        message: RawRequestMessage,
        payload: StreamReader,
        protocol: ClientConnection,
        writer: AbstractStreamWriter,
        task: "asyncio.Task[None]",
    ) -> None:
        fields = Fields(message.raw_headers)
        head = RequestHead(message.method, raw_target(message.path), fields, message.version)
        # llhttp lets keep-alive win over close in HTTP/1.0: RFC 9112 section 9.3 has it the other way round.
        closes = message.should_close or b"close" in fields.members(b"connection")
        # aiohttp loses what follows the content of a request that asks for an upgrade.
        closes = closes or (message.upgrade and payload is not EMPTY_PAYLOAD)
        self.request = ClientRequest(head, payload, protocol, keep_alive=not closes)
        self.connection = protocol
        self.writer = writer
        self._payload = payload
        self._task = task

    @property
    def has_been_read(self) -> bool:
        """Whether all of it has arrived."""
        return self._payload.is_eof()

    def _cancel(self, exc: BaseException) -> None:
        self._payload.set_exception(exc)

    def _finish(self) -> None:
        pass


class _Answered:
    """A response as aiohttp's protocol wants it, when there is nothing left to send."""

    __slots__ = ("_client",)

    def __init__(self, client: ClientRequest) -> None:
        self._client = client

    @property
    def keep_alive(self) -> bool:
        return self._client.keep_alive

    async def prepare(self, message: _Message) -> None:
        if message.has_been_read:
            message.connection.expect_next()
        else:
            await message.connection.linger()
        if not self.keep_alive:
            message.connection.see_out()

    async def write_eof(self) -> None:
        pass


class _Refused(_Answered):
    """An error that is still to be sent, to a client of which nothing more is read."""

    __slots__ = ("_reply",)

    def __init__(self, client: ClientRequest, reply: Reply) -> None:
        super().__init__(client)
        self._reply = reply

    async def prepare(self, message: _Message) -> None:
        self._client.keep_alive = False
        await self._client.respond(self._reply)
        await message.connection.linger()
        message.connection.see_out()
