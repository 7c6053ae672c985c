"""The servers of an origin: how to connect to one, and which is next."""

import asyncio
import errno
import socket
import ssl
from collections.abc import Iterator, Sequence
from contextlib import suppress
from itertools import count
from typing import Final

import aiohappyeyeballs
from aiohappyeyeballs import AddrInfoType

from proxy.config import OriginSettings, OriginUrl
from proxy.config.certificates import for_origin
from proxy.connection import Connection
from proxy.errors import Busy, OriginTimeout, OriginUnreachable
from proxy.health import Health

HAPPY_EYEBALLS_DELAY: Final = 0.25  # seconds (RFC 8305 section 8)


class Server:
    """One server of an origin."""

    def __init__(
        self, url: OriginUrl, settings: OriginSettings, tls: ssl.SSLContext | None, max_fields: int, health: Health
    ) -> None:
        self.url = url
        self.health = health
        self.exchanges = 0  # under way from here, those included that are still connecting
        self.last_turn = 0  # when it was chosen last, among all choices
        self._settings = settings
        self._tls = tls
        self._max_fields = max_fields

    async def connect(self) -> Connection:
        """A new connection. Raises OriginUnreachable, OriginTimeout; Busy if there are no descriptors."""
        self.exchanges += 1
        try:
            with self.health.attempt():
                return await self._connect()
        finally:
            self.exchanges -= 1

    async def _connect(self) -> Connection:
        try:
            addresses = await self._addresses()
            async with asyncio.timeout(self._settings.connect_timeout):
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
                what = "Too many files and connections are open"
                raise Busy(f"{what}.", why=f"{what}: the system lets the process have no more (LimitNOFILE).") from exc
            raise OriginUnreachable("The origin could not be reached.") from exc

    async def _addresses(self) -> Sequence[AddrInfoType]:
        """What the server's name resolves to; nothing for a Unix socket."""
        if self.url.unix_path is not None:
            return []
        lookup = asyncio.get_running_loop().getaddrinfo(self.url.host, self.url.port, type=socket.SOCK_STREAM)
        try:
            async with asyncio.timeout(self._settings.connect_timeout):
                return await lookup
        except TimeoutError as exc:
            raise OriginUnreachable("The origin's name was not resolved in time.", error_type="dns_timeout") from exc

    async def _open_connection(self, addresses: Sequence[AddrInfoType]) -> Connection:
        loop, url = asyncio.get_running_loop(), self.url
        if url.unix_path is not None:
            _, connection = await loop.create_unix_connection(self._new, url.unix_path)
            return connection
        sock = await aiohappyeyeballs.start_connection(addresses, happy_eyeballs_delay=HAPPY_EYEBALLS_DELAY, loop=loop)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        name = (self._settings.tls.server_name or url.host) if self._tls else None
        try:
            _, connection = await loop.create_connection(self._new, sock=sock, ssl=self._tls, server_hostname=name)
        except BaseException:
            with suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)  # closing waits for the event loop, and the place is free at once
            sock.close()
            raise
        return connection

    def _new(self) -> Connection:
        return Connection(self._max_fields, authority=self.url.authority, lenient=self._settings.lenient)


class Servers:
    """All servers of an origin."""

    def __init__(self, origin: str, settings: OriginSettings, max_fields: int) -> None:
        tls = _tls_context(origin, settings) if settings.url[0].scheme == "https" else None
        self._turns = count(1)
        self._changed: asyncio.Future[None] | None = None  # there while somebody waits for it
        self.awaited = 0  # how many wait until one of them can be tried
        self._all = [
            Server(url, settings, tls, max_fields, self._health(origin, url, settings)) for url in settings.url
        ]
        self._only = self._all[0] if len(self._all) == 1 else None  # most origins have one

    def __iter__(self) -> Iterator[Server]:
        return iter(self._all)

    def next(self) -> Server | None:
        """The one with the fewest exchanges, in rotation, of those that are not left alone."""
        if self._only is not None:
            return None if self._only.health.left_alone else self._only
        return min(self._candidates(), key=_busy, default=None)

    def in_turn(self) -> Iterator[Server]:
        """One after the other that can be tried, until the caller has what it wants; each once."""
        tried: set[Server] = set()
        while candidates := [server for server in self._candidates() if server not in tried]:
            server = min(candidates, key=_busy)
            server.last_turn = next(self._turns)
            tried.add(server)
            yield server

    async def any_to_try(self) -> None:
        """Wait until not all of them are left alone."""
        self.awaited += 1
        try:
            while not self._candidates():
                if self._changed is None:
                    self._changed = asyncio.get_running_loop().create_future()
                pauses = [pause for server in self._all if (pause := server.health.pause) is not None]
                await asyncio.wait({self._changed}, timeout=min(pauses, default=None))
        finally:
            self.awaited -= 1

    @property
    def left_alone(self) -> int:
        """How many are."""
        return len(self._all) - len(self._candidates())

    def _candidates(self) -> list[Server]:
        return [server for server in self._all if not server.health.left_alone]

    def _health(self, origin: str, url: OriginUrl, settings: OriginSettings) -> Health:
        return Health(origin, str(url), settings.unhealthy_after, settings.unhealthy_for, self._look_again)

    def _look_again(self) -> None:
        if self._changed is not None:
            self._changed.set_result(None)
            self._changed = None


def _busy(server: Server) -> tuple[int, int]:
    return server.exchanges, server.last_turn


def _tls_context(origin: str, settings: OriginSettings) -> ssl.SSLContext:
    context = for_origin(origin, settings.tls)
    context.set_alpn_protocols(["http/1.1"])
    if not settings.tls.verify:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context
