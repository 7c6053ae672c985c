"""Messages between two processes, as the supervisor and a worker: JSON objects, a line each, both ways over a socket.

`Lines` does no I/O. `Channel` is the supervisor's end, which never waits; `Link` is a worker's end, on its event loop.
Between these two nonsense is a defect. A `WaryChannel` is for a process that may be of another version, or of no service.
"""

import asyncio
import json
import os
import socket
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from math import inf
from selectors import EVENT_READ, EVENT_WRITE
from typing import Any, Final, cast

import structlog

from proxy.reactor import Reactor

log = structlog.get_logger()

PIECE: Final = 65_536  # bytes read at once
LONGEST: Final = 1_048_576  # bytes that a stranger may send in one line

Message = dict[str, Any]


_encode: Final = json.JSONEncoder(separators=(",", ":"), check_circular=False).encode


def encoded(message: Message) -> bytes:
    return _encode(message).encode() + b"\n"


class Nonsense(Exception):
    """What the other side says is no message, or not one with all that it should have."""


class Lines:
    """Bytes as they come, and the messages in them. A line may be as long as the `longest`, if there is such a limit."""

    def __init__(self, longest: float = inf) -> None:
        self._rest = b""
        self._longest = longest

    def feed(self, data: bytes) -> Iterator[Message]:
        """The messages that are complete now. Raises Nonsense, at once or as they are taken."""
        *whole, self._rest = (self._rest + data).split(b"\n")
        if len(self._rest) > self._longest:
            raise Nonsense("a line without an end")
        return map(_decoded, whole)


def _decoded(line: bytes) -> Message:
    try:
        message = json.loads(line)
    except (ValueError, RecursionError) as exc:
        raise Nonsense("not JSON") from exc
    if not isinstance(message, dict):
        raise Nonsense("no object")
    return message


class Channel:
    """The supervisor's end. What the other side does not take at once is kept, and sent as it does."""

    _longest = inf  # line that is heard

    def __init__(
        self,
        sock: socket.socket,
        reactor: Reactor,
        hear: Callable[[Message], None],
        lost: Callable[[], None] = lambda: None,
    ) -> None:
        """`lost` is called when the other end is gone."""
        sock.settimeout(0)
        self._sock = sock
        self._reactor = reactor
        self._hear = hear
        self._lost = lost
        self._lines = Lines(self._longest)
        self._unsent = bytearray()
        reactor.watch(sock, self._ready)

    def send(self, message: Message) -> None:
        self._unsent += encoded(message)
        self._flush()

    def hand(self, message: Message, sockets: Sequence[socket.socket]) -> None:
        """Send a message with sockets. It is lost where the other side does not take it at once."""
        with suppress(OSError):
            socket.send_fds(self._sock, [encoded(message)], [sock.fileno() for sock in sockets])

    def finish(self) -> None:
        """Hear what a worker that is gone has still said, and close."""
        while self._receive():
            pass
        self.close()

    def close(self) -> None:
        """Can be called again."""
        if self._sock.fileno() >= 0:
            self._reactor.forget(self._sock)
            self._sock.close()

    def abandon(self) -> None:
        """Close it in a forked child: the parent's loop is to go on as it was."""
        self._sock.close()

    def _ready(self, events: int) -> None:
        if events & EVENT_WRITE:
            self._flush()
        if events & EVENT_READ and not self._receive():
            self._reactor.forget(self._sock)
            self._lost()

    def _receive(self) -> bool:
        """Whether there was something."""
        try:
            data = self._sock.recv(PIECE)
        except OSError:  # nothing at the moment, or it was reset
            return False
        for message in self._lines.feed(data):
            self._hear(message)
        return bool(data)

    def _flush(self) -> None:
        try:
            del self._unsent[: self._sock.send(self._unsent)]
        except BlockingIOError:
            pass
        except OSError:  # it is gone
            self._unsent.clear()
            return
        self._reactor.watch(self._sock, self._ready, EVENT_READ | (EVENT_WRITE if self._unsent else 0))


class WaryChannel(Channel):
    """The same to a stranger. `hear` may raise Nonsense; who talks such, or without end, counts as gone."""

    _longest: float = LONGEST

    def _receive(self) -> bool:
        try:
            return super()._receive()
        except Nonsense as exc:
            log.warning("peer dropped", reason=str(exc))
            return False


class Link(asyncio.Protocol):
    """A worker's end. When the supervisor is gone the process ends at once, as if it had been killed with it."""

    def __init__(self, hear: Callable[[Message], None]) -> None:
        self._hear = hear
        self._lines = Lines()
        self._transport: asyncio.WriteTransport | None = None
        self._unsent: list[bytes] = []

    def send(self, message: Message) -> None:
        """What is said in one turn of the event loop goes out together: the supervisor wakes once for all of it."""
        if not self._unsent:
            asyncio.get_running_loop().call_soon(self._flush)
        self._unsent.append(encoded(message))

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.WriteTransport", transport)

    def data_received(self, data: bytes) -> None:
        for message in self._lines.feed(data):
            self._hear(message)

    def connection_lost(self, _: BaseException | None) -> None:
        os._exit(1)

    def _flush(self) -> None:
        data, self._unsent = b"".join(self._unsent), []
        if self._transport is not None:
            self._transport.write(data)
