"""Origins to which there is no connection: refused, unknown, not to be trusted, silent."""

import asyncio
import socket
import ssl
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import aiohappyeyeballs
import pytest

from proxy.config import OriginSettings
from proxy.errors import OriginUnreachable
from proxy.origin import Origin
from proxy.places import Places
from proxy.pool import Turn
from tests.conftest import Settings
from tests.exchange.conftest import ClientVia
from tests.exchange.problems import assert_problem
from tests.raw_client import RawClient
from tests.scripted_origin import ScriptedOrigin


@pytest.fixture
def full_backlog() -> Iterator[int]:
    """A port that is listened on, where no further connection is made: nobody accepts, and the queue is full."""
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        listening.listen(0)
        port: int = listening.getsockname()[1]
        with socket.create_connection(("127.0.0.1", port)):
            yield port


async def assert_unreachable(client: RawClient, status: int, code: str, error_type: str) -> None:
    for method, body in (("GET", None), ("POST", b"body")):  # the client's connection stays usable
        response = await client.exchange(method, b"/a?secret", body=body)
        assert_problem(response, status, code, error_type, instance="/a")


async def test_nobody_listens(client_via: ClientVia, unused_port: int) -> None:
    client = await client_via(legacy={"url": f"http://127.0.0.1:{unused_port}"})
    await assert_unreachable(client, 502, "origin-unreachable", "connection_refused")


async def test_nobody_listens_at_any_of_several_addresses(client_via: ClientVia, unused_port: int) -> None:
    client = await client_via(legacy={"url": f"http://localhost:{unused_port}"})
    await assert_unreachable(client, 502, "origin-unreachable", "connection_refused")


@pytest.mark.parametrize(
    "host", [pytest.param("no-such-host.invalid", id="not there"), pytest.param("a" * 64 + ".invalid", id="no name")]
)
async def test_the_name_has_no_address(client_via: ClientVia, host: str) -> None:
    client = await client_via(legacy={"url": f"http://{host}", "connect_timeout": "30s"})
    await assert_unreachable(client, 502, "origin-unreachable", "dns_error")


def test_the_name_is_not_resolved_in_time(monkeypatch: pytest.MonkeyPatch) -> None:
    answered = threading.Event()
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: answered.wait(10) or [])
    settings = OriginSettings.model_validate({"url": "http://slow.invalid", "connect_timeout": "10ms"})

    async def connect() -> None:
        try:
            with pytest.raises(OriginUnreachable) as raised:
                await Origin("slow", settings, 1024, Places.alone()).connection(Turn(1))
            assert raised.value.error_type == "dns_timeout"
        finally:
            answered.set()

    asyncio.run(connect())  # not on uvloop, whose look-ups cannot be held up


async def test_an_origin_that_refuses_for_a_moment_is_asked_once_more(
    client_via: ClientVia, origin: ScriptedOrigin, monkeypatch: pytest.MonkeyPatch
) -> None:
    refusals, connect = [ConnectionRefusedError()], aiohappyeyeballs.start_connection

    async def refused_at_first(*args: Any, **options: Any) -> socket.socket:  # noqa: ANN401
        if refusals:
            raise refusals.pop()
        return await connect(*args, **options)

    monkeypatch.setattr(aiohappyeyeballs, "start_connection", refused_at_first)
    client = await client_via()
    assert (await client.exchange("POST", b"/", body=b"once")).status == 200
    assert [request.body for request in origin.requests] == [b"once"]


async def test_there_is_no_such_unix_socket(client_via: ClientVia, tmp_path: Path) -> None:
    client = await client_via(legacy={"url": f"unix:{tmp_path}/nobody.sock"})
    response = await client.exchange("GET", b"/")
    assert_problem(response, 502, "origin-unreachable", "destination_unavailable")
    assert str(tmp_path).encode() not in response.body


async def test_nobody_listens_at_the_unix_socket(client_via: ClientVia, tmp_path: Path) -> None:
    path = tmp_path / "left.sock"
    with socket.socket(socket.AF_UNIX) as left:
        left.bind(str(path))
    client = await client_via(legacy={"url": f"unix:{path}"})
    await assert_unreachable(client, 502, "origin-unreachable", "connection_refused")


@pytest.mark.parametrize(
    "tls",
    [
        pytest.param({}, id="signed by nobody we trust"),
        pytest.param({"server_name": "other.example", "ca_file": "cert"}, id="made out to somebody else"),
    ],
)
async def test_the_certificate_is_not_accepted(
    client_via: ClientVia, certificate: tuple[Path, Path], tls: Settings
) -> None:
    cert, key = certificate
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(cert, key)
    settings = tls | ({"ca_file": str(cert)} if "ca_file" in tls else {})
    async with ScriptedOrigin(ssl=context) as origin:
        client = await client_via(legacy={"url": origin.url, "tls": settings})
        await assert_unreachable(client, 502, "origin-unreachable", "tls_certificate_error")
        assert origin.requests == []


async def test_the_origin_speaks_no_tls(client_via: ClientVia, unused_port: int) -> None:
    async def speak(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        writer.close()
        await writer.wait_closed()

    async with await asyncio.start_server(speak, "127.0.0.1", unused_port):
        client = await client_via(legacy={"url": f"https://127.0.0.1:{unused_port}"})
        await assert_unreachable(client, 502, "origin-unreachable", "tls_protocol_error")


async def test_no_connection_is_made_in_time(client_via: ClientVia, full_backlog: int) -> None:
    client = await client_via(legacy={"url": f"http://127.0.0.1:{full_backlog}", "connect_timeout": "100ms"})
    await assert_unreachable(client, 504, "origin-timeout", "connection_timeout")


async def test_the_tls_handshake_is_part_of_connecting(client_via: ClientVia) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"https://127.0.0.1:{silent.getsockname()[1]}"
        client = await client_via(legacy={"url": url, "connect_timeout": "100ms"})
        await assert_unreachable(client, 504, "origin-timeout", "connection_timeout")


async def test_content_that_the_client_still_sends_makes_an_error_the_last_on_its_connection(
    client_via: ClientVia, unused_port: int
) -> None:
    client = await client_via(legacy={"url": f"http://127.0.0.1:{unused_port}"})
    await client.send(b"POST / HTTP/1.1\r\nHost: proxy.test\r\nContent-Length: 10\r\n\r\nfirst")
    response = await client.response()
    assert_problem(response, 502, "origin-unreachable", "connection_refused")
    assert response.field(b"connection") == b"close"
    await client.send(b" last")
    assert await client.eof()


@pytest.mark.parametrize(("respond_async", "vary"), [({"wait": "0s"}, [b"Prefer"]), (None, [])])
async def test_errors_vary_by_prefer_where_responses_do(
    client_via: ClientVia, unused_port: int, respond_async: Settings | None, vary: list[bytes]
) -> None:
    client = await client_via({"respond_async": respond_async}, {"url": f"http://127.0.0.1:{unused_port}"})
    assert (await client.exchange("GET", b"/")).fields_named(b"vary") == vary
