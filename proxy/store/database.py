"""The SQLite file: its schema, and connections to it.

WAL, so that reads and the one writer do not wait for each other; `synchronous=FULL`, so that what was committed
survives a loss of power. Triggers keep the totals, which are therefore exact for all processes and cost nothing to ask.
"""

import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Final

from proxy.errors import StoreUnavailable

VERSION: Final = 1  # of the schema
_PATIENCE: Final = 5.0  # seconds that a connection waits for one of another process

_SCHEMA: Final = """
CREATE TABLE operations (
    id TEXT PRIMARY KEY,
    keeper TEXT NOT NULL,
    stage TEXT NOT NULL,                -- running, settled, tombstone
    due REAL,                           -- when it next has to be swept; null while running
    forgotten REAL,                     -- when nothing is left of it
    size INTEGER NOT NULL DEFAULT 0,    -- bytes of the stored body
    record TEXT NOT NULL,
    in_file INTEGER GENERATED ALWAYS AS (size > 0 AND body IS NULL) VIRTUAL,
    body BLOB                           -- null where there is none or it is in a file; last, so that scans do not read it
);
CREATE INDEX running ON operations (keeper, id, stage) WHERE stage = 'running';  -- covers the scans of all running
CREATE INDEX due ON operations (due) WHERE due IS NOT NULL;

CREATE TABLE totals (running INTEGER NOT NULL, settled INTEGER NOT NULL, bytes INTEGER NOT NULL);
INSERT INTO totals VALUES (0, 0, 0);
CREATE TRIGGER created AFTER INSERT ON operations BEGIN
    UPDATE totals SET running = running + 1;
END;
CREATE TRIGGER changed AFTER UPDATE ON operations BEGIN
    UPDATE totals SET
        running = running + (NEW.stage = 'running') - (OLD.stage = 'running'),
        settled = settled + (NEW.stage = 'settled') - (OLD.stage = 'settled'),
        bytes = bytes + NEW.size - OLD.size;
END;
CREATE TRIGGER removed AFTER DELETE ON operations BEGIN
    UPDATE totals SET
        running = running - (OLD.stage = 'running'),
        settled = settled - (OLD.stage = 'settled'),
        bytes = bytes - OLD.size;
END;
"""


def prepare(path: Path) -> None:
    """Make the database, or make sure that it is one of ours. Only one process at a time."""
    path.touch(mode=0o600)  # SQLite gives the files that it puts beside it the same mode
    with closing(connect(path)) as connection:
        (version,) = connection.execute("PRAGMA user_version").fetchone()
        if version > VERSION:
            raise StoreUnavailable(
                f"{path} was written by a later version of this program (schema {version}, known here: {VERSION}):"
                " start that version, or name another folder."
            )
        connection.execute("PRAGMA journal_mode = WAL")
        if version == 0:
            connection.executescript(f"BEGIN IMMEDIATE; {_SCHEMA} PRAGMA user_version = {VERSION}; COMMIT;")


def connect(path: Path) -> sqlite3.Connection:
    """A connection that begins transactions only when told to."""
    connection = sqlite3.connect(path, timeout=_PATIENCE, isolation_level=None)
    try:
        connection.execute("PRAGMA synchronous = FULL")
    except BaseException:
        connection.close()
        raise
    return connection
