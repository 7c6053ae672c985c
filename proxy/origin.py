"""The origins: how to connect to one, how many connections it may see, and which idle ones serve again.

Idle connections are used last in, first out, so that a quiet origin sees few, and are closed before the origin would
close them itself. Whoever finds no room waits its turn, first come, first served.
"""

import asyncio
import errno
import socket
import ssl
from collections import deque
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Final, Self

import aiohappyeyeballs
from aiohappyeyeballs import AddrInfoType

from proxy.config import OriginSettings
from proxy.connection import Connection
from proxy.errors import Busy, OriginTimeout, OriginUnreachable

HAPPY_EYEBALLS_DELAY: Final = 0.25  # seconds (RFC 8305 section 8)


class Origin:
    """One origin and its connections."""

    def __init__(self, settings: OriginSettings, max_fields: int) -> None:
        self.settings = settings
        self.address = settings.url
        self._max_fields = max_fields
        self._tls = _tls_context(settings) if settings.url.scheme == "https" else None
        self._idle: list[tuple[float, Connection]] = []  # (when it fell idle, connection), oldest first
        self._open = 0  # connections that count towards the limit
        self._turns: deque[asyncio.Future[None]] = deque()
        self._sweep: asyncio.TimerHandle | None = None

    async def connection(self, patience: float, *, fresh: bool = False) -> Connection:
        """A connection for one exchange: an idle one, or a new one (always, if `fresh`). To be given back.

        Raises Busy if there is no room within `patience` seconds, OriginUnreachable, OriginTimeout.
        """
        await self._room(patience)
        if not fresh and (idle := self._take_idle()) is not None:
            return idle
        if self._open + len(self._idle) > self.settings.max_connections:
            self._idle.pop(0)[1].close()
        try:
            return await self._connect()
        except BaseException:
            self._leave()
            raise

    def give_back(self, connection: Connection) -> None:
        """Keep the connection for the next exchange if it can carry one, else close it."""
        if connection.reusable:
            self._idle.append((asyncio.get_running_loop().time(), connection))
            self._schedule_sweep()
        else:
            connection.close()
        self._leave()

    def close(self) -> None:
        """Close what is idle. Connections in use are their exchanges' to close."""
        if self._sweep is not None:
            self._sweep.cancel()
        for _, connection in self._idle:
            connection.close()
        self._idle.clear()

    # Room.

    async def _room(self, patience: float) -> None:
        """Take a place among the connections in use."""
        if self._open < self.settings.max_connections and not self._turns:
            self._open += 1
            return
        turn = asyncio.get_running_loop().create_future()
        self._turns.append(turn)
        try:
            async with asyncio.timeout(patience):
                await turn
        except BaseException as exc:
            self._lose(turn)
            if isinstance(exc, TimeoutError):
                raise Busy("All connections to the origin are in use.") from exc
            raise

    def _lose(self, turn: asyncio.Future[None]) -> None:
        """Stop waiting; a place that was given at that very moment goes to the next."""
        if turn.done() and not turn.cancelled():
            self._leave()
        elif turn in self._turns:
            self._turns.remove(turn)

    def _leave(self) -> None:
        """Give the place to the next in turn."""
        while self._turns:
            turn = self._turns.popleft()
            if not turn.done():
                turn.set_result(None)
                return
        self._open -= 1

    # Idle connections.

    def _take_idle(self) -> Connection | None:
        now = asyncio.get_running_loop().time()
        while self._idle:
            since, connection = self._idle.pop()
            if not connection.closed and now - since < self.settings.keepalive_timeout:
                return connection
            connection.close()
        return None

    def _schedule_sweep(self) -> None:
        if self._sweep is None:
            oldest = self._idle[0][0]
            loop = asyncio.get_running_loop()
            self._sweep = loop.call_at(oldest + self.settings.keepalive_timeout, self._close_stale)

    def _close_stale(self) -> None:
        """Close what has been idle for long enough; come again while there is anything left."""
        self._sweep = None
        now = asyncio.get_running_loop().time()
        stale = [entry for entry in self._idle if entry[1].closed or now - entry[0] >= self.settings.keepalive_timeout]
        self._idle = [entry for entry in self._idle if entry not in stale]
        for _, connection in stale:
            connection.close()
        if self._idle:
            self._schedule_sweep()

    # New connections.

    async def _connect(self) -> Connection:
        try:
            addresses = await self._addresses()
            async with asyncio.timeout(self.settings.connect_timeout):
                try:
                    return await self._open_connection(addresses)
                except ConnectionError:  # an origin that restarts refuses for a moment; nothing was sent to it yet
                    return await self._open_connection(addresses)
        except TimeoutError as exc:
            raise OriginTimeout("No connection to the origin in time.", error_type="connection_timeout") from exc
        except ssl.SSLCertVerificationError as exc:
            detail = "The origin's certificate was not accepted."
            raise OriginUnreachable(detail, error_type="tls_certificate_error") from exc
        except ssl.SSLError as exc:
            raise OriginUnreachable("TLS with the origin failed.", error_type="tls_protocol_error") from exc
        except (socket.gaierror, UnicodeError) as exc:  # the latter: a label that DNS cannot ask for
            raise OriginUnreachable("The origin's name has no address.", error_type="dns_error") from exc
        except ConnectionRefusedError as exc:
            raise OriginUnreachable("The origin refused the connection.", error_type="connection_refused") from exc
        except OSError as exc:
            if exc.errno in (errno.EMFILE, errno.ENFILE):
                raise Busy("Too many files and connections are open.") from exc
            raise OriginUnreachable("The origin could not be reached.") from exc

    async def _addresses(self) -> Sequence[AddrInfoType]:
        """What the origin's name resolves to; nothing for a Unix socket."""
        if self.address.unix_path is not None:
            return []
        lookup = asyncio.get_running_loop().getaddrinfo(self.address.host, self.address.port, type=socket.SOCK_STREAM)
        try:
            async with asyncio.timeout(self.settings.connect_timeout):
                return await lookup
        except TimeoutError as exc:
            raise OriginUnreachable("The origin's name was not resolved in time.", error_type="dns_timeout") from exc

    async def _open_connection(self, addresses: Sequence[AddrInfoType]) -> Connection:
        loop, address = asyncio.get_running_loop(), self.address
        if address.unix_path is not None:
            _, connection = await loop.create_unix_connection(self._new, address.unix_path)
            return connection
        sock = await aiohappyeyeballs.start_connection(addresses, happy_eyeballs_delay=HAPPY_EYEBALLS_DELAY, loop=loop)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        name = (self.settings.tls.server_name or address.host) if self._tls else None
        try:
            _, connection = await loop.create_connection(self._new, sock=sock, ssl=self._tls, server_hostname=name)
        except BaseException:
            sock.close()
            raise
        return connection

    def _new(self) -> Connection:
        return Connection(self._max_fields, lenient=self.settings.lenient)


class Origins(dict[str, Origin]):
    """The origins of a configuration, by name."""

    @classmethod
    @asynccontextmanager
    async def opened(cls, settings: dict[str, OriginSettings], max_fields: int) -> AsyncIterator[Self]:
        """All origins; their idle connections are closed on leaving."""
        origins = cls({name: Origin(origin, max_fields) for name, origin in settings.items()})
        try:
            yield origins
        finally:
            for origin in origins.values():
                origin.close()


def _tls_context(settings: OriginSettings) -> ssl.SSLContext:
    tls = settings.tls
    context = ssl.create_default_context(cafile=tls.ca_file)
    context.set_alpn_protocols(["http/1.1"])
    if tls.client_cert is not None:
        context.load_cert_chain(tls.client_cert, tls.client_key)
    if not tls.verify:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context
