"""Where content goes: to standard output as it comes, or into a file, which appears whole or not at all.

A file is written beside its name and renamed when everything is there, so that nobody takes half a result for one.
What is there already and no ordinary file (a device, a pipe) is written to as it is: renaming would replace it.
"""

import errno
import os
import stat
from contextlib import AbstractContextManager, suppress
from pathlib import Path
from types import TracebackType
from typing import BinaryIO, Final, Protocol, Self

from proxy.fetch.ending import NOT_WRITTEN, Ended

READABLE_BY_ALL: Final = 0o666  # less what the umask takes


class Output(Protocol):
    """Takes content. It is whole when its context is left without an error."""

    def write(self, data: bytes) -> None:
        """Raises Ended where it cannot be written."""
        ...

    def restart(self) -> bool:
        """Forget what was written; False where it is gone already."""
        ...


class Stream:
    """Standard output, or a file that is none of its own."""

    def __init__(self, stream: BinaryIO, name: str) -> None:
        self._stream = stream
        self._name = name
        self._written = False

    def write(self, data: bytes) -> None:
        self._written = self._written or bool(data)
        try:
            self._stream.write(data)
            self._stream.flush()
        except OSError as error:
            self._lead_nowhere()
            raise _not_written(self._name, error) from error

    def _lead_nowhere(self) -> None:
        """Let Python be rid of what it still has in a buffer: it tries again to write that when the program ends."""
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, self._stream.fileno())
        os.close(nowhere)

    def restart(self) -> bool:
        return not self._written

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        return None


class NewFile:
    """A file that appears, or replaces the one that is there, when its context is left without an error."""

    def __init__(self, path: Path) -> None:
        self._path = Path(os.path.realpath(path))  # through a link, the file that it leads to is replaced
        self._part = self._path.with_name(f".{self._path.name}.{os.getpid()}.part")

    def write(self, data: bytes) -> None:
        try:
            self._file.write(data)
        except OSError as error:
            raise _not_written(str(self._path), error) from error

    def restart(self) -> bool:
        self._file.seek(0)
        self._file.truncate()
        return True

    def __enter__(self) -> Self:
        try:
            descriptor = os.open(self._part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, READABLE_BY_ALL)
            self._file: BinaryIO = os.fdopen(descriptor, "wb")
            with suppress(FileNotFoundError):
                os.fchmod(descriptor, stat.S_IMODE(self._path.stat().st_mode))
        except OSError as error:
            raise _not_written(str(self._path), error) from error
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            if error is None:
                self._keep()
        finally:
            with suppress(OSError):  # of what a full disk would not take
                self._file.close()
            self._part.unlink(missing_ok=True)

    def _keep(self) -> None:
        try:
            self._file.flush()
            os.fsync(self._file.fileno())
            self._part.replace(self._path)
        except OSError as error:
            raise _not_written(str(self._path), error) from error


def check_place(path: Path) -> None:
    """Raises Ended where there can be no output, so far as it can be known before there is anything to write."""
    folder = Path(os.path.realpath(path)).parent
    try:
        if path.is_dir():
            raise Ended(NOT_WRITTEN, f"{path} cannot be written: {os.strerror(errno.EISDIR)}")
        if not folder.is_dir():
            raise Ended(NOT_WRITTEN, f"{path} cannot be written: {os.strerror(errno.ENOENT)}")
    except OSError as error:  # such as of a name that is too long
        raise _not_written(str(path), error) from error


def output_to(path: Path) -> AbstractContextManager[Output]:
    """An output to a path of the file system. Raises Ended where there can be none."""
    if not path.exists() or path.is_file():
        return NewFile(path)
    try:
        return _Opened(path.open("wb"), str(path))
    except OSError as error:
        raise _not_written(str(path), error) from error


class _Opened(Stream):
    """A device or a pipe."""

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with suppress(OSError):  # of what could not be written, which has been said
            self._stream.close()


def _not_written(name: str, error: OSError) -> Ended:
    return Ended(NOT_WRITTEN, f"{name} cannot be written: {error.strerror}")
