"""Reload and rolling replacement under traffic: no connection refused or reset, no request failed, nothing interrupted."""

import os
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path
from signal import SIGCONT

import pytest

from tests.faults.changes import reload_round, replacement_round
from tests.faults.conftest import Open
from tests.faults.patience import until
from tests.faults.points import HAND_OVER
from tests.faults.rounds import ROUNDS, Bench, bench
from tests.faults.work import Work


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


@pytest.mark.parametrize("point", HAND_OVER)
async def test_a_successor_that_is_held_up_keeps_the_door_open_even_if_the_old_one_has_gone(
    open_desk: Open, point: str
) -> None:
    """Who connects meanwhile waits in the queue of the sockets that were handed over."""
    old = (await open_desk(top={"workers": 1})).service
    async with AsyncExitStack() as stack:
        new = old.successor()
        new.points.arm(point, "stop")
        await new.launch()
        stack.push_async_exit(new)
        await until(lambda: new.points.has_fired(point), f"passage of {point}")
        await old.until_logged("handing over")
        await old.terminate()
        clients = [await stack.enter_async_context(new.client()) for _ in range(20)]
        for pid in new.pids:
            os.kill(pid, SIGCONT)
        await new.until_serving()
        for number, client in enumerate(clients, 1):
            work = Work(number)
            response = await client.exchange("GET", work.target)
            assert (response.status, response.size, response.sha256) == (200, *work.answer)
