"""The recipes of deploy/front, run: nginx, Apache httpd, HAProxy and Caddy before the product, with real TLS and HTTP/2."""

import asyncio
import ssl
import subprocess
from dataclasses import replace
from pathlib import Path
from typing import Final

import pytest
from websockets.asyncio.client import connect
from websockets.asyncio.server import ServerConnection, serve

from tests.deploy.conftest import StartFront
from tests.deploy.front import HOST, program
from tests.deploy.visitor import ADDRESS, Visitor
from tests.scripted_origin import Request, ScriptedOrigin, answer, read_all, stall, wait_for

LATER: Final = "Prefer: respond-async, wait=0"
FORGED: Final = [
    "X-Forwarded-For: 192.0.2.66",
    "X-Forwarded-Proto: gopher",
    "X-Forwarded-Host: evil.example",
    "Forwarded: for=192.0.2.66;host=evil.example;proto=gopher",
]
TARGET: Final = "/reports/a%2Fb/%7e?q=%20%3F&empty="  # what is read must not be written anew
BIG: Final = bytes(range(256)) * 12_000  # 3 MB
FIELDS: Final = [(b"Content-Type", b"text/csv"), (b"Set-Cookie", b"a=1"), (b"Set-Cookie", b"b=2"), (b"X-Raw", b"\xe9")]

VERSIONS: Final = [pytest.param("--http1.1", id="1.1"), pytest.param("--http2", id="2")]


def came_through_the_proxy(request: Request) -> bool:
    return b"1.1 respond-async" in b", ".join(request.fields_named(b"via"))


def believes_nothing_forged(request: Request) -> bool:
    values = [value for _, value in request.fields]
    return not any(word in value for value in values for word in (b"192.0.2.66", b"evil", b"gopher"))


@pytest.mark.parametrize("version", VERSIONS)
async def test_a_request_that_does_not_ask_gets_its_answer(
    visitor: Visitor, origin: ScriptedOrigin, shape: str, version: str
) -> None:
    got = await replace(visitor, version=version).ask(TARGET, *FORGED)
    assert (got.status, got.version) == (200, "HTTP/2" if version == "--http2" else "HTTP/1.1")
    request = await origin.request_received()
    assert came_through_the_proxy(request) == (shape == "everything")
    assert request.target.decode() == TARGET
    assert believes_nothing_forged(request)
    told = request.field(b"x-forwarded-for"), request.field(b"x-forwarded-proto"), request.field(b"x-forwarded-host")
    seen = f"{ADDRESS}, 127.0.0.1" if shape == "everything" else ADDRESS
    assert told == (seen.encode(), b"https", f"{HOST}:{visitor.front.port}".encode())


@pytest.mark.parametrize("version", VERSIONS)
async def test_a_result_comes_later_and_byte_for_byte(visitor: Visitor, origin: ScriptedOrigin, version: str) -> None:
    gate = asyncio.Event()
    origin.script(read_all(), wait_for(gate), answer(200, FIELDS, BIG))
    visitor = replace(visitor, version=version)
    accepted = await visitor.ask(TARGET, LATER, *FORGED, method="POST", body=BIG)
    assert (accepted.status, accepted.all("Preference-Applied")) == (202, ["respond-async", "wait=0"])
    url = accepted.field("Location")
    assert url.startswith(f"{visitor.front.url}/.async/")
    assert int(accepted.field("Retry-After")) >= 1
    request = await origin.request_complete()
    assert (request.body == BIG, request.target.decode(), request.field(b"prefer")) == (
        True,
        TARGET,
        LATER[8:].encode(),
    )
    assert (request.field(b"x-forwarded-for") or b"").decode() == f"{ADDRESS}, 127.0.0.1"
    assert believes_nothing_forged(request)
    # All timeouts around the recipe are a second; it is the recipe that makes the front server wait longer.
    asyncio.get_running_loop().call_later(1.2, gate.set)
    done = await visitor.ask(url, "Prefer: wait=15")
    assert (done.status, done.field("AsyncResult"), done.body == BIG) == (200, "200", True)
    assert [done.field("Content-Type"), *done.all("Set-Cookie"), done.field("X-Raw")] == [
        "text/csv",
        "a=1",
        "b=2",
        "\xe9",
    ]


async def test_an_operation_that_is_deleted_ends_at_the_backend(visitor: Visitor, origin: ScriptedOrigin) -> None:
    origin.script(read_all(), stall())
    url = (await visitor.ask("/reports", LATER)).field("Location")
    await origin.connection_opened()
    assert (await visitor.ask(url)).status == 202
    assert (await visitor.ask(url, method="DELETE")).status == 200
    await origin.connection_closed()
    assert (await visitor.ask(url)).status == 404


ASKING: Final = [
    "Prefer: respond-async",
    "prefer: RESPOND-Async ; x=1",
    'Prefer: return=minimal;foo="a,b" , respond-async=""',
    "Prefer: wait=10,respond-async",
]
NOT_ASKING: Final = [
    "Prefer: respond-asynchronous",
    "Prefer: do-respond-async",
    "Prefer: return=minimal, wait=10",
    "X-Prefer: respond-async",
]


@pytest.mark.parametrize("shape", ["only-async"], indirect=True)
async def test_who_asks_goes_through_the_proxy(visitor: Visitor, origin: ScriptedOrigin) -> None:
    for field in [*ASKING, *NOT_ASKING]:
        assert (await visitor.ask("/reports", field)).status == 200
    assert [came_through_the_proxy(request) for request in origin.requests] == [True] * 4 + [False] * 4


def sees_all_fields(server: str) -> bool:
    """nginx joins fields of the same name since 1.23.0, and sees only the first of them before that."""
    if server != "nginx":
        return True
    said = subprocess.run([str(program(server)), "-v"], capture_output=True, text=True, check=True).stderr
    major, minor, *_ = said.rpartition("nginx/")[2].split(".")
    return (int(major), int(minor)) >= (1, 23)


@pytest.mark.parametrize("shape", ["only-async"], indirect=True)
@pytest.mark.parametrize("version", VERSIONS)
async def test_a_preference_may_be_in_the_second_of_two_fields(
    visitor: Visitor, origin: ScriptedOrigin, server: str, version: str
) -> None:
    visitor = replace(visitor, version=version)
    await visitor.ask("/reports", "Prefer: return=minimal", "Prefer: respond-async")
    await visitor.ask("/reports", "Prefer: respond-async", "Prefer: return=minimal")
    assert [came_through_the_proxy(request) for request in origin.requests] == [sees_all_fields(server), True]
    members = b", ".join(origin.requests[1].fields_named(b"prefer")).replace(b" ", b"").split(b",")
    assert members == [b"respond-async", b"return=minimal"]


async def test_a_status_url_in_other_words_is_none_of_the_backends_business(
    visitor: Visitor, origin: ScriptedOrigin
) -> None:
    got = await visitor.ask("/.async/unknown", LATER)
    assert (got.status, got.field("Content-Type"), origin.requests) == (404, "application/problem+json", [])


@pytest.mark.parametrize("shape", ["only-async"], indirect=True)
async def test_without_the_proxy_requests_are_answered_at_once(
    start_front: StartFront, origin: ScriptedOrigin, server: str
) -> None:
    visitor = await start_front(with_proxy=False)
    origin.script(read_all(), answer(200, body=b"done"))
    first = await visitor.ask("/reports", LATER, method="POST", body=b"once")
    # Caddy finds out by a check, or by a connection: then it has closed the content, and has none for the backend.
    assert first.status == 200 or (server, first.status) == ("caddy", 502)
    for _ in range(3):
        got = await visitor.ask("/reports", LATER, method="POST", body=b"once")
        assert (got.status, got.body) == (200, b"done")
    assert [request.body for request in origin.requests[-3:]] == [b"once"] * 3
    assert len(origin.requests) == (3 if first.status == 502 else 4)


async def test_without_the_proxy_status_urls_are_unavailable(start_front: StartFront, origin: ScriptedOrigin) -> None:
    visitor = await start_front(with_proxy=False)
    got = await visitor.ask("/.async/some")
    assert (got.status in {502, 503}, origin.requests) == (True, [])


@pytest.mark.parametrize("shape", ["only-async"], indirect=True)
async def test_without_the_proxy_pollers_are_asked_to_go_on(start_front: StartFront) -> None:
    visitor = await start_front(with_proxy=False)
    for _ in range(2):
        got = await visitor.ask("/.async/some")
        assert (got.status, got.field("Retry-After")) == (503, "5")


async def test_a_result_that_is_an_error_passes_as_it_is(visitor: Visitor, origin: ScriptedOrigin) -> None:
    for status in (404, 502, 503):
        origin.script(read_all(), answer(status, [(b"Content-Type", b"text/plain")], b"the backend's own"))
        url = (await visitor.ask("/reports", LATER)).field("Location")
        done = await visitor.ask(url, "Prefer: wait=10")
        assert (done.status, done.field("AsyncResult"), done.body) == (status, str(status), b"the backend's own")


async def test_web_sockets_pass_with_an_address_that_is_true(
    start_front: StartFront, site_certificate: tuple[Path, Path]
) -> None:
    told: list[str] = []

    async def capitals(connection: ServerConnection) -> None:
        assert connection.request is not None
        told.extend(connection.request.headers.get_all("X-Forwarded-For"))
        async for message in connection:
            await connection.send(str(message).upper())

    trust = ssl.create_default_context(cafile=site_certificate[0])
    async with serve(capitals, "127.0.0.1", 0) as backend:
        front = (await start_front(backend=backend.sockets[0].getsockname()[1])).front
        url = f"wss://{HOST}:{front.port}/live"
        forged = {"X-Forwarded-For": "192.0.2.66"}
        async with connect(url, ssl=trust, host="127.0.0.1", additional_headers=forged, proxy=None) as client:
            await client.send("heard?")
            assert await client.recv() == "HEARD?"
    assert ", ".join(told) in {"127.0.0.1", "127.0.0.1, 127.0.0.1"}
