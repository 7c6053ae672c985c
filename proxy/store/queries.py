"""What is asked of the database, one small function each, for a lane to perform.

All of them use an index; those that could find many rows read them in portions, so that the lane is soon free again.
"""

import json
import sqlite3
from collections.abc import Iterable
from math import inf
from typing import Final

from proxy.operation import KeptRequest, Operation
from proxy.store.listing import UNSETTLED, Listed, Page, Wanted
from proxy.store.protocol import Usage
from proxy.store.rows import decode, decode_request

LOOKED_AT_AT_ONCE: Final = 500  # rows of a list, in 2 to 5 ms, however few are wanted
UNSETTLED_AT_ONCE: Final = 5000  # they have to be sorted, which takes longer than to look at them
_READ_AT_ONCE: Final = 100
_ROW: Final = "SELECT id, keeper, stage, growth, expected, arriving, record, body FROM operations"
# Columns after the body are read only where there is none: SQLite would have to go through all of its pages.
_LISTED: Final = (
    "SELECT rowid, CASE stage WHEN 'running' THEN growth ELSE 0 END, id, keeper, stage,"
    " CASE stage WHEN 'running' THEN growth END, CASE stage WHEN 'running' THEN expected END,"
    " CASE stage WHEN 'running' THEN arriving END, record, NULL"
)
_ALL: Final = "SELECT rowid FROM operations WHERE rowid >= ? AND rowid < ?"
_UNSETTLED: Final = "SELECT rowid FROM operations INDEXED BY unsettled WHERE due IS NULL AND rowid >= ? AND rowid < ?"
_NEWEST: Final = 1 << 62  # more than any row's number
_CREATED: Final = "record ->> '$.created'"
_STATE: Final = "CASE stage WHEN 'settled' THEN record ->> '$.state' ELSE stage END"


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


def page(wanted: Wanted, limit: int, before: int | None, connection: sqlite3.Connection) -> Page:
    """Some of the wanted operations, of the next few that there are."""
    rows_of, portion = _ALL, LOOKED_AT_AT_ONCE
    if wanted.states <= UNSETTLED:  # few among many, and all in an index
        rows_of, portion = _UNSETTLED, UNSETTLED_AT_ONCE
    before = before or _NEWEST
    last, created = connection.execute(
        f"SELECT rowid, {_CREATED} FROM operations WHERE rowid = ({rows_of} ORDER BY rowid DESC LIMIT 1 OFFSET ?)",  # noqa: S608
        (0, before, portion - 1),
    ).fetchone() or (None, inf)
    conditions, values = _conditions(wanted)
    rows = connection.execute(
        f"{_LISTED} FROM operations WHERE rowid IN ({rows_of}) AND {conditions} ORDER BY rowid DESC LIMIT ?",
        (last or 0, before, *values, limit),
    ).fetchall()
    listed = [Listed(decode(row), received) for _, received, *row in rows]
    if len(rows) == limit:
        return Page(listed, rows[-1][0])
    return Page(listed, None if wanted.ends_before(created) else last)


def beginning(prefix: str, connection: sqlite3.Connection) -> list[Listed]:
    rows = connection.execute(
        f"{_LISTED} FROM operations WHERE id >= ? AND id < ? AND stage <> 'tombstone' LIMIT 2", (prefix, prefix + "~")
    )
    return [Listed(decode(row), received) for _, received, *row in rows]


def queued_before(operation: Operation, connection: sqlite3.Connection) -> int:
    """How many stand before it in the line of its origin."""
    return _count(
        connection,
        "stage = 'queued' AND origin = ?"
        " AND (created < ? OR created = ? AND rowid < (SELECT rowid FROM operations WHERE id = ?))",
        (operation.origin, operation.created, operation.created, operation.id),
    )


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
    return Usage(*connection.execute("SELECT queued, running, settled, bytes FROM totals").fetchone())


def learned(connection: sqlite3.Connection) -> dict[str, bytes]:
    return dict(connection.execute("SELECT route, durations FROM learned").fetchall())


def _conditions(wanted: Wanted) -> tuple[str, list[object]]:
    """What rows have to be like, and the values in that. The record comes before the body, and is all that is read."""
    conditions = [f"{_STATE} IN (SELECT value FROM json_each(?))"]  # noqa: S608  # ours
    values: list[object] = [json.dumps([state.value for state in wanted.states])]
    if wanted.routes:
        conditions.append("record ->> '$.route' IN (SELECT value FROM json_each(?))")
        values.append(json.dumps(list(wanted.routes)))
    if (wanted.earliest, wanted.latest) != (-inf, inf):
        conditions.append(f"{_CREATED} BETWEEN ? AND ?")
        values += [wanted.earliest, wanted.latest]
    return " AND ".join(conditions), values


def _count(connection: sqlite3.Connection, where: str, values: tuple[object, ...]) -> int:
    (count,) = connection.execute(f"SELECT count(*) FROM operations WHERE {where}", values).fetchone()  # noqa: S608
    return int(count)
