"""Operations as operators have them: listed, shown, and ended, whoever runs them.

An operator ends an operation as its client's DELETE would: one that is under way is dismissed, of which its process
hears from the store and closes the connection to the origin; of one that is settled, what is kept is dropped.
"""

import asyncio
import re
from collections.abc import Iterable
from itertools import islice
from typing import Final

import structlog

from proxy.ledger import Ledger
from proxy.operation import SHORT_ID, Operation, State
from proxy.operators.filters import Asked
from proxy.operators.refusal import Refusal
from proxy.operators.report import Entry
from proxy.operators.shown import Json, operation
from proxy.pace import Paces
from proxy.store import ANY
from proxy.words import timestamp

log = structlog.get_logger()

BEGINNING: Final = re.compile("[A-Za-z0-9_-]{8,64}")
CANCELLED: Final = (
    "An operator cancelled it: on the page, with respond-async operations cancel, or with DELETE at the admin address."
)
NO_ID: Final = "No operation has such an id: one is asked for by the first 8 characters of its id, as the log has them, or by more."
NOW: Final = {
    State.QUEUED: "is queued.",
    State.RUNNING: "is running.",
    State.COMPLETED: "is over already: it had completed, and its result is kept.",
    State.FAILED: "is over already: it had failed.",
    State.DISMISSED: "is over already: it had been cancelled.",
}
LAST: Final = 20  # settled ones that are shown beside those that were asked for; and those of one request's id


class Desk:
    """Where operators have their hands on operations. Raises Refusal, StoreUnavailable."""

    def __init__(self, ledger: Ledger, paces: Paces) -> None:
        self._ledger = ledger
        self._store = ledger.store
        self._paces = paces
        self.now = ledger.now

    async def page(self, asked: Asked) -> Json:
        """A page of the list, with how many there are, and when that was."""
        time = timestamp(self.now())
        page = await self._store.page(asked.wanted, asked.limit, asked.before)
        return {
            "operations": await self._shown(page.operations),
            "counts": await self.counts(),
            "next": asked.next(page.next),
            "time": time,
        }

    async def last_settled(self, routes: frozenset[str]) -> list[Json]:
        return await self._shown(await self._store.last_settled(routes, LAST))

    async def concerned(self, requests: Iterable[Entry]) -> list[Json]:
        """The operations that were made or asked for by these requests, as far as they are there; the first few."""
        shorts = dict.fromkeys(one["operation"] for one in requests if BEGINNING.fullmatch(one.get("operation", "")))
        found = [await self._store.beginning(short) for short in islice(shorts, LAST)]
        return await self._shown([one for ones in found for one in ones])

    async def counts(self) -> Json:
        usage = await self._store.usage()
        return {
            "queued": usage.queued,
            "running": usage.running,
            "completed": usage.settled - usage.failed - usage.dismissed,
            "failed": usage.failed,
            "dismissed": usage.dismissed,
            "settled": usage.settled,
        }

    async def show(self, short: str) -> Json:
        return (await self._shown([await self._found(short)]))[0]

    async def end(self, short: str, states: frozenset[State] = ANY) -> Json:
        """Dismiss it, or drop what is kept of it, if it is in one of these states; how it stands then, or stood.

        One that is settled by somebody else just now stays as it is: that was not what the operator saw.
        """
        one = _in(states, await self._found(short))
        if one.is_settled:
            await self._remove(one)
        while not one.is_settled:
            dismissed = one.dismissed(self.now(), CANCELLED)
            one = dismissed if await self._dismiss(dismissed, states) else _in(states, await self._found(short))
        return (await self._shown([one]))[0]

    async def end_all(self, asked: Asked) -> Json:
        """Do that with all that are wanted."""
        dismissed = removed = 0
        before = asked.before
        while True:
            page = await self._store.page(asked.wanted, asked.limit, before)
            ended = await asyncio.gather(*(self._end(one, asked) for one in page.operations))
            dismissed += ended.count("dismissed")
            removed += ended.count("removed")
            if page.next is None:
                return {"dismissed": dismissed, "removed": removed}
            before = page.next

    async def _found(self, short: str) -> Operation:
        if not BEGINNING.fullmatch(short):
            raise Refusal(404, NO_ID)
        match await self._store.beginning(short):
            case [one]:
                return one
            case []:
                raise await self._unknown(short)
            case _:
                raise Refusal(409, "Several operations have ids that begin so: give more of the id.")

    async def _unknown(self, id: str) -> Refusal:
        """What is said of an id that is none, or the beginning of none; it may have been copied badly."""
        alike = await self._store.beginning(id[:SHORT_ID])
        if alike:
            short = alike[0].short_id
            return Refusal(
                404, f"No operation has this id; one that begins alike is {short}, which may be somebody else's."
            )
        return Refusal(404, "No operation has an id that begins so: it never was, was removed, or has expired.")

    async def _end(self, one: Operation, asked: Asked) -> str | None:
        """What has become of it; None: somebody else was first, or it has been settled since it was asked for."""
        if one.settled_at is not None:
            return "removed" if one.settled_at <= asked.settled_by and await self._remove(one) else None
        return "dismissed" if await self._dismiss(one.dismissed(self.now(), CANCELLED), asked.wanted.states) else None

    async def _dismiss(self, dismissed: Operation, states: frozenset[State]) -> bool:
        won = await self._ledger.settle(dismissed, states=states)
        if won:
            log.info("operation cancelled by operator", operation=dismissed.short_id, route=dismissed.route)
        return won

    async def _remove(self, one: Operation) -> bool:
        removed = await self._store.remove(one.id)
        if removed:
            log.info("operation removed by operator", operation=one.short_id, route=one.route)
        return removed

    async def _shown(self, operations: list[Operation]) -> list[Json]:
        queued = [one.id for one in operations if one.state is State.QUEUED]
        places = await self._store.places_in_line(queued) if queued else {}
        now = self.now()
        return [self._as_it_is(one, now, places.get(one.id)) for one in operations]

    def _as_it_is(self, one: Operation, now: float, before: int | None) -> Json:
        estimate = None if one.is_settled else self._paces.estimate(one, now, before or 0)
        return operation(one, now, before, estimate)


def _in(states: frozenset[State], one: Operation) -> Operation:
    """The operation, if it is in one of these states. Raises Refusal."""
    if one.state not in states:
        raise Refusal(409, f"Operation {one.short_id} {NOW[one.state]}")
    return one
