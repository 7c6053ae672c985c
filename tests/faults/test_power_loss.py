"""Fault table, row: power loss. P1: what was acknowledged had been forced to the disk before, in the right order.

No test here cuts the power. What is shown is what the kernel was asked for, and when.
"""

from contextlib import closing
from pathlib import Path

from proxy.store.database import connect
from tests.faults.desk import Desk
from tests.faults.work import MIB

FULL = 2


async def test_a_body_is_forced_to_the_disk_before_its_operation_is_settled(desk: Desk) -> None:
    """Row: power loss: the file, then its name, then the folders, and only then the row that speaks of it."""
    with desk.service.points.traced() as passed:
        await desk.done(size=MIB)
    steps = [step for step in passed if step in ("fsync", "renamed", "body-whole", "before-settle-commit", "settled")]
    assert steps == ["fsync", "renamed", "fsync", "fsync", "body-whole", "before-settle-commit", "settled"]


def test_every_commit_is_forced_to_the_disk(tmp_path: Path) -> None:
    """Row: power loss: `synchronous=FULL` syncs the write-ahead log at each commit, that of an acceptance too."""
    with closing(connect(tmp_path / "operations.db")) as connection:
        assert connection.execute("PRAGMA synchronous").fetchone() == (FULL,)
