"""A process that is killed: what it had been promised is kept, and its running operations are known to be orphans."""

import asyncio
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from proxy.operation import State
from proxy.store import Store, open_store
from tests.store.samples import AMPLE, body_of, running

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
