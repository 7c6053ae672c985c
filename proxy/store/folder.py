"""The folder of a store, which several processes may have open.

- `operations.db`: the rows, with small bodies in them
- `bodies/ab/<id>`: larger bodies; `.part` while they are written
- `requests/ab/<id>`: larger contents of kept requests, in the same way
- `keepers/<id>`: locked while that process lives; holds a mark of those who changed what is its own
- `opening`: locked while a process opens the folder
- `keepers/.taking-over`: locked while a process takes over what dead ones left
"""

import sqlite3
from pathlib import Path
from typing import IO, Final

from proxy.errors import StoreUnavailable
from proxy.store.database import prepare
from proxy.store.keepers import Keepers, exclusive

MOVED: Final = "The store's database is no longer in its place. What runs goes on; restart to take operations again."


class Folder:
    """What is where in it, and whether the database still is."""

    def __init__(self, path: Path) -> None:
        self.database = path / "operations.db"
        self.bodies = path / "bodies"
        self.requests = path / "requests"
        self.keepers = path / "keepers"
        self._path = path
        self._inode: int | None = None  # of the database; there while that is in its place

    def open(self, keeper: str) -> IO[bytes]:
        """Make it ready; the keeper's lock. Raises StoreUnavailable with what the operator can do."""
        try:
            for part in (self._path, self.bodies, self.requests, self.keepers):
                part.mkdir(mode=0o700, parents=True, exist_ok=True)
            with exclusive(self._path):
                prepare(self.database)
                self._inode = self.database.stat().st_ino
                keepers = Keepers(self.keepers)
                keepers.clear()
                return keepers.hold(keeper)
        except OSError as exc:
            raise StoreUnavailable(
                f"The store's folder {self._path} (`store.url`) cannot be used: {_why(exc)}."
                " It has to be a folder, or a place for one, that this user may write to."
            ) from exc
        except sqlite3.Error as exc:
            raise StoreUnavailable(
                f"The store's database {self.database} (`store.url`) cannot be used: {exc}. If it is damaged, put back a copy,"
                " or move the whole folder away to begin with an empty store."
            ) from exc

    def look_for_database(self) -> None:
        """Make sure that what is written will be found again. SQLite itself does not mind if its file is gone."""
        try:
            if self.database.stat().st_ino != self._inode:
                self._inode = None
        except OSError:
            self._inode = None
        self.require_database()

    def require_database(self) -> None:
        """Raises StoreUnavailable if the database was not in its place at the last look."""
        if self._inode is None:
            raise StoreUnavailable(MOVED)


def _why(exc: OSError) -> str:
    return f"{exc.strerror} ({exc.filename})" if exc.strerror and exc.filename else str(exc)
