"""Standard output, whose errors have its name, as those of files have theirs: so it is known what could not be written.

And the other two, where they are closed: whatever is opened next would take their places, and be read or written for them.
"""

import fcntl
import os
import sys
from errno import EBADF
from io import BufferedWriter, FileIO, TextIOWrapper
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer

NAME: Final = "standard output"
CLOSED: Final = "it is closed"
STANDARD_INPUT: Final = 0
DESCRIPTOR: Final = 1
STANDARD_ERROR: Final = 2


class _Named(FileIO):
    """The descriptor, without buffer."""

    def write(self, data: "ReadableBuffer") -> int:
        try:
            return super().write(data)
        except OSError as error:
            why = CLOSED if error.errno == EBADF else error.strerror
            raise OSError(error.errno, why, NAME) from error


def take_closed() -> None:
    """Have nothing come from standard input, and standard error lead nowhere, if they are closed."""
    if sys.__stdin__ is None:
        _lead_nowhere(STANDARD_INPUT)
    if sys.__stderr__ is None:
        _lead_nowhere(STANDARD_ERROR)
        writer = BufferedWriter(FileIO(STANDARD_ERROR, "w", closefd=False))
        sys.stderr = TextIOWrapper(writer, errors="backslashreplace", line_buffering=True)


def _lead_nowhere(descriptor: int) -> None:
    null = os.open(os.devnull, os.O_RDWR)
    if null != descriptor:
        os.dup2(null, descriptor)
        os.close(null)


def install() -> None:
    """Have this process write by it. A closed one is taken by what nobody can write to, and so by no file or socket."""
    own = sys.stdout
    if own is not sys.__stdout__:  # but somebody else's, who takes what is written
        return
    if own is None:
        os.dup2(os.open(os.devnull, os.O_RDONLY), DESCRIPTOR)
    writer = BufferedWriter(_Named(DESCRIPTOR, "w", closefd=False))
    if own is None:
        sys.stdout = TextIOWrapper(writer)
    else:
        sys.stdout = TextIOWrapper(writer, own.encoding, own.errors, line_buffering=own.line_buffering)


def check_open() -> None:
    """Raises OSError where it is closed, before there is anything to write."""
    if fcntl.fcntl(DESCRIPTOR, fcntl.F_GETFL) & os.O_ACCMODE == os.O_RDONLY:
        raise OSError(EBADF, CLOSED, NAME)


def lead_nowhere() -> None:
    """Let Python be rid of what it still has in a buffer: it tries again to write that when the program ends."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), DESCRIPTOR)
