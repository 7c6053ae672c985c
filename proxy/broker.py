"""Who may have a connection to an origin open, over all worker processes: the broker of places.

A place is the permission to have one connection open, idle ones included, so that an origin never sees more of them
than it may. The broker lives in one process and hears the workers of all, by small messages that JSON can hold; each is
about one `origin`, and says what to `do`:

    from a worker   ask       for a place, for whoever waits as number `ask`; `place` offers one at the same time
                    withdraw  that one waits no longer
                    offer     the exchange at `place` is over, its connection is open: who is next?
                    release   nothing is open at `place` any more
    to a worker     grant     number `ask` has `place`: a new one, or one that the worker has offered
                    wait      number `ask` has none at once, and stands in line
                    keep      nobody needs the offered place: let the connection lie idle
                    close     somebody elsewhere needs it: close the connection, then release the place
                    contended there is somebody without a place: offer what is idle, and what will be over
                    calm      there is nobody any more
                    full      as many of `route` run as may: those of the worker's that wait for it wait for that
                    room      no longer, or nobody of the worker's waits for it

Asking and offering are answered at once. Whose clients wait are served first, in the order in which they asked; after them the
others by the time of their arrival, as far as their routes may have more of them running. So a place is only ever at
one worker, and a worker that dies leaves its places to the others. Messages between two processes must keep their order.
"""

from bisect import insort
from collections import Counter
from collections.abc import Iterator
from heapq import merge
from itertools import islice
from typing import Any, NamedTuple

Message = dict[str, Any]
Reply = tuple[int, Message]  # to which worker
Spot = tuple[int, int]  # a worker, and the number that it gave to a place


class Figures(NamedTuple):
    """How things stand at one origin."""

    places: int  # taken: connections open, being opened or being closed
    waiting: int


class Broker:
    """Gives places to workers. It keeps no clock and does no I/O.

    Workers are numbered as they are started, and a number is never used again: what a later one says of limits counts.
    """

    def __init__(self) -> None:
        self._ledgers: dict[str, _Ledger] = {}

    def receive(self, worker: int, message: Message) -> list[Reply]:
        """What to send to whom, after this message of a worker that lives."""
        ledger = self._ledgers.setdefault(message["origin"], _Ledger())
        match message["do"]:
            case "ask":
                ledger.ask(worker, message)
            case "withdraw":
                ledger.withdraw(worker, message["ask"])
            case "offer":
                ledger.offer((worker, message["place"]))
            case "release":
                ledger.release((worker, message["place"]))
            case unknown:
                raise ValueError(unknown)
        return self._replies(message["origin"])

    def gone(self, worker: int) -> list[Reply]:
        """The worker is dead and its sockets are closed; nothing more of it will be received. What to send to whom."""
        replies = []
        for origin, ledger in list(self._ledgers.items()):
            ledger.forget(worker)
            replies += self._replies(origin)
        return replies

    def figures(self) -> dict[str, Figures]:
        """How things stand at every origin that is in use."""
        return {origin: ledger.figures() for origin, ledger in self._ledgers.items()}

    def _replies(self, origin: str) -> list[Reply]:
        ledger = self._ledgers[origin]
        replies = [(worker, message | {"origin": origin}) for worker, message in ledger.settled()]
        if ledger.figures() == Figures(0, 0):
            del self._ledgers[origin]
        return replies


class _Ask(NamedTuple):
    """Somebody who waits. They sort by whose turn it is."""

    later: bool
    since: float
    number: int  # of all asks
    worker: int
    id: int  # of all the worker's asks
    line: str


class _Ledger:
    """The places of one origin: who has them, and who waits."""

    def __init__(self) -> None:
        self._limit = 0
        self._max_running: dict[str, int] = {}  # by route
        self._newest = 0  # the worker whose limits these are
        self._places: dict[Spot, str] = {}  # and the route for which each is counted, if any
        self._closing: set[Spot] = set()
        self._running: Counter[str] = Counter()  # by route
        self._asks: dict[Spot, _Ask] = {}
        self._lines: dict[str, list[_Ask]] = {}  # by route; "": without a limit of their own
        self._asked = 0
        self._newcomer: Spot | None = None  # who has just asked
        self._told: set[int] = set()  # who knows that the origin is contended
        self._standing: Counter[tuple[int, str]] = Counter()  # how many of each worker wait in each line
        self._full: set[tuple[int, str]] = set()  # the lines of which each worker knows that they are
        self._replies: list[Reply] = []

    # What workers say.

    def ask(self, worker: int, message: Message) -> None:
        later, route = message["later"], message["route"] if message["max_running"] is not None else ""
        self._learn(worker, message["limit"], route, message["max_running"])
        self._asked += 1
        ask = _Ask(later, message["since"] if later else 0, self._asked, worker, message["ask"], route)
        self._newcomer = (worker, ask.id)
        self._asks[self._newcomer] = ask
        self._standing[worker, route] += 1
        insort(self._lines.setdefault(route, []), ask)
        if message["place"] is not None:
            self.offer((worker, message["place"]))

    def withdraw(self, worker: int, id: int) -> None:
        if (worker, id) in self._asks:  # else its grant is under way, and the place will come back
            self._remove(self._asks[worker, id])

    def offer(self, spot: Spot) -> None:
        self._count_for("", spot)
        spare = self._spare()
        due = list(islice(self._waiting(), max(spare, 0) + 1))  # those who have a place without this one, and the next
        own = next((ask for ask in due if ask.worker == spot[0]), None)
        if spare >= 0 and own is not None:
            self._grant(own, spot)
        elif len(due) > spare:
            self._closing.add(spot)
            self._tell(spot[0], do="close", place=spot[1])
        else:
            self._tell(spot[0], do="keep", place=spot[1])

    def release(self, spot: Spot) -> None:
        self._count_for("", spot)
        del self._places[spot]
        self._closing.discard(spot)

    def forget(self, worker: int) -> None:
        for spot in [spot for spot in self._places if spot[0] == worker]:
            self.release(spot)
        for ask in [ask for ask in self._asks.values() if ask.worker == worker]:
            self._remove(ask)
        self._told.discard(worker)
        self._full = {(one, line) for one, line in self._full if one != worker}

    # What follows.

    def settled(self) -> list[Reply]:
        """Give what there is to give. Returns all that there is to say."""
        while len(self._places) < self._limit and (ask := next(self._waiting(), None)) is not None:
            self._grant(ask, (ask.worker, ask.id))
        if self._is_contended():
            self._tell_all("contended", {worker for worker, _ in self._places} - self._told)
        else:
            self._tell_all("calm", self._told)
        self._tell_which_are_full()
        if self._newcomer in self._asks:  # last, when it is known what for
            self._tell(self._newcomer[0], do="wait", ask=self._newcomer[1])
        self._newcomer = None
        replies, self._replies = self._replies, []
        return replies

    def figures(self) -> Figures:
        return Figures(len(self._places), len(self._asks))

    def _tell_which_are_full(self) -> None:
        full = {(worker, line) for worker, line in self._standing if self._room(line) == 0}
        for worker, line in sorted(full ^ self._full):
            self._tell(worker, do="full" if (worker, line) in full else "room", route=line)
        self._full = full

    def _is_contended(self) -> bool:
        """Whether somebody waits for whom no place is being closed, or more are open than may be."""
        spare = self._spare()
        return spare < 0 or next(islice(self._waiting(), spare, None), None) is not None

    def _spare(self) -> int:
        """How many can be served by what is free or being closed; below zero, how many places too many there are."""
        return self._limit - len(self._places) + len(self._closing)

    def _waiting(self) -> Iterator[_Ask]:
        """Those whose turn it may be, in order: of no route more than may still run."""
        return merge(*(islice(line, self._room(route)) for route, line in self._lines.items()))

    def _room(self, route: str) -> int | None:
        return max(self._max_running[route] - self._running[route], 0) if route else None

    def _grant(self, ask: _Ask, spot: Spot) -> None:
        self._remove(ask)
        self._count_for(ask.line, spot)
        self._tell(ask.worker, do="grant", ask=ask.id, place=spot[1])

    def _remove(self, ask: _Ask) -> None:
        del self._asks[ask.worker, ask.id]
        self._lines[ask.line].remove(ask)
        if not self._lines[ask.line]:
            del self._lines[ask.line]
        self._standing[ask.worker, ask.line] -= 1
        if not self._standing[ask.worker, ask.line]:
            del self._standing[ask.worker, ask.line]

    def _count_for(self, route: str, spot: Spot) -> None:
        """Let what happens at this place count for the route, and no longer for another."""
        if before := self._places.get(spot):
            self._running[before] -= 1
        if route:
            self._running[route] += 1
        self._places[spot] = route

    def _learn(self, worker: int, limit: int, route: str, max_running: int | None) -> None:
        if worker < self._newest:
            self._max_running.setdefault(route, max_running or 0)
            return
        self._newest, self._limit = worker, limit
        if max_running is not None:
            self._max_running[route] = max_running

    def _tell_all(self, what: str, workers: set[int]) -> None:
        for worker in sorted(workers):
            self._tell(worker, do=what)
        self._told = self._told | workers if what == "contended" else set()

    def _tell(self, worker: int, **message: object) -> None:
        self._replies.append((worker, message))
