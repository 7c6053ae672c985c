"""Origins with several servers, and servers that are left alone."""

import asyncio
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from typing import Any

import aiohappyeyeballs
import pytest
import structlog

from proxy.checks import keep_checking
from proxy.config import HealthCheck, OriginSettings
from proxy.connection import Connection
from proxy.errors import Busy, OriginTimeout, OriginUnreachable
from proxy.origin import Origin, Origins
from proxy.places import Places
from proxy.pool import Turn
from proxy.servers import Server
from tests.exchange.conftest import ClientVia, ProxyVia
from tests.exchange.problems import assert_problem
from tests.raw_client import request
from tests.scripted_origin import Request, ScriptedOrigin, Step, answer, read_all, stall, wait_for

StartOrigin = Callable[..., Origin]
SOON = Turn(5)
LogLines = list[structlog.types.EventDict]


@pytest.fixture
async def other() -> AsyncIterator[ScriptedOrigin]:
    async with ScriptedOrigin() as other:
        yield other


@pytest.fixture
async def start_origin() -> AsyncIterator[StartOrigin]:
    """Makes the product's side of an origin with these settings."""
    origins: list[Origin] = []

    def start(**settings: Any) -> Origin:  # noqa: ANN401  # what YAML can hold
        origins.append(Origin("legacy", OriginSettings.model_validate(settings), 4096, Places.alone()))
        return origins[-1]

    yield start
    for origin in origins:
        origin.close()


async def use(origin: Origin, turn: Turn = SOON) -> Connection:
    """One exchange with it."""
    connection = await origin.connection(turn)
    connection.begin("GET")
    connection.write(request("GET", b"/"))
    connection.sent_whole()
    await connection.head(5)
    while await connection.piece(5):
        pass
    origin.give_back(connection)
    return connection


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(5):
        while not condition():  # noqa: ASYNC110  # nobody sets an event for what goes on inside the product
            await asyncio.sleep(0.001)


def events(lines: LogLines) -> list[str]:
    return [line["event"] for line in lines]


# Several servers.


async def test_servers_are_used_in_turn(client_via: ClientVia, origin: ScriptedOrigin, other: ScriptedOrigin) -> None:
    client = await client_via(legacy={"url": [origin.url, other.url]})
    for _ in range(6):
        assert (await client.exchange("GET", b"/")).status == 200
    assert min(len(origin.requests), len(other.requests)) >= 1


async def test_the_server_with_the_fewest_exchanges_is_next(
    proxy_via: ProxyVia, origin: ScriptedOrigin, other: ScriptedOrigin
) -> None:
    gate = asyncio.Event()
    origin.script(read_all(), wait_for(gate), answer())
    proxy = await proxy_via(legacy={"url": [origin.url, other.url]})
    clients = [await proxy.client() for _ in range(2)]
    for client in clients:  # one of them comes to the first server, and stays there
        await client.send(request("GET", b"/"))
    await origin.request_received()
    await other.request_received()
    for _ in range(5):
        assert (await (await proxy.client()).exchange("GET", b"/")).status == 200
    assert (len(origin.requests), len(other.requests)) == (1, 6)
    gate.set()
    for client in clients:
        assert (await client.response()).status == 200


async def test_those_that_are_connecting_count(start_origin: StartOrigin, origin: ScriptedOrigin) -> None:
    with socket.create_server(("127.0.0.1", 0)) as slow:
        pool = start_origin(url=[f"http://127.0.0.1:{slow.getsockname()[1]}", origin.url])
        first, second = await asyncio.gather(pool.connection(Turn(1)), pool.connection(Turn(1)))
        assert {first.authority, second.authority} == {server.url.authority for server in pool.servers}
        for connection in (first, second):
            connection.begin("GET")
            pool.give_back(connection)


async def test_a_server_that_is_dead_costs_no_request(
    client_via: ClientVia, origin: ScriptedOrigin, unused_port: int
) -> None:
    client = await client_via(legacy={"url": [f"http://127.0.0.1:{unused_port}", origin.url]})
    for _ in range(3):
        assert (await client.exchange("POST", b"/", body=b"once")).status == 200
    assert [len(request.body) for request in origin.requests] == [4, 4, 4]


async def test_all_servers_are_dead(client_via: ClientVia, unused_port: int) -> None:
    client = await client_via(legacy={"url": [f"http://127.0.0.1:{unused_port}", f"http://127.0.0.2:{unused_port}"]})
    assert_problem(await client.exchange("GET", b"/"), 502, "origin-unreachable", "connection_refused")


async def test_all_servers_together_have_the_places_of_one_origin(
    start_origin: StartOrigin, origin: ScriptedOrigin, other: ScriptedOrigin
) -> None:
    pool = start_origin(url=[origin.url, other.url], max_connections=2)
    held = [await pool.connection(Turn(1)) for _ in range(2)]
    with pytest.raises(Busy):
        await pool.connection(Turn(0.01))
    for connection in held:
        connection.begin("GET")
        pool.give_back(connection)


async def test_each_server_gets_its_own_host_and_may_point_at_any(
    client_via: ClientVia, origin: ScriptedOrigin, other: ScriptedOrigin
) -> None:
    for one, another in ((origin, other), (other, origin)):
        one.script(answer(302, [(b"Location", another.url.encode() + b"/app/next")]))
    settings = {"url": [origin.url, other.url], "host_header": "origin"}
    client = await client_via({"add_path": "/app"}, settings)
    while not (origin.requests and other.requests):
        response = await client.exchange("GET", b"/")
        assert response.field(b"location") == b"http://proxy.test/next"
    for one in (origin, other):
        assert one.requests[0].fields_named(b"host") == [one.url.removeprefix("http://").encode()]


# Servers that are left alone.


@asynccontextmanager
async def listening(port: int) -> AsyncIterator[list[asyncio.StreamWriter]]:
    """Somebody who answers every request there, and who is told of every connection."""
    accepted: list[asyncio.StreamWriter] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        accepted.append(writer)
        with suppress(asyncio.IncompleteReadError):
            while await reader.readuntil(b"\r\n\r\n"):
                writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
        writer.close()

    async with await asyncio.start_server(serve, "127.0.0.1", port):
        yield accepted


async def fail(pool: Origin, times: int) -> None:
    for _ in range(times):
        with pytest.raises(OriginUnreachable) as refused:
            await pool.connection(Turn(1))
        assert refused.value.error_type == "connection_refused"


async def assert_left_alone(pool: Origin) -> None:
    with pytest.raises(OriginUnreachable, match="left alone"):
        pool.check()
    with pytest.raises(OriginUnreachable, match="left alone"):
        await pool.connection(Turn(1))


def let_time_pass(pool: Origin) -> None:
    """Have `unhealthy_for` be over."""
    for server in pool.servers:
        server.health._until = asyncio.get_running_loop().time()


async def test_an_origin_that_cannot_be_reached_is_left_alone_for_a_while(
    start_origin: StartOrigin, unused_port: int, quiet_log: LogLines
) -> None:
    pool = start_origin(url=f"http://127.0.0.1:{unused_port}", unhealthy_after=3, unhealthy_for="1h")
    await fail(pool, 2)
    pool.check()
    await fail(pool, 1)
    async with listening(unused_port) as accepted:
        await assert_left_alone(pool)
        assert accepted == []
        let_time_pass(pool)
        pool.check()
        await use(pool)
        assert len(accepted) == 1
        pool.close()
    facts = {"origin": "legacy", "server": f"http://127.0.0.1:{unused_port}"}
    assert [line.items() >= facts.items() for line in quiet_log] == [True, True]
    assert events(quiet_log) == ["origin left alone", "origin is back"]


async def test_clients_are_told_at_once(client_via: ClientVia, unused_port: int) -> None:
    settings = {"url": f"http://127.0.0.1:{unused_port}", "unhealthy_after": 1, "unhealthy_for": "1h"}
    client = await client_via(legacy=settings)
    assert_problem(await client.exchange("GET", b"/"), 502, "origin-unreachable", "connection_refused")
    async with listening(unused_port) as accepted:
        assert_problem(await client.exchange("GET", b"/"), 502, "origin-unreachable", "destination_unavailable")
        assert accepted == []


async def test_failures_count_in_a_row_only(start_origin: StartOrigin, unused_port: int) -> None:
    pool = start_origin(url=f"http://127.0.0.1:{unused_port}", unhealthy_after=2, unhealthy_for="1h")
    for _ in range(3):
        await fail(pool, 1)
        async with listening(unused_port):
            held = await pool.connection(Turn(1))
            held.close()
            held.begin("GET")
            pool.give_back(held)
            await asyncio.wait({held.lost})
    pool.check()


async def test_one_attempt_decides(start_origin: StartOrigin, unused_port: int) -> None:
    pool = start_origin(url=f"http://127.0.0.1:{unused_port}", unhealthy_after=1, unhealthy_for="1h")
    await fail(pool, 1)
    let_time_pass(pool)
    attempts = [asyncio.create_task(pool.connection(Turn(1))) for _ in range(5)]
    results = await asyncio.gather(*attempts, return_exceptions=True)
    assert [type(result) for result in results] == [OriginUnreachable] * 5
    kinds = [result.error_type for result in results if isinstance(result, OriginUnreachable)]
    assert sorted(kinds) == ["connection_refused"] + ["destination_unavailable"] * 4
    await assert_left_alone(pool)


async def test_an_attempt_that_is_given_up_decides_nothing(start_origin: StartOrigin, unused_port: int) -> None:
    settings = {"url": f"https://127.0.0.1:{unused_port}", "unhealthy_after": 1, "unhealthy_for": "100ms"}
    pool = start_origin(**settings, tls={"verify": False}, connect_timeout="30s")
    await fail(pool, 1)
    with socket.create_server(("127.0.0.1", unused_port)):  # nobody ever answers its TLS
        await asyncio.wait_for(pool.servers.any_to_try(), 5)
        attempt = asyncio.create_task(pool.connection(Turn(1)))
        next_one = asyncio.create_task(pool.connection(Turn(None)))
        await until(lambda: pool.servers.next() is None)
        await assert_left_alone(pool)
        attempt.cancel()
        await asyncio.wait({attempt})
        await until(lambda: pool.servers.next() is None)  # the next one has begun to decide
        next_one.cancel()
        await asyncio.wait({next_one})
        pool.check()


async def test_those_who_have_time_wait_until_the_origin_is_back(
    start_origin: StartOrigin, unused_port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    attempts, connect = 0, aiohappyeyeballs.start_connection

    async def counted(*args: Any, **options: Any) -> socket.socket:  # noqa: ANN401
        nonlocal attempts
        attempts += 1
        return await connect(*args, **options)

    monkeypatch.setattr(aiohappyeyeballs, "start_connection", counted)
    pool = start_origin(url=f"http://127.0.0.1:{unused_port}", unhealthy_after=2, unhealthy_for="100ms")
    await fail(pool, 1)
    waiting = [asyncio.create_task(use(pool, Turn(None, later=True, since=since))) for since in range(5)]
    await until(lambda: attempts >= 16)  # two for each of the six, and for two that have decided against the origin
    assert not any(task.done() for task in waiting)
    async with listening(unused_port):
        await asyncio.wait_for(asyncio.gather(*waiting), 10)
        pool.close()


async def test_a_server_that_is_left_alone_is_skipped(
    start_origin: StartOrigin, origin: ScriptedOrigin, unused_port: int
) -> None:
    dead = f"http://127.0.0.1:{unused_port}"
    pool = start_origin(url=[dead, origin.url], unhealthy_after=1, unhealthy_for="1h", keepalive_timeout="1ms")
    async with AsyncExitStack() as stack:
        await use(pool)
        await use(pool)
        accepted = await stack.enter_async_context(listening(unused_port))
        for _ in range(4):
            await use(pool)
        assert accepted == []
    assert len(origin.requests) == 6


# Checks.


def by_health(*statuses: int) -> Callable[[Request], list[Step]]:
    """Answers checks with these, the last one again and again, and everything else with 200."""
    left = list(statuses)

    def choose(request: Request) -> list[Step]:
        if request.target != b"/health":
            return [answer()]
        return [answer(left.pop(0) if len(left) > 1 else left[0])]

    return choose


async def test_a_check_leaves_a_server_alone_until_one_succeeds(origin: ScriptedOrigin, quiet_log: LogLines) -> None:
    origin.route(by_health(200, 503, 400, 308))
    check = {"path": "/health", "interval": "100ms"}
    settings = OriginSettings.model_validate({"url": origin.url, "health_check": check})
    async with Origins.opened({"legacy": settings}, 4096, Places.alone()) as origins:
        pool = origins["legacy"]
        await until(lambda: pool.servers.next() is None)
        await assert_left_alone(pool)
        await asyncio.wait_for(pool.servers.any_to_try(), 5)
        await use(pool)
    assert events(quiet_log) == ["origin left alone", "origin is back"]
    assert quiet_log[0]["reason"] == "A check was answered with 503."
    checks = [request for request in origin.requests if request.target == b"/health"]
    assert len(checks) >= 4
    assert checks[0].fields == [
        (b"Host", origin.url.removeprefix("http://").encode()),
        (b"User-Agent", b"respond-async"),
        (b"Connection", b"close"),
    ]


async def test_a_check_that_is_not_answered_in_time_has_failed(origin: ScriptedOrigin, quiet_log: LogLines) -> None:
    origin.script(read_all(), stall())
    check = {"path": "/", "interval": "1h", "timeout": "50ms"}
    settings = OriginSettings.model_validate({"url": origin.url, "health_check": check})
    async with Origins.opened({"legacy": settings}, 4096, Places.alone()) as origins:
        await until(lambda: origins["legacy"].servers.next() is None)
    assert [line["reason"] for line in quiet_log] == ["The origin did not answer in time."]


async def test_failures_do_not_end_what_a_check_has_begun(start_origin: StartOrigin, origin: ScriptedOrigin) -> None:
    pool = start_origin(url=origin.url, unhealthy_after=1)
    (server,) = pool.servers
    server.health.ill(OriginTimeout("A check failed."))
    with pytest.raises(OriginUnreachable), server.health.attempt():
        raise OriginUnreachable
    with server.health.attempt():
        pass
    await assert_left_alone(pool)
    server.health.well()
    pool.check()


async def test_a_check_finds_its_place_beside_an_idle_connection_and_waits_for_no_other(
    start_origin: StartOrigin, origin: ScriptedOrigin
) -> None:
    pool = start_origin(url=origin.url, max_connections=1)
    (server,) = pool.servers
    idle = await use(pool)
    async with pool.reaching(server) as connection:
        assert connection is not idle
        assert idle.closed
    held = await pool.connection(Turn(5))
    with pytest.raises(Busy):
        async with pool.reaching(server):
            pass
    held.begin("GET")
    pool.give_back(held)
    assert len(origin.connections) == 3


async def test_an_origin_that_is_full_is_alive(start_origin: StartOrigin, origin: ScriptedOrigin) -> None:
    pool, asked = start_origin(url=origin.url), 0
    (server,) = pool.servers
    enough = asyncio.Event()

    @asynccontextmanager
    async def reach(_: Server) -> AsyncIterator[Connection]:
        nonlocal asked
        asked += 1
        if asked == 3:
            enough.set()
        raise Busy
        yield  # a context all the same

    settings = HealthCheck(path="/health", interval=0.001)
    checking = asyncio.create_task(keep_checking(server, settings, reach))
    await asyncio.wait_for(enough.wait(), 5)
    pool.check()
    checking.cancel()
