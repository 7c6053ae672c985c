"""Fault table, row: 10,000 running operations, 1,000 pollers of one status URL, slow readers of a large result.

P6: memory stays bounded by what is agreed for each. Here with smaller crowds; `make soak-scale` has the large ones.
"""

import asyncio
from contextlib import AsyncExitStack, ExitStack

from tests.faults.conftest import Open
from tests.faults.desk import Desk
from tests.faults.ledger import Promise, Seen
from tests.faults.procfs import forget_the_highest, highest
from tests.faults.status_url import look
from tests.faults.work import KIB, MIB
from tests.raw_client import RawClient, request

CROWD = 400
PER_OPERATION = 50 * KIB  # bytes: more than it takes, much less than a result
LEEWAY = 20 * MIB
READERS = 40
LARGE = 8 * MIB


async def test_a_crowd_of_operations_and_pollers_takes_a_bounded_part_of_memory(open_desk: Open) -> None:
    """Row: many running operations, and many pollers of one URL, all of whom hear of its end."""
    desk = await open_desk(origin={"max_connections": 2 * CROWD})
    await desk.done()
    before = forget_the_highest(desk.service.pids)
    with ExitStack() as gate:
        gate.enter_context(desk.origin.held())
        crowd = [await desk.later(arrives=False) for _ in range(CROWD)]
        await desk.origin.arrived(crowd[-1].work.number)
        async with asyncio.TaskGroup() as tasks:
            pollers = [tasks.create_task(look(desk.service.port, crowd[0], wait=30)) for _ in range(CROWD)]
            assert [await desk.look(promise) for promise in crowd[:20]] == [Seen.RUNNING] * 20
            gate.close()
        assert {poller.result() for poller in pollers} == {Seen.COMPLETED}
    assert {await desk.outcome(promise) for promise in crowd} == {Seen.COMPLETED}
    assert highest(desk.service.pids) - before < CROWD * PER_OPERATION * 2 + LEEWAY


async def slow_reader(desk: Desk, promise: Promise, stack: AsyncExitStack) -> None:
    """Asks for the result, and reads no more than its head."""
    client = await stack.enter_async_context(RawClient(port=desk.service.port))
    await client.send(request("GET", promise.path))
    assert (await client.begin()).status == 200


async def test_slow_readers_of_a_large_result_do_not_have_it_held_in_memory(desk: Desk) -> None:
    """Row: slow readers of a large result."""
    promise = await desk.done(size=LARGE)
    before = forget_the_highest(desk.service.pids)
    async with AsyncExitStack() as stack:
        for _ in range(READERS):
            await slow_reader(desk, promise, stack)
        assert await desk.look(promise) is Seen.COMPLETED
        await desk.now()
        assert highest(desk.service.pids) - before < READERS * MIB + LEEWAY
