"""Fault table, row: a keeper is stopped (SIGSTOP), others settle its operations, and it is continued.

P3: what it then finishes never replaces what others settled meanwhile. Two services on one store stand for any two
processes that share it.
"""

import os
from collections.abc import AsyncIterator
from functools import partial
from pathlib import Path
from signal import SIGCONT

import pytest

from tests.faults.desk import Desk
from tests.faults.ledger import Promise, Seen
from tests.faults.patience import until
from tests.faults.service import Service, service_settings
from tests.faults.status_url import look
from tests.faults.work import MIB


@pytest.fixture
async def other(desk: Desk, tmp_path: Path) -> AsyncIterator[Service]:
    """Another service on the same store."""
    folder = tmp_path / "other"
    folder.mkdir()
    async with Service(service_settings(desk.origin.url, tmp_path / "store"), folder) as service:
        yield service


async def delete(service: Service, promise: Promise) -> None:
    assert (await service.ask("DELETE", promise.path)).status == 200


async def assert_gone_for_good(desk: Desk, other: Service, promise: Promise) -> None:
    """Also after the keeper is awake, which one more operation shows."""
    assert await desk.outcome(await desk.later(size=MIB)) is Seen.COMPLETED
    assert await desk.look(promise) is Seen.GONE
    assert await look(other.port, promise) is Seen.GONE


@pytest.mark.parametrize("size", [1, MIB], ids=["inline", "file"])
async def test_who_wakes_up_late_does_not_overwrite_what_others_settled(desk: Desk, other: Service, size: int) -> None:
    """Row: keeper stopped and continued; the whole answer waits for it in its socket."""
    with desk.origin.held():
        promise = await desk.later(size=size)
    with desk.service.stopped():
        await delete(other, promise)
        assert await look(other.port, promise) is Seen.GONE
    await assert_gone_for_good(desk, other, promise)


async def test_who_is_stopped_between_the_body_and_the_settling_does_not_overwrite_either(
    desk: Desk, other: Service
) -> None:
    """The same at the worst moment: the body is whole on disk, and the next thing that it does is to settle."""
    desk.service.points.arm("body-whole", "stop")
    before = desk.service.pids
    promise = await desk.later(size=MIB)
    await until(partial(desk.service.points.has_fired, "body-whole"), "whole body")
    await delete(other, promise)
    for pid in before:
        os.kill(pid, SIGCONT)
    await assert_gone_for_good(desk, other, promise)


async def test_a_stopped_keeper_is_not_taken_for_a_dead_one(desk: Desk, other: Service) -> None:
    """What it runs is its own until the timeout: it may wake up, and then finishes it."""
    with desk.origin.held():
        promise = await desk.later(size=MIB)
    with desk.service.stopped():
        assert await look(other.port, promise, wait=3) is Seen.RUNNING  # more than one round of the other's reaper
    assert await desk.outcome(promise) is Seen.COMPLETED
    assert desk.origin.arrivals[promise.work.number] == 1
