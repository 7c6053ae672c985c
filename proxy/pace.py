"""How long the exchanges of each route take: what this process has seen, and what all know that share its store.

A process counts what it sees, and adds that to what the store knows of the route from time to time: so all learn from
each other, and a restart forgets nothing. What a process had not added yet when it dies is not learned.
"""

import asyncio
from collections import Counter
from collections.abc import Callable
from math import ceil
from typing import Final

from proxy.estimate import Estimate, of_queued, of_running, of_stranded
from proxy.operation import Operation
from proxy.outlook import LONGEST, Outlook
from proxy.picture import Picture, bin_of
from proxy.store import Store

NEWS: Final = 1 / 8  # of all that is known: once so much more was seen, it is looked at anew
TRIES: Final = 8  # to add what was seen, while others do the same


class Pace:
    """Of one route."""

    def __init__(self, at_once: float, left_alone: Callable[[], bool] = lambda: False) -> None:
        """So many exchanges of the route can run at once; `left_alone` tells whether its origin is not tried now."""
        self.at_once = at_once
        self.left_alone = left_alone
        self.fresh: Counter[int] = Counter()  # bins of what was seen here, and is not in the store
        self._stored: bytes | None = None
        self._known = Picture({})
        self._outlook = Outlook(self._known)
        self._news = 0.0  # what was seen since the outlook was made, above what would have it made anew

    def observe(self, seconds: float) -> None:
        """An exchange took so long."""
        self.fresh[bin_of(seconds)] += 1
        self._news += 1

    def knows(self, stored: bytes | None) -> bool:
        """Whether all that is known here is what the store has, and nothing else."""
        return not self.fresh and stored == self._stored

    def learned(self, stored: bytes | None, known: Picture, added: Counter[int]) -> None:
        """The store knows this now, with what was added of the fresh."""
        self.fresh -= added
        self._stored, self._known = stored, known
        self._look()

    @property
    def outlook(self) -> Outlook:
        """What is to be expected, by all that is known, or nearly all."""
        if self._news > 0:
            self._look()
        return self._outlook

    def next_end(self, at_once: float) -> int:
        """In how many whole seconds, at least one, the next of so many that run at once may be expected to end."""
        return min(max(ceil(self.outlook.mean / at_once), 1), LONGEST)

    def _look(self) -> None:
        picture = self._known.joined(self.fresh)
        self._outlook = Outlook(picture)
        self._news = -NEWS * picture.total


class Paces:
    """Of all routes that answer later, by their names."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._paces: dict[str, Pace] = {}
        self._unknown = Pace(1)  # of a route that is not here
        self._sharing = asyncio.Lock()

    def of(self, route: str, at_once: float, left_alone: Callable[[], bool]) -> Pace:
        """The pace of a route. See `Pace`."""
        pace = self._paces[route] = Pace(at_once, left_alone)
        return pace

    def estimate(self, operation: Operation, now: float, before: int) -> Estimate:
        """What can be told of an unsettled operation. If it is queued, so many stand before it in its line."""
        pace = self._paces.get(operation.route, self._unknown)
        if operation.is_running:
            return of_running(operation, now, pace.outlook)
        if pace.left_alone():
            return of_stranded(operation, now, before)
        return of_queued(operation, now, pace.outlook, before, pace.at_once)

    async def share(self) -> None:
        """Add what was seen here to what the store knows, and learn what others have added. Raises StoreUnavailable."""
        async with self._sharing:  # or what was seen could be added twice
            stored = await self._store.learned()
            # At once: a store commits them together.
            shared = [self._share(route, pace, stored.get(route)) for route, pace in self._paces.items()]
            for result in await asyncio.gather(*shared, return_exceptions=True):
                if isinstance(result, BaseException):
                    raise result

    async def _share(self, route: str, pace: Pace, stored: bytes | None) -> None:
        for _ in range(TRIES):
            if pace.knows(stored):
                return
            added = pace.fresh.copy()
            known = Picture.decode(stored or b"").joined(added)
            after = known.encode()
            if not added or await self._store.learn(route, stored, after):
                pace.learned(after if added else stored, known, added)
                return
            stored = (await self._store.learned()).get(route)
