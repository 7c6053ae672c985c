"""The auditor: after a restart, asks for everything that was promised, and writes down what is not as it has to be."""

import asyncio
import sqlite3
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import closing, suppress
from pathlib import Path
from typing import Final

from tests.faults.counting_origin import CountingOrigin
from tests.faults.ledger import UNREADABLE, Ledger, Promise
from tests.faults.patience import until
from tests.faults.service import Service
from tests.faults.status_url import UNSETTLED, outcome

IN_TIME: Final = 5.0  # seconds from the restart until all is settled or sent again
AT_ONCE: Final = 24  # status URLs asked for


class Audit:
    """One look at all that was promised. Made at the moment of the restart: from then on the time counts."""

    def __init__(self, service: Service, origin: CountingOrigin, ledger: Ledger) -> None:
        self._service = service
        self._origin = origin
        self._ledger = ledger
        self._sent_before = Counter(origin.arrivals)
        self._deadline = asyncio.get_running_loop().time() + IN_TIME

    async def check(self, promises: Iterable[Promise]) -> None:
        """Ask for each of these; whoever is neither settled nor sent again by the deadline is stuck."""
        left = iter(promises)
        async with asyncio.TaskGroup() as tasks:
            for _ in range(AT_ONCE):
                tasks.create_task(self._check_all(left))
        self._ledger.check_arrivals(self._origin.arrivals, self._origin.damaged)

    async def check_unheard(self, store: Path) -> None:
        """The same for operations whose clients never got their 202: the database knows of them."""
        with suppress(TimeoutError):
            await until(lambda: not unsettled_rows(store), "settling", self._left)
        self._ledger.counts.stuck += unsettled_rows(store)

    @property
    def _left(self) -> float:
        """Seconds until the deadline."""
        return max(0, self._deadline - asyncio.get_running_loop().time())

    async def _check_all(self, promises: Iterator[Promise]) -> None:
        for promise in promises:
            await self._check(promise)

    async def _check(self, promise: Promise) -> None:
        seen = await outcome(self._service.port, promise, self._left)
        if seen in UNSETTLED:
            self._ledger.counts.stuck += not self._was_sent_again(promise)
        elif seen in UNREADABLE:
            self._ledger.lose(promise, f"at the audit it was {seen.value}")
        else:
            self._ledger.note(promise, seen, was_deleted=promise.deleted)

    def _was_sent_again(self, promise: Promise) -> bool:
        number = promise.work.number
        return self._origin.arrivals[number] > self._sent_before[number]


def unsettled_rows(store: Path) -> int:
    """Operations that the database has as not settled."""
    with closing(sqlite3.connect(f"file:{store / 'operations.db'}?mode=ro", uri=True, timeout=5)) as database:
        statement = "SELECT count(*) FROM operations WHERE stage NOT IN ('settled', 'tombstone')"
        (count,) = database.execute(statement).fetchone()
        return int(count)
