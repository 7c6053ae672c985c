"""After a crash, by method: GET and HEAD are sent again once, what is not safe is interrupted, what waits its turn goes on.

Fault table, row: kill -9. P2: sent again or settled within seconds; P4: a request that is not safe is sent at most once.
"""

from collections.abc import Iterable
from functools import partial

import pytest

from tests.faults.conftest import Open
from tests.faults.desk import Desk
from tests.faults.ledger import Promise, Seen
from tests.faults.patience import until
from tests.faults.work import MIB


async def crash(desk: Desk) -> None:
    await desk.service.kill()
    await desk.service.start()


def arrivals(desk: Desk, promises: Iterable[Promise]) -> list[int]:
    """How often each has come to the origin."""
    return [desk.origin.arrivals[promise.work.number] for promise in promises]


async def test_get_and_head_are_sent_again_and_post_is_interrupted(desk: Desk) -> None:
    with desk.origin.held():
        safe = [await desk.later(method, size=MIB) for method in ("GET", "HEAD")]
        unsafe = [await desk.later(method) for method in ("POST", "PUT", "DELETE")]
        await crash(desk)
        assert {await desk.outcome(promise, seconds=5) for promise in unsafe} == {Seen.INTERRUPTED}
        await until(lambda: arrivals(desk, safe) == [2, 2], "second arrival")
        assert {await desk.look(promise) for promise in safe} == {Seen.RUNNING}
    assert {await desk.outcome(promise) for promise in safe} == {Seen.COMPLETED}
    assert arrivals(desk, safe + unsafe) == [2, 2, 1, 1, 1]


async def test_a_get_is_sent_again_once_and_then_interrupted(desk: Desk) -> None:
    with desk.origin.held():
        promise = await desk.later("GET")
        await crash(desk)
        await until(lambda: arrivals(desk, [promise]) == [2], "second arrival")
        await crash(desk)
        assert await desk.outcome(promise, seconds=5) is Seen.INTERRUPTED
    assert arrivals(desk, [promise]) == [2]


async def test_a_route_may_have_its_posts_sent_again_with_their_content(open_desk: Open) -> None:
    desk = await open_desk(on_interrupt="resend")
    with desk.origin.held():
        promises = [await desk.later("POST", size=MIB) for _ in range(16)]  # the sixteenth has content of 100 kB
        await crash(desk)
        await until(lambda: arrivals(desk, promises) == [2] * 16, "second arrival of all")
    assert {await desk.outcome(promise) for promise in promises} == {Seen.COMPLETED}
    assert desk.origin.damaged == set()


async def test_a_route_may_have_its_gets_not_sent_again(open_desk: Open) -> None:
    desk = await open_desk(on_interrupt="fail")
    with desk.origin.held():
        promise = await desk.later("GET")
        await crash(desk)
        assert await desk.outcome(promise, seconds=5) is Seen.INTERRUPTED
    assert arrivals(desk, [promise]) == [1]


@pytest.mark.parametrize("point", ["taken-over", "sent-durable", "first-byte-sent"])
@pytest.mark.parametrize("method", ["GET", "POST"])
async def test_a_kill_during_the_resending_itself(desk: Desk, method: str, point: str) -> None:
    """Row: kill -9 between the taking over of an orphan and its being sent, before the first byte, and right after it."""
    with desk.origin.held():
        promise = await desk.later(method)
        await desk.service.kill()
        desk.service.points.arm(point)
        await desk.service.launch()
        if method == "GET":
            await until(partial(desk.service.points.has_fired, point), f"passage of {point}")
        desk.service.points.disarm(point)
        await desk.service.kill()
        await desk.service.start()
    assert await desk.outcome(promise) in {Seen.COMPLETED, Seen.INTERRUPTED}
    assert arrivals(desk, [promise])[0] <= (2 if method == "GET" else 1)
