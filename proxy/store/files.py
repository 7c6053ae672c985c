"""One body file, being written or being read. Everything here runs in threads.

A cancelled caller may ask to discard or close a file while a thread is still busy with it, or has not yet begun: hence
the locks, and that a file which was discarded or closed is not opened again.
"""

import os
import zlib
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from threading import Lock
from typing import BinaryIO, Final

from proxy.operation import BodyRef
from proxy.store.faults import damaged

PIECE: Final = 262_144  # bytes read or written at once: large enough that the change of threads does not matter


class PartFile:
    """A body file in the making. When one of its methods fails, nothing is left of it and all later ones fail."""

    def __init__(self, path: Path, part: Path) -> None:
        self._path = path
        self._part = part
        self._file: BinaryIO | None = None
        self._discarded = False
        self._checksum = 0
        self._lock = Lock()
        self.size = 0  # bytes written so far

    def append(self, data: bytearray) -> None:
        """Write at the end. Raises OSError."""
        with self._whole_or_nothing():
            self._append(data)

    def complete(self, data: bytearray) -> BodyRef:
        """Write the last bytes; when this returns the file is there, whatever happens to the machine. Raises OSError."""
        with self._whole_or_nothing():
            self._publish(self._append(data))
        return BodyRef(self.size, self._checksum)

    def discard(self) -> None:
        """Leave no file, under either name."""
        with self._lock:
            self._discard()

    @contextmanager
    def _whole_or_nothing(self) -> Iterator[None]:
        with self._lock:
            try:
                yield
            except BaseException:
                self._discard()
                raise

    def _append(self, data: bytearray) -> BinaryIO:
        file = self._file or self._open()
        view = memoryview(data)
        while view:
            view = view[file.write(view) :]
        self.size += len(data)
        self._checksum = zlib.crc32(data, self._checksum)
        return file

    def _open(self) -> BinaryIO:
        if self._discarded:
            raise FileNotFoundError(f"{self._part} was discarded")
        self._part.parent.mkdir(mode=0o700, exist_ok=True)
        self._file = self._part.open("wb", buffering=0)
        return self._file

    def _publish(self, file: BinaryIO) -> None:
        os.fsync(file.fileno())
        file.close()
        self._part.rename(self._path)
        for folder in (self._path.parent, self._path.parent.parent):  # the second, for the first may be new
            _sync(folder)

    def _discard(self) -> None:
        self._discarded = True
        if self._file is not None:
            self._file.close()
            self._file = None
            with suppress(OSError):  # what cannot be removed now is a stray, and found again
                self._part.unlink(missing_ok=True)
                self._path.unlink(missing_ok=True)


class StoredFile:
    """The bytes [start, stop) of a body file, piece by piece, checked on the way."""

    def __init__(self, path: Path, ref: BodyRef, start: int, stop: int) -> None:
        self._path = path
        self._ref = ref
        self._offset = start
        self._stop = stop
        self._whole = (start, stop) == (0, ref.size)
        self._checksum = 0
        self._file: BinaryIO | None = None
        self._closed = False
        self._lock = Lock()

    def next_piece(self) -> bytes:
        """The next piece; empty at the end. Raises OSError, and StoreUnavailable for a torn file."""
        with self._lock:
            return b"" if self._closed else self._checked(self._read())

    def close(self) -> None:
        with self._lock:
            self._closed = True
            if self._file is not None:
                self._file.close()

    def _read(self) -> bytes:
        file = self._file or self._open()
        wanted = min(PIECE, self._stop - self._offset)
        piece = file.read(wanted)
        if len(piece) != wanted:
            raise damaged()
        return piece

    def _open(self) -> BinaryIO:
        self._file = self._path.open("rb")
        if os.fstat(self._file.fileno()).st_size != self._ref.size:
            raise damaged()
        self._file.seek(self._offset)
        return self._file

    def _checked(self, piece: bytes) -> bytes:
        self._offset += len(piece)
        if self._whole:
            self._checksum = zlib.crc32(piece, self._checksum)
            if self._offset == self._stop and self._checksum != self._ref.checksum:
                raise damaged()
        return piece


def _sync(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
