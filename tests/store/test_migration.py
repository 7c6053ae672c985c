"""A database of the first version: what it becomes, and what a process of that version may still do to it."""

import json
import sqlite3
from collections.abc import AsyncIterator, Iterator
from contextlib import closing
from pathlib import Path
from typing import Final
from zlib import crc32

import pytest

from proxy.operation import Failure, State
from proxy.store import Store, Usage, open_store
from tests.store.samples import AMPLE, HEAD, KEEPER, MIB, REQUEST, body_of, queued, running, stored

SCHEMA: Final = """
CREATE TABLE operations (
    id TEXT PRIMARY KEY, keeper TEXT NOT NULL, stage TEXT NOT NULL, due REAL, forgotten REAL,
    size INTEGER NOT NULL DEFAULT 0, record TEXT NOT NULL,
    in_file INTEGER GENERATED ALWAYS AS (size > 0 AND body IS NULL) VIRTUAL, body BLOB
);
CREATE INDEX running ON operations (keeper, id, stage) WHERE stage = 'running';
CREATE INDEX due ON operations (due) WHERE due IS NOT NULL;
CREATE TABLE totals (running INTEGER NOT NULL, settled INTEGER NOT NULL, bytes INTEGER NOT NULL);
INSERT INTO totals VALUES (0, 0, 0);
CREATE TRIGGER created AFTER INSERT ON operations BEGIN
    UPDATE totals SET running = running + 1;
END;
CREATE TRIGGER changed AFTER UPDATE ON operations BEGIN
    UPDATE totals SET running = running + (NEW.stage = 'running') - (OLD.stage = 'running'),
        settled = settled + (NEW.stage = 'settled') - (OLD.stage = 'settled'), bytes = bytes + NEW.size - OLD.size;
END;
CREATE TRIGGER removed AFTER DELETE ON operations BEGIN
    UPDATE totals SET running = running - (OLD.stage = 'running'), settled = settled - (OLD.stage = 'settled'),
        bytes = bytes - OLD.size;
END;
PRAGMA journal_mode = WAL;
PRAGMA user_version = 1;
"""
RECORD: Final = {
    "route": "reports", "request": ["GET", "http://example.com/"], "created": 1000.0, "keep": 100.0, "longest_wait": 60.0,
    "retry_after": 1.0, "owner_digest": None, "state": "running", "settled_at": None, "head": None, "body": None,
    "failure": None,
}  # fmt: skip
COMPLETED: Final = RECORD | {
    "state": "completed",
    "settled_at": 2000.0,
    "head": [200, "OK", []],
    "body": [2, crc32(b"ok")],
}
FAILED: Final = RECORD | {"state": "failed", "settled_at": 2000.0, "failure": ["interrupted", "", None]}
RUNNING_ID, COMPLETED_ID = "R" * 22, "C" * 22


class OldProcess:
    """What a process of the first version does, on a connection that it has had open all the time."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    def create(self, id_: str) -> None:
        self._connection.execute(
            "INSERT INTO operations (id, keeper, stage, record)"
            " SELECT ?, ?, 'running', ? WHERE (SELECT bytes FROM totals) < ?",
            (id_, "old", json.dumps(RECORD), AMPLE),
        )

    def settle(self, id_: str, keeper: str = "old") -> bool:
        cursor = self._connection.execute(
            "UPDATE operations SET stage = 'settled', due = ?, forgotten = ?, size = ?, record = ?, body = ?"
            " WHERE id = ? AND keeper = ? AND stage = 'running'",
            (2100.0, 2200.0, 2, json.dumps(COMPLETED), b"ok", id_, keeper),
        )
        return cursor.rowcount == 1

    def fail(self, id_: str) -> None:
        self._connection.execute(
            "UPDATE operations SET stage = 'settled', due = ?, forgotten = ?, record = ? WHERE id = ?",
            (2100.0, 2200.0, json.dumps(FAILED), id_),
        )

    def remove(self, id_: str) -> None:
        self._connection.execute("DELETE FROM operations WHERE id = ?", (id_,))

    def state(self, id_: str) -> str:
        query = "SELECT id, keeper, record, body FROM operations WHERE id = ?"
        return str(json.loads(self._connection.execute(query, (id_,)).fetchone()[2])["state"])

    def running(self) -> set[str]:
        query = "SELECT group_concat(id, ' ') FROM operations WHERE stage = 'running'"
        return set((self._connection.execute(query).fetchone()[0] or "").split())

    def totals(self) -> tuple[int, int, int]:
        running, settled, size = self._connection.execute("SELECT running, settled, bytes FROM totals").fetchone()
        return running, settled, size


@pytest.fixture
def old(tmp_path: Path) -> Iterator[OldProcess]:
    with closing(sqlite3.connect(tmp_path / "operations.db", isolation_level=None)) as connection:
        connection.executescript(SCHEMA)
        process = OldProcess(connection)
        process.create(RUNNING_ID)
        process.create(COMPLETED_ID)
        process.settle(COMPLETED_ID)
        yield process


@pytest.fixture
async def store(tmp_path: Path, old: OldProcess) -> AsyncIterator[Store]:
    async with open_store("sqlite", tmp_path, AMPLE, KEEPER) as opened:
        yield opened


async def test_what_was_there_is_there(store: Store) -> None:
    done, orphan = await store.get(COMPLETED_ID), await store.get(RUNNING_ID)
    assert done is not None
    assert await body_of(store, done) == b"ok"
    assert orphan is not None
    assert (orphan.state, orphan.attempts, orphan.overdue, orphan.origin, orphan.client) == (
        State.RUNNING, 1, None, "", "",
    )  # fmt: skip
    assert orphan.request.id == ""
    assert await store.request(RUNNING_ID) is None
    assert await store.usage() == Usage(0, 1, 1, 2)


async def test_why_an_operation_failed_is_not_known_of_before(store: Store, old: OldProcess) -> None:
    old.create("F" * 22)
    old.fail("F" * 22)
    failed = await store.get("F" * 22)
    assert failed is not None
    assert (failed.state, failed.failure, failed.why) == (State.FAILED, Failure("interrupted", "", None), "")


async def test_what_was_running_is_an_orphan_and_can_be_settled(store: Store) -> None:
    [orphan] = await store.orphans()
    assert orphan.id == RUNNING_ID
    assert await store.settle(orphan.dismissed(3000.0))
    assert await store.usage() == Usage(0, 0, 2, 2, dismissed=1)


async def test_it_is_made_once(tmp_path: Path, store: Store) -> None:
    await store.create(queued(), REQUEST)
    async with open_store("sqlite", tmp_path, AMPLE, "another") as again:
        assert await again.usage() == Usage(1, 1, 1, 2)


async def test_a_new_database_and_one_of_the_first_version_are_alike(tmp_path: Path, store: Store) -> None:
    async with open_store("sqlite", tmp_path / "new", AMPLE, KEEPER):
        pass
    assert _schema(tmp_path / "new" / "operations.db") == _schema(tmp_path / "operations.db")


def _schema(file: Path) -> dict[str, list[tuple[object, ...]]]:
    """Tables with their columns, and names of all the rest."""
    with closing(sqlite3.connect(file)) as connection:
        names = connection.execute("SELECT type, name FROM sqlite_schema ORDER BY name").fetchall()
        return {name: connection.execute(f"PRAGMA table_xinfo({name})").fetchall() for _, name in names} | {"": names}


async def test_an_old_process_goes_on_and_the_figures_stay_true(store: Store, old: OldProcess) -> None:
    old.create("N" * 22)
    assert old.settle(RUNNING_ID)
    assert await store.usage() == Usage(0, 1, 2, 4)
    old.remove(COMPLETED_ID)
    assert await store.usage() == Usage(0, 1, 1, 2)
    assert old.totals() == (1, 1, 2)
    assert [one.id for one in await store.orphans()] == ["N" * 22]


async def test_an_old_process_that_settles_what_a_new_one_runs_drops_what_was_kept(
    store: Store, old: OldProcess
) -> None:
    operation = running()
    await store.create(operation, REQUEST)
    await stored(store, operation, bytes(2 * MIB))
    assert old.settle(operation.id, KEEPER)
    assert await store.request(operation.id) is None
    assert await store.usage() == Usage(0, 1, 2, 4)
    old.remove(operation.id)
    assert await store.usage() == Usage(0, 1, 1, 2)


async def test_an_old_process_shows_what_waits_as_running_and_leaves_it_alone(store: Store, old: OldProcess) -> None:
    operation = queued()
    await store.create(operation, REQUEST)
    assert old.state(operation.id) == "running"
    assert operation.id not in old.running()
    assert not old.settle(operation.id, KEEPER)
    assert await store.get(operation.id) == operation
    started = operation.started(overdue=77.5)
    assert await store.start(started)
    done = started.completed(HEAD, await stored(store, started, b"done"), 2000.0)
    assert await store.settle(done)
    assert await store.get(operation.id) == done
