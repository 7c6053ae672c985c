"""One HTTP/1.1 connection to an origin, for one exchange after the other.

It owns the socket, and decides whether it can carry another exchange. Both directions have back-pressure: reading
pauses while nobody takes what has come, and `drain` waits while the origin does not.
"""

import asyncio
from typing import Final, cast

from proxy.deadline import Late, OriginDeadline
from proxy.errors import OriginBrokeOff
from proxy.message import ResponseHead
from proxy.response import Response

HIGH_WATER: Final = 256 * 1024  # bytes received and not yet taken, above which reading pauses

# An origin counts a connection until it has noticed its end, and may notice the next one first.
FAREWELL: Final = 1.0  # seconds for it to close its side too, which shows that it has
MOMENT: Final = 0.05  # seconds in which it should have, where it cannot show it

NO_ROOM: Final = Late("The origin stopped taking the request.", "connection_write_timeout")
NO_ANSWER: Final = Late("The origin did not answer in time.", "http_response_timeout")
SILENCE: Final = Late("The origin fell silent in its response.", "connection_read_timeout")


class Connection(asyncio.Protocol):
    """A connection to an origin, for one exchange after the other."""

    lost: asyncio.Future[None]  # done when the socket is closed and the origin knows it; callbacks come after both

    def __init__(self, max_fields: int, *, authority: bytes = b"", lenient: bool = False) -> None:
        """The authority is that of the server at the other end, for Host."""
        self._loop: asyncio.AbstractEventLoop  # that it is connected in
        self._transport: asyncio.Transport | None = None
        self._has_begun = False
        self._reading_paused = False
        self._reading = OriginDeadline()
        self._writing = OriginDeadline()
        self._drained: asyncio.Future[None] | None = None  # there while the origin takes too little
        self._writing_paused = False
        self._sent_whole = True
        self._farewell: asyncio.TimerHandle | None = None  # there once we have closed our side
        self._aborted = False  # by us, before the origin closed its side
        self._left = False  # the origin has closed its side
        self._taken_over = False  # by another protocol
        self.authority = authority
        self.response = Response(max_fields, lenient=lenient)
        self.closed = False
        self.used = False  # carried an exchange before the current one

    # An exchange.

    def begin(self, method: str, offers: tuple[bytes, ...] = ()) -> None:
        """Get ready for one request and its response. The offers are protocols that the origin may switch to."""
        self.used, self._has_begun = self._has_begun, True
        self._sent_whole = False
        if self._reading_paused:
            self._read_on()
        self.response.begin(method, offers)
        if self.closed:
            self.response.end_of_stream(clean=False)

    def write(self, data: bytes) -> None:
        if self._transport is not None and not self.closed:
            self._transport.write(data)

    async def drain(self, limit: float) -> None:
        """Wait until the origin takes more; OriginTimeout if it takes nothing for `limit` seconds.

        Returns at once when the connection is gone: reading the response then tells what happened.
        """
        if not self._writing_paused or self.closed:
            return
        self._drained = self._loop.create_future()
        try:
            self._writing.set(self._drained, self._loop.time() + limit, NO_ROOM)
            await self._drained
        finally:
            self._drained = None

    def sent_whole(self) -> None:
        """The request is complete: without this the connection cannot be used again."""
        self._sent_whole = True

    @property
    def answered(self) -> bool:
        """Whether there is a head to read, or an error instead of it."""
        response = self.response
        return response.head is not None or response.error is not None

    async def head(self, limit: float) -> ResponseHead:
        """The head of the final response. Raises OriginError; OriginTimeout after `limit` seconds."""
        response = self.response
        end = self._loop.time() + limit  # of all of it: interim responses and single bytes buy no time
        while response.head is None:
            if response.error is not None:
                raise response.error
            self._reading.set(news := response.news(), end, NO_ANSWER)
            await news
        return response.head

    async def piece(self, limit: float) -> bytes:
        """The next piece of the body, b"" at its end. Raises OriginError; OriginTimeout after `limit` seconds without one.

        What came before an error is given out before the error is raised.
        """
        response = self.response
        end = self._loop.time() + limit  # chunk extensions and trailers buy no time
        while not response.pieces:
            if response.error is not None:
                raise response.error
            if response.complete:
                return b""
            self._reading.set(news := response.news(), end, SILENCE)
            await news
        return self._take()

    def arrived(self) -> bytes:
        """What of the body is here and was not taken yet, without waiting."""
        return self._take() if self.response.pieces else b""

    def _take(self) -> bytes:
        response = self.response
        piece = b"".join(response.pieces)  # the piece itself where there is one
        response.pieces.clear()
        response.buffered = 0
        if self._reading_paused:
            self._read_on()
        return piece

    def take_over(self) -> tuple[asyncio.Transport, bytes]:
        """Let the exchange have the connection for the protocol that it has switched to, until it closes it.

        Returns the transport, which takes another protocol and reads nothing until then, and what has come on it already.
        """
        if self._transport is None or self.closed:
            raise OriginBrokeOff("The origin closed the connection when it had switched protocols.")
        self.closed = self._taken_over = True
        return self._transport, b"".join(self.response.pieces)

    @property
    def reusable(self) -> bool:
        """Whether the exchange is over on both sides, nothing is left unread, and the origin will take another one."""
        response = self.response
        over = self._sent_whole and response.complete and not response.pieces
        return over and response.persistent and not self.closed and not self._unsent

    @property
    def _unsent(self) -> int:
        """Bytes of the request that the system has not taken yet: an early answer may overtake them."""
        return 0 if self._transport is None else self._transport.get_write_buffer_size()

    def close(self) -> None:
        """Drop the connection, unsent bytes too: an unfinished request must not look whole.

        Our side is closed at once. The origin gets a moment to close its own, so that it does not see another
        connection before it has seen the end of this one; whatever else it does ends that.
        """
        self._read_on()
        was_open, self.closed = not self.closed, True
        self.response.abandon()
        if was_open:
            self._take_leave()
        elif self._farewell is None:
            self.abort()

    def abort(self) -> None:
        """Close both sides at once."""
        self.closed = True
        if self._transport is not None:
            self._aborted = not self._left
            self._transport.abort()
        if self._taken_over and self._transport is not None and self._transport.get_protocol() is not self:
            self._taken_over = False
            self.connection_lost(None)  # which the other protocol was told instead

    def _take_leave(self) -> None:
        transport = self._transport
        if transport is None or self._unsent:
            self.abort()
            return
        self._farewell = self._loop.call_later(FAREWELL, self.abort)
        if transport.can_write_eof():
            transport.write_eof()
        else:
            transport.close()  # TLS has a farewell of its own, which waits for the other's

    def _read_on(self) -> None:
        if self._reading_paused and self._transport is not None and not self.closed:
            self._reading_paused = False
            self._transport.resume_reading()

    # What the event loop calls.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        self._loop = asyncio.get_running_loop()
        self.lost = self._loop.create_future()

    def data_received(self, data: bytes) -> None:
        response = self.response
        if self.closed:
            self.abort()
            return
        if response.complete and not response.pieces:
            response.persistent = False
            self.close()  # nothing was asked, so nothing may come (RFC 9112 section 9.2)
            return
        response.feed(data)
        if response.error is not None:
            self.close()
        elif (response.switched or response.buffered > HIGH_WATER) and not self._reading_paused and self._transport:
            self._reading_paused = True
            self._transport.pause_reading()

    def pause_writing(self) -> None:
        self._writing_paused = True

    def resume_writing(self) -> None:
        self._writing_paused = False
        if self._drained is not None and not self._drained.done():
            self._drained.set_result(None)

    def eof_received(self) -> None:
        # With TLS this is the origin's own farewell: a stream that anybody on the way cut is lost without it.
        self.closed = self._left = True
        self.response.end_of_stream(clean=True)

    def connection_lost(self, _: Exception | None) -> None:
        self.closed = True
        self.response.end_of_stream(clean=False)
        self.resume_writing()
        self._reading.cancel()
        self._writing.cancel()
        if self._farewell is not None:
            self._farewell.cancel()
        if self._aborted:
            self._loop.call_later(MOMENT, self.lost.set_result, None)
        else:
            self.lost.set_result(None)  # the event loop closes the descriptor before it calls back
