"""The SQLite file: its schema, and connections to it.

WAL, so that reads and the one writer do not wait for each other; `synchronous=FULL`, so that what was committed
survives a loss of power; `secure_delete=ON`, so that what was deleted, credentials in kept requests most of all, is
overwritten, though copies of its pages stay in the WAL until that is written over. Triggers keep the totals, which are
therefore exact for all processes and cost nothing to ask, and drop a kept request with the settling of its operation.
"""

import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Final

from proxy.errors import StoreUnavailable

_PATIENCE: Final = 5.0  # seconds that a connection waits for one of another process

_FIRST: Final = """
CREATE TABLE operations (
    id TEXT PRIMARY KEY,
    keeper TEXT NOT NULL,
    stage TEXT NOT NULL,                -- queued, running, settled, tombstone
    due REAL,                           -- when it next has to be swept; null exactly while queued or running
    forgotten REAL,                     -- when nothing is left of it
    size INTEGER NOT NULL DEFAULT 0,    -- bytes of the stored body
    record TEXT NOT NULL,
    in_file INTEGER GENERATED ALWAYS AS (size > 0 AND body IS NULL) VIRTUAL,
    body BLOB                           -- null where there is none or it is in a file; after what scans read
);
CREATE INDEX running ON operations (keeper, id, stage) WHERE stage = 'running';
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

# A process of the first version that still has the file open goes on writing: it knows none of the new columns, leaves
# queued operations alone, and the triggers do for it what it does not know of. Its scans lose their index.
_QUEUED_AND_KEPT: Final = """
ALTER TABLE operations ADD COLUMN route TEXT NOT NULL DEFAULT '';
ALTER TABLE operations ADD COLUMN origin TEXT NOT NULL DEFAULT '';
ALTER TABLE operations ADD COLUMN client TEXT NOT NULL DEFAULT '';
ALTER TABLE operations ADD COLUMN created REAL NOT NULL DEFAULT 0;
ALTER TABLE operations ADD COLUMN overdue REAL;                        -- CLOCK_MONOTONIC; while running
ALTER TABLE operations ADD COLUMN growth INTEGER NOT NULL DEFAULT 0;   -- bytes of the body so far, while running
ALTER TABLE operations ADD COLUMN held INTEGER                         -- bytes that it occupies now
    GENERATED ALWAYS AS (CASE stage WHEN 'running' THEN growth ELSE size END) VIRTUAL;

CREATE TABLE requests (                 -- of operations that are queued or running
    id TEXT PRIMARY KEY,
    size INTEGER NOT NULL,              -- bytes of the content
    record TEXT NOT NULL,
    in_file INTEGER GENERATED ALWAYS AS (size > 0 AND content IS NULL) VIRTUAL,
    content BLOB                        -- null where there is none or it is in a file
);

DROP INDEX running;
CREATE INDEX unsettled ON operations (keeper, id) WHERE due IS NULL;  -- covers the scans of all unsettled
CREATE INDEX unsettled_of_client ON operations (client) WHERE due IS NULL AND client <> '';
CREATE INDEX queued_for_origin ON operations (origin, created) WHERE stage = 'queued';  -- the row's number breaks ties
CREATE INDEX queued_on_route ON operations (route) WHERE stage = 'queued';
CREATE INDEX overdue ON operations (overdue, id) WHERE stage = 'running' AND overdue IS NOT NULL;

ALTER TABLE totals ADD COLUMN queued INTEGER NOT NULL DEFAULT 0;
DROP TRIGGER created;
DROP TRIGGER changed;
DROP TRIGGER removed;
CREATE TRIGGER created AFTER INSERT ON operations BEGIN
    UPDATE totals SET queued = queued + (NEW.stage = 'queued'), running = running + (NEW.stage = 'running');
END;
CREATE TRIGGER changed AFTER UPDATE ON operations BEGIN
    UPDATE totals SET
        queued = queued + (NEW.stage = 'queued') - (OLD.stage = 'queued'),
        running = running + (NEW.stage = 'running') - (OLD.stage = 'running'),
        settled = settled + (NEW.stage = 'settled') - (OLD.stage = 'settled'),
        bytes = bytes + NEW.held - OLD.held;
END;
CREATE TRIGGER settled AFTER UPDATE ON operations WHEN OLD.due IS NULL AND NEW.due IS NOT NULL BEGIN
    DELETE FROM requests WHERE id = NEW.id;
END;
CREATE TRIGGER removed AFTER DELETE ON operations BEGIN
    DELETE FROM requests WHERE id = OLD.id;
    UPDATE totals SET
        queued = queued - (OLD.stage = 'queued'),
        running = running - (OLD.stage = 'running'),
        settled = settled - (OLD.stage = 'settled'),
        bytes = bytes - OLD.held;
END;
CREATE TRIGGER kept AFTER INSERT ON requests BEGIN
    UPDATE totals SET bytes = bytes + NEW.size;
END;
CREATE TRIGGER unkept AFTER DELETE ON requests BEGIN
    UPDATE totals SET bytes = bytes - OLD.size;
END;
"""

# A process of the second version knows nothing of these, and leaves them as they are.
_LEARNED: Final = """
ALTER TABLE operations ADD COLUMN expected INTEGER;     -- bytes that the body will have, where that is known
ALTER TABLE operations ADD COLUMN arriving REAL;        -- since when it comes; seconds since the epoch

CREATE TABLE learned (
    route TEXT PRIMARY KEY,
    durations BLOB NOT NULL             -- of its exchanges, as whoever learned that wrote them
);
"""

# For lists: those that ended otherwise than most, in the order of their creation, and all settled ones in that of their
# end. What the columns are made of stands before the body, so that nothing of that is read for them.
_LISTED: Final = """
ALTER TABLE operations ADD COLUMN outcome TEXT
    GENERATED ALWAYS AS (CASE stage WHEN 'settled' THEN json_extract(record, '$.state') END) VIRTUAL;
ALTER TABLE operations ADD COLUMN settled_at REAL
    GENERATED ALWAYS AS (CASE stage WHEN 'settled' THEN json_extract(record, '$.settled_at') END) VIRTUAL;
CREATE INDEX not_completed ON operations (stage) WHERE stage = 'settled' AND outcome <> 'completed';
CREATE INDEX settled_at ON operations (settled_at) WHERE stage = 'settled';

ALTER TABLE totals ADD COLUMN failed INTEGER NOT NULL DEFAULT 0;
ALTER TABLE totals ADD COLUMN dismissed INTEGER NOT NULL DEFAULT 0;
UPDATE totals SET
    failed = (SELECT count(*) FROM operations
        WHERE stage = 'settled' AND outcome <> 'completed' AND outcome = 'failed'),
    dismissed = (SELECT count(*) FROM operations
        WHERE stage = 'settled' AND outcome <> 'completed' AND outcome = 'dismissed');
CREATE TRIGGER ended AFTER UPDATE ON operations WHEN NEW.outcome IS NOT OLD.outcome BEGIN
    UPDATE totals SET
        failed = failed + (NEW.outcome IS 'failed') - (OLD.outcome IS 'failed'),
        dismissed = dismissed + (NEW.outcome IS 'dismissed') - (OLD.outcome IS 'dismissed');
END;
CREATE TRIGGER end_removed AFTER DELETE ON operations WHEN OLD.outcome <> 'completed' BEGIN
    UPDATE totals SET
        failed = failed - (OLD.outcome IS 'failed'),
        dismissed = dismissed - (OLD.outcome IS 'dismissed');
END;
"""

_STEPS: Final = (
    _FIRST,
    _QUEUED_AND_KEPT,
    _LEARNED,
    _LISTED,
)  # each makes the next version of the schema; those that were released stay
VERSION: Final = len(_STEPS)


def prepare(path: Path) -> None:
    """Make the database, or make one of an earlier version current, in one transaction. Only one process at a time."""
    path.touch(mode=0o600)  # SQLite gives the files that it puts beside it the same mode
    with closing(connect(path)) as connection:
        (version,) = connection.execute("PRAGMA user_version").fetchone()
        if version > VERSION:
            raise StoreUnavailable(
                f"{path} was written by a later version of this program (schema {version}, known here: {VERSION}):"
                " start that version, or name another folder."
            )
        connection.execute("PRAGMA journal_mode = WAL")
        if version < VERSION:
            steps = "".join(_STEPS[version:])
            connection.executescript(f"BEGIN IMMEDIATE; {steps} PRAGMA user_version = {VERSION}; COMMIT;")


def connect(path: Path) -> sqlite3.Connection:
    """A connection that begins transactions only when told to."""
    connection = sqlite3.connect(path, timeout=_PATIENCE, isolation_level=None)
    try:
        connection.execute("PRAGMA synchronous = FULL")
        connection.execute("PRAGMA secure_delete = ON")
    except BaseException:
        connection.close()
        raise
    return connection
