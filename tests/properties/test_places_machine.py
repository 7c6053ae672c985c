"""Broker and workers, whose messages take their time, whose clients leave and who die: what must hold all the same."""

import asyncio
from collections import Counter, deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import count

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    MultipleResults,
    RuleBasedStateMachine,
    consumes,
    initialize,
    invariant,
    multiple,
    precondition,
    rule,
)

from proxy.broker import Broker, Figures, Message, Reply
from proxy.config import OriginSettings
from proxy.connection import Connection
from proxy.pool import Ask, Link, Place, Pool, Turn
from proxy.servers import Server, Servers

MAX_RUNNING = {"slow": 1, "other": 2}  # by route
KEEP_IDLE = 10.0
SERVERS = OriginSettings.model_validate({"url": ["http://a", "http://b"]})
LIMITS = st.sampled_from([2, 2, 1, 3])
SINCE = st.integers(0, 5)
TURNS = st.one_of(
    SINCE.map(lambda since: Turn(None, since=since)),
    st.just(Turn(None)),
    SINCE.map(lambda since: Turn(None, later=True, since=since)),
    st.tuples(SINCE, st.sampled_from(sorted(MAX_RUNNING))).map(
        lambda drawn: Turn(None, later=True, since=drawn[0], route=drawn[1], max_running=MAX_RUNNING[drawn[1]])
    ),
)


class Worker:
    """A process with the product's own pool, over connections that exist in name only."""

    def __init__(self, id: int, limit: int, now: "PlacesMachine") -> None:
        self.id = id
        self.limit = limit
        self.servers: list[Server] = list(Servers("o", SERVERS, 1024))
        self.said: deque[Message] = deque()
        self.to_hear: deque[Message] = deque()
        self.pool = Pool("o", limit, KEEP_IDLE, lambda: now.now, self.said.append)
        self.sockets: dict[Connection, Place] = {}  # those that the origin sees


@dataclass(eq=False)
class Exchange:
    """Somebody who wants a connection, or has one."""

    worker: Worker
    turn: Turn
    granted: "asyncio.Future[Place]"
    number: int = 0
    connection: Connection | None = None
    told: int = 0  # by the broker, whether it stands in line

    def know_line(self) -> None:
        self.told += 1

    @property
    def is_first(self) -> bool:
        """Whether it stands before all that are yet to come."""
        return not (self.turn.later or self.granted.done())


@dataclass
class Model:
    """What the broker must know, from what it has heard and said."""

    limit: int = 0
    newest: int = 0
    places: dict[tuple[int, int], str] = field(default_factory=dict)  # and the route that is counted
    closing: set[tuple[int, int]] = field(default_factory=set)
    waiting: dict[tuple[int, int], tuple[bool, float, int]] = field(default_factory=dict)  # and how they sort
    routes: dict[tuple[int, int], str] = field(default_factory=dict)  # of those that wait
    heard: Iterator[int] = field(default_factory=count)

    def hear(self, worker: int, message: Message) -> None:
        spot = (worker, message.get("place") or 0)
        match message["do"]:
            case "ask":
                if worker >= self.newest:
                    self.newest, self.limit = worker, message["limit"]
                ask = (worker, message["ask"])
                since = message["since"] if message["later"] else 0
                self.waiting[ask] = (message["later"], since, next(self.heard))
                self.routes[ask] = message["route"] if message["max_running"] else ""
            case "withdraw":
                self.waiting.pop((worker, message["ask"]), None)
            case "offer":
                self.places[spot] = ""
            case "release":
                del self.places[spot]
                self.closing.discard(spot)
            case unknown:
                raise ValueError(unknown)

    def say(self, worker: int, message: Message) -> None:
        if message["do"] == "grant":
            ask, spot = (worker, message["ask"]), (worker, message["place"])
            served = max(self.limit - len(self.places) + len(self.closing), 0)
            assert ask in self.due()[: served + (spot in self.places)]  # nobody overtakes who would wait longer for it
            assert spot in self.places or len(self.places) < self.limit
            self.places[spot] = self.routes[ask]
            del self.waiting[ask]
        elif message["do"] == "wait":
            assert (worker, message["ask"]) in self.waiting
        elif message["do"] == "close":
            self.closing.add((worker, message["place"]))

    def forget(self, worker: int) -> None:
        self.places = {spot: route for spot, route in self.places.items() if spot[0] != worker}
        self.waiting = {ask: key for ask, key in self.waiting.items() if ask[0] != worker}
        self.closing = {spot for spot in self.closing if spot[0] != worker}

    def due(self) -> list[tuple[int, int]]:
        """Who waits, in order, without those of routes of which enough are running."""
        running = Counter(self.places.values())
        due = []
        for ask in sorted(self.waiting, key=lambda ask: self.waiting[ask]):
            route = self.routes[ask]
            if not route or running[route] < MAX_RUNNING[route]:
                running[route] += 1
                due.append(ask)
        return due

    def held(self, worker: int) -> int:
        """How many of a worker's wait until fewer operations of their route run."""
        running = Counter(self.places.values())
        routes = [self.routes[ask] for ask in self.waiting if ask[0] == worker]
        return sum(route != "" and running[route] >= MAX_RUNNING[route] for route in routes)


class PlacesMachine(RuleBasedStateMachine):
    """One origin with two servers, a broker, and workers that come and go."""

    workers = Bundle("workers")

    def __init__(self) -> None:
        super().__init__()
        self.loop = asyncio.new_event_loop()
        self.now = 0.0
        self.broker = Broker()
        self.model = Model()
        self.numbers = count(1)
        self.alive: list[Worker] = []
        self.exchanges: list[Exchange] = []

    def teardown(self) -> None:
        while self.exchanges:
            for exchange in [exchange for exchange in self.exchanges if exchange.granted.cancelled()]:
                self.leave(exchange, reusable=True)
            self.everything_settles()
            connected = [exchange for exchange in self.exchanges if exchange.connection]
            assert connected or not self.exchanges  # else somebody waits for ever
            for exchange in connected[:1]:
                self.leave(exchange, reusable=True)
        self.everything_settles()
        self.now += KEEP_IDLE
        for worker in self.alive:
            worker.pool.close_stale()
        self.everything_settles()
        assert [worker.pool.open for worker in self.alive if worker.pool.open] == []
        assert self.broker.figures() == {}  # no place is lost
        self.loop.close()

    # Workers.

    @initialize(target=workers, limit=LIMITS)
    def start_with_two(self, limit: int) -> MultipleResults[Worker]:
        return multiple(self.start_worker(limit), self.start_worker(limit))

    @precondition(lambda self: len(self.alive) < 4)
    @rule(target=workers, limit=LIMITS)
    def start_another(self, limit: int) -> Worker:
        return self.start_worker(limit)

    def start_worker(self, limit: int) -> Worker:
        """A new worker, perhaps of a new configuration."""
        worker = Worker(next(self.numbers), limit, self)
        self.alive.append(worker)
        return worker

    @precondition(lambda self: len(self.alive) > 2)
    @rule(worker=consumes(workers))
    def kill(self, worker: Worker) -> None:
        """What it has still said is heard; then it is reaped."""
        while worker.said:
            self.hear(worker)
        self.alive.remove(worker)
        self.exchanges = [exchange for exchange in self.exchanges if exchange.worker is not worker]
        self.model.forget(worker.id)
        self.deliver(self.broker.gone(worker.id))

    # Messages: late, and in any order, but in the right one between each two.

    @precondition(lambda self: self.talking() or self.to_be_told())
    @rule(choices=st.lists(st.integers(0, 7), min_size=1, max_size=6))
    def some_messages_arrive(self, choices: list[int]) -> None:
        for choice in choices:
            ways = [(self.hear, worker) for worker in self.talking()]
            ways += [(self.tell, worker) for worker in self.to_be_told()]
            if ways:
                way, worker = ways[choice % len(ways)]
                way(worker)

    def talking(self) -> list[Worker]:
        return [worker for worker in self.alive if worker.said]

    def to_be_told(self) -> list[Worker]:
        return [worker for worker in self.alive if worker.to_hear]

    def hear(self, worker: Worker) -> None:
        message = worker.said.popleft()
        self.model.hear(worker.id, message)
        replies = self.broker.receive(worker.id, message)
        if message["do"] == "ask":
            answers = [reply["do"] for to, reply in replies if (to, reply.get("ask")) == (worker.id, message["ask"])]
            assert answers in (["grant"], ["wait"])
        self.deliver(replies)

    def tell(self, worker: Worker) -> None:
        worker.pool.receive(worker.to_hear.popleft())

    def deliver(self, replies: list[Reply]) -> None:
        by_id = {worker.id: worker for worker in self.alive}
        for id, message in replies:
            self.model.say(id, message)
            by_id[id].to_hear.append(message)
        if not (self.model.places or self.model.waiting):
            self.model.newest = 0  # nothing is left to remember

    # Exchanges.

    @rule(worker=workers, turn=TURNS, server=st.sampled_from([0, 1]))
    def arrive(self, worker: Worker, turn: Turn, server: int) -> None:
        exchange = Exchange(worker, turn, self.loop.create_future())
        if not turn.later and (idle := worker.pool.take(worker.servers[server], turn.route)) is not None:
            assert not [one for one in self.exchanges if one.worker is worker and one.is_first]  # it overtakes nobody
            exchange.granted.set_result(idle[0])
            self.connect(exchange, server)
        else:
            ask = Ask(turn, exchange.granted, exchange.know_line)
            exchange.number = worker.pool.ask(ask, worker.servers[server])
        self.exchanges.append(exchange)

    @precondition(lambda self: self.granted())
    @rule(data=st.data(), server=st.sampled_from([0, 1]))
    def use_what_was_granted(self, data: st.DataObject, server: int) -> None:
        self.connect(data.draw(st.sampled_from(self.granted())), server)

    def granted(self) -> list[Exchange]:
        return [one for one in self.exchanges if one.granted.done() and not (one.granted.cancelled() or one.connection)]

    @precondition(lambda self: self.waiting())
    @rule(data=st.data())
    def somebody_is_cancelled(self, data: st.DataObject) -> None:
        """It learns of it later, and leaves then."""
        data.draw(st.sampled_from(self.waiting())).granted.cancel()

    def waiting(self) -> list[Exchange]:
        return [one for one in self.exchanges if not one.granted.done()]

    def connect(self, exchange: Exchange, server: int) -> None:
        """Use the connection that is open at the place, or make one."""
        place, worker = exchange.granted.result(), exchange.worker
        if place.link is not None and place.link.connection.closed:
            self.lose(worker, place.link.connection)
        if place.link is None:
            place.link = Link(worker.servers[server], Connection(1024))
            worker.sockets[place.link.connection] = place
        exchange.connection = place.link.connection

    @precondition(lambda self: self.exchanges)
    @rule(data=st.data(), reusable=st.booleans())
    def somebody_leaves(self, data: st.DataObject, *, reusable: bool) -> None:
        self.leave(data.draw(st.sampled_from(self.exchanges)), reusable=reusable)

    def leave(self, exchange: Exchange, *, reusable: bool) -> None:
        """Leave the queue, or the connection when the exchange is over."""
        self.exchanges.remove(exchange)
        if exchange.connection is not None:
            exchange.worker.pool.give_back(exchange.granted.result(), reusable=reusable)
        else:
            exchange.worker.pool.stop_waiting(exchange.number, exchange.granted)

    # Connections.

    @precondition(lambda self: self.sockets())
    @rule(data=st.data())
    def the_origin_closes_a_connection(self, data: st.DataObject) -> None:
        self.lose(*data.draw(st.sampled_from(self.sockets())))

    @rule(worker=workers, seconds=st.sampled_from([1.0, KEEP_IDLE]))
    def time_goes_by(self, worker: Worker, seconds: float) -> None:
        self.now += seconds
        worker.pool.close_stale()

    def sockets(self) -> list[tuple[Worker, Connection]]:
        return [(worker, connection) for worker in self.alive for connection in worker.sockets]

    def lose(self, worker: Worker, connection: Connection) -> None:
        connection.closed = True
        worker.pool.lost(worker.sockets.pop(connection))

    # What must hold.

    @invariant()
    def the_origin_never_sees_more_connections_than_there_are_places(self) -> None:
        assert len(self.sockets()) <= len(self.model.places)

    @invariant()
    def the_broker_knows_what_the_model_knows(self) -> None:
        known = Figures(len(self.model.places), len(self.model.waiting))
        assert self.broker.figures().get("o", Figures(0, 0)) == known

    @rule()
    def everything_settles(self) -> None:
        """When all messages have arrived and all closes are through, nobody waits whom anything could serve."""
        while self.talking() or self.to_be_told() or self.closed() or self.granted():
            for worker in self.talking():
                self.hear(worker)
            for worker in self.to_be_told():
                self.tell(worker)
            for one in self.closed():
                self.lose(*one)
            for exchange in self.granted():
                self.connect(exchange, 0)
        assert all(exchange.told == 1 for exchange in self.waiting())  # each knows that it stands in line
        assert all(worker.pool.held == self.model.held(worker.id) for worker in self.alive)  # and what for
        if self.model.due():
            used = [exchange for exchange in self.exchanges if exchange.connection]
            assert len(used) == len(self.model.places) >= self.model.limit
            assert [worker for worker in self.alive for server in worker.servers if worker.pool.take(server, "")] == []

    def closed(self) -> list[tuple[Worker, Connection]]:
        return [(worker, connection) for worker, connection in self.sockets() if connection.closed]


TestPlaces = PlacesMachine.TestCase
TestPlaces.settings = settings(max_examples=300, stateful_step_count=50)
