"""A process that is killed: what it had been promised is kept, and its running operations are known to be orphans."""

import asyncio
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from proxy.operation import State
from proxy.store import Store, Usage, open_store
from tests.store.samples import AMPLE, HEAD, LARGE, NOTHING, body_of, content_of, running, stored

# Says what it did, then goes on with a body until it is killed.
_CHILD = """
import asyncio, sys
from pathlib import Path
from proxy.store import open_store
from tests.store.samples import AMPLE, completed, running

async def main():
    async with open_store("sqlite", Path(sys.argv[1]), AMPLE, "child") as store:
        done = await completed(store, b"x" * 300_000, keeper="child")
        operation = running("child")
        await store.create(operation)
        print(done.id, operation.id, flush=True)
        async with store.sink(operation.id) as sink:
            while True:
                await sink.write(b"y" * 300_000)
                print("wrote", flush=True)
                await asyncio.sleep(0.01)

asyncio.run(main())
"""


# Kills itself at the point that it is told. Each point is before or after a change that has to be durable.
_SUICIDE = """
import asyncio, os, signal, sys
from pathlib import Path
from proxy.store import open_store
from tests.store.samples import AMPLE, HEAD, LARGE, kept, queued, stored

async def main(folder, last):
    def point(name):
        if name == last:
            os.kill(os.getpid(), signal.SIGKILL)

    async with open_store("sqlite", Path(folder), AMPLE, "child") as store:
        operation = queued("child")
        print(operation.id, flush=True)
        async with store.request_sink(operation.id) as sink:
            await sink.write(LARGE)
            point("in the content")
        point("content")
        await store.create(operation, await kept(store, operation, LARGE))
        point("created")
        started = operation.started(overdue=1e9)
        assert await store.start(started)
        point("started")
        done = started.completed(HEAD, await stored(store, started, LARGE * 3), 2000.0)
        point("body")
        assert await store.settle(done)
        point("settled")

asyncio.run(main(*sys.argv[1:]))
"""


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[Store]:
    async with open_store("sqlite", tmp_path, AMPLE, "parent") as opened:
        yield opened


@asynccontextmanager
async def _child(folder: Path) -> AsyncIterator[tuple[asyncio.subprocess.Process, str, str]]:
    """A process on the same store, and the ids of the operations that it completed and that it runs."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", _CHILD, str(folder), stdout=asyncio.subprocess.PIPE
    )
    assert process.stdout is not None
    try:
        done, unfinished = (await process.stdout.readline()).decode().split()
        await process.stdout.readline()
        yield process, done, unfinished
    finally:
        if process.returncode is None:
            process.kill()
        await process.communicate()


async def _killed(process: asyncio.subprocess.Process) -> None:
    process.kill()
    assert await process.wait() == -signal.SIGKILL


async def test_what_a_killed_process_created_and_settled_is_there(tmp_path: Path, store: Store) -> None:
    async with _child(tmp_path) as (process, done, unfinished):
        await _killed(process)
    result, orphan = await store.get(done), await store.get(unfinished)
    assert result is not None
    assert orphan is not None
    assert await body_of(store, result) == b"x" * 300_000
    assert orphan.is_running


async def test_an_operation_is_an_orphan_from_the_moment_its_process_is_killed(tmp_path: Path, store: Store) -> None:
    async with _child(tmp_path) as (process, _, unfinished):
        assert await store.orphans() == []
        await _killed(process)
        assert [operation.id for operation in await store.orphans()] == [unfinished]


async def test_a_stopped_process_is_alive(tmp_path: Path, store: Store) -> None:
    async with _child(tmp_path) as (process, _, _):
        process.send_signal(signal.SIGSTOP)
        assert await store.orphans() == []


async def test_the_body_of_a_killed_process_stays_while_its_operation_runs(tmp_path: Path, store: Store) -> None:
    async with _child(tmp_path) as (process, _, unfinished):
        part = tmp_path / "bodies" / unfinished[:2] / f"{unfinished}.part"
        await store.expire(3000.0)
        assert part.exists()
        await _killed(process)
    [orphan] = await store.orphans()
    assert await store.settle(orphan.dismissed(3000.0))
    await store.expire(3000.0)
    assert not part.exists()


async def test_the_next_process_can_begin_at_once(tmp_path: Path, store: Store) -> None:
    async with _child(tmp_path) as (process, done, _):
        await _killed(process)
        async with open_store("sqlite", tmp_path, AMPLE, "next") as following:
            result = await following.get(done)
            assert result is not None
            assert result.state is State.COMPLETED
            await following.create(running("next"))


def _files(folder: Path) -> list[str]:
    return [file.name for file in folder.glob("*/*")]


async def _suicide(folder: Path, point: str) -> str:
    """The id of the operation of a process that was killed at this point."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", _SUICIDE, str(folder), point, stdout=asyncio.subprocess.PIPE
    )
    out, _ = await process.communicate()
    assert process.returncode == -signal.SIGKILL
    return out.decode().strip()


@pytest.mark.parametrize("point", ["in the content", "content"])
async def test_an_operation_that_was_not_created_leaves_a_file_and_later_nothing(
    tmp_path: Path, store: Store, point: str
) -> None:
    id_ = await _suicide(tmp_path, point)
    assert await store.get(id_) is None
    assert await store.orphans() == []
    assert [name.removesuffix(".part") for name in _files(tmp_path / "requests")] == [id_]
    await store.expire(1e12)
    assert _files(tmp_path / "requests") == []
    assert await store.usage() == NOTHING


@pytest.mark.parametrize(
    ("point", "state", "attempts"),
    [("created", State.QUEUED, 0), ("started", State.RUNNING, 1), ("body", State.RUNNING, 1)],
)
async def test_what_waited_or_ran_is_taken_over_with_its_request_and_carried_on(
    tmp_path: Path, store: Store, point: str, state: State, attempts: int
) -> None:
    id_ = await _suicide(tmp_path, point)
    [orphan] = await store.orphans()
    assert (orphan.id, orphan.state, orphan.attempts) == (id_, state, attempts)
    returned = orphan.returned("parent")
    assert await store.take_over(orphan, returned)
    assert await store.usage() == Usage(1, 0, 0, len(LARGE))
    assert await content_of(store, id_) == LARGE
    started = returned.started(overdue=77.5)
    assert await store.start(started)
    done = started.completed(HEAD, await stored(store, started, b"again"), 2000.0)
    assert await store.settle(done)
    await store.expire(2001.0)
    assert await body_of(store, done) == b"again"
    assert await store.usage() == Usage(0, 0, 1, 5)
    assert _files(tmp_path / "bodies") == []  # of the first try


async def test_what_was_settled_is_done_and_its_request_gone(tmp_path: Path, store: Store) -> None:
    id_ = await _suicide(tmp_path, "settled")
    assert await store.orphans() == []
    done = await store.get(id_)
    assert done is not None
    assert await body_of(store, done) == LARGE * 3
    assert await store.request(id_) is None
    assert await store.usage() == Usage(0, 0, 1, 3 * len(LARGE))
    await store.expire(1e12)
    assert _files(tmp_path / "requests") == []
