"""The content of a request: none, as it comes from the client, or received whole beforehand.

A request that may outlive its client's connection is received whole before it is sent: up to 64 KiB in memory, above
that in a file without a name, which vanishes with the process.
"""

import asyncio
import os
import tempfile
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import IO, Final, Protocol

from proxy.errors import ProxyError, StoreUnavailable

IN_MEMORY: Final = 64 * 1024  # bytes
PIECE: Final = 256 * 1024  # bytes read from a file at a time


class Content(Protocol):
    """What a request carries."""

    present: bool  # False: the request has no content at all, which is not the same as an empty one

    @property
    def length(self) -> int | None:
        """In bytes; None where only its end will tell."""
        ...

    @property
    def whole(self) -> bytes | None:
        """All of it, if it is in memory already."""
        ...

    def pieces(self) -> AsyncIterator[bytes]:
        """It, piece by piece, once."""
        ...

    def close(self) -> None:
        """Give back what it occupies. Can be called again."""
        ...


class Spool:
    """A request's content, received whole."""

    present = True

    def __init__(self, folder: Path | None) -> None:
        self._folder = folder  # None: the system's place for temporary files
        self._memory: list[bytes] = []
        self._file: IO[bytes] | None = None
        self._closed = False
        self._size = 0  # bytes

    @classmethod
    async def receive(cls, content: Content, folder: Path | None) -> "Content":
        """Take all of `content`. Raises what reading it raises.

        Where the disk refuses, what was received and what is still to come are given on as one content, to be sent at
        once: the disk's trouble is not the request's.
        """
        spool, pieces = cls(folder), content.pieces()
        try:
            async for piece in pieces:
                try:
                    await spool._write(piece)
                except StoreUnavailable:
                    return Remainder(spool, piece, pieces, content)
        except BaseException:
            spool.close()
            raise
        return spool

    @property
    def length(self) -> int:
        return self._size

    @property
    def whole(self) -> bytes | None:
        return b"".join(self._memory) if self._file is None else None

    async def pieces(self) -> AsyncIterator[bytes]:
        for piece in self._memory:
            yield piece
        if self._file is not None:
            position = 0
            while position < self._size:
                piece = await asyncio.to_thread(self._read, self._file, position)
                position += len(piece)
                yield piece

    def close(self) -> None:
        self._closed = True
        self._memory.clear()
        if self._file is not None:
            self._file.close()

    async def _write(self, piece: bytes) -> None:
        if self._file is None and self._size + len(piece) <= IN_MEMORY:
            self._memory.append(piece)
        else:
            await asyncio.to_thread(self._append, piece)
        self._size += len(piece)

    def _append(self, piece: bytes) -> None:
        try:
            file = self._file or self._move_to_file()
            file.seek(self._size)
            _write_all(file, piece)
        except OSError as exc:
            raise StoreUnavailable("The request could not be written to disk.") from exc

    def _move_to_file(self) -> IO[bytes]:
        file = tempfile.TemporaryFile(dir=self._folder, buffering=0)  # noqa: SIM115  # it lives as long as the spool
        try:
            _write_all(file, b"".join(self._memory))
        except BaseException:
            file.close()
            raise
        self._file = file
        self._memory.clear()
        if self._closed:  # the client left while this thread was at work
            file.close()
        return file

    def _read(self, file: IO[bytes], position: int) -> bytes:
        # Not by the file's own position: an operation's content is sent and stored at the same time.
        piece = os.pread(file.fileno(), min(PIECE, self._size - position), position)
        if not piece:
            raise ProxyError("The spooled request has lost its end.")
        return piece


class Remainder:
    """What was spooled before the disk refused, the piece that it refused, and what is still to come."""

    present = True
    whole = None

    def __init__(self, spool: Spool, piece: bytes, rest: AsyncIterator[bytes], source: Content) -> None:
        self._spool = spool
        self._piece = piece
        self._rest = rest
        self.length = source.length

    async def pieces(self) -> AsyncIterator[bytes]:
        async for piece in self._spool.pieces():
            yield piece
        yield self._piece
        async for piece in self._rest:
            yield piece

    def close(self) -> None:
        self._spool.close()


class Stored:
    """Content that is in a store, whose pieces `read` brings."""

    present = True
    whole = None

    def __init__(self, length: int, read: Callable[[], AsyncIterator[bytes]]) -> None:
        self.length = length
        self._read = read

    async def pieces(self) -> AsyncIterator[bytes]:
        async for piece in self._read():
            yield piece

    def close(self) -> None:
        pass


class NoContent:
    """The content of a request that has none."""

    present = False
    length: int | None = 0
    whole: bytes | None = b""

    async def pieces(self) -> AsyncIterator[bytes]:
        return
        yield b""

    def close(self) -> None:
        pass


NO_CONTENT: Final = NoContent()


def _write_all(file: IO[bytes], data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[file.write(view) :]
