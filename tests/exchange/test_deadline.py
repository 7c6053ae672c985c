"""Deadlines whose timer is left standing: met when they are due, by whoever waits, and by nobody else."""

import asyncio

import pytest

from proxy.deadline import Late, OriginDeadline
from proxy.errors import OriginTimeout

FIRST, SECOND = Late("too late", "connection_timeout"), Late("later still", "http_response_timeout")


def waiter() -> asyncio.Future[None]:
    return asyncio.get_running_loop().create_future()


def after(seconds: float) -> float:
    return asyncio.get_running_loop().time() + seconds


async def waited(deadline: OriginDeadline, at: float, late: Late) -> None:
    wait = waiter()
    deadline.set(wait, at, late)
    await asyncio.wait_for(wait, 5)


async def test_a_wait_that_is_over_in_time_is_left_alone() -> None:
    deadline, wait = OriginDeadline(), waiter()
    deadline.set(wait, after(0.01), FIRST)
    wait.set_result(None)
    await asyncio.sleep(0.05)
    assert wait.result() is None


async def test_a_wait_that_goes_on_for_too_long_ends_with_what_was_said_of_it() -> None:
    with pytest.raises(OriginTimeout, match="too late") as late:
        await waited(OriginDeadline(), after(0.01), FIRST)
    assert late.value.error_type == "connection_timeout"


async def test_a_later_deadline_holds_back_the_timer_of_an_earlier_one() -> None:
    deadline, earlier = OriginDeadline(), waiter()
    deadline.set(earlier, after(0.02), FIRST)
    earlier.set_result(None)
    due = after(0.1)
    with pytest.raises(OriginTimeout, match="later still"):
        await waited(deadline, due, SECOND)
    assert asyncio.get_running_loop().time() >= due - 0.002


async def test_an_earlier_deadline_is_met_although_the_timer_is_for_a_later_one() -> None:
    deadline, long = OriginDeadline(), waiter()
    deadline.set(long, after(3600), FIRST)
    long.set_result(None)
    with pytest.raises(OriginTimeout, match="later still"):
        await waited(deadline, after(0.01), SECOND)


async def test_the_next_wait_has_a_timer_again_after_the_last_one_fired_for_nobody() -> None:
    deadline = OriginDeadline()
    for _ in range(2):
        over = waiter()
        deadline.set(over, after(0.01), FIRST)
        over.set_result(None)
        await asyncio.sleep(0.03)
    with pytest.raises(OriginTimeout):
        await waited(deadline, after(0.01), SECOND)


async def test_many_waits_in_a_row_share_a_timer() -> None:
    deadline, timers = OriginDeadline(), set()
    for _ in range(100):
        wait = waiter()
        deadline.set(wait, after(60), FIRST)
        timers.add(deadline._timer)
        wait.set_result(None)
    assert len(timers) == 1
    deadline.cancel()
    assert all(timer is not None and timer.cancelled() for timer in timers)
