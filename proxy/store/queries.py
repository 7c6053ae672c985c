"""What is asked of the database, one small function each, for a lane to perform.

All of them use an index; those that could find many rows read them in portions, so that the lane is soon free again.
"""

import json
import sqlite3
from collections.abc import Iterable
from itertools import groupby
from operator import itemgetter
from typing import Final

from proxy.operation import KeptRequest, Operation
from proxy.store.protocol import Usage
from proxy.store.rows import decode, decode_request

_READ_AT_ONCE: Final = 100
_ROW: Final = "SELECT id, keeper, stage, growth, expected, arriving, record, body FROM operations"


def select(id: str, connection: sqlite3.Connection) -> Operation | None:
    row = connection.execute(f"{_ROW} WHERE id = ?", (id,)).fetchone()
    return None if row is None else decode(row)


def request(id: str, connection: sqlite3.Connection) -> KeptRequest | None:
    row = connection.execute("SELECT record, content FROM requests WHERE id = ?", (id,)).fetchone()
    return None if row is None else decode_request(row)


def keepers(connection: sqlite3.Connection) -> list[str]:
    """The keepers that have unsettled operations."""
    rows = connection.execute("SELECT DISTINCT keeper FROM operations WHERE due IS NULL")
    return [keeper for (keeper,) in rows]


def unsettled_under(keeper: str, last: Operation | None, connection: sqlite3.Connection) -> list[Operation]:
    """Some of a keeper's unsettled operations, those with the lowest ids after this one's."""
    rows = connection.execute(
        f"{_ROW} WHERE due IS NULL AND keeper = ? AND id > ? ORDER BY id LIMIT ?",
        (keeper, last.id if last else "", _READ_AT_ONCE),
    )
    return [decode(row) for row in rows]


def overdue(now: float, last: Operation | None, connection: sqlite3.Connection) -> list[Operation]:
    """Some of the running operations that are overdue, those that became so next after this one."""
    rows = connection.execute(
        f"{_ROW} WHERE stage = 'running' AND overdue <= ? AND (overdue, id) > (?, ?) ORDER BY overdue, id LIMIT ?",
        (now, *((last.overdue, last.id) if last else (-1.0, "")), _READ_AT_ONCE),
    )
    return [decode(row) for row in rows]


def unsettled_ids(seen: int, connection: sqlite3.Connection) -> tuple[int, set[str] | None]:
    """The version of the data, and the ids of all unsettled operations, or None if the version is that seen before."""
    (version,) = connection.execute("PRAGMA data_version").fetchone()
    if version == seen:
        return version, None
    # One row, for the interpreter's lock is taken anew for each.
    (ids,) = connection.execute("SELECT group_concat(id, ' ') FROM operations WHERE due IS NULL").fetchone()
    return version, set((ids or "").split())


def queued_before(operation: Operation, connection: sqlite3.Connection) -> int:
    """How many stand before it in the line of its origin."""
    return _count(
        connection,
        "stage = 'queued' AND origin = ?"
        " AND (created < ? OR created = ? AND rowid < (SELECT rowid FROM operations WHERE id = ?))",
        (operation.origin, operation.created, operation.created, operation.id),
    )


def places_in_line(ids: Iterable[str], connection: sqlite3.Connection) -> dict[str, int]:
    """The same of those of these that are queued. Each line is counted through once, up to the last of them."""
    rows = connection.execute(
        "SELECT id, origin, created, rowid FROM operations WHERE id IN (SELECT value FROM json_each(?))"
        " AND stage = 'queued' ORDER BY origin, created, rowid",
        (json.dumps(list(ids)),),
    )
    places: dict[str, int] = {}
    for origin, line in groupby(rows.fetchall(), itemgetter(1)):
        before, last = 0, (-1.0, 0)
        for id, _, *here in line:
            before += _count(
                connection,
                "stage = 'queued' AND origin = ? AND (created, rowid) >= (?, ?) AND (created, rowid) < (?, ?)",
                (origin, *last, *here),
            )
            places[id], last = before, here
    return places


def queued_on(route: str, connection: sqlite3.Connection) -> int:
    """How many are queued on a route."""
    return _count(connection, "stage = 'queued' AND route = ?", (route,))


def unsettled_of(client: str, connection: sqlite3.Connection) -> int:
    """How many a client has queued or running."""
    return _count(connection, "due IS NULL AND client = ? AND client <> ''", (client,))


def body_files(ids: Iterable[str], connection: sqlite3.Connection) -> dict[str, bool]:
    """Which of these operations have or may yet get a body file; whether they are unsettled."""
    rows = connection.execute(
        "SELECT id, due IS NULL FROM operations"
        " WHERE id IN (SELECT value FROM json_each(?)) AND (due IS NULL OR in_file)",
        (json.dumps(list(ids)),),
    )
    return {id: bool(unsettled) for id, unsettled in rows}


def request_files(ids: Iterable[str], connection: sqlite3.Connection) -> set[str]:
    """For which of these operations the content of a request is kept in a file."""
    rows = connection.execute(
        "SELECT id FROM requests WHERE id IN (SELECT value FROM json_each(?)) AND in_file", (json.dumps(list(ids)),)
    )
    return {id for (id,) in rows}


def totals(connection: sqlite3.Connection) -> Usage:
    return Usage(
        *connection.execute("SELECT queued, running, settled, bytes, failed, dismissed FROM totals").fetchone()
    )


def learned(connection: sqlite3.Connection) -> dict[str, bytes]:
    return dict(connection.execute("SELECT route, durations FROM learned").fetchall())


def _count(connection: sqlite3.Connection, where: str, values: tuple[object, ...]) -> int:
    (count,) = connection.execute(f"SELECT count(*) FROM operations WHERE {where}", values).fetchone()  # noqa: S608
    return int(count)
