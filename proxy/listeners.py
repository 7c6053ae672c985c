"""Where the proxy can be reached: TCP and Unix sockets, with TLS or without."""

import asyncio
import errno
import os
import socket
import ssl
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Final

from proxy.config import Address, ServerTls

BACKLOG: Final = 2048

ProtocolFactory = Callable[[], asyncio.Protocol]


class CannotListen(Exception):
    """An address that cannot be listened on; the message says which and why."""


class Listener:
    """One address that is listened on."""

    def __init__(self, address: Address, server: asyncio.Server) -> None:
        self.address = address  # with the port that was chosen, where none was given
        self._server = server

    def close(self) -> None:
        """Accept nothing more. Connections that are open stay so. Can be called again."""
        if self._server.is_serving() and self.address.unix_path is not None:
            Path(self.address.unix_path).unlink(missing_ok=True)
        self._server.close()


async def listen(key: str, address: Address, factory: ProtocolFactory, tls: ssl.SSLContext | None = None) -> Listener:
    """Accept connections at an address, which the configuration has under this key. Raises CannotListen."""
    loop = asyncio.get_running_loop()
    try:
        if address.unix_path is not None:
            _remove_stale(Path(address.unix_path))
            server = await loop.create_unix_server(factory, address.unix_path, ssl=tls, backlog=BACKLOG)
            return Listener(address, server)
        server = await loop.create_server(
            factory, address.host or None, address.port, ssl=tls, backlog=BACKLOG, reuse_address=True
        )
    except OSError as exc:
        reason = os.strerror(exc.errno) if exc.errno else str(exc)
        raise CannotListen(f"Cannot listen on {address} (`{key}`): {reason}.") from exc
    return Listener(replace(address, port=server.sockets[0].getsockname()[1]), server)


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
