"""Where the proxy can be reached: TCP and Unix sockets, with TLS or without."""

import asyncio
import errno
import os
import socket
import ssl
from collections.abc import Collection
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

from proxy.acceptor import Acceptor, ProtocolFactory
from proxy.config import Address, ServerTls

BACKLOG: Final = 2048
HANDSHAKE: Final = 10.0  # seconds, where nothing else is said


class CannotListen(Exception):
    """An address that cannot be listened on; the message says which and why."""


class Listener:
    """One address that is listened on."""

    def __init__(self, address: Address, acceptors: list[Acceptor]) -> None:
        self.address = address  # with the port that was chosen, where none was given
        self._acceptors = acceptors  # one for each address that the host's name has

    def close(self) -> None:
        """Accept nothing more. Connections that are open stay so. Can be called again."""
        if self.address.unix_path is not None and self._acceptors[0].is_open:
            Path(self.address.unix_path).unlink(missing_ok=True)
        for acceptor in self._acceptors:
            acceptor.close()

    async def drain(self, timeout: float) -> None:
        """Give connections that are just beginning `timeout` seconds to do so."""
        await asyncio.gather(*(acceptor.drain(timeout) for acceptor in self._acceptors))


async def listen(
    key: str,
    address: Address,
    factory: ProtocolFactory,
    tls: ssl.SSLContext | None = None,
    handshake_timeout: float = HANDSHAKE,
) -> Listener:
    """Accept connections at an address, which the configuration has under this key. Raises CannotListen."""
    try:
        sockets = await _listening(address)
    except OSError as exc:
        reason = exc.strerror if isinstance(exc, socket.gaierror) else os.strerror(exc.errno or 0)
        raise CannotListen(f"Cannot listen on {address} (`{key}`): {reason}.") from exc
    acceptors = [Acceptor(sock, factory, tls, handshake_timeout) for sock in sockets]
    for acceptor in acceptors:
        acceptor.open()
    chosen = address if address.unix_path is not None else replace(address, port=sockets[0].getsockname()[1])
    return Listener(chosen, acceptors)


async def _listening(address: Address) -> list[socket.socket]:
    """Sockets that listen there, for a name with several addresses as many. Raises OSError."""
    if address.unix_path is not None:
        _remove_stale(Path(address.unix_path))
        return _all_listening([(socket.AF_UNIX, address.unix_path)])
    found = await asyncio.get_running_loop().getaddrinfo(
        address.host or None, address.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
    )
    return _all_listening(dict.fromkeys((family, where) for family, _, _, _, where in found))


def _all_listening(places: Collection[tuple[int, Any]]) -> list[socket.socket]:
    with ExitStack() as opened:
        sockets = [opened.enter_context(socket.socket(family)) for family, _ in places]
        for sock, (family, where) in zip(sockets, places, strict=True):
            if family != socket.AF_UNIX:
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            if family == socket.AF_INET6:  # an IPv4 address has a socket of its own
                sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
            sock.bind(where)
            sock.listen(BACKLOG)
        opened.pop_all()
    return sockets


def tls_context(tls: ServerTls) -> ssl.SSLContext:
    """TLS as servers speak it, for HTTP/1.1. Raises CannotListen if the certificate and key are not usable."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.set_alpn_protocols(["http/1.1"])
    try:
        context.load_cert_chain(tls.cert_file, tls.key_file)
    except (OSError, ssl.SSLError) as exc:
        raise CannotListen(f"Cannot use {tls.cert_file} with {tls.key_file}: {exc}") from exc
    return context


def _remove_stale(path: Path) -> None:
    """Remove the socket of a process that is gone. Raises OSError for one that is not: the event loop would take it over."""
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
