"""Fault table, row: kill -9 during expiry and during DELETE: rows and files go together, sooner or later (P1, P6)."""

from functools import partial
from pathlib import Path

import pytest

from tests.faults.conftest import Open
from tests.faults.desk import Desk
from tests.faults.ledger import Seen
from tests.faults.patience import until
from tests.faults.work import MIB


def bodies(store: Path) -> int:
    """Files of contents that there are."""
    return sum(file.is_file() for file in store.glob("bodies/*/*"))


@pytest.mark.parametrize("point", ["before-expiry-commit", "rows-dropped"])
async def test_a_kill_during_expiry_leaves_neither_rows_nor_files(open_desk: Open, tmp_path: Path, point: str) -> None:
    """Row: kill -9 during expiry, before its commit, and between that and the removal of the files."""
    desk = await open_desk(keep="1s")
    desk.service.doom(point)
    expiring = await desk.done(size=MIB)
    await desk.service.struck(point)
    assert await desk.look(expiring) is Seen.GONE
    await until(lambda: bodies(tmp_path / "store") == 0, "end of the last file")
    await desk.done(size=MIB)


@pytest.mark.parametrize("point", ["before-delete-commit", "rows-dropped"])
async def test_a_kill_during_delete_leaves_all_or_nothing(desk: Desk, tmp_path: Path, point: str) -> None:
    """Row: kill -9 during DELETE: the result is there and whole, or it is gone with its file."""
    promise, neighbour = await desk.done(size=MIB), await desk.done(size=MIB)
    desk.service.doom(point)
    with pytest.raises(ConnectionError):
        await desk.service.ask("DELETE", promise.path)
    await desk.service.struck(point)
    kept = point == "before-delete-commit"
    assert await desk.look(promise) is (Seen.COMPLETED if kept else Seen.GONE)
    assert await desk.look(neighbour) is Seen.COMPLETED
    await until(lambda: bodies(tmp_path / "store") == 1 + kept, "end of the stray file")


async def test_a_kill_while_orphans_are_settled_settles_them_at_the_next_start(desk: Desk) -> None:
    """Row: kill -9 between finding what a dead process left and doing something about it."""
    with desk.origin.held():
        promises = [await desk.later() for _ in range(3)]
        await desk.service.kill()
        desk.service.points.arm("orphans-found")
        await desk.service.launch()
        await until(partial(desk.service.points.has_fired, "orphans-found"), "passage")
        await desk.service.kill()
        await desk.service.start()
        assert {await desk.outcome(promise, seconds=5) for promise in promises} == {Seen.INTERRUPTED}
    assert max(desk.origin.arrivals.values()) == 1
