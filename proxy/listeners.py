"""Where the proxy can be reached: TCP and Unix sockets, with TLS or without.

Sockets are bound first, without an event loop: they outlive the processes that accept on them.
"""

import asyncio
import errno
import os
import socket
import ssl
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from time import sleep
from typing import Final, cast

from proxy.acceptor import Acceptor
from proxy.config import Address, Config, ServerTls
from proxy.config.addresses import IN_THE_WAY, in_the_way
from proxy.config.certificates import Unusable, for_clients

BACKLOG: Final = 2048
ATTEMPTS: Final = 40
PAUSE: Final = 0.05  # seconds between two of them
NO_SUCH_FAMILY: Final = {errno.EAFNOSUPPORT, errno.EADDRNOTAVAIL}  # where IPv6 is off, all interfaces are those of IPv4


class CannotListen(Exception):
    """An address that cannot be listened on; the message says which and why."""


class Bound:
    """An address with its sockets, which listen: a host may stand for several."""

    def __init__(self, key: str, wanted: Address, sockets: tuple[socket.socket, ...]) -> None:
        self.key = key  # which the configuration has it under
        self.wanted = wanted
        self.address = wanted if wanted.unix_path else replace(wanted, port=sockets[0].getsockname()[1])
        self.sockets = sockets
        self.sharers: set[object] = set()  # who listens on when this process does not
        self._process = os.getpid()
        self._file = _identity(wanted.unix_path) if wanted.unix_path else None

    def close(self) -> None:
        """Close this process's copies. A path is removed by the process that made it. Can be called again."""
        for sock in self.sockets:
            sock.close()
        if self._file is not None and not self.sharers and self._process == os.getpid():
            self._remove(cast("str", self.address.unix_path))

    def _remove(self, path: str) -> None:
        """Once, and not what another service has put there since."""
        if _identity(path) == self._file:
            Path(path).unlink(missing_ok=True)
        self._file = None


class Doors:
    """All that a configuration listens on, that for operators apart."""

    def __init__(self, bounds: Iterable[Bound], tls: ssl.SSLContext | None) -> None:
        self.all = tuple(bounds)
        self.listen = [bound for bound in self.all if bound.key == "listen"]
        self.admin = next((bound for bound in self.all if bound.key == "admin"), None)
        self.tls = tls

    def for_operators(self) -> "Doors":
        """The one for operators alone."""
        return Doors([self.admin] if self.admin else [], None)

    def close(self) -> None:
        for bound in self.all:
            bound.close()

    def close_but(self, kept: "Doors") -> None:
        """Close those that are not among these."""
        for bound in self.all:
            if bound not in kept.all:
                bound.close()

    def shown(self) -> dict[str, list[str] | str]:
        """Where they are, for the log."""
        admin = str(self.admin.address) if self.admin else "off"
        return {"listen": [str(bound.address) for bound in self.listen], "admin": admin}


class Listener:
    """One address that is accepted on."""

    def __init__(self, bound: Bound, accepting: Callable[[socket.socket], Acceptor]) -> None:
        """`accepting` makes what accepts on one of its sockets."""
        self.address = bound.address
        self._bound = bound
        self._accepting = accepting
        self._acceptors: list[Acceptor] = []  # closed ones too, whose last connections may be beginning

    def open(self) -> None:
        """Accept connections. Can be called again."""
        self.pause()
        opened = [self._accepting(sock.dup()) for sock in self._bound.sockets]
        self._acceptors += opened
        for acceptor in opened:
            acceptor.open()

    def pause(self) -> None:
        """Accept nothing more for now: whoever connects waits, or gets to another process."""
        for acceptor in self._acceptors:
            acceptor.close()

    def close(self) -> None:
        """Accept nothing more. Connections that are open stay so. Can be called again."""
        self.pause()
        self._bound.close()

    async def drain(self, timeout: float) -> None:
        """Give connections that are just beginning `timeout` seconds to do so."""
        await asyncio.gather(*(acceptor.drain(timeout) for acceptor in self._acceptors))


def open_doors(config: Config, held: Iterable[Bound] = ()) -> Doors:
    """Bind all addresses of a configuration but those that are held already. Raises CannotListen."""
    left = list(held)
    tls = tls_context(config.tls) if config.tls is not None else None
    with ExitStack() as undo:
        bounds = []
        for key, wanted in addresses(config):
            bound = _taken(left, key, wanted)
            if bound is None:
                bound = bind(key, wanted)
                undo.callback(bound.close)
            bounds.append(bound)
        undo.pop_all()
    return Doors(bounds, tls)


def addresses(config: Config) -> Iterator[tuple[str, Address]]:
    """All that it listens on, each after the key that it is under."""
    yield from (("listen", address) for address in config.listen)
    if config.admin is not None:
        yield "admin", config.admin


def open_doors_in_time(config: Config, held: Iterable[Bound]) -> Doors:
    """The same, also where the workers of a supervisor that was killed are about to leave."""
    held = tuple(held)
    for _ in range(ATTEMPTS - 1):
        try:
            return open_doors(config, held)
        except CannotListen:
            sleep(PAUSE)
    return open_doors(config, held)


def _taken(left: list[Bound], key: str, wanted: Address) -> Bound | None:
    for bound in left:
        if bound.key == key and wanted in (bound.wanted, bound.address):
            left.remove(bound)
            return bound
    return None


def bind(key: str, address: Address) -> Bound:
    """Listen on an address, which the configuration has under this key; nothing is accepted yet. Raises CannotListen."""
    try:
        return Bound(key, address, (_unix(address.unix_path),) if address.unix_path else tuple(_tcp(address)))
    except OSError as exc:
        reason = os.strerror(exc.errno) if exc.errno and exc.errno > 0 else str(exc)
        raise CannotListen(f"Cannot listen on {address} (`{key}`): {reason}.") from exc
    except UnicodeError as exc:  # of a label that is empty or too long
        raise CannotListen(f"Cannot listen on {address} (`{key}`): its host is no name that can be looked up.") from exc


def _identity(path: str) -> tuple[int, int, int] | None:
    """Of a socket's file, with its time: file systems give the same number again to the next one."""
    try:
        found = Path(path).lstat()
    except OSError:  # somebody has removed it
        return None
    return found.st_dev, found.st_ino, found.st_mtime_ns


def _unix(path: str) -> socket.socket:
    _remove_stale(Path(path))
    with ExitStack() as undo:
        sock = undo.enter_context(socket.socket(socket.AF_UNIX))
        sock.bind(path)
        _listen(sock)
        undo.pop_all()
    return sock


def _tcp(address: Address) -> list[socket.socket]:
    found = socket.getaddrinfo(address.host or None, address.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    sockets: list[socket.socket] = []
    refusal: OSError | None = None
    with ExitStack() as undo:
        for family, _, _, _, (host, port, *more) in dict.fromkeys(found):
            chosen = sockets[0].getsockname()[1] if sockets else port  # the same for all, where none was given
            try:
                sockets.append(undo.enter_context(_tcp_socket(family, (host, chosen, *more))))
            except OSError as exc:
                if exc.errno not in NO_SUCH_FAMILY:
                    raise
                refusal = exc
        if refusal is not None and not sockets:
            raise refusal
        undo.pop_all()
    return sockets


def _tcp_socket(family: int, place: tuple[object, ...]) -> socket.socket:
    with ExitStack() as undo:
        sock = undo.enter_context(socket.socket(family))
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        sock.bind(place)
        _listen(sock)
        undo.pop_all()
    return sock


def _listen(sock: socket.socket) -> None:
    sock.listen(BACKLOG)
    sock.settimeout(0)


def tls_context(tls: ServerTls) -> ssl.SSLContext:
    """TLS as servers speak it, for HTTP/1.1. Raises CannotListen if the certificate and key are not usable."""
    try:
        context = for_clients(tls)
    except Unusable as exc:
        raise CannotListen(str(exc)) from exc
    context.set_alpn_protocols(["http/1.1"])
    return context


def _remove_stale(path: Path) -> None:
    """Remove the socket of a process that is gone. Raises OSError for one that is not, and for what is no socket."""
    if in_the_way(str(path)):
        raise OSError(IN_THE_WAY)
    if not path.is_socket():
        return
    with socket.socket(socket.AF_UNIX) as probe:
        probe.settimeout(0)
        try:
            probe.connect(str(path))
        except ConnectionRefusedError:
            path.unlink()
            return
        except BlockingIOError:  # so many wait to be accepted that there is no room for us
            pass
    raise OSError(errno.EADDRINUSE, "in use")
