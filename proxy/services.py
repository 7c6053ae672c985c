"""The folder in which the services on one store meet: `services/<id>` in the store's folder, a Unix socket for each.

Addresses go through /proc/self/fd, since those of sockets have room for 107 bytes only, and paths may be longer.
"""

import fcntl
import os
import socket
import struct
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from time import monotonic, sleep
from typing import Final

import structlog

log = structlog.get_logger()

BACKLOG: Final = 16
SOON: Final = 2.0  # seconds in which one that is well is connected to, answers, or has started
LONGEST_ANSWER: Final = 30.0  # seconds; one that is busy or on a slow machine is worth waiting for
LONGEST_START: Final = 60.0  # seconds: another one may be waiting for such an answer
LOOK_AGAIN: Final = 0.05  # seconds between looks whether it has started; there is no event for that
LOCKS: Final = Path("/proc/locks")
CREDENTIALS: Final = struct.Struct("3i")  # of a process: its id, user and group


class Hindered(Exception):
    """Another service does not come to the end of its start; the message says which, and what to do."""


class Services:
    """The folder, made if need be. Raises OSError."""

    def __init__(self, store: Path) -> None:
        folder = store / "services"
        for part in (store, folder):
            part.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._folder = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)

    @contextmanager
    def alone(self) -> Iterator[None]:
        """While others may not look who is there, nor join them. Raises Hindered if one does that for too long."""
        self._lock()
        try:
            yield
        finally:
            fcntl.flock(self._folder, fcntl.LOCK_UN)

    def living(self) -> Iterator[socket.socket]:
        """A connection to each service that is there. What the dead have left is removed."""
        for name in os.listdir(self._folder):  # noqa: PTH208  # it has no path
            with ExitStack() as undo:
                sock = undo.enter_context(socket.socket(socket.AF_UNIX))
                sock.settimeout(SOON)
                try:
                    sock.connect(self._path(name))
                except ConnectionRefusedError:
                    self.remove(name)
                except OSError:  # it has just ended, or does not answer
                    pass
                else:
                    if is_ours(sock):
                        undo.pop_all()
                        yield sock

    def join(self, name: str) -> socket.socket:
        """A socket on which others can find this service. Raises OSError."""
        with ExitStack() as undo:
            sock = undo.enter_context(socket.socket(socket.AF_UNIX))
            os.fchmod(sock.fileno(), 0o600)  # which the file will have
            sock.bind(self._path(name))
            sock.listen(BACKLOG)
            sock.settimeout(0)
            undo.pop_all()
        return sock

    def remove(self, name: str) -> None:
        """Leave no trace of a service. Where that cannot be done now, the next does it."""
        with suppress(OSError):
            Path(self._path(name)).unlink()

    def close(self) -> None:
        os.close(self._folder)

    def _lock(self) -> None:
        began, told = monotonic(), False
        while not _is_locked(self._folder):
            waited = monotonic() - began
            if waited >= LONGEST_START:
                raise Hindered(_what_to_do(self._holder()))
            if waited >= SOON and not told:
                log.warning("waiting for another service to start", pid=self._holder(), seconds=LONGEST_START)
                told = True
            sleep(LOOK_AGAIN)

    def _holder(self) -> int | None:
        """The process that has the folder locked, if it can be seen from here (proc_locks(5))."""
        found = os.fstat(self._folder)
        place = f"{os.major(found.st_dev):02x}:{os.minor(found.st_dev):02x}:{found.st_ino}"
        with suppress(OSError):
            for line in LOCKS.read_text().splitlines():
                match line.split():
                    case [_, "FLOCK", _, _, process, where, *_] if where == place:
                        return int(process)
        return None

    def _path(self, name: str) -> str:
        return f"/proc/self/fd/{self._folder}/{name}"


def namespaces() -> list[int]:
    """Of networks and of files: in another container the same address is another place."""
    return [os.stat(f"/proc/self/ns/{kind}").st_ino for kind in ("net", "mnt")]  # noqa: PTH116  # links to no path


def is_ours(sock: socket.socket) -> bool:
    """Whether the process at the other end belongs to this one's user."""
    _, user, _ = _credentials(sock)
    return user == os.geteuid()


def process(sock: socket.socket) -> int | None:
    """The id of the process at the other end, if it can be seen from here."""
    id, _, _ = _credentials(sock)
    return id or None


def named(process: int | None) -> str:
    """How a sentence begins about the process of another service."""
    return "Another process" if process is None else f"Process {process}"


def remedy(process: int | None) -> str:
    """What can be done about a process that does nothing."""
    number = "PID" if process is None else process
    return f"let it go on if it is stopped (`kill -CONT {number}`), or end it (`kill -KILL {number}`)"


def _credentials(sock: socket.socket) -> tuple[int, int, int]:
    id, user, group = CREDENTIALS.unpack(sock.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, CREDENTIALS.size))
    return id, user, group


def _is_locked(folder: int) -> bool:
    """Whether it is now, for this process."""
    try:
        fcntl.flock(folder, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _what_to_do(holder: int | None) -> str:
    return (
        f"{named(holder)} has been starting on the same store for more than {LONGEST_START:g} seconds, which nobody else"
        f" can do meanwhile: {remedy(holder)}."
    )
