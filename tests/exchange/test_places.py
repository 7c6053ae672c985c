"""Several worker processes at one origin: here they share an event loop, and their messages to the broker take time."""

import asyncio
import random
import selectors
import socket
import threading
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from typing import Any, Final

import pytest

from proxy.broker import Broker, Figures, Message, Reply
from proxy.config import OriginSettings
from proxy.connection import Connection
from proxy.errors import Busy, OriginBrokeOff
from proxy.origin import Origin
from proxy.places import Places
from proxy.pool import Turn
from tests.raw_client import request
from tests.scripted_origin import ScriptedOrigin, read_all, stall, wait_for

GET: Final = request("GET", b"/")
LIMIT: Final = 3


class Workers:
    """The workers' sides of one broker. Messages arrive late, but in order between each two."""

    def __init__(self, url: str, dice: random.Random) -> None:
        self.broker = Broker()
        self.said: Counter[str] = Counter()
        self._url = url
        self._dice = dice
        self._places: dict[int, Places] = {}
        self._origins: list[Origin] = []
        self._due: dict[tuple[int, bool], float] = {}

    def start(self, **settings: Any) -> Origin:  # noqa: ANN401  # what YAML can hold
        worker = len(self._places) + 1
        self._places[worker] = places = Places(lambda message: self._said(worker, message))
        values = {"url": self._url, "max_connections": LIMIT} | settings
        origin = Origin("legacy", OriginSettings.model_validate(values), 4096, places)
        self._origins.append(origin)
        return origin

    def kill(self, origin: Origin) -> None:
        """Close its sockets at once, as the kernel does, and have it reaped."""
        origin.close()
        for connection in origin._used:
            connection.abort()
        worker = self._origins.index(origin) + 1
        del self._places[worker]
        self._answer(self.broker.gone(worker))

    def close(self) -> None:
        for origin in self._origins:
            origin.close()

    @property
    def figures(self) -> Figures:
        return next(iter(self.broker.figures().values()), Figures(0, 0))

    def _said(self, worker: int, message: Message) -> None:
        self.said[message["do"]] += 1
        self._later((worker, True), self._to_broker, worker, message)

    def _to_broker(self, worker: int, message: Message) -> None:
        if worker in self._places:
            self._answer(self.broker.receive(worker, message))

    def _answer(self, replies: list[Reply]) -> None:
        for worker, message in replies:
            self.said[message["do"]] += 1
            self._later((worker, False), self._to_worker, worker, message)

    def _to_worker(self, worker: int, message: Message) -> None:
        if worker in self._places:
            self._places[worker].receive(message)

    def _later(self, way: tuple[int, bool], call: Callable[..., None], *args: object) -> None:
        loop = asyncio.get_running_loop()
        soonest = loop.time() + self._dice.choice([0, 0, 0.0005, 0.002])
        self._due[way] = due = max(self._due.get(way, 0), soonest)
        loop.call_at(due, call, *args)


@pytest.fixture
async def workers(origin: ScriptedOrigin) -> AsyncIterator[Workers]:
    workers = Workers(origin.url, random.Random(1))  # noqa: S311  # the same delays each time
    yield workers
    workers.close()


async def used(connection: Connection) -> None:
    connection.begin("GET")
    connection.write(GET)
    connection.sent_whole()
    await connection.head(10)
    while await connection.piece(10):
        pass


async def use(origin: Origin, turn: Turn) -> Connection:
    """One exchange, from its turn to its end."""
    taken = await origin.connection(turn)
    try:
        await used(taken)
    finally:
        origin.give_back(taken)
    return taken


@asynccontextmanager
async def holding(origin: Origin) -> AsyncIterator[list[Connection]]:
    """Has all places of the origin, until they are given back, unused."""
    held = [await origin.connection(Turn(10)) for _ in range(origin.settings.max_connections)]
    for connection in held:
        connection.begin("GET")
    yield held
    for connection in held:
        origin.give_back(connection)


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(10):
        while not condition():  # noqa: ASYNC110  # nobody sets an event for what goes on inside the product
            await asyncio.sleep(0.001)


# What the origin sees.


class AcceptsFirst:
    """An origin that counts, in a thread of its own, and accepts all that is there before it looks who has left."""

    def __init__(self) -> None:
        self._listening = socket.create_server(("127.0.0.1", 0), backlog=1000)
        self._listening.settimeout(0)
        self._stopping, self._stop = socket.socketpair()
        self._selector = selectors.DefaultSelector()
        self._open: set[socket.socket] = set()
        self.most = self.accepted = 0
        self.url = f"http://127.0.0.1:{self._listening.getsockname()[1]}"

    @contextmanager
    def running(self) -> Iterator["AcceptsFirst"]:
        thread = threading.Thread(target=self._run)
        thread.start()
        try:
            yield self
        finally:
            self._stop.close()
            thread.join()

    def _run(self) -> None:
        self._selector.register(self._listening, selectors.EVENT_READ)
        self._selector.register(self._stopping, selectors.EVENT_READ)
        running = True
        while running:
            ready = [key.fileobj for key, _ in self._selector.select()]
            time.sleep(0.001)  # it is slow, so that more has happened than it knows of
            self._accept()
            for sock in self._open.intersection(ready):
                self._serve(sock)
            running = self._stopping not in ready
        for sock in (*self._open, self._listening, self._stopping):
            sock.close()
        self._selector.close()

    def _accept(self) -> None:
        with suppress(BlockingIOError):
            while True:
                sock, _ = self._listening.accept()
                self._open.add(sock)
                self._selector.register(sock, selectors.EVENT_READ)
                self.accepted += 1
                self.most = max(self.most, len(self._open))

    def _serve(self, sock: socket.socket) -> None:
        received = b""
        with suppress(ConnectionError):
            received = sock.recv(65536)
        if b" /close " in received:
            sock.sendall(b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nok")
        elif b" /keep " in received:
            sock.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
        if b" /close " in received or not received:
            self._selector.unregister(sock)
            self._open.remove(sock)
            sock.close()


async def test_an_origin_never_sees_more_connections_than_it_may() -> None:
    with AcceptsFirst().running() as origin:
        dice = random.Random(2)  # noqa: S311  # the same storm each time
        workers = Workers(origin.url, dice)
        sides = [workers.start(), workers.start()]
        tasks = [asyncio.create_task(exchange(dice.choice(sides), dice)) for _ in range(400)]
        for task in tasks:
            if dice.random() < 0.2:
                task.cancel()
            await asyncio.sleep(dice.choice([0, 0, 0.001]))
            if dice.random() < 0.2:
                dice.choice(tasks).cancel()
        results = Counter(type(result) for result in await asyncio.gather(*tasks, return_exceptions=True))
        assert set(results) <= {type(None), asyncio.CancelledError, Busy}
        assert results[type(None)] > 100
        assert origin.accepted > 2 * LIMIT
        assert origin.most == LIMIT
        await until(lambda: workers.figures == (sum(side.figures.places for side in sides), 0))
        assert [await use_all(side) for side in sides] == [LIMIT, LIMIT]  # no place is lost
        workers.close()


async def exchange(side: Origin, dice: random.Random) -> None:
    """An exchange of some kind: one that ends well, that ends its connection, or that is given up."""
    turn = dice.choice([Turn(10), Turn(0.01), Turn(None, later=True, since=dice.random())])
    path = dice.choice([b"/keep", b"/keep", b"/close", b"/never"])
    connection = await side.connection(turn)
    try:
        connection.begin("GET")
        connection.write(request("GET", path))
        connection.sent_whole()
        await asyncio.sleep(0)
        if path != b"/never":
            await connection.head(10)
            await connection.piece(10)
            await connection.piece(10)
    finally:
        side.give_back(connection)


async def use_all(side: Origin) -> int:
    async with asyncio.timeout(10), holding(side) as held:
        return len(held)


async def test_a_connection_that_the_origin_does_not_close_counts_for_a_while(
    workers: Workers, origin: ScriptedOrigin, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("proxy.connection.FAREWELL", 0.2)
    gate = asyncio.Event()
    origin.queue([read_all(), wait_for(gate)])
    first, second = workers.start(max_connections=1), workers.start(max_connections=1)
    given_up = await first.connection(Turn(1))
    given_up.begin("GET")
    given_up.write(GET)
    await origin.request_received()
    first.give_back(given_up)
    await origin.connection_closed()  # half of it: the origin goes on with its work
    assert workers.figures == (1, 0)
    await use(second, Turn(10))
    assert given_up.lost.done()
    gate.set()


# Whose turn it is.


async def test_no_message_is_needed_while_nobody_waits(workers: Workers, origin: ScriptedOrigin) -> None:
    worker = workers.start()
    for _ in range(10):
        await use(worker, Turn(1))
    assert workers.said == {"ask": 1, "grant": 1}
    assert len(origin.connections) == 1


async def test_whose_clients_wait_are_served_in_order_over_all_workers(workers: Workers) -> None:
    sides, served = [workers.start(max_connections=1), workers.start(max_connections=1)], []

    async def wait(number: int) -> None:
        await use(sides[number % 2], Turn(20))
        served.append(number)

    async with asyncio.TaskGroup() as tasks, holding(sides[0]):
        for number in range(8):
            tasks.create_task(wait(number))
            await until(lambda: workers.figures.waiting == number + 1)  # noqa: B023  # called in this round
    assert served == [*range(8)]


async def test_the_others_are_served_after_them_by_the_time_of_their_arrival(workers: Workers) -> None:
    sides, served = [workers.start(max_connections=1), workers.start(max_connections=1)], []

    async def wait(side: Origin, turn: Turn) -> None:
        await use(side, turn)
        served.append(turn.since)

    turns = [Turn(None, later=True, since=since) for since in (5, 3, 4, 1, 2)] + [Turn(20)]
    async with asyncio.TaskGroup() as tasks, holding(sides[0]):
        for number, turn in enumerate(turns):
            tasks.create_task(wait(sides[number % 2], turn))
        await until(lambda: workers.figures.waiting == len(turns))
    assert served == [0, 1, 2, 3, 4, 5]


async def test_a_route_that_has_enough_running_stops_nobody_else(workers: Workers) -> None:
    slow = Turn(None, later=True, route="slow", max_running=1)
    first, second = workers.start(), workers.start()
    running = await first.connection(slow)
    running.begin("GET")
    waiting = asyncio.create_task(use(second, slow))
    await until(lambda: workers.figures.waiting == 1)
    await use(second, Turn(1))
    await use(second, Turn(None, later=True, route="other", max_running=1))
    await use(second, Turn(None, later=True))
    assert not waiting.done()
    first.give_back(running)
    await asyncio.wait_for(waiting, 10)


async def test_which_bound_is_reached_is_told_whoever_has_the_places(workers: Workers) -> None:
    slow = [Turn(None, later=True, since=since, route="slow", max_running=1) for since in range(3)]
    free = Turn(None, later=True, since=3)
    other = Turn(None, later=True, since=4, route="other", max_running=1)
    first, second, third = workers.start(), workers.start(), workers.start()
    taken = [await first.connection(slow[0]), await first.connection(Turn(10)), await second.connection(Turn(10))]
    for connection in taken:
        connection.begin("GET")
    assert first.held_by(slow[0]) == "connecting"
    async with asyncio.TaskGroup() as tasks:
        waiting = [tasks.create_task(use(second, slow[1])), tasks.create_task(use(third, slow[2]))]
        await until(lambda: second.held_by(slow[1]) == "max_running")
        await until(lambda: third.held_by(slow[2]) == "max_running")
        served = tasks.create_task(use(second, free))
        await until(lambda: second.held_by(free) == "max_connections")
        assert second.held_by(slow[1]) == "max_running"
        assert [(origin.figures.waiting, origin.held) for origin in (first, second, third)] == [(0, 0), (2, 1), (1, 1)]
        waiting.append(tasks.create_task(use(third, other)))
        await until(lambda: third.held_by(other) == "max_connections")
        assert (third.figures.waiting, third.held) == (2, 1)
        first.give_back(taken[1])
        await served
        for one in waiting:
            one.cancel()
    first.give_back(taken[0])
    second.give_back(taken[2])


async def test_a_route_is_free_again_when_its_exchange_is_over_and_its_connection_is_kept(
    workers: Workers, origin: ScriptedOrigin
) -> None:
    worker, slow = workers.start(max_connections=1), Turn(None, later=True, route="slow", max_running=1)
    for _ in range(3):
        await use(worker, slow)
    assert len(origin.connections) == 1


async def test_what_is_idle_elsewhere_is_closed_for_whom_waits(workers: Workers, origin: ScriptedOrigin) -> None:
    first, second = workers.start(), workers.start()
    for connection in [await first.connection(Turn(1)) for _ in range(LIMIT)]:
        await used(connection)
        first.give_back(connection)
    await use(second, Turn(10))
    assert len(origin.connections) == LIMIT + 1
    assert first.figures == (LIMIT - 1, 0)  # and no more than is needed
    assert workers.said["close"] == 1


async def test_a_place_whose_idle_connection_the_origin_closes_is_free(
    workers: Workers, origin: ScriptedOrigin
) -> None:
    worker = workers.start()
    await use(worker, Turn(1))
    origin.connections[0].close()
    await until(lambda: workers.figures == (0, 0))
    assert worker.figures == (0, 0)


async def test_a_worker_that_dies_leaves_its_places_to_the_others(workers: Workers) -> None:
    dying, surviving = workers.start(), workers.start()
    held = [await dying.connection(Turn(1)) for _ in range(LIMIT)]
    waiting = [asyncio.create_task(use(surviving, Turn(10))) for _ in range(LIMIT)]
    queued = asyncio.create_task(use(dying, Turn(10)))
    await until(lambda: workers.figures.waiting == LIMIT + 1)
    workers.kill(dying)
    await asyncio.wait_for(asyncio.gather(*waiting), 10)
    queued.cancel()
    assert len(held) == LIMIT
    assert workers.figures.places == surviving.figures.places


async def test_a_new_configuration_s_limit_is_the_one_that_counts(workers: Workers, origin: ScriptedOrigin) -> None:
    old, new = workers.start(max_connections=LIMIT), workers.start(max_connections=1)
    async with holding(old):
        waiting = asyncio.create_task(use(new, Turn(10)))
        await until(lambda: workers.figures.waiting == 1)
        assert not waiting.done()
    await asyncio.wait_for(waiting, 10)
    await until(lambda: len(origin.open_connections) == 1)
    assert workers.figures == (1, 0)


async def test_another_url_is_another_origin(workers: Workers) -> None:
    async with ScriptedOrigin() as other:
        old, new = workers.start(max_connections=1), workers.start(max_connections=1, url=other.url)
        async with holding(old), holding(new):
            assert len(workers.broker.figures()) == 2


async def test_a_place_that_comes_for_someone_who_has_left_goes_on(workers: Workers) -> None:
    first, second = workers.start(max_connections=1), workers.start(max_connections=1)
    for _ in range(20):
        with suppress(Busy):
            await use(first, Turn(0.001))
        await use(second, Turn(10))


def test_messages_that_nobody_knows_are_a_mistake() -> None:
    with pytest.raises(ValueError, match="nonsense"):
        Broker().receive(1, {"origin": "o", "do": "nonsense"})
    places = Places(lambda _: None)
    places.pool("o", 1, 1.0, lambda: 0.0)
    with pytest.raises(ValueError, match="nonsense"):
        places.receive({"origin": "o", "do": "nonsense"})


async def test_an_exchange_that_is_broken_off_gives_its_place_back(workers: Workers, origin: ScriptedOrigin) -> None:
    origin.script(read_all(), stall())
    worker = workers.start(max_connections=1)
    for number in range(3):
        connection = await worker.connection(Turn(10))
        connection.begin("GET")
        connection.write(GET)
        await origin.request_received(number + 1)
        worker.give_back(connection)
        with pytest.raises(OriginBrokeOff):
            await connection.head(1)
    assert len(origin.connections) == 3
