"""What becomes of the operations that a dead process left behind.

What was never sent waits for its turn again, here. What was under way is sent once more where its method is safe or
its route says so, and otherwise settled as interrupted: its effect at the origin is unknown.
"""

import asyncio
from collections.abc import Mapping
from typing import Final

from proxy import chronicle
from proxy.errors import ASK_THE_ORIGIN, Interrupted
from proxy.later import Later
from proxy.ledger import Ledger
from proxy.operation import Failure, KeptRequest, Operation

LEFT_TO_OTHERS: Final = 10.0  # seconds in which a service that knows the route may take its operation over
NO_ROUTE: Final = "It was never sent: its route is no longer there, or answers nothing later."
GONE: Final = "Its route {route} is no longer there, or has no respond_async;"
# Why it is given up, by whether it was never sent, its route is not there, it was sent again, or may not be.
NEVER_SENT: Final = f"{GONE} it was never sent."
NOWHERE: Final = f"{GONE} the process that ran it died."
TWICE: Final = "Two processes that ran it died, and it is not sent a third time: its effect at the origin is unknown."
ONCE: Final = (
    "The process that ran it died, and it may not be sent again (respond_async.on_interrupt of route {route}):"
    " its effect at the origin is unknown."
)

Taken = tuple[Later, Operation, KeptRequest]


class Recovery:
    """Takes over for one process."""

    def __init__(self, ledger: Ledger, keeper_id: str, laters: Mapping[str, Later]) -> None:
        """The laters are those of the routes that answer later, by the routes' names."""
        self._ledger = ledger
        self._keeper_id = keeper_id
        self._laters = laters
        self._unknown: dict[str, float] = {}  # operations of routes that are not here, and since when they are known
        self._ended = False

    def end(self) -> None:
        """Leave what is found from now on to others."""
        self._ended = True

    async def take_over(self) -> None:
        """Settle or resume every operation whose process is dead. Raises StoreUnavailable."""
        if self._ended:
            return
        async with self._ledger.store.taking_over() as alone:  # the order of the line: one process asks for all of them
            if alone:
                await self._take_over(await self._ledger.store.orphans())

    async def _take_over(self, orphans: list[Operation]) -> None:
        there = {orphan.id for orphan in orphans}
        self._unknown = {id: since for id, since in self._unknown.items() if id in there}
        # At once: a store commits them together.
        results = await asyncio.gather(*map(self._take_over_one, orphans), return_exceptions=True)
        for result in results:
            if isinstance(result, tuple):
                self._resume(*result)
        for result in results:
            if isinstance(result, BaseException):
                raise result

    async def _take_over_one(self, orphan: Operation) -> Taken | None:
        later = self._laters.get(orphan.route)
        request = await self._ledger.store.request(orphan.id)
        if later is None or request is None or not later.may_send(orphan):
            await self._give_up(orphan, known=later is not None)
            return None
        mine = orphan.returned(self._keeper_id)
        return (later, mine, request) if await self._ledger.store.take_over(orphan, mine) else None

    async def _give_up(self, orphan: Operation, *, known: bool) -> None:
        now = self._ledger.monotonic()
        if not known and now - self._unknown.setdefault(orphan.id, now) < LEFT_TO_OTHERS:
            return
        interrupted = Interrupted(ASK_THE_ORIGIN if orphan.is_running else NO_ROUTE)
        why = _why(orphan, known=known)
        await self._ledger.settle(orphan.failed(Failure.of(interrupted), self._ledger.now(), why))

    def _resume(self, later: Later, mine: Operation, request: KeptRequest) -> None:
        chronicle.taken_over(mine)
        later.resume(mine, request)


def _why(orphan: Operation, *, known: bool) -> str:
    if not orphan.is_running:
        why = NEVER_SENT
    elif not known:
        why = NOWHERE
    else:
        why = TWICE if orphan.attempts > 1 else ONCE
    return why.format(route=orphan.route)
