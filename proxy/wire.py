"""The few adaptations of aiohttp's low-level server, each with its reason. Private names of aiohttp are used here alone.

* `GuardedParser`, and the timer in `ClientConnection`: aiohttp limits a field but not the header section, has no timeout
  for it, and leaves whoever reads a body waiting when its chunks are malformed.
* `ClientConnection.handle_error`: aiohttp answers what it cannot parse, and a handler that failed, in plain text, and
  closes a half-sent response as if it were whole.
* `_Message`: aiohttp's own request object decodes what a proxy passes on as it is.
* `_Answered`: the response is out when a handler returns; aiohttp then asks only whether the connection stays open.
"""

import asyncio
import socket
import struct
from collections.abc import Awaitable, Callable
from typing import Any, Final

from aiohttp import web
from aiohttp.abc import AbstractStreamWriter
from aiohttp.http import RawRequestMessage
from aiohttp.http_exceptions import BadHttpMethod, HttpProcessingError, LineTooLong
from aiohttp.streams import EMPTY_PAYLOAD, StreamReader
from aiohttp.web_protocol import _ErrInfo

from proxy.client import ClientRequest
from proxy.clock import Clock
from proxy.config import Limits
from proxy.errors import BadRequest, Busy, FieldsTooLarge, ProxyError, RequestTimeout, TargetTooLong
from proxy.forwarded import Peer
from proxy.message import Reply

MOST_FIELDS: Final = 1000  # of one message: a bound on objects; bytes have their own
LONGEST_LINGERING: Final = 5.0  # seconds for a client that still sends after it has its answer

Handler = Callable[[ClientRequest], Awaitable[None]]
Refusal = Callable[[ClientRequest, ProxyError], Reply]
PeerOf = Callable[[str | None], Peer]  # by its IP address, None for a Unix socket


class Server(web.Server):
    """Makes a connection's protocol, and hands its requests to `handler`, which responds to each.

    `refusal` writes the response to what never becomes a request, or made the handler fail.
    """

    def __init__(self, handler: Handler, refusal: Refusal, peer: PeerOf, limits: Limits, clock: Clock) -> None:
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
        self.draining = False

    def __call__(self) -> "ClientConnection":
        return ClientConnection(self)

    async def drain(self, timeout: float) -> None:
        """Close idle connections, let open requests end for `timeout` seconds, then break them off."""
        self.draining = True
        self.pre_shutdown()
        await self.shutdown(timeout)

    async def _handle(self, message: "_Message") -> "_Answered":
        await self._handler(message.request)
        return _Answered(keep_alive=message.request.keep_alive)


class ClientConnection(web.RequestHandler):
    """aiohttp's protocol for one client's connection, with deadlines and limits on what comes before a request."""

    def __init__(self, server: Server) -> None:
        self.limits = server.limits
        self.clock = server.clock
        self.peer = server.peer(None)
        self._server = server
        self._head_timer: asyncio.TimerHandle | None = None
        super().__init__(
            server,
            loop=asyncio.get_running_loop(),
            access_log=None,  # type: ignore[arg-type]  # aiohttp's way to say: none
            keepalive_timeout=server.limits.keepalive_timeout,
            lingering_time=LONGEST_LINGERING,
            max_line_size=server.limits.max_fields,
            max_field_size=server.limits.max_fields,
            max_headers=MOST_FIELDS,
            auto_decompress=False,
        )
        self._guard = GuardedParser(self._parser, server.limits.max_fields)
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

    # What the event loop and aiohttp call.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        peername = transport.get_extra_info("peername")
        self.peer = self._server.peer(peername[0] if isinstance(peername, tuple) else None)
        self._start_head_timer()
        if len(self._server.connections) > self.limits.max_connections:
            self._refuse(Busy("Too many connections are open."))

    def connection_lost(self, exc: BaseException | None) -> None:
        self._stop_head_timer()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
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
        if client.started:
            self.abort()
            raise ConnectionResetError("the response was broken off") from exc
        return _Refused(client, self._server.refusal(client, _as_error(exc)))

    def _start_head_timer(self) -> None:
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

    def _refuse(self, error: ProxyError) -> None:
        """Answer with an error in place of the request that is not there."""
        self._messages.append((_ErrInfo(error.status, error, error.detail), EMPTY_PAYLOAD))
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)


class GuardedParser:
    """aiohttp's request parser: counts the bytes of a head, and tells the reader of a body what goes wrong with it."""

    def __init__(self, parser: Any, max_head: int) -> None:  # aiohttp has no name for it
        self._parser = parser
        self._max_head = max_head
        self._head_bytes = 0  # of a head that is not complete yet
        self._has_line = False  # whether its first line is complete
        self._content: StreamReader = EMPTY_PAYLOAD  # of the last request
        self.message_consumed = parser.message_consumed
        self.pause_reading = parser.pause_reading
        self.feed_eof = parser.feed_eof
        self.set_upgraded = parser.set_upgraded

    @property
    def in_head(self) -> bool:
        """Whether a head has begun and not ended."""
        return self._head_bytes > 0

    def feed_data(self, data: bytes) -> Any:
        in_content = not self._content.is_eof()
        try:
            parsed = self._parser.feed_data(data)
        except HttpProcessingError as exc:
            if not self._content.is_eof():
                self._content.set_exception(web.RequestPayloadError("malformed"))
            raise self._finer(exc, data) from exc
        if messages := parsed[0]:
            self._content = messages[-1][1]
            self._head_bytes, self._has_line = 0, False
        elif not in_content:
            self._count(data)
        return parsed

    def _count(self, data: bytes) -> None:
        self._head_bytes += len(data)
        self._has_line = self._has_line or b"\n" in data
        if self._head_bytes > self._max_head:
            raise self._finer(LineTooLong(b"", self._max_head), data)

    def _finer(self, exc: HttpProcessingError, data: bytes) -> HttpProcessingError:
        """Tell a request line that is too long from fields that are (RFC 9112 section 3 wants a status of its own)."""
        in_line = not self._has_line and data.find(b"\n", 0, max(self._max_head - self._head_bytes, 0)) < 0
        self._head_bytes, self._has_line = 0, False
        return _RequestLineTooLong(b"", self._max_head) if isinstance(exc, LineTooLong) and in_line else exc


class _RequestLineTooLong(LineTooLong):
    """No end of the request line within the limit."""


class _Message:
    """A request as aiohttp's protocol wants it."""

    __slots__ = ("_payload", "_task", "request", "writer")

    def __init__(
        self,
        message: RawRequestMessage,
        payload: StreamReader,
        protocol: ClientConnection,
        writer: AbstractStreamWriter,
        task: "asyncio.Task[None]",
    ) -> None:
        self.request = ClientRequest(message, payload, protocol)
        self.writer = writer
        self._payload = payload
        self._task = task

    def _cancel(self, exc: BaseException) -> None:
        self._payload.set_exception(exc)

    def _finish(self) -> None:
        pass


class _Answered:
    """A response as aiohttp's protocol wants it, when there is nothing left to send."""

    __slots__ = ("keep_alive",)

    def __init__(self, *, keep_alive: bool) -> None:
        self.keep_alive = keep_alive

    async def prepare(self, message: _Message) -> None:
        pass

    async def write_eof(self) -> None:
        pass


class _Refused(_Answered):
    """An error that is still to be sent."""

    __slots__ = ("_client", "_reply")

    def __init__(self, client: ClientRequest, reply: Reply) -> None:
        super().__init__(keep_alive=False)
        self._client = client
        self._reply = reply

    async def prepare(self, message: _Message) -> None:  # noqa: ARG002
        self._client.keep_alive = False
        await self._client.respond(self._reply)


def _as_error(exc: BaseException | None) -> ProxyError:
    """What went wrong, in our words. The cause is left for the log."""
    match exc:
        case ProxyError():
            return exc
        case BadHttpMethod():
            error: ProxyError = BadRequest("The request does not begin with a method that HTTP knows.")
        case _RequestLineTooLong():
            error = TargetTooLong("The request line is longer than is taken here.")
        case LineTooLong():
            error = FieldsTooLarge("The request line and header section are larger than is taken here.")
        case HttpProcessingError():
            error = BadRequest("The request is not valid HTTP/1.1.")
        case _:
            error = ProxyError("An error in the proxy itself, which its log tells more about.")
    error.__cause__ = exc
    return error
