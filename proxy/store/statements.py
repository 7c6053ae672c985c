"""What is asked of the database and changed in it, one small function each, for a lane to perform.

All of them use an index; those that could touch many rows take them in portions, so that the lane is soon free again.
"""

import json
import sqlite3
from collections.abc import Iterable
from typing import Final

from proxy.operation import Operation
from proxy.store.protocol import Usage
from proxy.store.rows import decode, encode

SWEPT_AT_ONCE: Final = 50  # rows: freeing the pages of their inline bodies takes about 15 ms at most
_READ_AT_ONCE: Final = 100

Dropped = tuple[str, int]  # id, and whether the body was in a file


def insert(operation: Operation, max_size: int, connection: sqlite3.Connection) -> bool:
    """Add a running operation; False if the store is full."""
    cursor = connection.execute(
        "INSERT INTO operations (id, keeper, stage, record)"
        " SELECT ?, ?, 'running', ? WHERE (SELECT bytes FROM totals) < ?",
        (operation.id, operation.keeper, encode(operation), max_size),
    )
    return cursor.rowcount == 1


def settle(operation: Operation, connection: sqlite3.Connection) -> bool:
    """Compare and set: False if it is not this keeper's running operation any more."""
    size, content = (0, None) if operation.body is None else (operation.body.size, operation.body.inline)
    cursor = connection.execute(
        "UPDATE operations SET stage = 'settled', due = ?, forgotten = ?, size = ?, record = ?, body = ?"
        " WHERE id = ? AND keeper = ? AND stage = 'running'",
        (operation.expires, operation.forgotten, size, encode(operation), content, operation.id, operation.keeper),
    )
    return cursor.rowcount == 1


def select(id: str, connection: sqlite3.Connection) -> Operation | None:
    row = connection.execute("SELECT id, keeper, record, body FROM operations WHERE id = ?", (id,)).fetchone()
    return None if row is None else decode(row)


def delete(id: str, connection: sqlite3.Connection) -> list[Dropped]:
    """Drop a row, if there is one."""
    rows: list[Dropped] = connection.execute("SELECT id, in_file FROM operations WHERE id = ?", (id,)).fetchall()
    connection.execute("DELETE FROM operations WHERE id = ?", (id,))
    return rows


def sweep(now: float, connection: sqlite3.Connection) -> list[Dropped]:
    """Make tombstones of some that expired, and drop some that are forgotten."""
    due = connection.execute(
        "SELECT rowid, forgotten <= ?, id, in_file FROM operations WHERE due <= ? ORDER BY due LIMIT ?",
        (now, now, SWEPT_AT_ONCE),
    ).fetchall()
    forgotten = [(row,) for row, gone, _, _ in due if gone]
    expired = [(row,) for row, gone, _, _ in due if not gone]
    connection.executemany("DELETE FROM operations WHERE rowid = ?", forgotten)
    connection.executemany(
        "UPDATE operations SET stage = 'tombstone', due = forgotten, size = 0, body = NULL WHERE rowid = ?", expired
    )
    return [(id, in_file) for _, _, id, in_file in due]


def running_keepers(connection: sqlite3.Connection) -> list[str]:
    """The keepers that have running operations."""
    rows = connection.execute("SELECT DISTINCT keeper FROM operations WHERE stage = 'running'")
    return [keeper for (keeper,) in rows]


def running_of(keeper: str, after: str, connection: sqlite3.Connection) -> list[Operation]:
    """Some of a keeper's running operations, those with the lowest ids after this one."""
    rows = connection.execute(
        "SELECT id, keeper, record, body FROM operations"
        " WHERE stage = 'running' AND keeper = ? AND id > ? ORDER BY id LIMIT ?",
        (keeper, after, _READ_AT_ONCE),
    )
    return [decode(row) for row in rows]


def running_ids(seen: int, connection: sqlite3.Connection) -> tuple[int, set[str] | None]:
    """The version of the data, and the ids of all running operations, or None if the version is that seen before."""
    (version,) = connection.execute("PRAGMA data_version").fetchone()
    if version == seen:
        return version, None
    # One row, for the interpreter's lock is taken anew for each.
    (ids,) = connection.execute("SELECT group_concat(id, ' ') FROM operations WHERE stage = 'running'").fetchone()
    return version, set((ids or "").split())


def body_files(ids: Iterable[str], connection: sqlite3.Connection) -> dict[str, bool]:
    """Which of these operations have or may yet get a body file; whether they are running."""
    rows = connection.execute(
        "SELECT id, stage = 'running' FROM operations"
        " WHERE id IN (SELECT value FROM json_each(?)) AND (stage = 'running' OR in_file)",
        (json.dumps(list(ids)),),
    )
    return {id: bool(running) for id, running in rows}


def totals(connection: sqlite3.Connection) -> Usage:
    return Usage(*connection.execute("SELECT running, settled, bytes FROM totals").fetchone())
