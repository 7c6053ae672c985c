"""`make soak`: rounds of every kind for as long as asked, and one table of what became of all that was promised.

    python -m tests.faults.soak --minutes 30
    python -m tests.faults.soak --rounds 200 --only deaths

Kinds take turns, each with a service, a store and an origin of its own in a temporary folder, on the loopback
interface. The exit code is 1 if anything that has to be zero is not.
"""

import sys
import tempfile
import time
import traceback
from collections.abc import Awaitable, Callable
from itertools import cycle
from pathlib import Path
from random import Random
from typing import Final

import click
import uvloop

from tests.conftest import Settings
from tests.faults.changes import reload_round, replacement_round
from tests.faults.desk import Desk
from tests.faults.disk import filled, may_mount, small_disk
from tests.faults.ledger import Counts
from tests.faults.queueing import queue_round
from tests.faults.rounds import Bench, bench, failpoint_round, kill_round, worker_round
from tests.faults.trouble import assert_lives_through

AT_A_TIME: Final = 10  # rounds on one bench, whose promises add up

Kind = Callable[[Path, Random, Settings], Awaitable[Counts]]


async def deaths(folder: Path, random: Random, top: Settings) -> Counts:
    """The service killed, a worker killed, a failpoint, in any order."""
    async with bench(folder, random.getrandbits(32), top=top) as made:
        for _ in range(AT_A_TIME):
            rounds = [kill_round, failpoint_round, *([worker_round] if made.service.workers else [])]
            await random.choice(rounds)(made)
        await made.close()
        return made.ledger.counts


async def reloads(folder: Path, random: Random, top: Settings) -> Counts:
    """SIGHUP under traffic."""
    return await _changed(folder, random, top, reload_round)


async def replacements(folder: Path, random: Random, top: Settings) -> Counts:
    """One service replaced by the next, under traffic."""
    return await _changed(folder, random, top, replacement_round)


async def queues(folder: Path, random: Random, top: Settings) -> Counts:
    """A thousand orders in a queue, and the service killed in the middle."""
    return await queue_round(folder, random.getrandbits(32), top=top)


async def disks(folder: Path, random: Random, top: Settings) -> Counts:
    """A disk that is full, and then has room again."""
    with small_disk(folder / "disk") as disk:
        async with bench(folder, random.getrandbits(32), top=top, store=disk / "store") as made:
            await assert_lives_through(Desk(made.service, made.origin), filled(disk))
            made.ledger.counts.rounds += 1
            await made.close()
            return made.ledger.counts


async def _changed(folder: Path, random: Random, top: Settings, change: Callable[[Bench], Awaitable[None]]) -> Counts:
    async with bench(folder, random.getrandbits(32), top=top) as made:
        for _ in range(AT_A_TIME // 2):
            await change(made)
        await made.close()
        return made.ledger.counts


KINDS: Final[dict[str, Kind]] = {kind.__name__: kind for kind in (deaths, reloads, replacements, queues, disks)}


async def soak(kinds: list[str], seconds: float, most: int, random: Random, top: Settings) -> Counts:
    """Let the kinds take turns until the time is over, or there were as many rounds as asked for."""
    total, begun = Counts(), time.monotonic()
    for name in cycle(kinds):
        if time.monotonic() - begun > seconds or (most and total.rounds >= most):
            return total
        counts = await _counted(KINDS[name], random, top)
        total.add(counts)
        click.echo(
            f"{time.monotonic() - begun:7.0f} s  {name:14}{total.rounds:5} rounds {total.accepted:8} accepted"
            f"  {total.faults() or 'all is well'}"
        )
    return total


async def _counted(kind: Kind, random: Random, top: Settings) -> Counts:
    """What one turn counted; one that fails a check counts as that, and says why."""
    with tempfile.TemporaryDirectory(prefix="soak-") as folder:
        try:
            return await kind(Path(folder), random, top)
        except (AssertionError, TimeoutError, ExceptionGroup):
            traceback.print_exc()
            return Counts(checks_failed=1)


@click.command()
@click.option("--minutes", type=float, default=30, show_default=True, help="How long; the round that runs is finished.")
@click.option("--rounds", type=int, default=0, help="How many rounds at the most; 0: as many as there is time for.")
@click.option("--only", type=click.Choice(list(KINDS)), multiple=True, help="Only these kinds.")
@click.option("--workers", type=int, default=None, help="How many processes serve; the product's default if not given.")
@click.option("--seed", type=int, default=None, help="What chance follows from; a new one if it is not given.")
def main(minutes: float, rounds: int, only: tuple[str, ...], workers: int | None, seed: int | None) -> None:
    """Have the service die in every way there is, again and again, and count what it costs."""
    seed = time.time_ns() % 1_000_000 if seed is None else seed
    kinds = list(only) or list(KINDS)
    if "disks" in kinds and not may_mount():
        click.echo("Without full disks: only root may mount a small one.")
        kinds.remove("disks")
    click.echo(f"kinds: {', '.join(kinds)}; seed {seed}")
    top: Settings = {} if workers is None else {"workers": workers}
    total = uvloop.run(soak(kinds, minutes * 60, rounds, Random(seed), top))  # noqa: S311
    click.echo("\n".join(total.table()))
    sys.exit(1 if total.faults() else 0)


if __name__ == "__main__":
    main()
