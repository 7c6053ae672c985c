"""A round of the queue: far more orders than the backend may have at once, and the service dies in the middle of them.

All are served, in the order in which they were accepted, but for those that were under way when it died; and the
backend never has one connection too many.
"""

from collections.abc import Iterable
from contextlib import ExitStack
from pathlib import Path
from typing import Final

from tests.conftest import Settings
from tests.faults.ledger import Counts, Promise
from tests.faults.load import LATER
from tests.faults.patience import until
from tests.faults.rounds import Bench, bench
from tests.faults.work import Work
from tests.process.child import path_of

AT_ONCE: Final = 4  # connections that the backend may have
LONGEST: Final = 120.0  # seconds until all are served
BACKEND: Final = {"max_connections": AT_ONCE, "queue_timeout": "5s"}


async def queue_round(folder: Path, seed: int, orders: int = 1000, top: Settings | None = None) -> Counts:
    """Accept so many, let half of them be served, kill the service, and see to the rest."""
    async with bench(folder, seed, top=top, origin=BACKEND, max_queued=orders, timeout="10m") as made:
        with ExitStack() as gate:
            gate.enter_context(made.origin.held())
            await _place(made, orders)
        await until(lambda: made.origin.served >= orders // 2, "half of the orders", LONGEST)
        await made.service.kill()
        await made.service.start()
        # What was killed between the word that it is sent and its first byte never arrives.
        await until(lambda: len(made.origin.arrivals) >= orders - AT_ONCE, "all orders at the origin", LONGEST)
        await made.audited()
        await made.close()
        counts = made.ledger.counts
        counts.connections_too_many = max(0, made.origin.most_open - AT_ONCE)
        counts.out_of_order = out_of_order(made.origin.order)
        assert counts.interrupted <= AT_ONCE, "more than what can have been under way"
        return counts


def out_of_order(arrived: Iterable[int]) -> int:
    """How many came later than they may: one is overtaken by those that are sent at the same time, and by no others."""
    highest, late = 0, 0
    for number in arrived:
        late += number < highest - AT_ONCE
        highest = max(highest, number)
    return late


async def _place(made: Bench, orders: int) -> None:
    """One after the other, so that the order of acceptance is that of the numbers."""
    async with made.service.client() as client:
        for number in range(1, orders + 1):
            work = Work(number, "POST", 1, 0.005)
            made.ledger.sent[number] = work
            response = await client.exchange("POST", work.target, [LATER], work.content)
            made.ledger.promised(Promise(work, path_of(response)))
