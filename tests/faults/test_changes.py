"""Reload and rolling replacement under traffic: no connection refused or reset, no request failed, nothing interrupted."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.faults.changes import reload_round, replacement_round
from tests.faults.rounds import ROUNDS, Bench, bench


@pytest.fixture
async def ready(tmp_path: Path) -> AsyncIterator[Bench]:
    async with bench(tmp_path, seed=17, top={"workers": 2}) as made:
        yield made


async def test_nobody_notices_a_reload(ready: Bench) -> None:
    for _ in range(ROUNDS):
        await reload_round(ready)
    await ready.close()
    assert ready.ledger.counts.answered > 100
    assert ready.ledger.counts.faults() == {}


async def test_nobody_notices_that_one_service_is_replaced_by_the_next(ready: Bench) -> None:
    """Row: a new process started while the old drains: no refused connection."""
    for _ in range(ROUNDS):
        await replacement_round(ready)
    await ready.close()
    assert ready.ledger.counts.answered > 100
    assert ready.ledger.counts.faults() == {}
