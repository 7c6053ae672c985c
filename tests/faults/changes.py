"""Rounds in which the service is changed under traffic, and nobody may notice: reload and rolling replacement."""

import asyncio
from signal import SIGTERM
from typing import Final

from tests.faults.ledger import Seen
from tests.faults.rounds import Bench
from tests.faults.traffic import Traffic

BEFORE: Final = 1.0  # seconds of traffic before the change
AFTER: Final = 1.5  # and after it: longer than what was under way at the change takes


async def reload_round(bench: Bench) -> None:
    """SIGHUP with a changed configuration."""
    async with _traffic(bench).running():
        await asyncio.sleep(BEFORE)
        await bench.service.reload(name=f"generation-{bench.ledger.counts.rounds}")
        await asyncio.sleep(AFTER)
    await _nothing_was_interrupted(bench)


async def replacement_round(bench: Bench) -> None:
    """A second service takes the ports and the store over; then SIGTERM to the first."""
    old, new = bench.service, bench.service.successor()
    async with _traffic(bench).running():
        await asyncio.sleep(BEFORE)
        await bench.stack.enter_async_context(new)
        old.signal(SIGTERM)
        await old.ended()
        await asyncio.sleep(AFTER)
    new.peak, new.tracebacks = max(old.peak, new.peak), old.tracebacks + new.tracebacks
    bench.service = new
    await _nothing_was_interrupted(bench)


def _traffic(bench: Bench) -> Traffic:
    bench.begin_round()
    return Traffic(bench.service.port, bench.ledger, bench.numbers, bench.random)


async def _nothing_was_interrupted(bench: Bench) -> None:
    await bench.audited()
    interrupted = sum(promise.seen is not Seen.COMPLETED for promise in bench.of_this_round)
    bench.ledger.counts.interrupted_by_reload += interrupted
