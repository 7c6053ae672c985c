"""A store with a million settled operations: what a GET of one takes, and what sweeping many expired ones does to others.

They are made by the store's own functions, in large transactions and without waiting for the disk, which is what makes
it a matter of a minute; and they are made to expire by a change of the column that the sweep looks at.
"""

import asyncio
import random
import secrets
import sqlite3
import time
from collections.abc import Awaitable, Callable, Iterable
from contextlib import ExitStack, closing
from dataclasses import replace
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Final
from zlib import crc32

import uvloop

from bench.client import Connection, connected
from bench.contenders import ANSWER, nginx_origin, ours, serving
from bench.rounds import Bench, Figures, Rounds, in_turn, joined, percentile
from bench.running import Server
from proxy.clock import Clock
from proxy.message import Fields, ResponseHead
from proxy.operation import BodyRef, Operation, RequestSummary
from proxy.store.changes import insert, settle
from proxy.store.database import connect, prepare
from proxy.store.listing import UNSETTLED
from proxy.store.protocol import UNLIMITED

AT_ONCE: Final = 10_000  # operations in a transaction
KEPT: Final = 86_400.0  # seconds
AMPLE: Final = 1 << 40  # bytes
PAUSE: Final = 0.001  # seconds between two probes
GETS: Final = 2_000
LOOK: Final = 0.02  # seconds between two looks at the store's totals
LONGEST_SWEEP: Final = 120.0  # seconds
HEAD: Final = ResponseHead(
    200,
    b"OK",
    Fields([(b"Server", b"nginx/1.22.1"), (b"Content-Type", b"application/json"), (b"Via", b"1.1 respond-async")]),
)

RUNNING: Final = Operation(
    id="",
    route="all",
    origin="origin",
    keeper="bench",
    request=RequestSummary("GET", "http://bench/"),
    created=0.0,
    keep=KEPT,
    longest_wait=60.0,
    retry_after=1.0,
)


class Shelf:
    """A store with many settled operations, whose ids are known."""

    def __init__(self, folder: Path, count: int) -> None:
        folder.mkdir()
        self._file = folder / "operations.db"
        self._expired = 0
        self.ids = [secrets.token_urlsafe(18) for _ in range(count)]
        self.contender = partial(ours, store={"url": f"sqlite://{folder}"})
        prepare(self._file)
        with closing(connect(self._file)) as connection:
            _fill(connection, self.ids, Clock().now())
        self.bytes = self._file.stat().st_size

    def let_expire(self, count: int) -> int:
        """Have so many expire, in the order in which they came; how many are left."""
        first, self._expired = self._expired, self._expired + count
        with closing(connect(self._file)) as connection:
            connection.execute("UPDATE operations SET due = 0 WHERE rowid > ? AND rowid <= ?", (first, self._expired))
        return len(self.ids) - self._expired

    def settled(self) -> int:
        """How many have not been swept."""
        with closing(connect(self._file)) as connection:
            (count,) = connection.execute("SELECT settled FROM totals").fetchone()
        return int(count)

    def random_id(self) -> str:
        """That of one which has not expired."""
        return self.ids[random.randrange(self._expired, len(self.ids))]  # noqa: S311  # no secret


def measure(bench: Bench) -> Rounds:
    effort = bench.effort
    few = Shelf(bench.folder / "few", effort.few)
    many = Shelf(bench.folder / "many", effort.stored)
    shelves = {f"{effort.few:,} stored": few, f"{effort.stored:,} stored": many}
    folder = bench.folder / "stored"
    with ExitStack() as stack:
        origin = stack.enter_context(serving(nginx_origin, folder / "origin", 0, bench.cores.load))
        servers = {
            name: stack.enter_context(serving(shelf.contender, folder / str(place), origin.port, bench.cores.proxy))
            for place, (name, shelf) in enumerate(shelves.items())
        }
        gets = {name: partial(_gets, servers[name], shelf) for name, shelf in shelves.items()}
        last = list(shelves)[-1]
        sweeps = {last: partial(_sweep, servers[last], many, effort.swept)}
        return joined(in_turn(effort.rounds, gets), in_turn(effort.rounds, sweeps))


def _gets(server: Server, shelf: Shelf) -> Figures:
    return uvloop.run(_get_some(server, shelf)) | {"bytes on disk for each": shelf.bytes / len(shelf.ids)}


async def _get_some(server: Server, shelf: Shelf) -> dict[str, float]:
    taken = []
    async with asyncio.timeout(60), connected(server.port, 1) as (connection,):
        for _ in range(GETS):
            begun = time.monotonic()
            taken.append((await _get(connection, shelf)) - begun)
    return {f"GET p{percent}, ms": percentile(taken, percent) * 1e3 for percent in (50, 99)}


def _sweep(server: Server, shelf: Shelf, count: int) -> Figures:
    return uvloop.run(_swept(server, shelf, count))


async def _swept(server: Server, shelf: Shelf, count: int) -> dict[str, float]:
    """How long it takes, and how long others wait for their answers meanwhile."""
    left = await asyncio.to_thread(shelf.let_expire, count)
    async with (
        asyncio.timeout(LONGEST_SWEEP),
        connected(server.port, 2) as (one, other),
        asyncio.TaskGroup() as tasks,
    ):
        watching = tasks.create_task(_until(shelf, left))
        requests = tasks.create_task(_longest(lambda: _request(one), watching))
        gets = tasks.create_task(_longest(lambda: _get(other, shelf), watching))
    return {
        f"sweep of {count:,}, s": watching.result(),
        "longest request meanwhile, ms": requests.result() * 1e3,
        "longest GET meanwhile, ms": gets.result() * 1e3,
    }


async def _until(shelf: Shelf, left: int) -> float:
    """Seconds from when the store's total begins to fall until it is as low as that."""
    before = await asyncio.to_thread(shelf.settled)
    begun = time.monotonic()
    while (now := await asyncio.to_thread(shelf.settled)) > left:
        if now == before:
            begun = time.monotonic()
        await asyncio.sleep(LOOK)
    return time.monotonic() - begun


async def _longest(ask: Callable[[], Awaitable[float]], meanwhile: "asyncio.Task[float]") -> float:
    longest = 0.0
    while not meanwhile.done():
        begun = time.monotonic()
        longest = max(longest, await ask() - begun)
        await asyncio.sleep(PAUSE)
    return longest


async def _request(connection: Connection) -> float:
    """When a synchronous request was answered."""
    return (await connection.ask(b"/")).require(200).at


async def _get(connection: Connection, shelf: Shelf) -> float:
    """When the status URL of some operation that has not expired was answered."""
    target = f"/.async/{shelf.random_id()}".encode()
    return (await connection.ask(target)).require(200).at


def _fill(connection: sqlite3.Connection, ids: Iterable[str], now: float) -> None:
    """Add settled operations, as if each had been created, and had its response at once."""
    connection.execute("PRAGMA synchronous = OFF")
    body = BodyRef(len(ANSWER), crc32(ANSWER), ANSWER)
    rest = iter(ids)
    while portion := list(islice(rest, AT_ONCE)):
        connection.execute("BEGIN IMMEDIATE")
        for id in portion:
            operation = replace(RUNNING, id=id, created=now)
            insert(operation, None, UNLIMITED, AMPLE, connection)
            settle(operation.completed(HEAD, body, now), UNSETTLED, connection)
        connection.execute("COMMIT")
    connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
