"""A client of raw sockets that judges what a server sends: exact bytes out, a strict reading of RFC 9112 in.

Rules: nothing is repaired. What no correct server sends raises `MalformedError`; a message that broke off is
`TruncatedError`, or a `Response` that is not `complete` and whose `fault` says why. Every wait has a limit, and its
failure shows what had come. `Wire` and `Message` serve the scripted origin too, which judges the other side.
"""

from __future__ import annotations

import asyncio
import hashlib
import re
import socket
import struct
from contextlib import suppress
from dataclasses import dataclass, field
from enum import Enum
from typing import TYPE_CHECKING, Final, Self, cast

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path
    from ssl import SSLContext
    from types import TracebackType

Field = tuple[bytes, bytes]  # name, and value without the white space around it

LIMIT: Final = 5.0  # seconds for one wait
WINDOW: Final = 256 * 1024  # bytes held unread before the peer has to wait; also the longest line
PIECE: Final = 64 * 1024

TOKEN: Final = rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]+"
FIELD_LINE: Final = re.compile(rb"(%b):([\t\x20-\x7e\x80-\xff]*)\r\n" % TOKEN)
STATUS_LINE: Final = re.compile(rb"(HTTP/1\.[01]) ([1-5][0-9]{2}) ([\t\x20-\x7e\x80-\xff]*)\r\n")
CHUNK_LINE: Final = re.compile(rb"([0-9A-Fa-f]{1,15})(?:[ \t]*;[\t\x20-\x7e\x80-\xff]*)?\r\n")


class MalformedError(AssertionError):
    """The peer sent what RFC 9112 does not allow it to send."""


class TruncatedError(ConnectionError):
    """The peer left in the middle of a message."""


class End(Enum):
    """How a connection ended."""

    FIN = "closed by the peer"
    RESET = "reset"
    LOCAL = "closed from this side"


class Signal:
    """Wakes all who wait, each time something has changed; they look for themselves whether it concerns them."""

    def __init__(self) -> None:
        self._changed = asyncio.Event()

    def notify(self) -> None:
        changed, self._changed = self._changed, asyncio.Event()
        changed.set()

    async def until(
        self, condition: Callable[[], bool], limit: float | None, what: str, so_far: Callable[[], str]
    ) -> None:
        """Waits at most limit seconds for the condition; what names it, and so_far is called for the failure's text."""
        try:
            async with asyncio.timeout(limit):
                while not condition():
                    await self._changed.wait()
        except TimeoutError:
            raise TimeoutError(f"no {what} within {limit} s; {so_far()}") from None


class Wire(asyncio.Protocol):
    """One side of a connection: the bytes that came, how it ended, and writing with back-pressure.

    While `WINDOW` bytes lie unread, nothing more is read and an end cannot be noticed: so it is with sockets.
    `limit` is in seconds for each wait; None waits as long as it takes. `tape`, if set, records what is consumed.
    """

    def __init__(self, limit: float | None = LIMIT) -> None:
        self.limit = limit
        self.end: End | None = None
        self.lost = False  # the socket is gone; after a FIN we may still write
        self.received = 0
        self.tape: bytearray | None = None
        self._unread = bytearray()
        self._tail = b""
        self._may_write = True
        self._signal = Signal()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        self.received += len(data)
        self._tail = (self._tail + data)[-1000:]
        self._unread += data
        if len(self._unread) >= WINDOW:
            self.transport.pause_reading()
        self.changed()

    def eof_received(self) -> bool:
        self.end = self.end or End.FIN
        self.changed()
        return self.transport.get_extra_info("sslcontext") is None  # half-closed; TLS has no such thing

    def connection_lost(self, exc: Exception | None) -> None:
        self.lost = True
        self.end = self.end or (End.RESET if exc else End.LOCAL)
        self.changed()

    def pause_writing(self) -> None:
        self._may_write = False

    def resume_writing(self) -> None:
        self._may_write = True
        self.changed()

    def changed(self) -> None:
        self._signal.notify()

    async def until(self, condition: Callable[[], bool], what: str) -> None:
        """Waits for the condition; what names it in the failure."""
        await self._signal.until(condition, self.limit, what, self.so_far)

    def so_far(self) -> str:
        return f"received so far: {self.received} bytes, ending in {self._tail!r}; connection: {self.end.name if self.end else 'open'}"

    @property
    def unread(self) -> bytes:
        return bytes(self._unread)

    async def readable(self) -> bool:
        """Whether there is a byte to read; False at the end."""
        await self.until(lambda: bool(self._unread) or self.end is not None, "byte")
        return bool(self._unread)

    async def some(self, most: int = PIECE) -> bytes:
        """From one to `most` bytes; b"" at the end."""
        return self._take(most) if await self.readable() else b""

    async def line(self) -> bytes:
        """The next line, with its CRLF."""
        await self.until(lambda: b"\n" in self._unread or self.end is not None or len(self._unread) >= WINDOW, "line")
        size = self._unread.find(b"\n") + 1
        if not size and len(self._unread) >= WINDOW:
            raise MalformedError(f"a line without end; {self.so_far()}")
        if not size:
            raise TruncatedError(f"{self.end} in a line; {self.so_far()}")
        line = self._take(size)
        if not line.endswith(b"\r\n"):
            raise MalformedError(f"a bare LF: {line!r}")
        return line

    def _take(self, most: int) -> bytes:
        piece = bytes(self._unread[:most])
        del self._unread[:most]
        if self.tape is not None:
            self.tape += piece
        if len(self._unread) < WINDOW <= len(self._unread) + len(piece):
            self.transport.resume_reading()
        return piece

    async def send(self, data: bytes) -> None:
        """Writes, and waits while the peer does not read. Raises ConnectionResetError once the socket is gone."""
        if not self.transport.is_closing():
            self.transport.write(data)
            await self.until(lambda: self._may_write or self.lost, "room to write")
        if self.transport.is_closing():
            raise ConnectionResetError(f"the connection is gone; {self.so_far()}")

    def close(self) -> None:
        """Sends what is still to send, then closes; with input unread, the kernel makes a reset of it."""
        self.transport.close()

    def half_close(self) -> None:
        self.transport.write_eof()

    def reset(self) -> None:
        """Closes at once with RST."""
        if not self.lost:
            linger = struct.pack("ii", 1, 0)
            self.transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
            self.transport.abort()

    async def drop(self) -> None:
        """Closes at once, and waits until the socket is gone."""
        self.transport.abort()
        await self.until(lambda: self.lost, "end of the connection")


@dataclass(frozen=True)
class Head:
    """A start line and a field section, as they came."""

    start: bytes
    fields: list[Field]

    def named(self, name: bytes) -> list[bytes]:
        return [value for key, value in self.fields if key.lower() == name.lower()]


async def read_head(wire: Wire) -> Head:
    return Head(await wire.line(), await read_fields(wire))


async def read_fields(wire: Wire) -> list[Field]:
    """A field section with its empty line (RFC 9112 5); no folding, no white space before the colon."""
    fields = []
    while (line := await wire.line()) != b"\r\n":
        if not (match := FIELD_LINE.fullmatch(line)):
            raise MalformedError(f"not a field line: {line!r}")
        fields.append((match[1], match[2].strip(b" \t")))
    return fields


@dataclass
class Sized:
    """Content of known length."""

    left: int

    @property
    def done(self) -> bool:
        return self.left == 0

    async def read(self, wire: Wire, most: int) -> bytes:
        piece = await wire.some(min(most, self.left))
        if not piece:
            raise TruncatedError(f"{wire.end} {self.left} bytes before the end of the content")
        self.left -= len(piece)
        return piece


@dataclass
class Chunked:
    """Content in chunks (RFC 9112 7.1)."""

    chunk: Sized | None = None
    trailers: list[Field] = field(default_factory=list)
    done: bool = False

    async def read(self, wire: Wire, most: int) -> bytes:
        if self.chunk and self.chunk.done:
            await self._end_chunk(wire)
        self.chunk = self.chunk or await self._begin_chunk(wire)
        if not self.chunk.done:
            return await self.chunk.read(wire, most)
        self.trailers = await read_fields(wire)
        self.done = True
        return b""

    async def _begin_chunk(self, wire: Wire) -> Sized:
        line = await wire.line()
        if not (match := CHUNK_LINE.fullmatch(line)):
            raise MalformedError(f"not a chunk size: {line!r}")
        return Sized(int(match[1], 16))

    async def _end_chunk(self, wire: Wire) -> None:
        if (line := await wire.line()) != b"\r\n":
            raise MalformedError(f"a chunk longer than its size: {line!r}")
        self.chunk = None


@dataclass
class UntilClose:
    """Content that ends with the connection; only a FIN ends it well."""

    done: bool = False

    async def read(self, wire: Wire, most: int) -> bytes:
        piece = await wire.some(most)
        self.done = not piece and wire.end is End.FIN
        if not piece and not self.done:
            raise TruncatedError(f"{wire.end} in content that ends with a close")
        return piece


Framing = Sized | Chunked | UntilClose


def framing(head: Head, version: bytes, *, otherwise: Framing) -> Framing:
    """How the content of a message is delimited (RFC 9112 6.3); otherwise: where no field says it."""
    lengths, codings = head.named(b"content-length"), head.named(b"transfer-encoding")
    match lengths, codings:
        case [], []:
            return otherwise
        case [length], [] if re.fullmatch(rb"[0-9]{1,18}", length):
            return Sized(int(length))
        case [], [coding] if coding.lower() == b"chunked" and version == b"HTTP/1.1":
            return Chunked()
    raise MalformedError(f"ambiguous framing in {version!r}: Content-Length {lengths}, Transfer-Encoding {codings}")


class Message:
    """A request or response: its head, and of its body what has been read."""

    def __init__(self, wire: Wire, head: Head, framing: Framing) -> None:
        self.fields = head.fields
        self.size = 0  # bytes of the body read so far
        self.fault = ""  # why it will never be complete
        self._head, self._wire, self._framing = head, wire, framing
        self._kept = bytearray()
        self._digest = hashlib.sha256()

    @property
    def body(self) -> bytes:
        """What was read and kept of the body, without chunk framing."""
        return bytes(self._kept)

    @property
    def sha256(self) -> str:
        """Checksum of all that was read of the body, kept or not."""
        return self._digest.hexdigest()

    @property
    def complete(self) -> bool:
        """Whether the message was read to a proper end."""
        return self._framing.done

    @property
    def trailers(self) -> list[Field]:
        return self._framing.trailers if isinstance(self._framing, Chunked) else []

    def fields_named(self, name: bytes) -> list[bytes]:
        return self._head.named(name)

    def field(self, name: bytes) -> bytes | None:
        """The value of a field that may be there once."""
        values = self.fields_named(name)
        if len(values) > 1:
            raise MalformedError(f"{len(values)} {name!r} fields: {values}")
        return values[0] if values else None

    async def read(self, most: int = PIECE, *, keep: bool = True) -> bytes:
        """From one to `most` further bytes of the body, as soon as there are some; b"" at its end."""
        if self.complete:
            return b""
        try:
            piece = await self._framing.read(self._wire, most)
        except TruncatedError as error:
            self.fault = str(error)
            raise
        self.size += len(piece)
        self._digest.update(piece)
        self._kept += piece if keep else b""
        return piece

    async def finish(self, *, keep: bool = True) -> Self:
        """Reads the rest of the body; one that broke off is not `complete`. keep=False counts and hashes only."""
        with suppress(TruncatedError):
            while not self.complete:
                await self.read(keep=keep)
        return self


class Response(Message):
    """A response, and the interim ones (1xx) that came before it."""

    def __init__(self, wire: Wire, head: Head, method: str, interim: Sequence[Response] = ()) -> None:
        if not (match := STATUS_LINE.fullmatch(head.start)):
            raise MalformedError(f"not a status line: {head.start!r}")
        self.version, self.status, self.reason = match[1], int(match[2]), match[3]
        self.interim = list(interim)
        super().__init__(wire, head, self._framed(head, method))

    def _framed(self, head: Head, method: str) -> Framing:
        stated = framing(head, self.version, otherwise=UntilClose())
        if (self.status < 200 or self.status == 204) and not isinstance(stated, UntilClose):
            raise MalformedError(f"framing fields in a {self.status}: {head.fields}")  # RFC 9110 8.6, RFC 9112 6.1
        return Sized(0) if method == "HEAD" or self.status < 200 or self.status in {204, 304} else stated


class RawClient:
    """One connection to a server, as an async context manager.

    Pipelined requests are sent before the first response is read: what lies unread after a complete response,
    when the next request is sent or the connection is left, are surplus bytes and raise `MalformedError`.
    """

    def __init__(
        self,
        host: str = "127.0.0.1",
        port: int = 0,
        *,
        ssl: SSLContext | None = None,
        unix_path: str | Path | None = None,
        limit: float = LIMIT,
    ) -> None:
        self._address = (host, port)
        self._ssl, self._unix_path = ssl, unix_path
        self._response: Response | None = None  # the last one begun, until something is sent after it
        self.wire = Wire(limit)

    async def __aenter__(self) -> Self:
        loop = asyncio.get_running_loop()
        async with asyncio.timeout(self.wire.limit):
            if self._unix_path:
                await loop.create_unix_connection(lambda: self.wire, str(self._unix_path), ssl=self._ssl)
            else:
                await loop.create_connection(lambda: self.wire, *self._address, ssl=self._ssl)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.wire.drop()
        if error is None:
            self._refuse_surplus()

    def _refuse_surplus(self) -> None:
        answered = self._response and self._response.complete and self._response.status != 101
        if answered and self.wire.unread:
            raise MalformedError(f"surplus bytes after a response: {self.wire.unread[:1000]!r}")

    async def send(self, data: bytes) -> None:
        """Sends exactly these bytes. Raises ConnectionResetError once the server is gone."""
        self._refuse_surplus()
        self._response = None
        await self.wire.send(data)

    async def begin(self, method: str = "GET") -> Response:
        """The next final response as soon as its head is there; its body is read through it."""
        if self._response and not (self._response.complete or self._response.fault):
            raise AssertionError("the response before has not been read to its end")
        interim: list[Response] = []
        while (response := Response(self.wire, await read_head(self.wire), method, interim)).status < 200:
            if response.status == 101:
                break  # the answer to an Upgrade is final: RFC 9110 15.2.2
            interim.append(response)
        self._response = response
        return response

    async def response(self, method: str = "GET", *, keep: bool = True) -> Response:
        """The next final response, read to its end; method is that of its request. keep=False: see `Message.finish`."""
        return await (await self.begin(method)).finish(keep=keep)

    async def exchange(
        self, method: str, target: bytes, fields: Sequence[Field] = (), body: bytes | None = None
    ) -> Response:
        """Sends a well-made request and reads its response."""
        await self.send(request(method, target, fields, body))
        return await self.response(method)

    async def receive(self, size: int) -> bytes:
        """Exactly `size` raw bytes, as after a 101."""
        data = b""
        while len(data) < size:
            if not (piece := await self.wire.some(size - len(data))):
                raise TruncatedError(f"{self.wire.end} after {data!r}")
            data += piece
        return data

    async def eof(self) -> bool:
        """Waits for the server to end the connection without another byte: True for a close, False for a reset."""
        await self.wire.until(lambda: self.wire.end is not None or bool(self.wire.unread), "end of the connection")
        if self.wire.unread:
            raise MalformedError(f"bytes instead of the end: {self.wire.unread[:1000]!r}")
        return self.wire.end is End.FIN

    def half_close(self) -> None:
        self.wire.half_close()

    def close(self) -> None:
        self.wire.close()

    def reset(self) -> None:
        self.wire.reset()


def request(method: str, target: bytes, fields: Sequence[Field] = (), body: bytes | None = None) -> bytes:
    """The bytes of a request: the fields as given, and before them Host and Content-Length where those are missing."""
    given = {name.lower() for name, _ in fields}
    own: list[Field] = []
    if b"host" not in given:
        own.append((b"Host", b"proxy.test"))
    if body is not None and not given & {b"content-length", b"transfer-encoding"}:
        own.append((b"Content-Length", b"%d" % len(body)))
    start = b"%b %b HTTP/1.1\r\n" % (method.encode("ascii"), target)
    return start + field_section([*own, *fields]) + (body or b"")


def field_section(fields: Sequence[Field]) -> bytes:
    return b"".join(b"%b: %b\r\n" % line for line in fields) + b"\r\n"


@dataclass(frozen=True)
class Pattern:
    """A body of `size` bytes, made while it is sent; no two blocks are alike, so what is lost or swapped shows."""

    size: int

    def __iter__(self) -> Iterator[bytes]:
        for start in range(0, self.size, PIECE):
            block = b"%015d\n" % start * (PIECE // 16)
            yield block[: self.size - start]

    @property
    def sha256(self) -> str:
        digest = hashlib.sha256()
        for piece in self:
            digest.update(piece)
        return digest.hexdigest()
