"""Bodies: small ones travel in the row that refers to them, larger ones are files that are whole or not there at all.

A file is written as `ab/<id>.part`, synced, renamed to `ab/<id>`, and the folders synced, all before the row is written
that refers to it. A crash in between leaves a stray file, which somebody has to look for.
"""

import zlib
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager, suppress
from functools import partial
from itertools import islice
from math import inf
from pathlib import Path
from threading import Lock
from typing import Final

from proxy.operation import BodyRef, Progress
from proxy.store.faults import damaged
from proxy.store.files import PIECE, PartFile, StoredFile
from proxy.store.growth import Grow, Growth
from proxy.store.protocol import UNKNOWN
from proxy.store.threads import Threads
from proxy.store.tokens import is_token, require_token

LONGEST_INLINE: Final = 65_536  # bytes
FILES_AT_ONCE: Final = 1000  # looked at in one search for strays
_PART: Final = ".part"


class Bodies:
    """The folder of body files."""

    def __init__(self, folder: Path, threads: Threads) -> None:
        self._folder = folder
        self._threads = threads
        self._open_sinks: dict[str, BodySink] = {}
        self._round = folder.glob("??/*")
        self._looking = Lock()

    @asynccontextmanager
    async def sink(self, id: str, grow: Grow, coming: Progress = UNKNOWN) -> AsyncIterator["BodySink"]:
        """See Store.sink."""
        part = PartFile(self._path(id), self._part(id))
        sink = self._open_sinks[id] = BodySink(part, self._threads, Growth(grow, coming))
        try:
            yield sink
            await sink.complete()
        except BaseException:
            await self._threads.run(part.discard)
            raise
        finally:
            self._open_sinks.pop(id, None)

    def progress(self, id: str) -> Progress | None:
        """How far the body has come that is being written here; None if none is."""
        sink = self._open_sinks.get(id)
        return None if sink is None else sink.progress

    def read(self, id: str, ref: BodyRef, start: int, stop: int | None) -> AsyncGenerator[bytes, None]:
        """See Store.body."""
        if ref.inline is not None:
            return inline_pieces(ref, start, stop)
        return self._file_pieces(StoredFile(self._path(id), ref, start, end(ref, stop)))

    def drop(self, ids: list[str]) -> None:
        """Remove these bodies some time soon; what fails is a stray."""
        if ids:
            self._threads.post(partial(_unlink, [self._path(id) for id in ids]))

    async def some(self, before: float = inf) -> dict[Path, str]:
        """Some of the files with the ids that they belong to; all of them in turn, if asked often enough.

        Files that this process is writing are left out, and those last written to after this time (wall clock).
        """
        files = await self._threads.run(partial(self._next_files, before))
        ids = {file: file.name.removesuffix(_PART) for file in files}
        return {file: id for file, id in ids.items() if is_token(id) and id not in self._open_sinks}

    async def remove(self, files: list[Path]) -> None:
        """Remove these files, if they are still there."""
        await self._threads.run(partial(_unlink, files))

    async def _file_pieces(self, file: StoredFile) -> AsyncGenerator[bytes, None]:
        try:
            while piece := await self._threads.run(file.next_piece):
                yield piece
        finally:
            self._threads.post(file.close)

    def _path(self, id: str) -> Path:
        return self._folder / require_token(id)[:2] / id

    def _part(self, id: str) -> Path:
        return self._path(id).with_name(id + _PART)

    def _next_files(self, before: float) -> list[Path]:
        with self._looking:
            found = list(islice(self._round, FILES_AT_ONCE))
            if len(found) < FILES_AT_ONCE:
                self._round = self._folder.glob("??/*")
            return [file for file in found if before == inf or _written_before(before, file)]


class BodySink:
    """Joins small pieces, and begins a file only when the body is too large to be inline."""

    def __init__(self, part: PartFile, threads: Threads, growth: Growth) -> None:
        self._part = part
        self._threads = threads
        self._growth = growth
        self._gathered = bytearray()
        self._ref: BodyRef | None = None

    @property
    def progress(self) -> Progress:
        return self._growth.progress(len(self._gathered))

    async def write(self, piece: bytes) -> None:
        self._gathered += piece
        if len(self._gathered) >= PIECE:
            data = self._take()
            await self._growth.add(len(data))
            await self._threads.run(partial(self._part.append, data))

    @property
    def ref(self) -> BodyRef:
        if self._ref is None:
            raise ValueError("a body has a reference once it is whole")
        return self._ref

    async def complete(self) -> None:
        """Make the body whole."""
        data = self._take()
        if self._part.size == 0 and len(data) <= LONGEST_INLINE:
            self._ref = inlined(bytes(data))
        else:
            self._ref = await self._threads.run(partial(self._part.complete, data))

    def _take(self) -> bytearray:
        data, self._gathered = self._gathered, bytearray()
        return data


def inlined(content: bytes) -> BodyRef:
    """The reference of a body that needs no sink: whole, and no longer than LONGEST_INLINE."""
    return BodyRef(len(content), zlib.crc32(content), content)


def inline_content(ref: BodyRef) -> bytes:
    """The body that is in its reference, if it still is. Raises StoreUnavailable."""
    content = ref.inline
    if content is None or len(content) != ref.size or zlib.crc32(content) != ref.checksum:
        raise damaged()
    return content


async def inline_pieces(ref: BodyRef, start: int, stop: int | None) -> AsyncGenerator[bytes, None]:
    """The same, piece by piece."""
    content, stop = inline_content(ref), end(ref, stop)
    for offset in range(start, stop, PIECE):
        yield content[offset : min(offset + PIECE, stop)]


def end(ref: BodyRef, stop: int | None) -> int:
    """Where reading ends that was asked to end at `stop`."""
    return ref.size if stop is None else min(stop, ref.size)


def is_part(file: Path) -> bool:
    """Whether the file was not finished."""
    return file.suffix == _PART


def _written_before(time: float, file: Path) -> bool:
    with suppress(OSError):  # it has just been removed
        return file.stat().st_mtime <= time
    return False


def _unlink(files: list[Path]) -> None:
    for file in files:
        with suppress(OSError):  # it is gone, or will be found again
            file.unlink()
