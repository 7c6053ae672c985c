"""Two connections as one: what comes at one end goes out at the other, byte for byte, until both have ended.

Nothing is read at one end while the peer at the other takes too little of what it was sent. The end of one direction is
passed on, and the other goes on. TLS has no such half-close: there the end of one direction is that of both.
"""

import asyncio
from collections.abc import Callable

from proxy.client import ClientRequest
from proxy.exchange import Exchange
from proxy.message import ResponseHead


class Tunnels:
    """Those of a process."""

    def __init__(self) -> None:
        self.open = 0

    async def carry(self, client: ClientRequest, head: ResponseHead, exchange: Exchange, idle_timeout: float) -> bool:
        """Send the origin's 101, which is given as the client is to see it, and be a tunnel from then on, to its end.

        Returns whether it came to that by itself: it did not if it was idle for too long. Raises OriginBrokeOff if the
        origin has left before there was one, and ConnectionError if the client has.
        """
        to_origin, from_origin = exchange.take_over()
        to_client, from_client = await client.switch(head)
        between = Tunnel(to_client, to_origin, idle_timeout)
        self.open += 1
        try:
            await between.run(from_client, from_origin)
            return not between.idle
        finally:
            self.open -= 1
            client.tunnelled, client.sent = between.from_client, between.from_origin


class Tunnel:
    """A tunnel between two connections. The protocols that they had until now are told nothing more."""

    def __init__(self, client: asyncio.Transport, origin: asyncio.Transport, idle_timeout: float) -> None:
        """Both connections are open, and their peers have taken what they were sent."""
        self.idle = False  # whether it was broken off for it
        self._idle_timeout = idle_timeout
        self._client = _End(client, self._stir)
        self._origin = _End(origin, self._stir)
        self._client.other, self._origin.other = self._origin, self._client

    @property
    def from_client(self) -> int:
        """Bytes that the client has sent."""
        return self._client.received

    @property
    def from_origin(self) -> int:
        """Bytes that the origin has sent."""
        return self._origin.received

    async def run(self, from_client: bytes, from_origin: bytes) -> None:
        """Carry what has come already, and then what comes, until both connections are closed.

        They are broken off when neither has sent a byte, nor taken one that it was slow to take, for as long as the
        idle timeout; and when this is cancelled.
        """
        self._loop = asyncio.get_running_loop()
        self._stir()
        self._timer = self._loop.call_later(self._idle_timeout, self._look)
        try:
            for end in (self._client, self._origin):  # both, before either is written to: it may have to wait
                end.transport.set_protocol(end)
            self._client.begin(from_client)
            self._origin.begin(from_origin)
            await asyncio.wait({self._client.closed, self._origin.closed})
        finally:
            self._timer.cancel()
            self._abort()

    def _stir(self) -> None:
        self._stirred = self._loop.time()

    def _look(self) -> None:
        """Break off what has been silent for long enough, and else look again when it would have been."""
        left = self._stirred + self._idle_timeout - self._loop.time()
        if left > 0:
            self._timer = self._loop.call_later(left, self._look)
        else:
            self.idle = True
            self._abort()

    def _abort(self) -> None:
        self._client.transport.abort()
        self._origin.transport.abort()


class _End(asyncio.Protocol):
    """One end of a tunnel."""

    other: "_End"

    def __init__(self, transport: asyncio.Transport, stir: Callable[[], None]) -> None:
        self.transport = transport
        self.received = 0  # bytes
        self.closed = asyncio.get_running_loop().create_future()
        self._stir = stir
        self._finished = False  # its peer sends nothing more

    @property
    def is_read(self) -> bool:
        """Whether more may come here."""
        return not (self._finished or self.transport.is_closing())

    def begin(self, early: bytes) -> None:
        """Take what came early, and then what comes."""
        if self.is_read:
            self.transport.resume_reading()
        if early:
            self.data_received(early)

    # What the event loop calls.

    def data_received(self, data: bytes) -> None:
        self._stir()
        self.received += len(data)
        if not self.other.transport.is_closing():
            self.other.transport.write(data)

    def pause_writing(self) -> None:
        if self.other.is_read:
            self.other.transport.pause_reading()

    def resume_writing(self) -> None:
        self._stir()
        if self.other.is_read:
            self.other.transport.resume_reading()

    def eof_received(self) -> bool:
        """Whether this connection stays open, for the other direction. Else it is closed as soon as its peer has all."""
        self._stir()
        self._finished = True
        stays = self.other.is_read and self.transport.can_write_eof() and self.other.transport.can_write_eof()
        if stays:
            self.other.transport.write_eof()
        else:
            self.other.transport.close()
        return stays

    def connection_lost(self, _: Exception | None) -> None:
        self.other.transport.close()
        self.closed.set_result(None)
