"""`make soak-scale`: how it is for others while 10,000 operations run and 1,000 clients poll.

    python -m tests.faults.scale --operations 10000 --polls 1000

The origin is a process of its own, for it needs a connection for each operation. Prints what was measured, and exits
with 1 if a new synchronous request or a running operation cost more than was promised.
"""

import asyncio
import resource
import sys
import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from itertools import count
from pathlib import Path
from statistics import median, quantiles
from time import perf_counter
from typing import Final

import click
import uvloop

from tests.faults import procfs
from tests.faults.audit import unsettled_rows
from tests.faults.counting_origin import CountingOrigin
from tests.faults.ledger import Promise, Seen
from tests.faults.load import LATER
from tests.faults.service import ROOT, Service, service_settings
from tests.faults.status_url import look
from tests.faults.work import KIB, MIB, Work
from tests.process.child import path_of
from tests.raw_client import RawClient, request

HOUR: Final = 3600.0  # seconds: longer than this takes
CALLERS: Final = 16  # clients that place the orders
PROBES: Final = 1000
PAUSE: Final = 0.01  # seconds between two probes
READERS: Final = 50
LARGE: Final = 8 * MIB
LONGEST_P99: Final = 0.050  # seconds, of a new synchronous request
MOST_MEMORY: Final = 20 * KIB  # for each running operation


class Scale:
    """One measurement: a service, and an origin in another process."""

    def __init__(self, service: Service, store: Path, probes: int = PROBES) -> None:
        self.service = service
        self._store = store
        self._probes = probes
        self._numbers = count(1)
        self.figures: dict[str, float] = {}

    async def measure(self, operations: int, polls: int) -> None:
        promises = await self.crowd(operations)
        await self._polled(promises, polls)
        self.figures["of these still running"] = unsettled_rows(self._store)
        assert self.figures["of these still running"] == operations
        await self._polled([promises[0]], polls)
        await self._read_slowly()
        self.figures["peak memory, MiB"] = procfs.highest(self.service.pids) / MIB

    async def crowd(self, operations: int) -> list[Promise]:
        """What so many operations take of memory, and of others' time, from then on."""
        await self._probe(self._probes // 4)  # what is only there from the first requests on
        await self._probed("p99 alone, ms")
        before = self._memory()
        promises = await self._place(operations)
        self.figures["memory per running operation, KiB"] = (self._memory() - before) / operations / KIB
        await self._probed("p99 with these, ms")
        return promises

    async def _place(self, operations: int) -> list[Promise]:
        """So many operations that run, and go on doing so."""
        works = iter([Work(next(self._numbers), "GET", 1, HOUR) for _ in range(operations)])
        portions = await asyncio.gather(*(self._order(works) for _ in range(CALLERS)))
        return [promise for portion in portions for promise in portion]

    async def _order(self, works: Iterator[Work]) -> list[Promise]:
        async with self.service.client(60) as client:
            return [Promise(work, path_of(await client.exchange("GET", work.target, [LATER]))) for work in works]

    async def _polled(self, promises: list[Promise], polls: int) -> None:
        """The probes again while so many long polls wait; then the end of one operation, of which all its pollers hear."""
        async with asyncio.TaskGroup() as tasks:
            chosen = [promises[number % len(promises)] for number in range(polls)]
            polling = [tasks.create_task(look(self.service.port, promise, wait=50)) for promise in chosen]
            await asyncio.sleep(1)  # until they all wait
            several = "many URLs" if len(promises) > 1 else "one URL"
            await self._probed(f"p99 with polls of {several}, ms")
            if len(promises) > 1:
                for task in polling:
                    task.cancel()
                return
            begun = perf_counter()
            await self.service.ask("DELETE", promises[0].path)
            await asyncio.wait(polling)
            self.figures["until all pollers of one URL know, ms"] = _milliseconds(begun)
            assert {task.result() for task in polling} == {Seen.GONE}

    async def _read_slowly(self) -> None:
        """Clients that ask for a large result and then read nothing more of it."""
        work = Work(next(self._numbers), "GET", LARGE)
        promise = Promise(work, path_of(await self.service.ask("GET", work.target, LATER)))
        assert await look(self.service.port, promise, wait=30) is Seen.COMPLETED
        before = self._memory()
        async with AsyncExitStack() as stack:
            for _ in range(READERS):
                client = await stack.enter_async_context(RawClient(port=self.service.port))
                await client.send(request("GET", promise.path))
                await client.begin()
            self.figures["memory per slow reader of 8 MiB, KiB"] = (self._memory() - before) / READERS / KIB
            await self._probed("p99 with slow readers, ms")

    async def _probed(self, name: str) -> None:
        taken = await self._probe(self._probes)
        self.figures[name.replace("p99", "median")] = median(taken)
        self.figures[name] = quantiles(taken, n=100)[98]

    async def _probe(self, times: int) -> list[float]:
        """How long new synchronous requests take, one after the other, in milliseconds."""
        taken = []
        async with self.service.client(30) as client:
            for _ in range(times):
                work, begun = Work(next(self._numbers)), perf_counter()
                response = await client.exchange("GET", work.target)
                taken.append(_milliseconds(begun))
                assert (response.status, response.size, response.sha256) == (200, *work.answer)
                await asyncio.sleep(PAUSE)
        return taken

    def _memory(self) -> int:
        """Of all processes of the service, in bytes."""
        return sum(map(procfs.proportional, self.service.pids))

    def faults(self) -> list[str]:
        late = [name for name, value in self.figures.items() if name.startswith("p99") and value > LONGEST_P99 * 1000]
        heavy = self.figures["memory per running operation, KiB"] > MOST_MEMORY / KIB
        return [*late, *(["memory per running operation"] if heavy else [])]


def _milliseconds(begun: float) -> float:
    return (perf_counter() - begun) * 1000


@asynccontextmanager
async def _origin_process() -> AsyncIterator[str]:
    """The URL of a counting origin that runs in a process of its own."""
    command = [sys.executable, "-m", "tests.faults.scale", "--as-origin"]
    process = await asyncio.create_subprocess_exec(*command, cwd=ROOT, stdout=asyncio.subprocess.PIPE)
    assert process.stdout is not None
    try:
        yield (await process.stdout.readline()).decode().strip()
    finally:
        process.kill()
        await process.wait()


async def _be_the_origin() -> None:
    async with CountingOrigin() as origin:
        click.echo(origin.url)
        await asyncio.Event().wait()


@asynccontextmanager
async def opened(operations: int, probes: int = PROBES) -> AsyncIterator[Scale]:
    """A measurement that has room for so many operations; nothing is measured yet."""
    with tempfile.TemporaryDirectory(prefix="scale-") as folder:
        store = Path(folder) / "store"
        async with _origin_process() as url:
            settings = service_settings(url, store, origin={"max_connections": 2 * operations}, timeout="2h")
            async with Service(settings, Path(folder)) as service:
                yield Scale(service, store, probes)


def take_all_descriptors() -> None:
    """Raise the limit to what this user may have, for this process and those that it starts."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


async def _measured(operations: int, polls: int) -> Scale:
    async with opened(operations) as scale:
        await scale.measure(operations, polls)
        return scale


@click.command()
@click.option("--operations", type=int, default=10_000, show_default=True)
@click.option("--polls", type=int, default=1000, show_default=True)
@click.option("--as-origin", is_flag=True, hidden=True)
def main(operations: int, polls: int, as_origin: bool) -> None:  # noqa: FBT001  # click's way
    """Measure what a new synchronous request takes while so many operations run, and what those take of memory."""
    take_all_descriptors()
    if as_origin:
        uvloop.run(_be_the_origin())
        return
    scale = uvloop.run(_measured(operations, polls))
    for name, value in scale.figures.items():
        click.echo(f"{name:48}{value:10.1f}")
    for fault in scale.faults():
        click.echo(f"too much: {fault}")
    sys.exit(1 if scale.faults() else 0)


if __name__ == "__main__":
    main()
