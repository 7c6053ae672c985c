"""Rounds of one kind of death each: load, the fault, the restart, the audit. Tests run a few, a soak many.

What the rounds of one bench promise adds up: later audits look at a share of the old promises too, and `close` at all.
"""

import os
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass, field
from functools import partial
from itertools import count
from pathlib import Path
from random import Random
from typing import Any, Final

from tests.faults.audit import Audit
from tests.faults.counting_origin import CountingOrigin
from tests.faults.ledger import Ledger, Promise
from tests.faults.load import Load
from tests.faults.patience import until
from tests.faults.points import UNDER_LOAD
from tests.faults.service import Service, service_settings

ROUNDS: Final = int(os.environ.get("FAULT_ROUNDS", "3"))  # in tests: how often what is random is done
FEWEST: Final = 20  # operations accepted in a round before the kill; up to four times as many
OLD_ONES: Final = 100  # promises of former rounds that an audit looks at
LATEST: Final = 2  # passages of a failpoint before it fires, at the most


@dataclass
class Bench:
    """What rounds are run on: an origin, the service before it, the accounts, and chance."""

    origin: CountingOrigin
    service: Service
    store: Path
    random: Random = field(default_factory=Random)
    ledger: Ledger = field(default_factory=Ledger)
    numbers: Iterator[int] = field(default_factory=partial(count, 1))
    stack: AsyncExitStack = field(default_factory=AsyncExitStack)  # ends what is still to be started
    first: int = 0  # promises before this one are of former rounds

    def begin_round(self) -> None:
        self.first = len(self.ledger.promises)

    @property
    def of_this_round(self) -> list[Promise]:
        return self.ledger.promises[self.first :]

    def load(self, most: int = 120) -> Load:
        """Not yet running."""
        self.begin_round()
        return Load(self.service.port, self.ledger, self.numbers, self.random, most)

    def audit(self) -> Audit:
        """Begins now."""
        return Audit(self.service, self.origin, self.ledger)

    def to_audit(self) -> list[Promise]:
        """The promises of this round, and some old ones."""
        old = self.ledger.promises[: self.first]
        return self.of_this_round + self.random.sample(old, min(OLD_ONES, len(old)))

    async def audited(self) -> None:
        """The service has just been started, or has lost a worker: see what has become of its promises."""
        audit = self.audit()
        await audit.check(self.to_audit())
        await audit.check_unheard(self.store)
        self.ledger.counts.rounds += 1

    async def close(self) -> None:
        """The last look at all there is, and the figures that are known only now."""
        await self.audit().check(self.ledger.promises)
        self.ledger.close()
        counts = self.ledger.counts
        self.service.note_memory()
        counts.peak_memory, counts.tracebacks = self.service.peak, len(self.service.tracebacks)
        counts.descriptors_after = await self.descriptors_when_quiet()

    async def descriptors_when_quiet(self) -> int:
        """Open in the service, once there are no more than before, or after a while."""
        before = self.ledger.counts.descriptors_before
        with suppress(TimeoutError):
            await until(lambda: self.service.descriptors <= before, "quiet")
        return self.service.descriptors


@asynccontextmanager
async def bench(folder: Path, seed: int, store: Path | None = None, **terms: Any) -> AsyncIterator[Bench]:  # noqa: ANN401
    """A bench with its store in this folder, or where it is said; `terms` are those of `service_settings`. Chance follows from the seed."""
    store = store or folder / "store"
    async with CountingOrigin() as origin:
        settings = service_settings(origin.url, store, **terms)
        async with Service(settings, folder) as service:
            made = Bench(origin, service, store, Random(seed))  # noqa: S311
            made.ledger.counts.descriptors_before = service.descriptors
            async with made.stack:
                yield made


async def kill_round(bench: Bench) -> None:
    """SIGKILL to the service, somewhere in a storm."""
    load = bench.load()
    async with load.running():
        await load.accepted(bench.random.randint(FEWEST, 4 * FEWEST))
        await bench.service.kill()
    await bench.service.start()
    await bench.audited()


async def worker_round(bench: Bench) -> None:
    """SIGKILL to one worker, somewhere in a storm that goes on."""
    load = bench.load()
    async with load.running():
        await load.accepted(bench.random.randint(FEWEST, 4 * FEWEST))
        await bench.service.kill_worker(bench.random)
    await bench.audited()


async def failpoint_round(bench: Bench, point: str | None = None) -> None:
    """The process that passes there for the n-th time dies."""
    point = point or bench.random.choice(UNDER_LOAD)
    load = bench.load(most=400)
    async with load.running():
        await load.accepted(5)
        bench.service.doom(point, bench.random.randint(1, LATEST))
        await bench.service.struck(point)
    await bench.audited()
