"""Fault table, row: SIGTERM; a second one; a new process started while the old one drains. P1, P2, P4."""

from collections.abc import AsyncIterator
from contextlib import ExitStack
from pathlib import Path
from signal import SIGTERM

import pytest

from tests.faults.desk import Desk
from tests.faults.ledger import Seen
from tests.faults.rounds import Bench, bench
from tests.faults.service import Service, service_settings
from tests.faults.status_url import look, outcome
from tests.faults.work import MIB


@pytest.fixture
async def ready(tmp_path: Path) -> AsyncIterator[Bench]:
    async with bench(tmp_path, seed=11) as made:
        yield made


async def test_sigterm_in_a_storm_costs_no_operation(ready: Bench) -> None:
    """Row: SIGTERM: what runs is finished, for it takes less than `drain_timeout`."""
    load = ready.load()
    async with load.running():
        await load.accepted(20)
        await ready.service.terminate()
    await ready.service.start()
    await ready.audited()
    await ready.close()
    assert ready.ledger.counts.faults() == {}
    assert ready.ledger.counts.interrupted == 0


async def test_a_second_sigterm_in_a_storm_leaves_nothing_running(ready: Bench) -> None:
    """Row: a second SIGTERM: what runs is interrupted, and said to be."""
    load = ready.load()
    async with load.running():
        await load.accepted(20)
        ready.service.signal(SIGTERM)
        await ready.service.until_logged("draining")
        ready.service.signal(SIGTERM)
        assert await ready.service.ended() == 0
    await ready.service.start()
    await ready.audited()
    await ready.close()
    assert ready.ledger.counts.faults() == {}


async def test_a_new_service_answers_for_what_the_old_one_drains(desk: Desk, tmp_path: Path) -> None:
    """Row: a new process started while the old drains; here on ports of its own."""
    folder = tmp_path / "new"
    folder.mkdir()
    with ExitStack() as gate:
        gate.enter_context(desk.origin.held())
        promise = await desk.later(size=MIB)
        desk.service.signal(SIGTERM)
        await desk.service.until_logged("draining")
        async with Service(service_settings(desk.origin.url, tmp_path / "store"), folder) as new:
            assert await look(new.port, promise) is Seen.RUNNING
            gate.close()
            assert await outcome(new.port, promise, seconds=10) is Seen.COMPLETED
            assert await desk.service.ended() == 0
            assert await look(new.port, promise) is Seen.COMPLETED
    assert desk.origin.arrivals[promise.work.number] == 1
