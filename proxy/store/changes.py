"""What is changed in the database, one small function each, for a lane to perform.

All of them use an index; those that could touch many rows take them in portions, so that the lane is soon free again.
"""

import sqlite3
from functools import partial
from typing import Final, NamedTuple

from proxy.operation import KeptRequest, Operation, Progress, State
from proxy.store.faults import full
from proxy.store.protocol import Quotas
from proxy.store.queries import queued_on, unsettled_of
from proxy.store.rows import encode, encode_request

SWEPT_AT_ONCE: Final = 25  # rows: overwriting the pages of their inline bodies takes 5 ms, on a busy disk 15


class Dropped(NamedTuple):
    """What was dropped of an operation: whether there are files to be removed."""

    id: str
    keeper: str
    body: bool
    request: bool


def insert(
    operation: Operation, request: KeptRequest | None, quotas: Quotas, max_size: int, connection: sqlite3.Connection
) -> None:
    """Add an unsettled operation. Raises StoreUnavailable if the store is full, Busy and TooManyOperations by the quotas."""
    quotas.require_room(
        operation, partial(queued_on, connection=connection), partial(unsettled_of, connection=connection)
    )
    if not _insert_operation(operation, max_size, connection):
        raise full()
    if request is not None:
        _insert_request(operation.id, request, connection)


def start(operation: Operation, connection: sqlite3.Connection) -> bool:
    """Compare and set: False if it is not this keeper's queued operation any more."""
    cursor = connection.execute(
        "UPDATE operations SET stage = 'running', overdue = ?, growth = 0, record = ?"
        " WHERE id = ? AND keeper = ? AND stage = 'queued'",
        (operation.overdue, encode(operation), operation.id, operation.keeper),
    )
    return cursor.rowcount == 1


def take_over(orphan: Operation, operation: Operation, connection: sqlite3.Connection) -> bool:
    """Compare and set: False if somebody else was first."""
    cursor = connection.execute(
        "UPDATE operations SET keeper = ?, stage = ?, overdue = ?, record = ?"
        " WHERE id = ? AND keeper = ? AND stage = ?",
        (operation.keeper, operation.state.value, operation.overdue, encode(operation),
         orphan.id, orphan.keeper, orphan.state.value),
    )  # fmt: skip
    return cursor.rowcount == 1


def grow(id: str, keeper: str, progress: Progress, max_size: int, connection: sqlite3.Connection) -> bool:
    """Note how far the body of the keeper's running operation has come; False, and not noted, if there is no room.

    Of an operation that is not there, or not there yet, only the room is looked at.
    """
    mine = "id = ? AND keeper = ? AND stage = 'running'"
    (total,) = connection.execute(
        f"SELECT bytes + ? - coalesce((SELECT held FROM operations WHERE {mine}), 0) FROM totals",  # noqa: S608  # ours
        (progress.received, id, keeper),
    ).fetchone()
    if total > max_size:
        return False
    connection.execute(
        f"UPDATE operations SET growth = ?, expected = ?, arriving = ? WHERE {mine}",  # noqa: S608  # ours
        (progress.received, progress.size, progress.since, id, keeper),
    )
    return True


def settle(operation: Operation, states: frozenset[State], connection: sqlite3.Connection) -> Dropped | None:
    """Compare and set: what was dropped of it, or None if it is not this keeper's, unsettled and so any more."""
    dropped = Dropped(operation.id, operation.keeper, body=False, request=_has_request_file(operation.id, connection))
    size, content = (0, None) if operation.body is None else (operation.body.size, operation.body.inline)
    stages = ", ".join("?" * len(states))
    cursor = connection.execute(
        "UPDATE operations SET stage = 'settled', due = ?, forgotten = ?, size = ?, record = ?, body = ?"  # noqa: S608  # ours
        f" WHERE id = ? AND keeper = ? AND due IS NULL AND stage IN ({stages})",
        (operation.expires, operation.forgotten, size, encode(operation), content, operation.id, operation.keeper,
         *(state.value for state in states)),
    )  # fmt: skip
    return dropped if cursor.rowcount == 1 else None


def delete(id: str, connection: sqlite3.Connection) -> Dropped | None:
    """Drop a row, if there is one."""
    row = connection.execute("SELECT keeper, in_file FROM operations WHERE id = ?", (id,)).fetchone()
    if row is None:
        return None
    dropped = Dropped(id, row[0], body=bool(row[1]), request=_has_request_file(id, connection))
    connection.execute("DELETE FROM operations WHERE id = ?", (id,))
    return dropped


def sweep(now: float, connection: sqlite3.Connection) -> list[Dropped]:
    """Make tombstones of some that expired, and drop some that are forgotten."""
    due = connection.execute(
        "SELECT rowid, forgotten <= ?, id, keeper, in_file FROM operations WHERE due <= ? ORDER BY due LIMIT ?",
        (now, now, SWEPT_AT_ONCE),
    ).fetchall()
    forgotten = [(row,) for row, gone, *_ in due if gone]
    expired = [(row,) for row, gone, *_ in due if not gone]
    connection.executemany("DELETE FROM operations WHERE rowid = ?", forgotten)
    connection.executemany(
        "UPDATE operations SET stage = 'tombstone', due = forgotten, size = 0, body = NULL WHERE rowid = ?", expired
    )
    return [Dropped(id, keeper, body=bool(in_file), request=False) for _, _, id, keeper, in_file in due]


def learn(route: str, before: bytes | None, after: bytes, connection: sqlite3.Connection) -> bool:
    """Compare and set: False if somebody else was first."""
    if before is None:
        cursor = connection.execute("INSERT OR IGNORE INTO learned (route, durations) VALUES (?, ?)", (route, after))
    else:
        cursor = connection.execute(
            "UPDATE learned SET durations = ? WHERE route = ? AND durations = ?", (after, route, before)
        )
    return cursor.rowcount == 1


def _insert_operation(operation: Operation, max_size: int, connection: sqlite3.Connection) -> bool:
    """False if the store is full. One statement, since each has the thread let go of the interpreter and wait for it."""
    cursor = connection.execute(
        "INSERT INTO operations (id, keeper, stage, record, route, origin, client, created, overdue)"
        " SELECT ?, ?, ?, ?, ?, ?, ?, ?, ? FROM totals WHERE bytes < ?",
        (operation.id, operation.keeper, operation.state.value, encode(operation), operation.route, operation.origin,
         operation.client, operation.created, operation.overdue, max_size),
    )  # fmt: skip
    return cursor.rowcount == 1


def _insert_request(id: str, request: KeptRequest, connection: sqlite3.Connection) -> None:
    """After its operation, which does not stay without it. A savepoint would cost every operation two statements."""
    size, content = (0, None) if request.content is None else (request.content.size, request.content.inline)
    try:
        connection.execute(
            "INSERT INTO requests (id, size, record, content) VALUES (?, ?, ?, ?)",
            (id, size, encode_request(request), content),
        )
    except sqlite3.Error:
        if connection.in_transaction:
            connection.execute("DELETE FROM operations WHERE id = ?", (id,))
        raise


def _has_request_file(id: str, connection: sqlite3.Connection) -> bool:
    return connection.execute("SELECT 1 FROM requests WHERE id = ? AND in_file", (id,)).fetchone() is not None
