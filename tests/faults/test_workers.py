"""Fault table, row: kill -9, of one worker among several. The others go on, and what it left is taken over at once."""

from collections.abc import AsyncIterator
from pathlib import Path
from random import Random

import pytest

from tests.faults.patience import until
from tests.faults.procfs import is_there
from tests.faults.rounds import ROUNDS, Bench, bench, failpoint_round, worker_round


@pytest.fixture
async def ready(tmp_path: Path) -> AsyncIterator[Bench]:
    async with bench(tmp_path, seed=13, top={"workers": 2}) as made:
        yield made


async def test_workers_that_are_killed_in_a_storm_cost_nothing_but_what_they_ran(ready: Bench) -> None:
    for _ in range(ROUNDS):
        await worker_round(ready)
    await ready.close()
    assert ready.ledger.counts.refused == 0, "somebody always listens"
    assert ready.ledger.counts.faults() == {}


@pytest.mark.parametrize("point", ["after-accept-commit", "body-whole", "settled"])
async def test_a_worker_that_dies_at_a_named_point(ready: Bench, point: str) -> None:
    await failpoint_round(ready, point)
    assert not ready.service.has_ended
    assert ready.ledger.counts.faults() == {}


async def test_the_workers_end_with_their_supervisor(ready: Bench) -> None:
    """Row: kill -9 of the supervisor: nobody is left who would answer, or hold what the next service needs."""
    workers = ready.service.workers
    assert len(workers) == 2
    await ready.service.kill()
    await until(lambda: not any(map(is_there, workers)), "end of the workers")
    await ready.service.start()


async def test_a_killed_worker_is_replaced(ready: Bench) -> None:
    before = set(ready.service.workers)
    await ready.service.kill_worker(Random(1))  # noqa: S311
    assert len(before & set(ready.service.workers)) == 1
    assert (await ready.service.ask("GET", b"/job/1/100/0/length")).status == 200
