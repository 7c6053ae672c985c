"""One worker's part in the places of an origin: which it has, what lies open at them, and who waits for one here.

This is the other side of the broker (see `broker`). As long as nobody waits, a connection goes from one exchange to the
next without a message; as soon as somebody does, at whatever worker, each is offered to the broker first. Idle
connections are used last in, first out, so that a quiet origin sees few. No I/O here, and no clock but a given one.
"""

import asyncio
from collections import Counter
from collections.abc import Callable
from enum import Enum
from itertools import count
from typing import NamedTuple

from proxy.broker import Message
from proxy.connection import Connection
from proxy.reasons import Hold
from proxy.servers import Server

Send = Callable[[Message], None]


class Turn(NamedTuple):
    """How an exchange waits for its place."""

    patience: float | None  # seconds; None: as long as it takes
    later: bool = False  # stands behind those whose clients wait
    since: float = 0.0  # order among the later ones: wall-clock time of arrival
    route: str = ""
    max_running: int | None = None  # later ones of the route are counted against this


class Link(NamedTuple):
    """A connection, and the server at its other end."""

    server: Server
    connection: Connection


class State(Enum):
    """What becomes of a place."""

    USED = "used"  # somebody has it, and will give it back
    IDLE = "idle"  # its connection waits for the next exchange
    OFFERED = "offered"  # the broker is asked who is next
    CLOSING = "closing"  # it comes free when its connection is closed


USED, IDLE, OFFERED, CLOSING = State  # looked up for every exchange, which costs more on the class


class Place:
    """The permission to have one connection to an origin open, and that connection."""

    __slots__ = ("counted", "link", "number", "route", "since", "state")

    def __init__(self, number: int) -> None:
        self.number = number
        self.state = USED
        self.link: Link | None = None  # None: nothing is open here
        self.since = 0.0  # when it fell idle
        self.counted = False  # against the limit of a route
        self.route = ""  # of whoever has it, or had it last


class Ask(NamedTuple):
    """Somebody who waits for a place."""

    turn: Turn
    granted: asyncio.Future[Place]
    line_known: Callable[[], None] | None = None  # called when the broker has answered, whatever it says

    def know_line(self) -> None:
        if self.line_known is not None:
            self.line_known()


class Pool:
    """A worker's places at one origin. `limit` is that of all workers together."""

    def __init__(self, origin: str, limit: int, keep_idle: float, clock: Callable[[], float], send: Send) -> None:
        self._origin = origin
        self._limit = limit
        self._keep_idle = keep_idle  # seconds
        self._clock = clock
        self._send = send
        self._numbers = count(1)
        self._places: dict[int, Place] = {}
        self._idle: dict[Server, list[Place]] = {}  # by server, oldest first
        self._asks: dict[int, Ask] = {}
        self._in_line: set[int] = set()  # those of which the broker has said so
        self._lines: Counter[str] = Counter()  # how many wait, by the route whose limit they are counted against
        self._full: set[str] = set()  # routes of which as many run as may
        self._hurried: set[int] = set()  # the asks of those whose clients wait
        self.contended = False  # whether somebody waits for a place, at whatever worker

    @property
    def open(self) -> int:
        """How many places it has: connections open, being opened or being closed."""
        return len(self._places)

    @property
    def idle(self) -> int:
        """How many of them have a connection that waits for the next exchange."""
        return sum(map(len, self._idle.values()))

    @property
    def closing(self) -> bool:
        """Whether any of its connections is still being closed: it keeps its place until the origin knows."""
        return any(place.state is CLOSING for place in self._places.values())

    @property
    def used_by(self) -> Counter[str]:
        """How many places are used for each route, to connect too."""
        return Counter(place.route for place in self._places.values() if place.state is USED)

    @property
    def waiting(self) -> int:
        return len(self._asks)

    @property
    def held(self) -> int:
        """How many of those wait until fewer operations of their route run, whether there is a connection or not."""
        return sum(self._lines[route] for route in self._full)

    def connections_to(self, server: Server) -> tuple[int, int]:
        """How many connections it has open to the server, and how many of these are idle."""
        places = [place for place in self._places.values() if place.link is not None and place.link.server is server]
        return len(places), sum(place.state is IDLE for place in places)

    def held_by(self, turn: Turn) -> Hold:
        """What whoever waits for this turn is held by: a bound that keeps it in line, or else only that it is connecting."""
        number = next((number for number, ask in reversed(self._asks.items()) if ask.turn is turn), None)
        if number not in self._in_line:
            return "connecting"
        if turn.max_running is not None and turn.route in self._full:
            return "max_running"
        return "closing" if self.closing else "max_connections"

    # What exchanges do.

    def take(self, server: Server, route: str) -> tuple[Place, Link] | None:
        """An idle connection to the server and its place, for one whose client waits; None if it has to ask for one."""
        idle = None if self._hurried else self._take_idle(server)
        if idle is not None:
            idle[0].route = route
        return idle

    def ask(self, ask: Ask, server: Server | None) -> int:
        """Wait for a place, best with a connection to this server. Returns a number, to stop waiting by."""
        turn, number = ask.turn, next(self._numbers)
        self._asks[number] = ask
        if turn.max_running is not None:
            self._lines[turn.route] += 1
        place = None
        if not turn.later:
            self._hurried.add(number)
        elif server is not None and (idle := self._take_idle(server)) is not None:
            place, _ = idle
            place.state = OFFERED
        self._tell(
            "ask",
            ask=number,
            limit=self._limit,
            later=turn.later,
            since=turn.since,
            route=turn.route,
            max_running=turn.max_running if turn.later else None,
            place=place.number if place is not None else None,
        )
        return number

    def stop_waiting(self, number: int, granted: asyncio.Future[Place]) -> None:
        """Whoever waited has left. A place that was granted at that very moment goes to the next."""
        if granted.done() and not granted.cancelled():
            self.give_back(granted.result())
        elif self._forget(number) is not None:
            self._tell("withdraw", ask=number)

    def give_back(self, place: Place, *, reusable: bool = True) -> None:
        """The exchange is over: keep its connection for the next one, or close it."""
        if place.link is None:
            self._release(place)
        elif not reusable or place.link.connection.closed:
            self._close(place, place.link)
        elif self.contended or place.counted:
            self._offer(place)
        else:
            self._rest(place, place.link)

    def lost(self, place: Place) -> None:
        """The place's connection is closed, also for the kernel."""
        link, place.link = place.link, None
        if place.state is IDLE and link is not None:
            self._idle[link.server].remove(place)
        if place.state in {IDLE, CLOSING}:
            self._release(place)

    # As time goes by.

    def close_stale(self) -> float | None:
        """Close what has been idle for long enough. Returns how long to wait until the next; None: nothing is open."""
        now = self._clock()
        for idle in self._idle.values():
            while idle and now - idle[0].since >= self._keep_idle:
                self._with_link(idle.pop(0), self._close)
        oldest = min((idle[0].since for idle in self._idle.values() if idle), default=now)
        return oldest + self._keep_idle - now if self._places else None

    def close(self) -> None:
        """Close what nobody uses, at once."""
        for place in self._places.values():
            if place.state is not USED and place.link is not None:
                place.link.connection.abort()

    # What the broker says.

    def receive(self, message: Message) -> None:
        match message["do"]:
            case "grant":
                self._granted(message["ask"], message["place"])
            case "wait":
                self._waits(message["ask"])
            case "keep":
                self._with_link(self._places[message["place"]], self._rest)
            case "close":
                self._with_link(self._places[message["place"]], self._close)
            case "contended":
                self.contended = True
                for place in [place for idle in self._idle.values() for place in idle]:
                    self._offer(place)
                self._idle.clear()
            case "calm":
                self.contended = False
            case "full":
                self._full.add(message["route"])
            case "room":
                self._full.discard(message["route"])
            case unknown:
                raise ValueError(unknown)

    def _granted(self, ask: int, number: int) -> None:
        place = self._places.setdefault(number, Place(number))
        asked = self._forget(ask)
        place.state, place.counted = USED, asked is None or asked.turn.max_running is not None
        if asked is None or asked.granted.done():
            self.give_back(place)
        else:
            place.route = asked.turn.route
            asked.granted.set_result(place)
            asked.know_line()

    def _waits(self, ask: int) -> None:
        if (asked := self._asks.get(ask)) is not None:  # else it has left
            self._in_line.add(ask)
            asked.know_line()

    def _forget(self, ask: int) -> Ask | None:
        self._in_line.discard(ask)
        self._hurried.discard(ask)
        asked = self._asks.pop(ask, None)
        if asked is not None and asked.turn.max_running is not None:
            self._lines[asked.turn.route] -= 1
        return asked

    def _with_link(self, place: Place, follow: Callable[[Place, Link], None]) -> None:
        """Do this with it, unless its connection was lost while the broker was asked."""
        if place.link is None:
            self._release(place)
        else:
            follow(place, place.link)

    # One place.

    def _take_idle(self, server: Server) -> tuple[Place, Link] | None:
        now, idle = self._clock(), self._idle.get(server, [])
        while idle:
            place = idle.pop()
            link = place.link
            if link is not None and not link.connection.closed and now - place.since < self._keep_idle:
                place.state = USED
                return place, link
            self._with_link(place, self._close)
        return None

    def _rest(self, place: Place, link: Link) -> None:
        place.state, place.since = IDLE, self._clock()
        self._idle.setdefault(link.server, []).append(place)

    def _close(self, place: Place, link: Link) -> None:
        place.state = CLOSING
        link.connection.close()

    def _offer(self, place: Place) -> None:
        place.state, place.counted = OFFERED, False
        self._tell("offer", place=place.number)

    def _release(self, place: Place) -> None:
        del self._places[place.number]
        self._tell("release", place=place.number)

    def _tell(self, what: str, **message: object) -> None:
        self._send({"origin": self._origin, "do": what, **message})
