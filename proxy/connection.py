"""One HTTP/1.1 connection to an origin: bytes out, one response at a time back in.

llhttp (through httptools) splits the stream; what it lets through and a proxy must not (see `_frame`) is refused here.
`Response` is what the parser calls back and what a reader awaits; `Connection` owns the socket, and decides whether it
can carry another exchange. Both directions have back-pressure: reading pauses while nobody takes what has come, and
`drain` waits while the origin does not.
"""

import asyncio
from collections import deque
from typing import Final, cast

import httptools

from proxy.errors import OriginBrokeOff, OriginError, OriginMalformed, OriginTimeout
from proxy.message import Field, Fields, ResponseHead, has_body

HIGH_WATER: Final = 256 * 1024  # bytes received and not yet taken, above which reading pauses
VERSIONS: Final = {"1.0": (1, 0), "1.1": (1, 1)}
SWITCHING_PROTOCOLS: Final = 101
FIRST_FINAL: Final = 200


class WentStale(OriginBrokeOff):
    """The origin closed the connection before a byte of its response came."""


class Response:
    """The response to one request as it arrives: its head, then the pieces of its body."""

    __slots__ = (
        "_fields", "_lenient", "_max_fields", "_method", "_reason", "_seen", "_waiter", "buffered", "complete", "error",
        "head", "length", "on_taken", "parser", "persistent", "pieces", "until_close",
        "version",
    )  # fmt: skip

    def __init__(self, method: str, max_fields: int, *, lenient: bool) -> None:
        self._method = method
        self._max_fields = max_fields
        self._seen = 0  # bytes of header sections, interim ones too
        self._reason = b""
        self._fields: list[Field] = []
        self._waiter: asyncio.Future[None] | None = None
        self.head: ResponseHead | None = None
        self.version = (1, 1)
        self.length: int | None = None  # of the body, where it is known in advance
        self.until_close = False  # whether the end of the stream is the end of the body
        self.persistent = False  # whether the origin will take another request on this connection
        self.pieces: deque[bytes] = deque()
        self.buffered = 0  # bytes in pieces
        self.complete = False  # the whole response has arrived
        self.error: OriginError | None = None
        self.parser = httptools.HttpResponseParser(self)
        if lenient:
            self.parser.set_dangerous_leniencies(
                lenient_headers=True,
                lenient_optional_lf_after_cr=True,
                lenient_optional_cr_before_lf=True,
                lenient_spaces_after_chunk_size=True,
            )

    # What the parser calls.

    def on_status(self, reason: bytes) -> None:
        self._reason += reason

    def on_header(self, name: bytes, value: bytes) -> None:
        if self.head is None:  # else it is a trailer, which ends here (RFC 9110 section 6.5.1)
            self._fields.append((name, value.rstrip(b" \t")))

    def on_headers_complete(self) -> None:
        if self.complete:
            return
        status = self.parser.get_status_code()
        if status < FIRST_FINAL:
            self._interim(status)
            return
        head = ResponseHead(status, self._reason, Fields(self._fields))
        self._frame(head)
        self.head = head
        self.wake()

    def on_body(self, piece: bytes) -> None:
        if not self.complete:  # else it is surplus: a body on HEAD, say
            self.pieces.append(piece)
            self.buffered += len(piece)

    def on_message_complete(self) -> None:
        if self.head is not None:
            self.complete = True

    def _interim(self, status: int) -> None:
        """Drop a 1xx: `Expect` is answered by the proxy, and nothing ever asked the origin to switch protocols."""
        if status == SWITCHING_PROTOCOLS or status < 100:
            raise OriginMalformed("The origin's response has a status code that cannot be here.")
        self._reason, self._fields = b"", []

    def _frame(self, head: ResponseHead) -> None:
        """Find out where the body ends (RFC 9112 section 6.3), and refuse what two readers could read in two ways."""
        version = self.parser.get_http_version()
        codings = list(head.fields.members(b"transfer-encoding"))
        if codings not in ([], [b"chunked"]) or (codings and version == "1.0"):
            raise OriginMalformed("The origin's response has a Transfer-Encoding other than chunked.")
        if version not in VERSIONS:
            raise OriginMalformed("The origin's response is not HTTP/1.1 or HTTP/1.0.")
        self.version = VERSIONS[version]
        length = head.fields.first(b"content-length")
        if not has_body(self._method, head.status):
            self.length, self.complete = 0, True
        elif length is not None:
            self.length = int(length)  # digits only, once, and without Transfer-Encoding: llhttp has seen to it
        else:
            self.until_close = not codings
        options = set(head.fields.members(b"connection"))
        kept_alive = b"close" not in options and (version == "1.1" or b"keep-alive" in options)
        self.persistent = kept_alive and not self.until_close

    # What the connection calls.

    def feed(self, data: bytes) -> None:
        """Take bytes from the origin. Whatever is wrong with them becomes `error`, unless the response had ended."""
        before = self.head
        try:
            self.parser.feed_data(data)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade) as exc:
            self._surplus_or_error(exc)
        if before is None:
            self._measure_head(len(data))
        self.wake()

    def end_of_stream(self, exc: Exception | None) -> None:
        """The origin has closed: the end of a body that lasts until then, and a truncation of any other."""
        if self.complete or self.error is not None:
            return
        if self.until_close and exc is None:
            self.complete = True
        elif self.head is None and self._seen == 0:
            self.error = WentStale("The origin closed the connection without an answer.")
        else:
            self.error = OriginBrokeOff("The origin closed the connection before its response was complete.")
        self.wake()

    def abandon(self) -> None:
        """We have closed: the end of the stream is then no end of a body."""
        if not self.complete and self.error is None:
            self.error = OriginBrokeOff("The exchange was closed before its response was complete.")
        self.wake()

    def wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    def _surplus_or_error(self, exc: Exception) -> None:
        self.persistent = False
        if self.complete:
            return  # bytes after the end: the message stands, the connection does not (nginx delivers these too)
        cause = exc.__context__
        self.error = cause if isinstance(cause, OriginError) else OriginMalformed("The origin's response is not HTTP.")
        if cause is not self.error:
            self.error.__cause__ = exc

    def _measure_head(self, received: int) -> None:
        self._seen += received
        if self._seen <= self._max_fields or self.error is not None:
            return
        section = sum(len(name) + len(value) + 4 for name, value in self._fields)
        if self.head is None or section > self._max_fields:
            self.error = OriginMalformed(
                "The header section of the origin's response is too large.",
                error_type="http_response_header_section_size",
            )

    # What the reader calls.

    def news(self) -> asyncio.Future[None]:
        """A future that is done as soon as the parser calls again. One reader at a time."""
        self._waiter = asyncio.get_running_loop().create_future()
        return self._waiter

    async def news_within(self, limit: float, late: str, error_type: str) -> None:
        """Wait for the parser to call; OriginTimeout with this detail after `limit` seconds of silence."""
        waiter = self.news()
        timer = waiter.get_loop().call_later(limit, _expire, waiter, late, error_type)
        try:
            await waiter
        finally:
            timer.cancel()
            self._waiter = None


def _expire(waiter: asyncio.Future[None], late: str, error_type: str) -> None:
    if not waiter.done():
        waiter.set_exception(OriginTimeout(late, error_type=error_type))


class Connection(asyncio.Protocol):
    """A connection to an origin, for one exchange after the other."""

    def __init__(self, max_fields: int, *, lenient: bool = False) -> None:
        self._max_fields = max_fields
        self._lenient = lenient
        self._transport: asyncio.Transport | None = None
        self._response: Response | None = None
        self._reading_paused = False
        self._drained: asyncio.Future[None] | None = None  # there while the origin takes too little
        self._writing_paused = False
        self._sent_whole = False
        self.closed = False
        self.used = False  # carried an exchange before the current one

    # An exchange.

    def begin(self, method: str) -> None:
        """Get ready for one request and its response."""
        self.used = self._response is not None
        self._sent_whole = False
        self._set_reading(on=True)
        self._response = Response(method, self._max_fields, lenient=self._lenient)
        if self.closed:
            self._response.end_of_stream(None)

    def write(self, data: bytes) -> None:
        if self._transport is not None and not self.closed:
            self._transport.write(data)

    async def drain(self, limit: float) -> None:
        """Wait until the origin takes more; OriginTimeout if it takes nothing for `limit` seconds.

        Returns at once when the connection is gone: reading the response then tells what happened.
        """
        if not self._writing_paused or self.closed:
            return
        loop = asyncio.get_running_loop()
        waiter = self._drained = loop.create_future()
        detail = "The origin stopped taking the request."
        timer = loop.call_later(limit, _expire, waiter, detail, "connection_write_timeout")
        try:
            await waiter
        finally:
            timer.cancel()
            self._drained = None

    def sent_whole(self) -> None:
        """The request is complete: without this the connection cannot be used again."""
        self._sent_whole = True

    @property
    def response(self) -> Response:
        if self._response is None:
            raise RuntimeError("no exchange has begun")
        return self._response

    @property
    def answered(self) -> bool:
        """Whether there is a head to read, or an error instead of it."""
        response = self.response
        return response.head is not None or response.error is not None

    async def head(self, limit: float) -> ResponseHead:
        """The head of the final response. Raises OriginError; OriginTimeout after `limit` seconds."""
        response = self.response
        while response.head is None:
            if response.error is not None:
                raise response.error
            await response.news_within(limit, "The origin did not answer in time.", "http_response_timeout")
        return response.head

    async def piece(self, limit: float) -> bytes:
        """The next piece of the body, b"" at its end. Raises OriginError; OriginTimeout after `limit` silent seconds.

        What came before an error is given out before the error is raised.
        """
        response = self.response
        while not response.pieces:
            if response.error is not None:
                raise response.error
            if response.complete:
                return b""
            await response.news_within(limit, "The origin fell silent in its response.", "connection_read_timeout")
        return self._take()

    def arrived(self) -> bytes:
        """What of the body is here and was not taken yet, without waiting."""
        return self._take() if self.response.pieces else b""

    def _take(self) -> bytes:
        response = self.response
        piece = response.pieces[0] if len(response.pieces) == 1 else b"".join(response.pieces)
        response.pieces.clear()
        response.buffered = 0
        self._set_reading(on=True)
        return piece

    @property
    def reusable(self) -> bool:
        """Whether the exchange is over on both sides, and the origin will take another one."""
        response = self.response
        return self._sent_whole and response.complete and response.persistent and not self.closed

    def close(self) -> None:
        """Drop the connection at once, unsent bytes too: an unfinished request must not look whole."""
        self.closed = True
        if self._response is not None:
            self._response.abandon()
        if self._transport is not None:
            self._transport.abort()

    def _set_reading(self, *, on: bool) -> None:
        if self._transport is None or self.closed or self._reading_paused != on:
            return
        self._reading_paused = not on
        if on:
            self._transport.resume_reading()
        else:
            self._transport.pause_reading()

    # What the event loop calls.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        response = self._response
        if response is None or (response.complete and not response.pieces):
            if response is not None:
                response.persistent = False
            self.close()  # nothing was asked, so nothing may come (RFC 9112 section 9.2)
            return
        response.feed(data)
        if response.error is not None:
            self.close()
        elif response.buffered > HIGH_WATER:
            self._set_reading(on=False)

    def pause_writing(self) -> None:
        self._writing_paused = True

    def resume_writing(self) -> None:
        self._writing_paused = False
        if self._drained is not None and not self._drained.done():
            self._drained.set_result(None)

    def connection_lost(self, exc: Exception | None) -> None:
        self.closed = True
        if self._response is not None:
            self._response.end_of_stream(exc)
        self.resume_writing()
