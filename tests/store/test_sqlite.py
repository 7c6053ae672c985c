"""What only the store in a folder does: it survives, it is shared, and its disk can fail."""

import asyncio
import contextlib
import dataclasses
import os
import sqlite3
import stat
import threading
from collections.abc import AsyncIterator, Callable
from functools import partial
from pathlib import Path

import pytest

from proxy.errors import Busy, StoreUnavailable
from proxy.message import Fields, RequestHead
from proxy.operation import Operation
from proxy.store import Quotas, Store, Usage, changes, open_store, queries
from proxy.store.lane import LARGEST_GROUP, Lane
from proxy.store.sqlite import SqliteStore
from tests.store.samples import (
    AMPLE,
    HEAD,
    KEEPER,
    LARGE,
    MIB,
    NOTHING,
    REQUEST,
    body_of,
    completed,
    content_of,
    full_disk,
    kept,
    queued,
    running,
    stored,
)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "deep" / "store"


@pytest.fixture
async def store(folder: Path) -> AsyncIterator[SqliteStore]:
    async with open_store("sqlite", folder, AMPLE, KEEPER) as opened:
        assert isinstance(opened, SqliteStore)
        yield opened


@pytest.fixture
async def other(folder: Path, store: SqliteStore) -> AsyncIterator[Store]:
    """The same folder, opened by another process as it were."""
    async with open_store("sqlite", folder, AMPLE, "keeper-two") as opened:
        yield opened


def names(folder: Path) -> list[str]:
    return sorted(file.name for file in folder.iterdir())


def body_files(folder: Path) -> list[str]:
    return sorted(file.name for file in (folder / "bodies").glob("*/*"))


# Opening and closing


def test_a_sqlite_store_needs_a_folder() -> None:
    with pytest.raises(ValueError, match="folder"):
        open_store("sqlite", None, AMPLE, KEEPER)


def test_the_folder_is_made_for_its_owner_only(folder: Path, store: Store) -> None:
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700


async def test_everything_is_there_after_opening_again(folder: Path) -> None:
    async with open_store("sqlite", folder, AMPLE, KEEPER) as store:
        small, large = await completed(store, b"small"), await completed(store, LARGE)
    async with open_store("sqlite", folder, AMPLE, "next-start") as store:
        assert await store.get(small.id) == small
        assert await store.get(large.id) == large
        assert await body_of(store, large) == LARGE
        assert await store.usage() == Usage(0, 0, 2, 5 + len(LARGE))


async def test_closing_leaves_one_database_file_and_no_old_locks(folder: Path) -> None:
    for keeper in ("first", "second"):
        async with open_store("sqlite", folder, AMPLE, keeper) as store:
            await store.create(running())
    assert names(folder) == ["bodies", "keepers", "opening", "operations.db", "requests"]
    assert names(folder / "keepers") == ["second"]


async def test_closing_waits_for_writes_that_were_asked_for(folder: Path) -> None:
    operations = [running() for _ in range(LARGEST_GROUP * 3)]
    async with asyncio.TaskGroup() as group, open_store("sqlite", folder, AMPLE, KEEPER) as store:
        for operation in operations:
            group.create_task(store.create(operation))
        await asyncio.sleep(0)  # all have asked
    async with open_store("sqlite", folder, AMPLE, "next-start") as store:
        assert (await store.usage()).running == len(operations)


async def test_a_closed_store_is_unavailable(folder: Path) -> None:
    async with open_store("sqlite", folder, AMPLE, KEEPER) as store:
        done = await completed(store, LARGE)
        reading = store.body(done)
        assert await anext(reading)
    for asked in (store.get(done.id), store.create(running()), anext(reading)):
        with pytest.raises(StoreUnavailable, match="closed"):
            await asked


async def test_what_is_raised_while_a_store_is_open_stays_what_it_is(folder: Path) -> None:
    with pytest.raises(KeyError):
        async with open_store("sqlite", folder, AMPLE, KEEPER):
            raise KeyError


async def _open_fails(folder: Path, message: str) -> None:
    with pytest.raises(StoreUnavailable, match=message):
        async with open_store("sqlite", folder, AMPLE, KEEPER):
            pytest.fail("the store was not to be opened")


async def test_a_folder_that_is_a_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "store").write_text("not a folder")
    await _open_fails(tmp_path / "store", "has to be a folder")


async def test_a_keeper_that_is_alive_already_is_refused(folder: Path, store: Store) -> None:
    await _open_fails(folder, "is running")


async def test_a_keeper_whose_id_could_leave_the_folder_is_a_mistake_of_the_caller(folder: Path) -> None:
    with pytest.raises(ValueError, match="id of a keeper"):
        async with open_store("sqlite", folder, AMPLE, "../keeper"):
            pytest.fail("the store was not to be opened")


async def test_a_file_that_is_no_database_is_refused(tmp_path: Path) -> None:
    (tmp_path / "operations.db").write_bytes(b"garbage " * 1000)
    await _open_fails(tmp_path, "not a database.* move the whole folder away")


async def test_a_database_of_a_later_version_is_refused_and_left_alone(folder: Path) -> None:
    async with open_store("sqlite", folder, AMPLE, KEEPER):
        pass
    with contextlib.closing(sqlite3.connect(folder / "operations.db")) as connection:
        connection.execute("PRAGMA user_version = 99")
    await _open_fails(folder, "later version.*99")
    with contextlib.closing(sqlite3.connect(folder / "operations.db")) as connection:
        assert connection.execute("PRAGMA user_version").fetchone() == (99,)


async def test_many_can_open_a_new_folder_at_once(folder: Path) -> None:
    async def start(number: int) -> None:
        async with open_store("sqlite", folder, AMPLE, f"keeper-{number}") as store:
            await store.create(running(f"keeper-{number}"))

    await asyncio.gather(*map(start, range(8)))
    async with open_store("sqlite", folder, AMPLE, KEEPER) as store:
        assert len(await store.orphans()) == 8


# Group commit


async def test_what_comes_together_is_committed_together(store: SqliteStore) -> None:
    asked: list[str] = []
    await store._writes.run(lambda connection: connection.set_trace_callback(asked.append))
    await asyncio.gather(*[store.create(running()) for _ in range(500)])
    await store._writes.run(lambda connection: connection.set_trace_callback(None))
    assert asked.count("BEGIN IMMEDIATE") <= -(-500 // LARGEST_GROUP) + 1  # and the group that ends the tracing
    assert (await store.usage()).running == 500


async def test_a_group_that_sqlite_rolled_back_fails_as_a_whole(store: SqliteStore) -> None:
    def lose_the_transaction(connection: sqlite3.Connection) -> None:
        connection.rollback()
        raise sqlite3.OperationalError("database or disk is full")

    before, after = running(), running()
    outcomes = await asyncio.gather(
        store.create(before), store._writes.run(lose_the_transaction), store.create(after), return_exceptions=True
    )
    assert [type(outcome) for outcome in outcomes] == [StoreUnavailable] * 3
    assert await store.usage() == NOTHING


async def test_a_failure_that_nobody_waits_for_is_dropped(store: SqliteStore) -> None:
    operation = running()
    await store.create(operation)
    async with asyncio.TaskGroup() as group:
        task = group.create_task(store.create(operation))
        await asyncio.sleep(0)
        task.cancel()
    assert await store.usage() == Usage(0, 1, 0, 0)


async def test_a_change_that_fails_does_not_spoil_its_neighbours(store: SqliteStore) -> None:
    twice, once = running(), running()
    outcomes = await asyncio.gather(*map(store.create, [twice, twice, once]), return_exceptions=True)
    assert [type(outcome) for outcome in outcomes] == [type(None), StoreUnavailable, type(None)]
    assert await store.get(once.id) == once


async def test_a_mistake_in_a_change_reaches_its_caller_and_the_next_group_goes_on(store: SqliteStore) -> None:
    def mistaken(_: sqlite3.Connection) -> None:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await store._writes.run(mistaken)
    await store.create(running())


async def test_a_cancelled_create_is_whole_or_not_there(store: Store) -> None:
    operation = running()
    async with asyncio.TaskGroup() as group:
        task = group.create_task(store.create(operation))
        await asyncio.sleep(0)
        task.cancel()
    assert await store.settle(operation.dismissed(2000.0))  # it had begun; the writes are in order


async def test_those_who_wait_hear_of_a_settling_whose_caller_was_cancelled(store: Store) -> None:
    operation = running()
    await store.create(operation)
    async with asyncio.TaskGroup() as group:
        waiter = group.create_task(store.settled(operation.id))
        task = group.create_task(store.settle(operation.dismissed(2000.0)))
        await asyncio.sleep(0)
        task.cancel()
    assert waiter.result() == operation.dismissed(2000.0)


@pytest.mark.parametrize(
    ("scan", "index"),
    [
        pytest.param(queries.keepers, "unsettled", id="keepers"),
        pytest.param(partial(queries.unsettled_under, KEEPER, None), "unsettled", id="what a keeper has"),
        pytest.param(partial(queries.unsettled_ids, -1), "unsettled", id="all ids"),
        pytest.param(partial(queries.overdue, 1.0, None), "overdue", id="overdue"),
        pytest.param(partial(queries.queued_before, queued()), "queued_for_origin", id="the line of an origin"),
        pytest.param(partial(queries.queued_on, "reports"), "queued_on_route", id="the line of a route"),
        pytest.param(partial(queries.unsettled_of, "client"), "unsettled_of_client", id="a client's"),
        pytest.param(partial(queries.body_files, ["A" * 22]), "sqlite_autoindex_operations_1", id="bodies"),
        pytest.param(partial(queries.request_files, ["A" * 22]), "sqlite_autoindex_requests_1", id="requests"),
        pytest.param(partial(changes.sweep, 1.0), "due", id="expiry"),
    ],
)
async def test_every_scan_uses_its_index(
    store: SqliteStore, scan: Callable[[sqlite3.Connection], object], index: str
) -> None:
    asked: list[str] = []
    await store._reads.run(lambda connection: connection.set_trace_callback(asked.append))
    await store._reads.run(scan)
    await store._reads.run(lambda connection: connection.set_trace_callback(None))
    [query] = [query for query in asked if query.startswith("SELECT")]
    plan = await store._reads.run(partial(_plan, query))
    assert f"INDEX {index} " in plan + " "
    assert "TEMP B-TREE" not in plan


def _plan(query: str, connection: sqlite3.Connection) -> str:
    return " / ".join(row[3] for row in connection.execute(f"EXPLAIN QUERY PLAN {query}"))


# Several processes on one folder


async def test_what_one_process_settles_wakes_who_waits_in_another(store: Store, other: Store) -> None:
    operation = running()
    await store.create(operation)
    async with asyncio.timeout(5), asyncio.TaskGroup() as group:
        mine = group.create_task(store.settled(operation.id))
        theirs = group.create_task(other.settled(operation.id))
        assert await other.settle(operation.dismissed(2000.0))
    assert mine.result() == theirs.result() == operation.dismissed(2000.0)


async def test_what_one_process_removes_wakes_who_waits_in_another(store: Store, other: Store) -> None:
    operation = running()
    await store.create(operation)
    async with asyncio.timeout(5), asyncio.TaskGroup() as group:
        waiter = group.create_task(store.settled(operation.id))
        assert await other.remove(operation.id)
    assert waiter.result() is None


async def test_what_others_do_to_others_does_not_end_a_wait(store: SqliteStore, other: Store) -> None:
    operation = running()
    await store.create(operation)
    async with asyncio.TaskGroup() as group:
        waiter = group.create_task(store.settled(operation.id))
        for _ in range(3):
            seen = store._seen_version
            await completed(other, b"theirs")
            async with asyncio.timeout(5):
                while store._seen_version == seen:
                    await store.usage()
        assert not waiter.done()
        await store.settle(operation.dismissed(2000.0))


async def test_the_first_to_settle_wins_across_processes(store: Store, other: Store) -> None:
    operation = running()
    await store.create(operation)
    ends = [operation.dismissed(2000.0 + n) for n in range(10)]
    won = await asyncio.gather(*[settler.settle(end) for end in ends for settler in (store, other)])
    assert sum(won) == 1


async def test_the_operations_of_a_living_process_are_no_orphans(folder: Path, store: Store, other: Store) -> None:
    mine, theirs = running(), running("keeper-two")
    await store.create(mine)
    await other.create(theirs)
    async with open_store("sqlite", folder, AMPLE, "keeper-three") as third:
        gone = running("keeper-three")
        await third.create(gone)
        assert await store.orphans() == []
    assert await store.orphans() == await other.orphans() == [gone]


async def test_a_process_does_not_take_itself_for_dead_where_its_lock_was_removed(folder: Path, store: Store) -> None:
    await store.create(running())
    (folder / "keepers" / KEEPER).unlink()
    assert await store.orphans() == []


@pytest.mark.parametrize("again", [False, True], ids=["removed", "replaced"])
async def test_a_database_that_is_no_longer_in_its_place_takes_no_operations(
    folder: Path, store: Store, *, again: bool
) -> None:
    before = running()
    await store.create(before)
    (folder / "operations.db").rename(folder / "moved.db")
    if again:
        (folder / "operations.db").touch()
    with pytest.raises(StoreUnavailable, match="place"):
        await store.expire(0)
    with pytest.raises(StoreUnavailable, match="place"):
        await store.create(running())
    assert await store.get(before.id) == before


async def test_orphans_are_found_however_many_there_are(store: Store) -> None:
    orphans = [running("long-gone") for _ in range(250)]
    await asyncio.gather(*map(store.create, orphans))
    assert await store.orphans() == sorted(orphans, key=lambda operation: operation.id)


async def test_fullness_is_counted_for_all_processes_together(folder: Path, other: Store) -> None:
    await completed(other, b"0123456789")
    async with open_store("sqlite", folder, 10, "keeper-three") as third:
        with pytest.raises(StoreUnavailable, match="full"):
            await third.create(running())


async def test_nothing_is_read_again_while_nothing_was_written(store: SqliteStore, other: Store) -> None:
    version, _ = await store._reads.run(partial(queries.unsettled_ids, -1))
    assert await store._reads.run(partial(queries.unsettled_ids, version)) == (version, None)
    operation = running()
    await other.create(operation)
    _, ids = await store._reads.run(partial(queries.unsettled_ids, version))
    assert ids == {operation.id}


# Body files


async def test_small_bodies_are_in_the_row_and_large_ones_in_files(folder: Path, store: Store) -> None:
    await completed(store, LARGE[:65_536])
    large = await completed(store, LARGE[:65_537])
    assert body_files(folder) == [large.id]
    assert (folder / "bodies" / large.id[:2] / large.id).read_bytes() == LARGE[:65_537]


async def test_a_body_that_breaks_off_leaves_no_file(folder: Path, store: Store) -> None:
    with pytest.raises(EOFError):
        await _break_off(store, running())
    assert body_files(folder) == []


async def _break_off(store: Store, operation: Operation) -> None:
    async with store.sink(operation.id) as sink:
        await sink.write(LARGE)
        raise EOFError


async def test_a_body_that_is_discarded_while_it_is_written_leaves_no_file(folder: Path) -> None:
    async with open_store("sqlite", folder, AMPLE, KEEPER) as store:
        for turns in range(12):
            async with asyncio.TaskGroup() as group:
                task = group.create_task(stored(store, running(), LARGE))
                for _ in range(turns):
                    await asyncio.sleep(0)
                task.cancel()
    assert [file for file in body_files(folder) if file.endswith(".part")] == []


@pytest.mark.parametrize(
    "damage",
    [
        pytest.param(lambda content: content[:-1], id="truncated"),
        pytest.param(lambda content: content + b"x", id="too long"),
        pytest.param(lambda content: content[:300_000] + b"!" + content[300_001:], id="flipped"),
        pytest.param(lambda _: b"", id="empty"),
    ],
)
async def test_a_torn_body_never_ends_cleanly(folder: Path, store: Store, damage: Callable[[bytes], bytes]) -> None:
    done = await completed(store, LARGE)
    file = folder / "bodies" / done.id[:2] / done.id
    file.write_bytes(damage(LARGE))
    with pytest.raises(StoreUnavailable, match="damaged"):
        await body_of(store, done)


async def test_a_body_that_shrinks_while_it_is_read_does_not_end_cleanly(folder: Path, store: Store) -> None:
    done = await completed(store, LARGE)
    reading = store.body(done)
    await anext(reading)
    with (folder / "bodies" / done.id[:2] / done.id).open("r+b") as file:
        file.truncate(300_000)
    with pytest.raises(StoreUnavailable, match="damaged"):
        await anext(reading)


async def test_a_damaged_small_body_is_not_served(store: SqliteStore, other: Store) -> None:
    done = await completed(store, b"small")
    with contextlib.closing(sqlite3.connect(await _file(store))) as connection, connection:
        connection.execute("UPDATE operations SET body = x'00'")
    read = await other.get(done.id)
    assert read is not None
    with pytest.raises(StoreUnavailable, match="damaged"):
        await body_of(other, read)


async def test_a_damaged_record_is_unavailable_and_its_neighbours_are_not(store: SqliteStore, other: Store) -> None:
    damaged, sound = await completed(store, b"1"), await completed(store, b"2")
    with contextlib.closing(sqlite3.connect(await _file(store))) as connection, connection:
        connection.execute("UPDATE operations SET record = '{}' WHERE id = ?", (damaged.id,))
    outcomes = await asyncio.gather(other.get(damaged.id), other.get(sound.id), return_exceptions=True)
    assert isinstance(outcomes[0], StoreUnavailable)
    assert outcomes[1] == sound


async def _file(store: Store) -> str:
    assert isinstance(store, SqliteStore)
    name: str = await store._reads.run(lambda connection: connection.execute("PRAGMA database_list").fetchone()[2])
    return name


async def test_reading_that_has_begun_outlives_removal(store: Store) -> None:
    done = await completed(store, LARGE)
    reading = store.body(done)
    first = await anext(reading)
    await store.remove(done.id)
    assert first + b"".join([piece async for piece in reading]) == LARGE


async def test_a_reader_that_leaves_closes_the_file(store: Store) -> None:
    done = await completed(store, LARGE)
    async with contextlib.aclosing(store.body(done)) as reading:
        await anext(reading)


async def test_removing_and_expiring_remove_the_files(folder: Path) -> None:
    async with open_store("sqlite", folder, AMPLE, KEEPER) as store:
        removed = await completed(store, LARGE)
        await completed(store, LARGE)
        await store.remove(removed.id)
        await store.expire(2100.0)
    assert body_files(folder) == []  # closing waits for it


async def test_what_a_crash_left_is_removed_and_what_is_needed_stays(folder: Path, store: Store, other: Store) -> None:
    done, unfinished, dismissed = await completed(store, LARGE), running("keeper-two"), running()
    await other.create(unfinished)
    await store.create(dismissed)
    await stored(store, dismissed, LARGE)
    await store.settle(dismissed.dismissed(2000.0))
    for name in ("A" * 22, "B" * 22 + ".part", done.id + ".part", "not ours"):
        (folder / "bodies" / name[:2]).mkdir(exist_ok=True)
        (folder / "bodies" / name[:2] / name).write_bytes(b"left")
    async with other.sink(unfinished.id) as sink:
        await sink.write(LARGE)
        await store.expire(2001.0)
        assert body_files(folder) == sorted([done.id, unfinished.id + ".part", "not ours"])
    assert await body_of(other, unfinished.completed(HEAD, sink.ref, 2002.0)) == LARGE


async def test_what_a_first_try_left_is_not_removed_under_the_hands_of_a_second(folder: Path, store: Store) -> None:
    waiting = queued()
    await store.create(waiting)
    part = folder / "bodies" / waiting.id[:2] / (waiting.id + ".part")
    part.parent.mkdir()
    part.write_bytes(b"left")
    await store.expire(2000.0)  # somebody may start it at this very moment, and write there
    assert body_files(folder) == [part.name]


async def test_a_body_still_being_written_for_nobody_is_left_to_its_writer(folder: Path, store: Store) -> None:
    operation = running()
    async with store.sink(operation.id) as sink:
        await sink.write(LARGE)
        await store.expire(2000.0)
        assert body_files(folder) == [operation.id + ".part"]


async def test_strays_are_found_in_turn_if_there_are_many(
    folder: Path, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("proxy.store.bodies.FILES_AT_ONCE", 2)
    for name in "ABCDE":
        (folder / "bodies" / (name * 2)).mkdir()
        (folder / "bodies" / (name * 2) / (name * 22)).write_bytes(b"left")
    left = []
    for _ in range(4):
        await store.expire(2000.0)
        left.append(len(body_files(folder)))
    assert left[0] == 3
    assert left[-1] == 0


# Kept requests


def request_files(folder: Path) -> list[str]:
    return sorted(file.name for file in (folder / "requests").glob("*/*"))


async def test_small_contents_are_in_the_row_and_large_ones_in_files_until_the_end(folder: Path) -> None:
    async with open_store("sqlite", folder, AMPLE, KEEPER) as store:
        small, settled, removed = [queued() for _ in range(3)]
        await store.create(small, await kept(store, small, LARGE[:65_536]))
        for operation in (settled, removed):
            await store.create(operation, await kept(store, operation, LARGE[:65_537]))
        assert request_files(folder) == sorted([settled.id, removed.id])
        await store.settle(settled.dismissed(2000.0))
        await store.remove(removed.id)
    assert request_files(folder) == []  # closing waits for it


async def test_another_process_reads_and_ends_what_is_kept(folder: Path, store: Store) -> None:
    async with open_store("sqlite", folder, AMPLE, "keeper-two") as other:
        operation = queued()
        await store.create(operation, await kept(store, operation, LARGE))
        assert await content_of(other, operation.id) == LARGE
        await other.settle(operation.dismissed(2000.0))
        assert await store.request(operation.id) is None
    assert request_files(folder) == []


@pytest.mark.parametrize("in_the_way", ["a quota", "the same id", "a closed store"])
async def test_the_content_of_a_refused_operation_is_dropped(folder: Path, in_the_way: str) -> None:
    operation = queued()
    async with open_store("sqlite", folder, AMPLE, KEEPER) as store:
        request = await kept(store, operation, LARGE)
        if in_the_way == "a quota":
            with pytest.raises(Busy):
                await store.create(operation, request, Quotas(0, None))
        elif in_the_way == "the same id":
            await store.create(operation)
            with pytest.raises(StoreUnavailable):
                await store.create(operation, request)
            assert await store.request(operation.id) is None
    if in_the_way == "a closed store":
        with pytest.raises(StoreUnavailable):
            await store.create(operation, request)
    assert request_files(folder) == []


async def test_an_operation_whose_request_cannot_be_kept_is_not_there(store: SqliteStore) -> None:
    operation, neighbour = queued(), queued()
    await store._writes.run(partial(_keep_nothing, operation.id))
    outcomes = await asyncio.gather(
        store.create(operation, REQUEST), store.create(neighbour, REQUEST), return_exceptions=True
    )
    assert [type(outcome) for outcome in outcomes] == [StoreUnavailable, type(None)]
    assert await store.get(operation.id) is None
    assert await store.request(neighbour.id) == REQUEST
    assert await store.usage() == Usage(1, 0, 0, 0)


def _keep_nothing(id_: str, connection: sqlite3.Connection) -> None:
    connection.execute(
        "CREATE TEMP TRIGGER refuse BEFORE INSERT ON main.requests"
        f" WHEN NEW.id = '{id_}' BEGIN SELECT raise(ABORT, 'no'); END"
    )


async def test_a_damaged_request_is_unavailable(store: Store) -> None:
    operation = queued()
    await store.create(operation, REQUEST)
    with contextlib.closing(sqlite3.connect(await _file(store))) as connection, connection:
        connection.execute("UPDATE requests SET record = '{}'")
    with pytest.raises(StoreUnavailable, match="damaged"):
        await store.request(operation.id)


async def test_a_torn_content_never_ends_cleanly(folder: Path, store: Store) -> None:
    operation = queued()
    await store.create(operation, await kept(store, operation, LARGE))
    (folder / "requests" / operation.id[:2] / operation.id).write_bytes(LARGE[:-1])
    with pytest.raises(StoreUnavailable, match="damaged"):
        await content_of(store, operation.id)


async def test_credentials_and_content_are_overwritten_when_their_operation_is_settled(folder: Path) -> None:
    credential, content = b"Bearer n0b0dy-may-find-this", b"n0r-th1s." * 7000
    request = dataclasses.replace(REQUEST, head=RequestHead("POST", b"/", Fields([(b"Authorization", credential)])))
    async with open_store("sqlite", folder, AMPLE, KEEPER) as store:
        operation = queued()
        content_ref = (await kept(store, operation, content)).content
        await store.create(operation, dataclasses.replace(request, content=content_ref))
        assert _is_on_disk(folder, credential)
        assert _is_on_disk(folder, content[:50])
        await store.settle(operation.dismissed(2000.0))
    assert not _is_on_disk(folder, credential)
    assert not _is_on_disk(folder, content[:50])


def _is_on_disk(folder: Path, secret: bytes) -> bool:
    return any(secret in file.read_bytes() for file in folder.rglob("*") if file.is_file())


async def test_content_without_an_operation_is_dropped_when_it_is_old(folder: Path, store: Store) -> None:
    waiting, forgotten, fresh = [queued() for _ in range(3)]
    await store.create(waiting, await kept(store, waiting, LARGE))
    for operation in (forgotten, fresh):
        await kept(store, operation, LARGE)
    part = folder / "requests" / forgotten.id[:2] / (waiting.id + ".part")
    part.write_bytes(b"left")
    for id_, time in ((waiting.id, 1000.0), (forgotten.id, 1000.0), (fresh.id, 1500.0)):
        os.utime(folder / "requests" / id_[:2] / id_, (time, time))
    os.utime(part, (1000.0, 1000.0))
    await store.expire(1899.0)
    assert len(request_files(folder)) == 4
    await store.expire(1900.0)
    assert request_files(folder) == sorted([waiting.id, fresh.id])
    assert await content_of(store, waiting.id) == LARGE


async def test_content_that_is_being_written_is_left_to_its_writer(folder: Path, store: Store) -> None:
    operation = queued()
    async with store.request_sink(operation.id) as sink:
        await sink.write(LARGE)
        await store.expire(1e12)
        assert request_files(folder) == [operation.id + ".part"]


async def test_a_file_that_vanishes_while_strays_are_looked_for_is_none(
    folder: Path, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    (folder / "requests" / "AA").mkdir()
    (folder / "requests" / "AA" / ("A" * 22)).symlink_to(folder / "nowhere")
    await store.expire(1e12)
    assert request_files(folder) == ["A" * 22]


# Figures of all processes together


async def test_quotas_hold_over_all_processes(store: Store, other: Store) -> None:
    quotas = Quotas(max_queued=10, max_of_client=None)
    creates = [each.create(queued(), None, quotas) for _ in range(15) for each in (store, other)]
    outcomes = await asyncio.gather(*creates, return_exceptions=True)
    assert sorted(type(outcome).__name__ for outcome in outcomes) == ["Busy"] * 20 + ["NoneType"] * 10


async def test_bodies_that_other_processes_write_take_room(folder: Path, other: Store) -> None:
    theirs = running("keeper-two")
    await other.create(theirs)
    await stored(other, theirs, bytes(2 * MIB))
    async with open_store("sqlite", folder, 2 * MIB, "keeper-three") as third:
        mine = running("keeper-three")
        await third.create(mine)
        with pytest.raises(StoreUnavailable, match="full"):
            await stored(third, mine, bytes(2 * MIB))
        assert (await third.usage()).bytes == (await other.usage()).bytes
        await third.take_over(theirs, theirs.returned("keeper-three"))
        assert (await stored(third, mine, bytes(2 * MIB))).size == 2 * MIB


async def test_what_one_process_takes_over_does_not_end_a_wait_in_another(store: Store, other: Store) -> None:
    orphan = queued("long-gone")
    await store.create(orphan)
    async with asyncio.timeout(5), asyncio.TaskGroup() as group:
        waiter = group.create_task(store.settled(orphan.id))
        returned = orphan.returned("keeper-two")
        assert await other.take_over(orphan, returned)
        assert await other.start(returned.started(overdue=77.5))
        assert await store.settled(orphan.id, timeout=0.3) == returned.started(overdue=77.5)
        assert not waiter.done()
        await other.settle(returned.dismissed(2000.0))
    assert waiter.result() == returned.dismissed(2000.0)


# Trouble


async def test_a_full_disk_makes_it_unavailable_until_there_is_room_again(folder: Path, store: Store) -> None:
    before = running()
    await store.create(before)
    with full_disk(1000):
        with pytest.raises(StoreUnavailable) as caught:
            await store.create(running())
        outcomes = await asyncio.gather(*[store.create(running()) for _ in range(10)], return_exceptions=True)
        assert {type(outcome) for outcome in outcomes} == {StoreUnavailable}
        with pytest.raises(StoreUnavailable):
            await store.settle(before.dismissed(2000.0))
        assert await store.get(before.id) == before
    assert isinstance(caught.value.__cause__, sqlite3.Error)
    assert str(folder) not in caught.value.detail
    assert await store.settle(before.dismissed(2000.0))
    assert await store.usage() == Usage(0, 0, 1, 0, dismissed=1)


async def test_a_body_that_does_not_fit_leaves_nothing(folder: Path, store: Store) -> None:
    operation = running()
    await store.create(operation)
    with full_disk(300_000), pytest.raises(StoreUnavailable):
        await stored(store, operation, LARGE)
    assert body_files(folder) == []
    assert (await stored(store, operation, LARGE)).size == len(LARGE)


async def test_a_body_with_a_gap_cannot_become_whole(folder: Path, store: Store) -> None:
    with pytest.raises(StoreUnavailable):
        await _gap(store)
    assert body_files(folder) == []


async def _gap(store: Store) -> None:
    """Overlook that a piece could not be written."""
    async with store.sink(running().id) as sink:
        await sink.write(LARGE[:262_144])
        with full_disk(300_000), contextlib.suppress(StoreUnavailable):
            await sink.write(LARGE[262_144:])
        await sink.write(b"the rest")


async def test_looking_for_what_others_change_survives_trouble(
    store: Store, other: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    look: Callable[[int, sqlite3.Connection], tuple[int, set[str] | None]] = queries.unsettled_ids
    failed = threading.Event()

    def fail_once(seen: int, connection: sqlite3.Connection) -> tuple[int, set[str] | None]:
        if failed.is_set():
            return look(seen, connection)
        failed.set()
        raise sqlite3.OperationalError("disk I/O error")

    monkeypatch.setattr(queries, "unsettled_ids", fail_once)
    operation = running()
    await store.create(operation)
    async with asyncio.timeout(5), asyncio.TaskGroup() as group:
        waiter = group.create_task(store.settled(operation.id))
        await asyncio.to_thread(failed.wait)
        await other.settle(operation.dismissed(2000.0))
    assert waiter.result() == operation.dismissed(2000.0)


async def test_a_lane_that_cannot_connect_is_unavailable(tmp_path: Path) -> None:
    with pytest.raises(StoreUnavailable):
        async with Lane("test", partial(sqlite3.connect, tmp_path / "none" / "x.db"), "BEGIN"):
            pytest.fail("there was nothing to connect to")


# What is known without the database


@pytest.fixture
def reads(store: SqliteStore, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The ids that are looked for in the database."""
    asked: list[str] = []
    find = store._find

    async def noted(id_: str) -> Operation | None:
        asked.append(id_)
        return await find(id_)

    monkeypatch.setattr(store, "_find", noted)
    return asked


async def test_an_operation_of_ones_own_is_known_without_the_database(store: SqliteStore, reads: list[str]) -> None:
    one = running()
    await store.create(one)
    assert await store.get(one.id) == one
    done = one.dismissed(1.0)
    await store.settle(done)
    assert await store.get(one.id) == done
    assert reads == []


async def test_what_another_process_settled_is_known_as_soon_as_that_says_so(store: SqliteStore, other: Store) -> None:
    one = running()
    await store.create(one)
    done = one.dismissed(1.0)
    assert await other.settle(done)
    assert await store.get(one.id) == done


async def test_what_another_process_removed_is_gone_as_soon_as_that_says_so(store: SqliteStore, other: Store) -> None:
    one = running()
    await store.create(one)
    await store.settle(one.dismissed(1.0))
    assert await other.remove(one.id)
    assert await store.get(one.id) is None


async def test_what_another_process_took_over_is_known_as_soon_as_that_says_so(
    store: SqliteStore, other: Store
) -> None:
    one = running()
    await store.create(one)
    theirs = one.returned("keeper-two")
    assert await other.take_over(one, theirs)
    assert await store.get(one.id) == theirs


async def test_what_is_read_again_is_known_again(store: SqliteStore, reads: list[str]) -> None:
    one = running()
    await store.create(one)
    store._known.forget(one.id)
    assert await store.get(one.id) == one
    assert await store.get(one.id) == one
    assert reads == [one.id]


async def test_a_settling_that_came_too_late_is_not_taken_for_one(store: SqliteStore, other: Store) -> None:
    one = running()
    await store.create(one)
    done = one.dismissed(1.0)
    assert await other.settle(done)
    assert not await store.settle(one.dismissed(2.0))
    assert await store.get(one.id) == done
