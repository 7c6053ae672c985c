"""Fault table, first row: kill -9 while running, after the finish, between the origin's answer and the commit, in a storm.

P1 to P4: whatever was accepted is there, is settled or sent again within five seconds of the restart, is whole, and a
request that is not safe has reached the origin once.
"""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.faults.points import UNDER_LOAD
from tests.faults.rounds import ROUNDS, Bench, bench, failpoint_round, kill_round


@pytest.fixture
async def ready(tmp_path: Path) -> AsyncIterator[Bench]:
    async with bench(tmp_path, seed=7) as made:
        yield made


async def test_kills_at_random_in_a_storm(ready: Bench) -> None:
    """Row: kill -9 in a storm, of the whole service."""
    for _ in range(ROUNDS):
        await kill_round(ready)
    await ready.close()
    assert ready.ledger.counts.accepted >= 20 * ROUNDS
    assert ready.ledger.counts.completed > 0
    assert ready.ledger.counts.faults() == {}
    assert ready.ledger.counts.descriptors_after <= ready.ledger.counts.descriptors_before


@pytest.mark.parametrize("point", UNDER_LOAD)
async def test_a_kill_at_a_named_point_in_a_storm(ready: Bench, point: str) -> None:
    """Row: kill -9 while running, after the finish, between the origin's response and the commit."""
    await failpoint_round(ready, point)
    assert ready.ledger.counts.accepted >= 5
    assert ready.ledger.counts.faults() == {}
