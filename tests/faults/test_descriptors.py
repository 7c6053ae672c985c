"""Fault table, row: file descriptors used up. P1, P6; accepting does not spin, and goes on when there are some again."""

import asyncio
import resource
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, ExitStack, asynccontextmanager, suppress
from functools import partial

from tests.faults import procfs
from tests.faults.desk import Desk
from tests.faults.ledger import Seen
from tests.faults.service import Service
from tests.faults.work import MIB
from tests.raw_client import RawClient

SPARE = 12  # descriptors above those in use
CALLERS = 60
STANDARD = (
    3  # descriptors that everybody has open: who may have no others can open nothing, whatever is closed meanwhile
)


@asynccontextmanager
async def callers(service: Service) -> AsyncIterator[None]:
    """More connections than there are descriptors; some will not be answered, or closed at once."""
    async with AsyncExitStack() as stack:
        for _ in range(CALLERS):
            with suppress(ConnectionError):
                await stack.enter_async_context(RawClient(port=service.port))
        yield


def work_of(service: Service) -> float:
    return sum(map(procfs.seconds_of_work, service.pids))


async def test_when_descriptors_run_out_accepting_waits_and_goes_on_later(desk: Desk) -> None:
    """Row: file descriptors used up, by clients."""
    stored = await desk.done(size=MIB)
    with desk.origin.held():
        running = await desk.later()
        with desk.service.limited(resource.RLIMIT_NOFILE, partial(procfs.unused_descriptor, skip=SPARE)):
            async with callers(desk.service):
                before = work_of(desk.service)
                await asyncio.sleep(1)
                assert work_of(desk.service) - before < 0.5, "it spins"
    assert await desk.outcome(running) is Seen.COMPLETED
    assert await desk.look(stored) is Seen.COMPLETED
    await desk.done(size=MIB)


async def test_a_result_for_which_there_is_no_descriptor_fails_and_is_not_cut(desk: Desk) -> None:
    """Row: file descriptors used up, at the moment when a body needs a file."""
    with ExitStack() as gate:
        gate.enter_context(desk.origin.held())
        running = await desk.later(size=MIB)
        with desk.service.limited(resource.RLIMIT_NOFILE, lambda _: STANDARD):
            gate.close()
            await desk.service.until_logged("result not stored")
    assert await desk.outcome(running) is Seen.FAILED
    await desk.done(size=MIB)
