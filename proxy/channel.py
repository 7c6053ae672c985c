"""Messages between two processes, as the supervisor and a worker: JSON objects, a line each, both ways over a socket.

`Lines` does no I/O. `Channel` is the supervisor's end, which never waits; `Link` is a worker's end, on its event loop.
Another service's process may be of another version, or of no service: a `Channel` leads to that, too. Whoever talks nonsense
is heard no longer, whether it is a stranger or a worker with a defect; what becomes of it is for the owner to say.
"""

import asyncio
import json
import os
import socket
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from functools import partial
from math import inf
from selectors import EVENT_READ, EVENT_WRITE
from typing import Any, Final, cast

from proxy.reactor import Reactor

PIECE: Final = 65_536  # bytes read at once
LONGEST: Final = 1_048_576  # bytes that a stranger may send in one line

Message = dict[str, Any]
Send = Callable[[Message], None]
Later = Callable[[Callable[[], None]], object]


_encode: Final = json.JSONEncoder(separators=(",", ":"), check_circular=False).encode


def encoded(message: Message) -> bytes:
    return _encode(message).encode() + b"\n"


def in_turns(messages: Iterator[Message], send: Send, later: Later) -> None:
    """Send them one by one, and do between one and the next what else there is to do: each is made when it is sent."""
    message = next(messages, None)
    if message is not None:
        send(message)
        later(partial(in_turns, messages, send, later))


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

    def __init__(
        self,
        sock: socket.socket,
        reactor: Reactor,
        hear: Callable[[Message], None],
        lost: Callable[["Nonsense | None"], None] = lambda _: None,
        longest: float = inf,
    ) -> None:
        """`lost` is called once: when the other end is gone, or has talked nonsense, which it gets then.

        `hear` may raise Nonsense. A line that is longer than the `longest` is nonsense, too.
        """
        sock.settimeout(0)
        self._sock = sock
        self._reactor = reactor
        self._hear = hear
        self._lost = lost
        self._lines = Lines(longest)
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
        """Hear what a worker that is gone has still said, and close. Raises Nonsense, and is closed then."""
        try:
            while self._receive():
                pass
        finally:
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
        if events & EVENT_READ:
            self._read()

    def _read(self) -> None:
        nonsense = None
        try:
            if self._receive():
                return
        except Nonsense as exc:
            nonsense = exc
        self._reactor.forget(self._sock)
        self._lost(nonsense)

    def _receive(self) -> bool:
        """Whether there was something. Raises Nonsense."""
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


class Link(asyncio.Protocol):
    """A worker's end. When the supervisor is gone the process ends at once, as if it had been killed with it."""

    def __init__(self, hear: Callable[[Message], None]) -> None:
        self._hear = hear
        self._lines = Lines()
        self._transport: asyncio.WriteTransport | None = None
        self._unsent: list[bytes] = []
        self._finished: asyncio.Future[None] | None = None
        self._paused = False
        self._waiting: list[Callable[[], None]] = []

    def send(self, message: Message) -> None:
        """What is said in one turn of the event loop goes out together: the supervisor wakes once for all of it."""
        if self._finished is not None:  # after the last words
            return
        if not self._unsent:
            asyncio.get_running_loop().call_soon(self._flush)
        self._unsent.append(encoded(message))

    def later(self, call: Callable[[], None]) -> None:
        """Call in another turn of the event loop, when the other side has taken what was sent, nearly.

        Who has much to say says it so: it does not pile up here, before what others say, and the last words.
        """
        if self._paused:
            self._waiting.append(call)
        else:
            asyncio.get_running_loop().call_soon(call)

    async def finish(self, message: Message) -> None:
        """Say the last, after all that has been said before, until the other side has taken it or is gone.

        Nothing is heard any more.
        """
        self.send(message)
        self._finished = asyncio.get_running_loop().create_future()
        self._flush()
        if self._transport is not None:
            self._transport.close()  # which sends first what is kept
            await self._finished

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.WriteTransport", transport)

    def data_received(self, data: bytes) -> None:
        for message in self._lines.feed(data):
            self._hear(message)

    def pause_writing(self) -> None:
        self._paused = True

    def resume_writing(self) -> None:
        self._paused = False
        waiting, self._waiting = self._waiting, []
        for call in waiting:
            self.later(call)

    def connection_lost(self, _: BaseException | None) -> None:
        if self._finished is None:
            os._exit(1)
        if not self._finished.done():  # else it took too long
            self._finished.set_result(None)

    def _flush(self) -> None:
        data, self._unsent = b"".join(self._unsent), []
        if data and self._transport is not None:
            self._transport.write(data)
