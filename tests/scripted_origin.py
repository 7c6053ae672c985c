"""An HTTP/1.x origin on a real socket whose answers are a script: correct, slow, broken or evil, byte by byte.

    async with ScriptedOrigin() as origin:
        origin.script(read_all(), answer(200, body=b"done"))        # for each request from now on
        origin.queue([reset()], [answer(503)])                      # one script for each of the next requests
        origin.route(lambda request: [answer(404)])                 # chosen by the request

A script is a sequence of steps, async functions of a `Connection`; tests write their own where those here do not do.
Without a script the origin echoes what it got, as JSON. Rules: only what a step says is sent. After a script the rest
of the request is read and the next one served, unless either side said otherwise. Whether the peer leaves is its own
business; any other error in a script, and what is wrong with a request, is raised when the origin is left.
"""

from __future__ import annotations

import asyncio
import json
import re
from collections import deque
from collections.abc import Awaitable, Callable, Iterable, Sequence
from contextlib import suppress
from http import HTTPStatus
from typing import TYPE_CHECKING, Final, Literal, Self

from tests.raw_client import (
    LIMIT,
    PIECE,
    Field,
    Head,
    MalformedError,
    Message,
    Pattern,
    Signal,
    Sized,
    TruncatedError,
    Wire,
    field_section,
    framing,
    read_head,
)

if TYPE_CHECKING:
    from pathlib import Path
    from ssl import SSLContext
    from types import TracebackType

Step = Callable[["Connection"], Awaitable[None]]
Script = Sequence[Step]
Body = bytes | Pattern | list[bytes]

REQUEST_LINE: Final = re.compile(rb"([!#$%&'*+\-.^_`|~0-9A-Za-z]+) ([^\x00-\x20\x7f]+) (HTTP/1\.[01])\r\n")


class Request(Message):
    """A request as it came."""

    def __init__(self, wire: Wire, head: Head, raw: bytearray) -> None:
        if not (match := REQUEST_LINE.fullmatch(head.start)):
            raise MalformedError(f"not a request line: {head.start!r}")
        self.method, self.target, self.version = match[1].decode("ascii"), match[2], match[3]
        self._raw = raw
        super().__init__(wire, head, framing(head, self.version, otherwise=Sized(0)))

    @property
    def raw(self) -> bytes:
        """All bytes that were read of it, framing included; only the head after `read_all(keep=False)`."""
        return bytes(self._raw)

    async def read(self, most: int = PIECE, *, keep: bool = True) -> bytes:
        piece = await super().read(most, keep=keep)
        self._wire.changed()  # the test may wait for the end of this request
        return piece


class Connection(Wire):
    """One accepted connection. `requests` has those of which the head has come; the last is being served."""

    def __init__(self, origin: ScriptedOrigin) -> None:
        super().__init__(limit=None)  # an origin waits as long as the test lets it
        self.requests: list[Request] = []
        self._origin = origin

    @property
    def request(self) -> Request:
        return self.requests[-1]

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        self._origin.accept(self)

    def changed(self) -> None:
        super().changed()
        self._origin.changed.notify()

    async def play(self, script: Script) -> None:
        for step in script:
            await step(self)

    async def next_request(self) -> Request | None:
        """The next request; None if the connection ends before it begins."""
        if self.transport.is_closing() or not await self.readable():
            return None
        self.tape = bytearray()
        request = Request(self, await read_head(self), self.tape)
        self.requests.append(request)
        return request

    async def finish_request(self) -> None:
        """Reads what the script has left unread, and closes if this was the last request here."""
        if not self.transport.is_closing():
            await self.request.finish()
        if not persistent(self.request.version, self.request.fields_named(b"connection")):
            self.close()


class ScriptedOrigin:
    """The origin, as an async context manager; `connections` and `requests` are in order of arrival, for good."""

    def __init__(
        self, *, ssl: SSLContext | None = None, unix_path: str | Path | None = None, limit: float = LIMIT
    ) -> None:
        self.connections: list[Connection] = []
        self.requests: list[Request] = []
        self.changed = Signal()
        self.port = 0
        self._ssl, self._unix_path, self._limit = ssl, unix_path, limit
        self._on_accept: Script = []
        self._queue: deque[Script] = deque()
        self._standing: Callable[[Request], Script] = lambda _: [echo()]
        self._tasks: list[asyncio.Task[None]] = []

    @property
    def url(self) -> str:
        """As an origin's `url` in the proxy's configuration."""
        if self._unix_path:
            return f"unix:{self._unix_path}"
        return f"{'https' if self._ssl else 'http'}://127.0.0.1:{self.port}"

    @property
    def open_connections(self) -> list[Connection]:
        return [connection for connection in self.connections if connection.end is None]

    def script(self, *steps: Step) -> None:
        """Plays these steps for each request that finds the queue empty."""
        self._standing = lambda _: steps

    def route(self, choose: Callable[[Request], Script]) -> None:
        """Asks for the script of each request that finds the queue empty, once its head is there."""
        self._standing = choose

    def queue(self, *scripts: Script) -> None:
        """Plays one script for each of the next requests, on whichever connection they come."""
        self._queue.extend(scripts)

    def on_accept(self, *steps: Step) -> None:
        """Plays these steps on each new connection before anything is read."""
        self._on_accept = steps

    async def __aenter__(self) -> Self:
        loop = asyncio.get_running_loop()
        if self._unix_path:
            self._server = await loop.create_unix_server(self._connection, str(self._unix_path), ssl=self._ssl)
        else:
            self._server = await loop.create_server(self._connection, "127.0.0.1", 0, ssl=self._ssl)
            self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.close()
        for task in self._tasks:
            task.cancel()
        results = await asyncio.gather(*self._tasks, return_exceptions=True)
        for connection in self.connections:
            await connection.drop()
        await self._server.wait_closed()
        self._report([result for result in results if isinstance(result, Exception)], error)

    def _report(self, failures: list[Exception], error: BaseException | None) -> None:
        if error is not None:
            for failure in failures:
                error.add_note(f"in the scripted origin: {failure!r}")
        elif len(failures) == 1:
            raise failures[0]
        elif failures:
            raise ExceptionGroup("in the scripted origin", failures)

    def _connection(self) -> Connection:
        return Connection(self)

    def accept(self, connection: Connection) -> None:
        """Serves a connection that has just been made."""
        self.connections.append(connection)
        self._tasks.append(asyncio.get_running_loop().create_task(self._serve(connection)))
        self.changed.notify()

    async def _serve(self, connection: Connection) -> None:
        try:
            with suppress(ConnectionError):  # peers leave when they like
                await connection.play(self._on_accept)
                while request := await connection.next_request():
                    self.requests.append(request)
                    self.changed.notify()
                    await connection.play(self._queue.popleft() if self._queue else self._standing(request))
                    await connection.finish_request()
        finally:
            connection.close()

    async def connection_opened(self, number: int = 1) -> Connection:
        """The connection of this number, counted from 1, once it is there."""
        await self._until(lambda: len(self.connections) >= number, f"connection {number}")
        return self.connections[number - 1]

    async def connection_closed(self, number: int = 1) -> Connection:
        """The same once it has ended; its `end` says how. A script that holds it open does not hide that."""
        connection = await self.connection_opened(number)
        await self._until(lambda: connection.end is not None, f"end of connection {number}")
        return connection

    async def request_received(self, number: int = 1) -> Request:
        """The request of this number, counted from 1, once its head is there."""
        await self._until(lambda: len(self.requests) >= number, f"request {number}")
        return self.requests[number - 1]

    async def request_complete(self, number: int = 1) -> Request:
        """The same once a script has read its whole body."""
        request = await self.request_received(number)
        await self._until(lambda: request.complete, f"end of request {number}")
        return request

    async def _until(self, condition: Callable[[], bool], what: str) -> None:
        await self.changed.until(condition, self._limit, f"{what} at the origin", self._so_far)

    def _so_far(self) -> str:
        requests = [f"{request.method} {request.target!r}" for request in self.requests]
        return f"requests: {requests}, connections: {[connection.so_far() for connection in self.connections]}"


def read_all(*, keep: bool = True) -> Step:
    """Reads the request to its end; keep=False counts and hashes only. The script ends here if the peer breaks off."""

    async def step(connection: Connection) -> None:
        if not keep:
            connection.tape = None
        request = await connection.request.finish(keep=keep)
        if not request.complete:
            raise TruncatedError(request.fault)

    return step


def read_body(size: int) -> Step:
    """Reads so many bytes of the request's body, or all if there are fewer."""

    async def step(connection: Connection) -> None:
        request = connection.request
        wanted = request.size + size
        while request.size < wanted and await request.read(wanted - request.size):
            pass

    return step


def send(data: bytes) -> Step:
    """Sends exactly these bytes."""

    async def step(connection: Connection) -> None:
        await connection.send(data)

    return step


def trickle(data: bytes, *, pause: float, size: int = 1) -> Step:
    """Sends the bytes `size` at a time, and pauses so many seconds after each."""

    async def step(connection: Connection) -> None:
        for start in range(0, len(data), size):
            await connection.send(data[start : start + size])
            await asyncio.sleep(pause)

    return step


def wait_for(gate: asyncio.Event) -> Step:
    """Stalls until the test sets the event."""

    async def step(_: Connection) -> None:
        await gate.wait()

    return step


def tell(event: asyncio.Event) -> Step:
    """Sets an event that the test waits for."""

    async def step(_: Connection) -> None:
        event.set()

    return step


def stall() -> Step:
    """Does nothing until the peer leaves."""

    async def step(connection: Connection) -> None:
        await connection.until(lambda: connection.end is not None, "end")

    return step


def close() -> Step:
    """Closes with FIN, after what is still to be sent; where request bytes lie unread, the kernel sends RST."""

    async def step(connection: Connection) -> None:
        connection.close()

    return step


def half_close() -> Step:
    """Sends FIN and goes on reading."""

    async def step(connection: Connection) -> None:
        connection.half_close()

    return step


def reset() -> Step:
    """Sends RST."""

    async def step(connection: Connection) -> None:
        connection.reset()

    return step


def interim(status: int = 100, fields: Sequence[Field] = ()) -> Step:
    """Sends an interim response (1xx)."""
    return send(status_line(status) + field_section(fields))


def answer(
    status: int | bytes = 200,
    fields: Sequence[Field] = (),
    body: Body = b"",
    framing: Literal["length", "chunked", "close"] = "length",
) -> Step:
    """Sends a well-made response, and closes if it says so: framing "close", `Connection`, or HTTP/1.0 by default.

    A status of bytes is the whole status line without its CRLF. Nothing is added to the fields but framing, and that
    only if they have none: an origin that lies is `answer(200, [(b"Content-Length", b"9")], b"short"), close()`.
    A list as body is sent piece by piece, chunk by chunk.
    """
    line = status + b"\r\n" if isinstance(status, bytes) else status_line(status)
    version, code = line[:8], int(line[9:12])
    named = Head(line, list(fields)).named
    stated = bool(named(b"content-length") or named(b"transfer-encoding"))
    bodiless = code in {204, 304}
    ours = [] if stated or bodiless else framing_fields(framing, body)
    head = line + field_section([*fields, *ours])
    chunked = framing == "chunked" and not stated
    closing = framing == "close" or not persistent(version, named(b"connection"))

    async def step(connection: Connection) -> None:
        await connection.send(head)
        if not bodiless and connection.request.method != "HEAD":
            for piece in encoded(body, chunked=chunked):
                await connection.send(piece)
        if closing:
            connection.close()

    return step


def echo() -> Step:
    """Reads the request and answers with a description of it; bytes are Latin-1 in the JSON, so none is lost."""

    async def step(connection: Connection) -> None:
        request = connection.request
        await read_all()(connection)
        body = json.dumps(described(request)).encode("ascii")
        await answer(200, [(b"Content-Type", b"application/json")], body)(connection)

    return step


def described(request: Request) -> dict[str, object]:
    return {
        "method": request.method,
        "target": request.target.decode("latin-1"),
        "version": request.version.decode("latin-1"),
        "fields": [[name.decode("latin-1"), value.decode("latin-1")] for name, value in request.fields],
        "length": request.size,
        "sha256": request.sha256,
    }


def status_line(status: int) -> bytes:
    return b"HTTP/1.1 %d %b\r\n" % (status, HTTPStatus(status).phrase.encode("ascii"))


def persistent(version: bytes, connection: Iterable[bytes]) -> bool:
    """Whether a message of this version and these Connection values lets the connection live on (RFC 9112 9.3)."""
    options = {option.strip().lower() for value in connection for option in value.split(b",")}
    return b"close" not in options and (version == b"HTTP/1.1" or b"keep-alive" in options)


def framing_fields(framing: Literal["length", "chunked", "close"], body: Body) -> list[Field]:
    match framing:
        case "length":
            return [(b"Content-Length", b"%d" % size_of(body))]
        case "chunked":
            return [(b"Transfer-Encoding", b"chunked")]
        case "close":
            return []


def size_of(body: Body) -> int:
    return body.size if isinstance(body, Pattern) else sum(map(len, pieces(body)))


def pieces(body: Body) -> Iterable[bytes]:
    return [body] if isinstance(body, bytes) else body


def encoded(body: Body, *, chunked: bool) -> Iterable[bytes]:
    """The body as it goes on the wire, in pieces."""
    if not chunked:
        yield from pieces(body)
        return
    for piece in filter(None, pieces(body)):  # an empty chunk would be the last
        yield b"%x\r\n%b\r\n" % (len(piece), piece)
    yield b"0\r\n\r\n"
