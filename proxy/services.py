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
from typing import Final

BACKLOG: Final = 16
LONGEST_ANSWER: Final = 2.0  # seconds
CREDENTIALS: Final = struct.Struct("3i")  # of a process: its id, user and group


class Services:
    """The folder, made if need be. Raises OSError."""

    def __init__(self, store: Path) -> None:
        folder = store / "services"
        for part in (store, folder):
            part.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._folder = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)

    @contextmanager
    def alone(self) -> Iterator[None]:
        """While others may not look who is there, nor join them."""
        fcntl.flock(self._folder, fcntl.LOCK_EX)
        try:
            yield
        finally:
            fcntl.flock(self._folder, fcntl.LOCK_UN)

    def living(self) -> Iterator[socket.socket]:
        """A connection to each service that is there. What the dead have left is removed."""
        for name in os.listdir(self._folder):  # noqa: PTH208  # it has no path
            with ExitStack() as undo:
                sock = undo.enter_context(socket.socket(socket.AF_UNIX))
                sock.settimeout(LONGEST_ANSWER)
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

    def _path(self, name: str) -> str:
        return f"/proc/self/fd/{self._folder}/{name}"


def namespaces() -> list[int]:
    """Of networks and of files: in another container the same address is another place."""
    return [os.stat(f"/proc/self/ns/{kind}").st_ino for kind in ("net", "mnt")]  # noqa: PTH116  # links to no path


def is_ours(sock: socket.socket) -> bool:
    """Whether the process at the other end belongs to this one's user."""
    _, user, _ = CREDENTIALS.unpack(sock.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, CREDENTIALS.size))
    return bool(user == os.geteuid())
