"""Which processes are alive: each holds an advisory lock on a file of its own.

The kernel drops the lock with the process, however it ended, so a dead keeper is known at once and no lease has to run
out. A missing file is a dead keeper's too. In the file is a mark, which others change when they have changed what is
the keeper's.
"""

import fcntl
import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Final

from proxy.store.tokens import require_name

MARK: Final = 8  # bytes

_TAKING_OVER: Final = ".taking-over"  # no name of a keeper begins like that


class Keepers:
    """The folder of lock files, one per keeper."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def hold(self, keeper: str) -> IO[bytes]:
        """Declare the keeper alive until the file is closed. Raises BlockingIOError if it is already."""
        file = (self._folder / require_name(keeper)).open("w+b")
        if not _lock(file, fcntl.LOCK_EX):
            file.close()
            raise BlockingIOError(f"a process with the id {keeper} is running")
        return file

    def is_alive(self, keeper: str) -> bool:
        """Whether a process holds the keeper's lock."""
        try:
            with (self._folder / require_name(keeper)).open("rb") as file:
                return not _lock(file, fcntl.LOCK_SH)  # shared: several may ask at once
        except FileNotFoundError:
            return False

    def mark(self, keeper: str) -> None:
        """Let the keeper's process know, if it lives, that what it knows of its operations may not be so any more."""
        path = self._folder / require_name(keeper)
        # It may be gone. Where the disk fails, it notices the change itself a little later.
        with suppress(OSError), path.open("r+b", buffering=0) as file:
            file.write(secrets.token_bytes(MARK))

    def begin_taking_over(self) -> IO[bytes] | None:
        """Until the file is closed, nobody else takes over what dead keepers left; None if somebody else is at it."""
        file = (self._folder / _TAKING_OVER).open("wb")
        if _lock(file, fcntl.LOCK_EX):
            return file
        file.close()
        return None

    def clear(self) -> None:
        """Remove the files of dead keepers. Only under `exclusive`, so that nobody is between opening and locking."""
        for path in self._folder.iterdir():
            if path.name == _TAKING_OVER:
                continue
            with path.open("rb") as file:
                if _lock(file, fcntl.LOCK_EX):
                    path.unlink()


def mark_in(file: IO[bytes]) -> bytes:
    """The mark that others have left in a keeper's file, none once it is closed."""
    return b"closed" if file.closed else os.pread(file.fileno(), MARK, 0)


@contextmanager
def exclusive(folder: Path) -> Iterator[None]:
    """Alone among all processes that open this folder; waits for its turn."""
    with os.fdopen(os.open(folder / "opening", os.O_WRONLY | os.O_CREAT, 0o600), "wb") as file:  # who can open can lock
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _lock(file: IO[bytes], kind: int) -> bool:
    """Whether the lock could be had, without waiting."""
    try:
        fcntl.flock(file, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
