"""Routes with `upgrade: true`: WebSocket and other protocols over the whole way, from client to origin."""

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import structlog
from websockets.asyncio.client import ClientConnection, connect
from websockets.asyncio.server import ServerConnection, serve
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.typing import Subprotocol

from tests.conftest import Proxy, Settings
from tests.exchange.conftest import ClientVia, ProxyVia
from tests.exchange.problems import assert_problem
from tests.raw_client import End, Field, RawClient, request
from tests.scripted_origin import Connection, ScriptedOrigin, Step, answer, close, half_close, read_all, send, wait_for

Lines = list[structlog.types.EventDict]

UPGRADE = {"upgrade": True}
OFFER: list[Field] = [(b"Connection", b"Upgrade"), (b"Upgrade", b"echo/1, other")]
SWITCH = b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: echo/1\r\nConnection: upgrade\r\nX-Kept: 1\r\n\r\n"
CHAT = [Subprotocol("chat")]
RANDOM = bytes(range(256)) * 4096  # a MiB


def echo_back() -> Step:
    """Says in capitals what it hears, until it hears no more."""

    async def step(connection: Connection) -> None:
        while data := await connection.some():
            await connection.send(data.upper())

    return step


@pytest.fixture
async def tunnel(client_via: ClientVia, origin: ScriptedOrigin) -> RawClient:
    """A client at the end of a tunnel to an origin that echoes."""
    origin.script(send(SWITCH), echo_back(), close())
    client = await client_via(UPGRADE)
    assert (await client.exchange("GET", b"/", OFFER)).status == 101
    return client


# What both sides are told.


async def test_rfc9110_7_8_the_origin_gets_the_offer_and_the_client_the_choice(
    tunnel: RawClient, origin: ScriptedOrigin
) -> None:
    received = origin.requests[0]
    assert received.fields_named(b"upgrade") == [b"echo/1, other"]
    assert received.fields_named(b"connection") == [b"upgrade"]
    assert received.fields_named(b"x-forwarded-for") == [b"127.0.0.1"]


async def test_rfc9110_15_2_2_a_101_has_upgrade_and_what_is_end_to_end(
    client_via: ClientVia, origin: ScriptedOrigin
) -> None:
    more = b"X-Hop: 1\r\nContent-Length: 5\r\nX-Kept"
    origin.script(send(SWITCH.replace(b"upgrade", b"upgrade, x-hop").replace(b"X-Kept", more)), close())
    response = await (await client_via(UPGRADE)).exchange("GET", b"/", OFFER)
    assert response.fields_named(b"upgrade") == [b"echo/1"]
    assert response.fields_named(b"connection") == [b"upgrade"]
    assert (response.fields_named(b"x-kept"), response.fields_named(b"x-hop")) == ([b"1"], [])
    assert response.fields_named(b"content-length") + response.fields_named(b"transfer-encoding") == []


@pytest.mark.parametrize("prefer", [b"respond-async, wait=0", b"respond-async, wait=5"])
async def test_an_upgrade_never_becomes_an_operation(
    client_via: ClientVia, origin: ScriptedOrigin, prefer: bytes
) -> None:
    origin.script(send(SWITCH), echo_back(), close())
    client = await client_via(UPGRADE)
    assert (await client.exchange("GET", b"/", [*OFFER, (b"Prefer", prefer)])).status == 101


async def test_an_answer_but_101_is_relayed_and_the_connection_goes_on(
    client_via: ClientVia, origin: ScriptedOrigin
) -> None:
    origin.script(read_all(), answer(426, [(b"Upgrade", b"echo/2"), (b"Connection", b"upgrade")], b"another"))
    client = await client_via(UPGRADE)
    await client.send(request("GET", b"/1", OFFER) + request("GET", b"/2", OFFER))
    for _ in range(2):
        response = await client.response()
        assert (response.status, response.body, response.fields_named(b"upgrade")) == (426, b"another", [])
    assert [received.target for received in origin.requests] == [b"/1", b"/2"]
    assert len(origin.connections) == 1


@pytest.mark.parametrize(
    "fields",
    [
        pytest.param([(b"Connection", b"Upgrade, HTTP2-Settings"), (b"Upgrade", b"h2c"), (b"HTTP2-Settings", b"AAMAAA")], id="h2c"),
        pytest.param([(b"Upgrade", b"echo/1")], id="not named in Connection"),
    ],
)  # fmt: skip
async def test_what_may_not_be_offered_is_stripped(
    client_via: ClientVia, origin: ScriptedOrigin, fields: list[Field]
) -> None:
    response = await (await client_via(UPGRADE)).exchange("GET", b"/", fields)
    assert response.status == 200
    names = [b"upgrade", b"http2-settings", b"connection"]
    assert [origin.requests[0].fields_named(name) for name in names] == [[], [], []]


async def test_h2c_is_not_offered_beside_others(client_via: ClientVia, origin: ScriptedOrigin) -> None:
    fields = [(b"Connection", b"Upgrade"), (b"Upgrade", b"h2c, websocket")]
    await (await client_via(UPGRADE)).exchange("GET", b"/", fields)
    assert origin.requests[0].fields_named(b"upgrade") == [b"websocket"]


async def test_a_request_with_content_is_forwarded_without_upgrade(
    client_via: ClientVia, origin: ScriptedOrigin
) -> None:
    response = await (await client_via(UPGRADE)).exchange("POST", b"/", OFFER, b"content")
    assert (response.status, origin.requests[0].body) == (200, b"content")
    assert origin.requests[0].fields_named(b"upgrade") == []


async def test_a_request_with_content_of_no_length_may_upgrade(client_via: ClientVia, origin: ScriptedOrigin) -> None:
    origin.script(send(SWITCH), echo_back(), close())
    client = await client_via(UPGRADE)
    assert (await client.exchange("POST", b"/", OFFER, b"")).status == 101
    assert origin.requests[0].fields_named(b"content-length") == [b"0"]
    await client.send(b"hello")
    assert await client.receive(5) == b"HELLO"


@pytest.mark.parametrize(
    "head",
    [
        pytest.param(SWITCH.replace(b"echo/1", b"echo/2"), id="another version"),
        pytest.param(SWITCH.replace(b"Upgrade: echo/1\r\n", b""), id="without Upgrade"),
        pytest.param(SWITCH.replace(b"Connection: upgrade\r\n", b""), id="without Connection"),
        pytest.param(SWITCH.replace(b"X-Kept: 1", b"X-Kept: \x01"), id="with a control character"),
    ],
)
async def test_a_101_that_is_no_answer_to_the_offer_is_502(
    client_via: ClientVia, origin: ScriptedOrigin, head: bytes
) -> None:
    origin.script(send(head), close())
    response = await (await client_via(UPGRADE)).exchange("GET", b"/", OFFER)
    assert_problem(response, 502, "origin-malformed", "http_protocol_error")


async def test_a_101_that_nobody_asked_for_is_502_here_too(client_via: ClientVia, origin: ScriptedOrigin) -> None:
    origin.script(send(SWITCH), close())
    assert_problem(
        await (await client_via(UPGRADE)).exchange("GET", b"/"), 502, "origin-malformed", "http_protocol_error"
    )


# The tunnel.


async def test_bytes_go_both_ways(tunnel: RawClient) -> None:
    for word in (b"hello", b"\x00\xff\r\n\r\n"):
        await tunnel.send(word)
        assert await tunnel.receive(len(word)) == word.upper()


async def test_what_came_behind_both_heads_is_not_lost(client_via: ClientVia, origin: ScriptedOrigin) -> None:
    origin.script(send(SWITCH + b"first, "), echo_back(), close())
    client = await client_via(UPGRADE)
    await client.send(request("GET", b"/", OFFER) + b"early")
    assert (await client.response()).status == 101
    assert await client.receive(12) == b"first, EARLY"


async def test_an_upgrade_may_be_pipelined_behind_another_request(
    client_via: ClientVia, origin: ScriptedOrigin
) -> None:
    origin.queue([answer(200)], [send(SWITCH), echo_back(), close()])
    client = await client_via(UPGRADE)
    await client.send(request("GET", b"/1") + request("GET", b"/2", OFFER) + b"early")
    assert [(await client.response()).status for _ in range(2)] == [200, 101]
    assert await client.receive(5) == b"EARLY"


async def test_an_origin_that_closes_right_behind_its_101_is_heard_out(
    client_via: ClientVia, origin: ScriptedOrigin
) -> None:
    origin.script(send(SWITCH + b"bye"), close())
    client = await client_via(UPGRADE)
    assert (await client.exchange("GET", b"/", OFFER)).status == 101
    assert await client.receive(3) == b"bye"
    assert await client.eof()


async def test_the_end_of_the_clients_direction_leaves_the_origins(
    client_via: ClientVia, origin: ScriptedOrigin
) -> None:
    heard = asyncio.Event()

    async def hear(connection: Connection) -> None:
        assert not await connection.some()
        heard.set()

    origin.script(send(SWITCH), hear, send(RANDOM), close())
    client = await client_via(UPGRADE)
    await client.exchange("GET", b"/", OFFER)
    client.half_close()
    await heard.wait()
    assert await client.receive(len(RANDOM)) == RANDOM
    assert await client.eof()


async def test_the_end_of_the_origins_direction_leaves_the_clients(
    client_via: ClientVia, origin: ScriptedOrigin
) -> None:
    heard = bytearray()

    async def hear(connection: Connection) -> None:
        while data := await connection.some():
            heard.extend(data)

    origin.script(send(SWITCH), half_close(), hear, close())
    client = await client_via(UPGRADE)
    await client.exchange("GET", b"/", OFFER)
    assert await client.eof()
    await client.send(RANDOM)
    client.half_close()
    await origin.connection_closed()
    assert heard == RANDOM


async def test_a_client_that_leaves_closes_the_origins_connection(tunnel: RawClient, origin: ScriptedOrigin) -> None:
    tunnel.reset()
    await origin.connection_closed()
    assert origin.connections[0].end is not None


async def test_a_client_that_leaves_before_the_101_closes_the_origins_connection(
    client_via: ClientVia, origin: ScriptedOrigin
) -> None:
    gate = asyncio.Event()
    origin.script(wait_for(gate), send(SWITCH), echo_back(), close())
    client = await client_via({**UPGRADE, "on_disconnect": "finish"})
    await client.send(request("GET", b"/", OFFER))
    await origin.changed.until(lambda: bool(origin.requests), 5, "request", str)
    client.close()
    await origin.changed.until(lambda: origin.connections[0].end is not None, 5, "end", str)
    gate.set()


async def test_silence_ends_it_and_the_log_says_so(
    proxy_via: ProxyVia, origin: ScriptedOrigin, quiet_log: Lines
) -> None:
    origin.script(send(SWITCH), echo_back(), close())
    proxy = await proxy_via({**UPGRADE, "idle_timeout": "100ms"})
    client = await proxy.client()
    await client.exchange("GET", b"/", OFFER)
    assert open_tunnels(proxy) == 1
    assert await client.eof()
    await origin.connection_closed()
    await proxy.service.drain(5)
    (line,) = (line for line in quiet_log if line["event"] == "request")
    assert (line["status"], line["plan"], line["end"], line["error"]) == (101, "upgrade", "LT", "idle-timeout")
    assert line["why"] == "Not a byte either way for 0.1 s (idle_timeout of route everything)."
    assert open_tunnels(proxy) == 0


def open_tunnels(proxy: Proxy) -> float:
    (family,) = (one for one in proxy.service.metrics.figures() if one["name"] == "respond_async_tunnels")
    ((_, (count,)),) = family["rows"]
    return count


async def test_the_origins_place_is_held_until_the_end(proxy_via: ProxyVia, origin: ScriptedOrigin) -> None:
    origin.script(send(SWITCH), echo_back(), close())
    proxy = await proxy_via(UPGRADE, {"max_connections": 1, "queue_timeout": "50ms"})
    client, other = await proxy.client(), await proxy.client()
    await client.exchange("GET", b"/", OFFER)
    assert_problem(await other.exchange("GET", b"/", OFFER), 503, "busy", "connection_limit_reached")
    client.close()
    await origin.connection_closed()
    response = await (await proxy.client()).exchange("GET", b"/", OFFER)
    while response.status == 503:
        response = await (await proxy.client()).exchange("GET", b"/", OFFER)
    assert response.status == 101


async def test_its_line_in_the_log_has_the_bytes_of_both_ways(
    proxy_via: ProxyVia, origin: ScriptedOrigin, quiet_log: Lines
) -> None:
    origin.script(send(SWITCH), echo_back(), close())
    proxy = await proxy_via(UPGRADE)
    client = await proxy.client()
    await client.exchange("GET", b"/", OFFER)
    await client.send(b"hello")
    await client.receive(5)
    client.half_close()
    await proxy.service.drain(5)
    (line,) = (line for line in quiet_log if line["event"] == "request")
    assert (line["status"], line["bytes"], line["received"], line.get("error")) == (101, 5, 5, None)


async def test_a_stop_ends_it_when_its_time_is_over(
    proxy_via: ProxyVia, origin: ScriptedOrigin, quiet_log: Lines
) -> None:
    origin.script(send(SWITCH), echo_back(), close())
    proxy = await proxy_via(UPGRADE)
    client = await proxy.client()
    await client.exchange("GET", b"/", OFFER)
    draining = asyncio.get_running_loop().create_task(proxy.service.drain(0.3, 0.05))
    await client.send(b"hello")
    assert await client.receive(5) == b"HELLO"
    async with asyncio.timeout(5):
        await draining
    await client.wire.until(lambda: client.wire.end is not None, "end")
    await origin.connection_closed()
    assert [line["error"] for line in quiet_log if line["event"] == "request"] == ["shutting-down"]


# A real client and a real server.


async def repeat(connection: ServerConnection) -> None:
    async for message in connection:
        await connection.send(message)


@asynccontextmanager
async def chat(
    proxy_via: ProxyVia, paths: tuple[Path, Path], tls: str
) -> AsyncIterator[tuple[ClientConnection, Proxy]]:
    """A WebSocket connection through the proxy to a server that repeats what it hears."""
    cert, key = map(str, paths)
    serving, trusting = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH), ssl.create_default_context(cafile=cert)
    serving.load_cert_chain(cert, key)
    secure = serving if "origin" in tls else None
    async with serve(repeat, "127.0.0.1", 0, ssl=secure, subprotocols=CHAT, max_size=None) as server:
        port = next(iter(server.sockets)).getsockname()[1]
        legacy: Settings = {
            "url": f"{'https' if secure else 'http'}://localhost:{port}",
            "tls": {"ca_file": cert} if secure else None,
        }
        top: dict[str, Any] = {"tls": {"cert_file": cert, "key_file": key}} if "client" in tls else {}
        proxy = await proxy_via(UPGRADE, legacy, **top)
        url = f"{'wss' if top else 'ws'}://localhost:{proxy.port}/chat?room=1"
        options: dict[str, Any] = {"ssl": trusting} if top else {}
        async with connect(url, subprotocols=CHAT, max_size=None, **options) as client:
            yield client, proxy


TLS = pytest.mark.parametrize(
    "tls",
    [
        pytest.param("", id="plain"),
        pytest.param("client", id="a client with TLS"),
        pytest.param("origin", id="an origin with TLS"),
        pytest.param("client and origin", id="both with TLS"),
    ],
)


@TLS
async def test_websockets_pass(proxy_via: ProxyVia, certificate: tuple[Path, Path], tls: str) -> None:
    async with chat(proxy_via, certificate, tls) as (client, _):
        assert client.subprotocol == "chat"
        for message in ("hello", b"\x00\xff", "x" * 1_000_000, RANDOM * 4):
            await client.send(message)
            assert await client.recv() == message
        await (await client.ping())
    assert (client.close_code, client.close_reason) == (1000, "")


async def test_many_websockets_at_once(proxy_via: ProxyVia, certificate: tuple[Path, Path]) -> None:
    async def talk(port: int, number: int) -> None:
        async with connect(f"ws://127.0.0.1:{port}/", subprotocols=CHAT) as client:
            for count in range(20):
                await client.send(f"{number}.{count}")
            assert [await client.recv() for _ in range(20)] == [f"{number}.{count}" for count in range(20)]

    async with chat(proxy_via, certificate, "") as (_, proxy), asyncio.TaskGroup() as group:
        for number in range(50):
            group.create_task(talk(proxy.port, number))


async def test_a_websocket_breaks_off_with_a_stop(proxy_via: ProxyVia, certificate: tuple[Path, Path]) -> None:
    async with chat(proxy_via, certificate, "") as (client, proxy):
        await proxy.service.drain(0.1, 0.05)
        with pytest.raises(ConnectionClosed) as closed:
            await client.recv()
    assert closed.value.rcvd is None  # a close frame is not the proxy's to send


async def test_without_the_key_a_websocket_is_declined(proxy_via: ProxyVia, origin: ScriptedOrigin) -> None:
    proxy = await proxy_via()
    with pytest.raises(InvalidStatus) as declined:
        await connect(f"ws://127.0.0.1:{proxy.port}/")
    assert declined.value.response.status_code == 200
    assert origin.connections[0].end is not End.RESET
