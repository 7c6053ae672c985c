"""What breaks below a store becomes StoreUnavailable, here and nowhere else.

The detail is for clients, who can do nothing about a disk; what happened travels as `__cause__`.
"""

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager

from proxy.errors import StoreUnavailable


@contextmanager
def translated() -> Iterator[None]:
    """Raise StoreUnavailable for trouble of the database or of the file system inside."""
    try:
        yield
    except (sqlite3.Error, OSError) as exc:
        what = "Operations can be neither stored nor read at the moment"
        raise StoreUnavailable(f"{what}.", why=f"{what} (store.url).") from exc


def damaged() -> StoreUnavailable:
    """A stored thing is not what was written."""
    return StoreUnavailable("What was stored is damaged.")


def full() -> StoreUnavailable:
    """There is no room for more."""
    return StoreUnavailable("The store is full.", why="The store is full (store.max_size).")
