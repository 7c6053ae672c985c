"""Connections to an origin: used again where they can be, closed in time, never too many, handed out in order."""

import asyncio
import random
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import pytest

from proxy.config import OriginSettings
from proxy.connection import Connection
from proxy.errors import Busy
from proxy.origin import Origin, Origins
from proxy.places import Places
from proxy.pool import Turn
from tests.exchange.conftest import ClientVia, ProxyVia
from tests.exchange.problems import assert_problem
from tests.raw_client import RawClient, request
from tests.scripted_origin import ScriptedOrigin, Step, answer, read_all, send, wait_for

GET = request("GET", b"/")


# Through the proxy.


async def test_a_connection_is_used_again_and_again(proxy_via: ProxyVia, origin: ScriptedOrigin) -> None:
    proxy = await proxy_via()
    for client in [await proxy.client(), await proxy.client()]:
        for method, body in [("GET", None), ("POST", b"body"), ("HEAD", None), ("PUT", b"")]:
            assert (await client.exchange(method, b"/", body=body)).status == 200
    assert len(origin.connections) == 1


@pytest.mark.parametrize(
    "script",
    [
        pytest.param([answer(200, [(b"Connection", b"close")])], id="the origin says so"),
        pytest.param([answer(b"HTTP/1.0 200 OK")], id="HTTP/1.0 does not say otherwise"),
        pytest.param([answer(framing="close")], id="a close is the end of the content"),
        pytest.param(
            [send(b"HTTP/1.0 200 OK\r\nConnection: close, keep-alive\r\nContent-Length: 0\r\n\r\n")], id="both"
        ),
    ],
)
async def test_a_connection_that_cannot_be_used_again_is_closed(
    client: RawClient, origin: ScriptedOrigin, script: list[Step]
) -> None:
    origin.script(*script)
    for number in (1, 2):
        assert (await client.exchange("GET", b"/")).complete
        await origin.connection_closed(number)


async def test_bytes_that_nobody_asked_for_close_an_idle_connection(client: RawClient, origin: ScriptedOrigin) -> None:
    assert (await client.exchange("GET", b"/")).status == 200
    await origin.connections[0].send(b"HTTP/1.1 408 Request Timeout\r\nContent-Length: 0\r\n\r\n")
    await origin.connection_closed()
    assert (await client.exchange("POST", b"/")).status == 200
    assert len(origin.connections) == 2


async def test_idle_connections_are_closed_before_the_origin_would(
    client_via: ClientVia, origin: ScriptedOrigin
) -> None:
    client = await client_via(legacy={"keepalive_timeout": "100ms"})
    assert (await client.exchange("GET", b"/")).status == 200
    await origin.connection_closed()
    assert (await client.exchange("GET", b"/")).status == 200
    assert len(origin.connections) == 2
    await origin.connection_closed(2)


async def test_there_are_never_more_connections_than_allowed(proxy_via: ProxyVia, origin: ScriptedOrigin) -> None:
    gate, most = asyncio.Event(), 0

    async def count(_: object) -> None:
        nonlocal most
        most = max(most, len(origin.open_connections))

    origin.on_accept(count)
    origin.script(read_all(), wait_for(gate), answer(body=b"done"))
    proxy = await proxy_via(legacy={"max_connections": 3})
    clients = [await proxy.client() for _ in range(12)]
    for client in clients:
        await client.send(GET)
    await origin.request_received(3)
    gate.set()
    assert [(await client.response()).body for client in clients] == [b"done"] * 12
    assert (most, len(origin.connections), len(origin.requests)) == (3, 3, 12)


async def test_a_request_that_finds_no_room_in_time_is_told_to_come_back(
    proxy_via: ProxyVia, origin: ScriptedOrigin
) -> None:
    gate = asyncio.Event()
    origin.script(wait_for(gate), answer(body=b"done"))
    proxy = await proxy_via(legacy={"max_connections": 1, "queue_timeout": "100ms"})
    first, second = await proxy.client(), await proxy.client()
    await first.send(GET)
    await origin.request_received()
    response = await second.exchange("GET", b"/")
    assert_problem(response, 503, "busy", "connection_limit_reached")
    assert int(response.field(b"retry-after") or b"0") >= 1
    gate.set()
    assert (await first.response()).body == b"done"
    assert (await second.exchange("GET", b"/")).body == b"done"
    assert len(origin.requests) == 2


async def test_a_client_that_leaves_the_queue_leaves_its_place_to_others(
    proxy_via: ProxyVia, origin: ScriptedOrigin
) -> None:
    gate = asyncio.Event()
    origin.script(wait_for(gate), answer(body=b"done"))
    proxy = await proxy_via(legacy={"max_connections": 1, "queue_timeout": "30s"})
    first, leaving, last = [await proxy.client() for _ in range(3)]
    await first.send(GET)
    await origin.request_received()
    await leaving.send(request("POST", b"/left"))
    await last.send(GET)
    leaving.reset()
    gate.set()
    assert (await first.response()).body == b"done"
    assert (await last.response()).body == b"done"
    assert (await first.exchange("GET", b"/")).body == b"done"
    assert len(origin.connections) == 1


async def test_idle_connections_are_closed_at_the_end(origin: ScriptedOrigin) -> None:
    async with Origins.opened({"legacy": settings(origin)}, 4096, Places.alone()) as origins:
        await used(await origins["legacy"].connection(Turn(1)), origins["legacy"])
    assert (await origin.connection_closed()).requests != []


# The pool itself, where the order of events matters.

StartOrigin = Callable[..., Origin]


def settings(origin: ScriptedOrigin, **changes: object) -> OriginSettings:
    return OriginSettings.model_validate({"url": origin.url} | changes)


@pytest.fixture
async def start_origin(origin: ScriptedOrigin) -> AsyncIterator[StartOrigin]:
    """Makes the product's side of the scripted origin, with these settings."""
    pools: list[Origin] = []

    def start(**changes: object) -> Origin:
        pools.append(Origin("legacy", settings(origin, **changes), 4096, Places.alone()))
        return pools[-1]

    yield start
    for pool in pools:
        pool.close()


async def used(connection: Connection, pool: Origin) -> Connection:
    """The same connection, given back after an exchange."""
    connection.begin("GET")
    connection.write(GET)
    connection.sent_whole()
    await connection.head(1)
    while await connection.piece(1):
        pass
    pool.give_back(connection)
    return connection


async def turn() -> None:
    """Lets everything run that can."""
    for _ in range(3):
        await asyncio.sleep(0)


async def test_waiting_requests_are_served_in_order(start_origin: StartOrigin) -> None:
    pool = start_origin(max_connections=1)
    held, served = await pool.connection(Turn(1)), []

    async def wait(number: int) -> None:
        connection = await pool.connection(Turn(5))
        served.append(number)
        await used(connection, pool)

    async with asyncio.TaskGroup() as tasks:
        for number in range(5):
            tasks.create_task(wait(number))
            await turn()
        await used(held, pool)
        assert (await used(await pool.connection(Turn(5)), pool)) is held  # who comes last is served last
        assert served == [0, 1, 2, 3, 4]


async def test_each_connection_is_closed_when_its_own_time_is_up(
    start_origin: StartOrigin, origin: ScriptedOrigin, monkeypatch: pytest.MonkeyPatch
) -> None:
    pool, now = start_origin(keepalive_timeout="60s"), 0.0
    monkeypatch.setattr(pool._pool, "_clock", lambda: now)
    first, second = await pool.connection(Turn(1)), await pool.connection(Turn(1))
    await used(first, pool)
    now += 20
    await used(second, pool)
    now += 40
    assert sweep(pool) < 40  # 20, for the second, and not one whole timeout; the rest is for a busy machine
    await origin.connection_closed(1)
    assert not second.closed
    now += 20
    sweep(pool)
    await origin.connection_closed(2)


def sweep(pool: Origin) -> float:
    """Close what has been idle for long enough, as if the timer for it had fired; seconds until the next time."""
    assert pool._sweep is not None
    pool._sweep.cancel()
    pool._close_stale()
    assert pool._sweep is not None
    return pool._sweep.when() - asyncio.get_running_loop().time()


async def test_nobody_looks_for_idle_connections_where_nothing_is_open(start_origin: StartOrigin) -> None:
    pool = start_origin(keepalive_timeout="10ms")
    for _ in range(2):
        connection = await used(await pool.connection(Turn(1)), pool)
        async with asyncio.timeout(5):
            while pool._sweep is not None:  # noqa: ASYNC110  # a timer, which tells nobody
                await asyncio.sleep(0.001)
        assert (connection.lost.done(), pool.figures) == (True, (0, 0))


async def test_the_last_that_fell_idle_is_the_first_to_serve(start_origin: StartOrigin) -> None:
    pool = start_origin()
    first, second = await pool.connection(Turn(1)), await pool.connection(Turn(1))
    await used(first, pool)
    await used(second, pool)
    assert await pool.connection(Turn(1)) is second
    assert await pool.connection(Turn(1)) is first


async def test_another_connection_takes_the_place_of_one_that_went_stale(
    start_origin: StartOrigin, origin: ScriptedOrigin
) -> None:
    pool = start_origin(max_connections=1)
    old = await pool.connection(Turn(1))
    waiting = asyncio.create_task(pool.connection(Turn(5)))
    await turn()
    fresh = await pool.another(old)
    assert fresh is not old
    assert (old.closed, waiting.done(), pool.figures) == (True, False, (1, 1))
    await used(fresh, pool)
    assert await waiting is fresh


async def test_a_place_that_was_given_to_someone_who_left_at_that_moment_goes_on(start_origin: StartOrigin) -> None:
    pool = start_origin(max_connections=1)
    held = await pool.connection(Turn(1))
    held.begin("GET")
    leaving = asyncio.create_task(pool.connection(Turn(5)))
    waiting = asyncio.create_task(pool.connection(Turn(5)))
    await turn()
    pool.give_back(held)
    leaving.cancel()  # its turn has come, and it has not run yet
    with pytest.raises(asyncio.CancelledError):
        await leaving
    assert held.closed  # its exchange was not over
    (await asyncio.wait_for(waiting, 5)).close()


async def test_no_place_is_lost_in_failures(start_origin: StartOrigin, unused_port: int) -> None:
    pool = start_origin(url=f"http://127.0.0.1:{unused_port}", max_connections=2)
    for _ in range(5):
        with pytest.raises(Exception, match="refused"):
            await pool.connection(Turn(0.1))


async def test_no_place_is_lost_in_a_storm_of_cancellations(start_origin: StartOrigin, origin: ScriptedOrigin) -> None:
    pool, dice = start_origin(max_connections=3), random.Random(1)  # noqa: S311  # the same storm each time

    async def exchange() -> None:
        async with taken(pool, dice.uniform(0.001, 5)) as connection:
            connection.begin("GET")
            connection.write(GET)
            connection.sent_whole()
            await connection.head(5)
            await connection.piece(5)

    tasks = []
    for _ in range(200):
        tasks.append(asyncio.create_task(exchange()))
        await asyncio.sleep(0)
        if dice.random() < 0.5:
            dice.choice(tasks).cancel()
    results = await asyncio.gather(*tasks, return_exceptions=True)
    assert {type(result) for result in results} <= {type(None), asyncio.CancelledError, Busy}
    all_places = [await pool.connection(Turn(1)) for _ in range(3)]
    with pytest.raises(Busy):
        await pool.connection(Turn(0.01))
    for connection in all_places:
        connection.close()


@asynccontextmanager
async def taken(pool: Origin, patience: float) -> AsyncIterator[Connection]:
    connection = await pool.connection(Turn(patience))
    try:
        yield connection
    finally:
        pool.give_back(connection)
