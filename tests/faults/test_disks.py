"""Fault table, row: disk full, read-only, I/O error, torn file.

P1: what was promised is there. P3: what could not be stored whole is a failure, never a cut success. P5: synchronous
traffic goes on; and all is well again when the disk is.
"""

import os
import resource
from pathlib import Path
from random import Random
from typing import Literal, get_args

from proxy.commands.options import CANNOT_START
from tests.faults.conftest import Open
from tests.faults.desk import Desk
from tests.faults.disk import filled, read_only
from tests.faults.ledger import Promise, Seen
from tests.faults.points import Error
from tests.faults.trouble import LARGE, SMALL, assert_all_is_well, assert_lives_through
from tests.faults.work import KIB

Damage = Literal["cut", "flipped", "gone", "longer"]


def body_file(store: Path, promise: Promise) -> Path:
    id = promise.path.rpartition(b"/")[2].decode()
    return store / "bodies" / id[:2] / id


def body_files(store: Path) -> list[Path]:
    return [file for file in store.glob("bodies/*/*") if file.is_file()]


async def test_a_full_disk(open_desk: Open, disk: Path) -> None:
    """Row: disk full (a tmpfs of 16 MiB)."""
    await assert_lives_through(await open_desk(disk / "store"), filled(disk))


async def test_files_that_may_not_grow(open_desk: Open, tmp_path: Path) -> None:
    """Row: disk full (RLIMIT_FSIZE, which needs no root): neither the database nor a body can be written."""
    desk = await open_desk()
    await assert_lives_through(desk, desk.service.limited(resource.RLIMIT_FSIZE, lambda _: 256 * KIB))


async def test_a_folder_that_has_become_read_only(open_desk: Open, disk: Path) -> None:
    """Row: read-only. What fits into the database goes on; what needs a file fails, and is not cut."""
    desk = await open_desk(disk / "store")
    stored = await desk.done(size=LARGE)
    with read_only(disk / "store" / "bodies"):
        failed = await desk.later(size=LARGE)
        assert await desk.outcome(failed) is Seen.FAILED
        assert await desk.outcome(await desk.later(size=SMALL)) is Seen.COMPLETED
        assert await desk.look(stored) is Seen.COMPLETED
        await desk.now()
    assert await desk.look(failed) is Seen.FAILED
    await assert_all_is_well(desk)


async def test_a_service_is_not_started_on_a_read_only_folder(desk: Desk, tmp_path: Path, mounts: None) -> None:
    """Row: read-only, at the start: it says why, and with the exit code that says so."""
    stored = await desk.done(size=LARGE)
    await desk.service.kill()
    with read_only(tmp_path / "store"):
        await desk.service.launch()
        assert await desk.service.ended() == CANNOT_START
        assert "cannot be used" in desk.service.log.read_text()
    await desk.service.start()
    assert await desk.look(stored) is Seen.COMPLETED


async def test_an_error_while_a_body_is_written(desk: Desk, tmp_path: Path) -> None:
    """Row: I/O error. The operation fails, nothing is left of its body, and the next is stored."""
    for point, passage in (("in-body", 2), ("before-publishing", 1)):
        for error in get_args(Error):
            with desk.service.points.armed(point, error, passage):
                promise = await desk.later(size=LARGE)
                assert await desk.outcome(promise) is Seen.FAILED
            assert body_files(tmp_path / "store") == []
    await assert_all_is_well(desk)


async def test_a_torn_body_is_never_served_as_whole(desk: Desk, tmp_path: Path) -> None:
    """Row: torn file. Its own status URL says so, or breaks off, also after a restart; others are not concerned."""
    torn = {damage: await desk.done(size=LARGE) for damage in get_args(Damage)}
    sound = await desk.done(size=LARGE)
    for damage, promise in torn.items():
        tear(body_file(tmp_path / "store", promise), damage)
    await assert_unreadable(desk, torn, sound)
    await desk.service.kill()
    await desk.service.start()
    await assert_unreadable(desk, torn, sound)


async def assert_unreadable(desk: Desk, torn: dict[Damage, Promise], sound: Promise) -> None:
    seen = {damage: await desk.look(promise) for damage, promise in torn.items()}
    assert seen.pop("flipped") is Seen.BROKEN_OFF, "that it is damaged is known at its end only"
    assert set(seen.values()) == {Seen.UNAVAILABLE}
    assert await desk.look(sound) is Seen.COMPLETED


async def test_a_write_ahead_log_whose_last_write_was_torn(desk: Desk, tmp_path: Path) -> None:
    """Row: torn file. Half of a transaction that was never acknowledged lies behind those that were: all of them stand."""
    done = [await desk.done() for _ in range(5)]
    await desk.service.kill()
    with (tmp_path / "store" / "operations.db-wal").open("ab") as file:
        file.write(Random(1).randbytes(6000))  # noqa: S311
    await desk.service.start()
    assert {await desk.look(promise) for promise in done} == {Seen.COMPLETED}
    await assert_all_is_well(desk)


async def test_a_write_ahead_log_that_lost_its_end(desk: Desk, tmp_path: Path) -> None:
    """Row: torn file. A disk that lied about its last writes costs those, and nothing that was before them."""
    done = [await desk.done() for _ in range(5)]
    await desk.service.kill()
    log = tmp_path / "store" / "operations.db-wal"
    os.truncate(log, log.stat().st_size - 100)
    await desk.service.start()
    assert {await desk.outcome(promise) for promise in done[:-1]} == {Seen.COMPLETED}
    assert await desk.outcome(done[-1]) in {Seen.COMPLETED, Seen.INTERRUPTED, Seen.GONE}
    await assert_all_is_well(desk)


def tear(file: Path, damage: Damage) -> None:
    content = file.read_bytes()
    match damage:
        case "cut":
            os.truncate(file, len(content) - 1)
        case "flipped":
            file.write_bytes(content[:1000] + bytes([content[1000] ^ 1]) + content[1001:])
        case "gone":
            file.unlink()
        case "longer":
            file.write_bytes(content + b"\n")
