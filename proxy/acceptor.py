"""Accepting connections, also when file descriptors run out.

The event loop's own way is to accept what it has no descriptor for, and drop it. Here accepting pauses, and what waits
stays in the kernel's queue until descriptors are back.

It pauses before the last one is gone: each connection may come to need one more, for an origin or a file. So of the
descriptors that are free when accepting begins, half are kept back, or a thousand where there are many: operations may
hold ten thousands at origins, and they have no clients. A fresh descriptor gets the lowest number that is free, so its
number tells how many are in use, at the least.
"""

import asyncio
import errno
import os
import resource
import socket
import ssl
from collections.abc import Callable, Collection
from contextlib import suppress
from typing import Final

import structlog

log = structlog.get_logger()

AT_ONCE: Final = 8  # connections for one wake-up: processes that share a socket share what waits there
MOST_KEPT_BACK: Final = 1000  # descriptors
LOOK_AGAIN: Final = 0.05  # seconds between looks while it pauses; there is no event for "a descriptor is free again"

# What accept() tells of one connection, which it has taken from the queue (accept(2)). All else concerns the next, too.
OF_ONE_CONNECTION: Final = frozenset({
    errno.ECONNABORTED, errno.EPROTO, errno.ENETDOWN, errno.ENETUNREACH, errno.EHOSTDOWN, errno.EHOSTUNREACH,
    errno.ENONET,
})  # fmt: skip

ProtocolFactory = Callable[[], asyncio.Protocol]


class Acceptor:
    """Accepts connections on a socket that listens already, and gives each a protocol.

    Other processes may have inherited the socket, and accept on it too.
    """

    def __init__(
        self,
        sock: socket.socket,
        factory: ProtocolFactory,
        tls: ssl.SSLContext | None = None,
        handshake_timeout: float = 10.0,  # seconds, for TLS
        clients: Collection[object] = (),
        *,
        most_kept_back: int = MOST_KEPT_BACK,
        at_once: int = AT_ONCE,
    ) -> None:
        """`clients` are those whose connections are open, wherever they were accepted in this process.

        At most so many descriptors are kept back from them: none from those who are few, and get in when others cannot.
        Where the oldest give way to new ones, it is to be one at once: those who have to go hold descriptors a while longer.
        """
        self._sock = sock
        self._factory = factory
        self._tls = tls
        self._handshake_timeout = handshake_timeout if tls else None
        self._loop = asyncio.get_running_loop()
        self._beginning: set[asyncio.Task[None]] = set()  # for connections that are not yet their protocol's
        self._clients = clients
        self._most_kept_back = most_kept_back
        self._at_once = at_once
        self._most = 0  # clients, at once
        self._reserved = 0  # the lowest number of a descriptor that is not for clients
        self._spare = 0  # how many must be free below that for a pause to end: else one would follow upon the other
        self._none_waits = True  # as far as it has looked
        self._again: asyncio.TimerHandle | None = None  # while it pauses

    @property
    def is_open(self) -> bool:
        return self._sock.fileno() >= 0

    def open(self) -> None:
        """Begin to accept."""
        limit = most_descriptors()
        free = limit - _fresh_number(self._sock)
        reserve = min(free // 2, self._most_kept_back)
        self._reserved = limit - reserve
        self._most = free - reserve
        self._spare = min(AT_ONCE, reserve // 4)
        self._sock.settimeout(0)
        self._loop.add_reader(self._sock, self._accept)

    def close(self) -> None:
        """Accept what waits just now, and then nothing more. Can be called again."""
        if self.is_open:
            self._take_some()  # where no other process has the socket, the kernel would reset them
            if self._again is not None:
                self._again.cancel()
            self._loop.remove_reader(self._sock)
            self._sock.close()

    async def drain(self, timeout: float) -> None:
        """Give connections that were accepted `timeout` seconds to begin: with TLS, it takes a handshake first."""
        if self._beginning:
            await asyncio.wait(self._beginning, timeout=timeout)
        for task in self._beginning:
            task.cancel()
        await asyncio.gather(*self._beginning, return_exceptions=True)

    def _accept(self) -> None:
        if (obstacle := self._take_some(self._at_once)) is not None:
            self._pause(obstacle)

    def _pause(self, reason: str) -> None:
        self._loop.remove_reader(self._sock)
        self._again = self._loop.call_later(LOOK_AGAIN, self._look_again)
        log.warning("accepting paused", listen=_shown(self._sock), reason=reason)

    def _look_again(self) -> None:
        """Accept what there is room for. With room to spare and nobody left that waits, accept as before."""
        obstacle = self._take_some()
        while obstacle is None and not self._none_waits:
            obstacle = self._take_some()
        if obstacle is None and self._room() > self._spare:
            self._again = None
            self._loop.add_reader(self._sock, self._accept)
            log.info("accepting resumed", listen=_shown(self._sock))
        else:
            self._again = self._loop.call_later(LOOK_AGAIN, self._look_again)

    def _take_some(self, most: int = AT_ONCE) -> str | None:
        """Accept some of those that wait. Returns what stands in the way, if not all could be taken for that."""
        self._none_waits = False
        for _ in range(most):
            if self._room() <= 0:
                return "few file descriptors are left"
            try:
                sock, _ = self._sock.accept()
            except BlockingIOError:
                self._none_waits = True
                return None
            except OSError as exc:
                if exc.errno not in OF_ONE_CONNECTION:
                    return str(exc)
            else:
                self._begin(sock)
        return None

    def _begin(self, sock: socket.socket) -> None:
        sock.settimeout(0)
        task = self._loop.create_task(self._connect(sock))
        self._beginning.add(task)
        task.add_done_callback(self._beginning.discard)

    async def _connect(self, sock: socket.socket) -> None:
        with suppress(OSError):  # it has left, or was no good at TLS: there is nobody to be told
            await self._loop.connect_accepted_socket(
                self._factory, sock, ssl=self._tls, ssl_handshake_timeout=self._handshake_timeout
            )

    def _room(self) -> int:
        """How many more descriptors clients may have.

        Origins may hold high numbers while low ones come free, so that the number alone would let in too many.
        """
        try:
            by_number = self._reserved - _fresh_number(self._sock)
        except OSError:
            return 0
        return min(by_number, self._most - len(self._clients) - len(self._beginning))


def most_descriptors() -> int:
    """How many this process may have."""
    limit, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return limit


def _fresh_number(sock: socket.socket) -> int:
    """The number that the next descriptor will have. Raises OSError if there can be none."""
    fresh = os.dup(sock.fileno())
    os.close(fresh)
    return fresh


def _shown(sock: socket.socket) -> str:
    """Where it listens, as the configuration would have it."""
    name = sock.getsockname()
    if sock.family == socket.AF_UNIX:
        return f"unix:{name}"
    return f"[{name[0]}]:{name[1]}" if sock.family == socket.AF_INET6 else f"{name[0]}:{name[1]}"
