"""What lists of operations are made of in the database, one small function for each, for a lane to perform.

Rows are looked at in the order of their numbers, which is that of creation, so many at once and no more: how few of them
are wanted makes no difference for the others who use the lane.
"""

import json
import sqlite3
from math import inf
from typing import Final

from proxy.operation import Operation
from proxy.store.listing import NOT_COMPLETED, UNSETTLED, Page, Wanted
from proxy.store.rows import decode

LOOKED_AT_AT_ONCE: Final = 500  # rows of a list, in 2 to 5 ms, however few are wanted
UNSETTLED_AT_ONCE: Final = 5000  # they have to be sorted, which takes longer than to look at them
# Columns after the body are read only where there is none: SQLite would have to go through all of its pages.
_LISTED: Final = (
    "SELECT rowid, id, keeper, stage, CASE stage WHEN 'running' THEN growth END,"
    " CASE stage WHEN 'running' THEN expected END, CASE stage WHEN 'running' THEN arriving END, record, NULL"
)
_BETWEEN: Final = "rowid >= ? AND rowid < ?"
_ALL: Final = f"SELECT rowid FROM operations WHERE {_BETWEEN}"  # noqa: S608  # all is ours, and the values are bound
_UNSETTLED: Final = f"SELECT rowid FROM operations INDEXED BY unsettled WHERE due IS NULL AND {_BETWEEN}"  # noqa: S608  # all is ours, and the values are bound
_NOT_COMPLETED: Final = (
    "SELECT rowid FROM operations INDEXED BY not_completed"  # noqa: S608
    f" WHERE stage = 'settled' AND outcome <> 'completed' AND {_BETWEEN}"
)
_NEWEST: Final = 1 << 62  # more than any row's number
_CREATED: Final = "json_extract(record, '$.created')"
_OF_ROUTES: Final = "json_extract(record, '$.route') IN (SELECT value FROM json_each(?))"
_STATE: Final = "coalesce(outcome, stage)"


def page(wanted: Wanted, limit: int, before: int | None, connection: sqlite3.Connection) -> Page:
    """Some of the wanted operations, of the next few that there are."""
    rows_of, portion = _source(wanted)
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
    operations = [decode(row) for _, *row in rows]
    if len(rows) == limit:
        return Page(operations, rows[-1][0])
    return Page(operations, None if wanted.ends_before(created) else last)


def last_settled(routes: frozenset[str], limit: int, connection: sqlite3.Connection) -> list[Operation]:
    """Some that were settled last, the latest first."""
    of_routes, values = (_OF_ROUTES, [json.dumps(list(routes))]) if routes else ("1", [])
    rows = connection.execute(
        f"{_LISTED} FROM operations WHERE {of_routes} AND rowid IN ("  # noqa: S608
        " SELECT rowid FROM operations INDEXED BY settled_at WHERE stage = 'settled' ORDER BY settled_at DESC LIMIT ?"
        ") ORDER BY settled_at DESC LIMIT ?",
        (*values, LOOKED_AT_AT_ONCE if routes else limit, limit),
    )
    return [decode(row) for _, *row in rows]


def beginning(prefix: str, connection: sqlite3.Connection) -> list[Operation]:
    rows = connection.execute(
        f"{_LISTED} FROM operations WHERE id >= ? AND id < ? AND stage <> 'tombstone' LIMIT 2", (prefix, prefix + "~")
    )
    return [decode(row) for _, *row in rows]


def _source(wanted: Wanted) -> tuple[str, int]:
    """Which rows are to be looked at, and how many of them at once. Few among many are in an index."""
    if wanted.states <= UNSETTLED:
        return _UNSETTLED, UNSETTLED_AT_ONCE
    if wanted.states <= NOT_COMPLETED:
        return _NOT_COMPLETED, LOOKED_AT_AT_ONCE
    return _ALL, LOOKED_AT_AT_ONCE


def _conditions(wanted: Wanted) -> tuple[str, list[object]]:
    """What rows have to be like, and the values in that. The record comes before the body, and is all that is read."""
    conditions = [f"{_STATE} IN (SELECT value FROM json_each(?))"]  # noqa: S608  # ours
    values: list[object] = [json.dumps([state.value for state in wanted.states])]
    if wanted.routes:
        conditions.append(_OF_ROUTES)
        values.append(json.dumps(list(wanted.routes)))
    if (wanted.earliest, wanted.latest) != (-inf, inf):
        conditions.append(f"{_CREATED} BETWEEN ? AND ?")
        values += [wanted.earliest, wanted.latest]
    return " AND ".join(conditions), values
