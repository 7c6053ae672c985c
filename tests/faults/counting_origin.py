"""An origin that does the `Work` it is asked for, and counts: who came how often, and how many connections were open.

The number of open connections is the kernel's: one whose peer is gone does not count from that moment on, even if the
origin has not yet had time to notice. Where there are very many, that would take too long, and nobody minds a few.
"""

import asyncio
import socket
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from typing import Final, Self

from tests.faults.patience import until
from tests.faults.work import Work, blocks

ESTABLISHED: Final = 1  # include/net/tcp_states.h
BACKLOG: Final = 4096
EXACTLY: Final = 100  # connections up to which the kernel is asked, one by one
PIECES: Final = 64  # blocks written at a time


class CountingOrigin:
    """The origin, as an async context manager."""

    def __init__(self) -> None:
        self.arrivals: Counter[int] = Counter()
        self.order: list[int] = []  # numbers, as they arrived
        self.damaged: set[int] = set()  # numbers that came whole with content that is not theirs
        self.served = 0  # answers sent to their end
        self.most_open = 0
        self._gate = asyncio.Event()
        self._gate.set()
        self._open: dict[asyncio.Task[None], socket.socket] = {}

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def open(self) -> int:
        """Connections that are open at both ends."""
        return sum(map(_is_established, self._open.values()))

    @contextmanager
    def held(self) -> Iterator[None]:
        """Meanwhile, nobody is answered."""
        self._gate.clear()
        try:
            yield
        finally:
            self._gate.set()

    async def arrived(self, number: int) -> None:
        """Wait until a request of this number is there."""
        await until(lambda: self.arrivals[number] > 0, f"request {number} at the origin")

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", 0, backlog=BACKLOG)
        self.port: int = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_: object) -> None:
        self._server.close()
        for task in self._open:
            task.cancel()
        await asyncio.gather(*self._open, return_exceptions=True)
        await self._server.wait_closed()

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        async with self._counted(writer):
            # Proxies are killed here all the time. And asyncio cannot stand it if one of these tasks ends cancelled.
            with suppress(ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
                while await self._serve(reader, writer):
                    pass

    @asynccontextmanager
    async def _counted(self, writer: asyncio.StreamWriter) -> AsyncIterator[None]:
        task = asyncio.current_task()
        assert task is not None
        self._open[task] = writer.get_extra_info("socket")
        if len(self._open) > self.most_open:
            self.most_open = max(self.most_open, self.open if len(self._open) <= EXACTLY else len(self._open))
        try:
            yield
        finally:
            del self._open[task]
            writer.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        """Answer one request; whether the connection can have another."""
        method, target, length = await _head(reader)
        work = Work.of(method, target)
        self.arrivals[work.number] += 1
        self.order.append(work.number)
        if await reader.readexactly(length) != (work.content or b""):
            self.damaged.add(work.number)
        await asyncio.sleep(work.delay)
        await self._gate.wait()
        await _answer(work, writer)
        self.served += 1
        return work.framing != "close"


async def _head(reader: asyncio.StreamReader) -> tuple[str, bytes, int]:
    """Method, target, and length of the content. Raises IncompleteReadError at the end of the connection."""
    start, *fields = (await reader.readuntil(b"\r\n\r\n")).split(b"\r\n")
    method, target, _ = start.split(b" ")
    lengths = [
        value for name, _, value in (line.partition(b":") for line in fields) if name.lower() == b"content-length"
    ]
    return method.decode("ascii"), target, int(lengths[0]) if lengths else 0


async def _answer(work: Work, writer: asyncio.StreamWriter) -> None:
    framing = {"length": b"Content-Length: %d" % work.size, "chunked": b"Transfer-Encoding: chunked"}
    chunked = work.framing == "chunked"
    writer.write(b"HTTP/1.1 200 OK\r\n%b\r\n\r\n" % framing.get(work.framing, b"Connection: close"))
    if work.method == "HEAD":
        return
    for place, block in enumerate(blocks(work.number, work.size), 1):
        writer.write(b"%x\r\n%b\r\n" % (len(block), block) if chunked else block)
        if place % PIECES == 0:
            await writer.drain()
    writer.write(b"0\r\n\r\n" if chunked else b"")
    await writer.drain()


def _is_established(sock: socket.socket) -> bool:
    if sock.fileno() == -1:
        return False
    return sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 1)[0] == ESTABLISHED
