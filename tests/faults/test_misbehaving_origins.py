"""Fault table, rows: an origin that never answers, trickles, resets mid-body, lies about its length, sends 10 GiB; a
request or response over its limit.

P2: settled at its timeout at the latest. P3: a clear failure, never a cut body. P6: no more of it is taken than is
agreed. And a POST reaches it once, whatever it does.
"""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any, Literal

import pytest

from tests.faults.load import LATER
from tests.faults.procfs import forget_the_highest, highest
from tests.faults.service import Service, service_settings
from tests.faults.work import KIB, MIB
from tests.process.child import path_of
from tests.raw_client import Field, Pattern, Response, field_section
from tests.scripted_origin import (
    Connection,
    ScriptedOrigin,
    Step,
    answer,
    close,
    read_all,
    reset,
    send,
    stall,
    trickle,
)

WHOLE = b"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n"
CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
HALF = bytes(500_000)
MAX_BODY = MIB

Begin = Callable[..., Awaitable[Service]]


@pytest.fixture
async def begin(origin: ScriptedOrigin, tmp_path: Path) -> AsyncIterator[Begin]:
    """Starts a service before the origin; keywords are those of `respond_async`."""
    async with AsyncExitStack() as stack:

        async def begin(route: Any = None, **respond_async: Any) -> Service:  # noqa: ANN401
            terms = {"timeout": "2s", "max_response_body": "1MiB", "max_request_body": "1MiB"} | respond_async
            settings = service_settings(origin.url, tmp_path / "store", route, **terms)
            return await stack.enter_async_context(Service(settings, tmp_path))

        yield begin


async def settled(service: Service, method: str = "POST", target: bytes = b"/") -> Response:
    """The end of an operation."""
    body = b"order" if method == "POST" else None
    path = path_of(await service.ask(method, target, LATER, body=body))
    return await service.ask("GET", path, (b"Prefer", b"wait=14"))


def code_of(response: Response) -> str:
    """What it failed with."""
    assert response.field(b"asyncresult") == b"%d" % response.status
    code: str = json.loads(response.body)["code"]
    return code


def endless(framing: Literal["length", "chunked", "close"]) -> list[Step]:
    """Sends for as long as somebody takes it: 10 GiB, if need be."""
    fields: list[Field] = {
        "length": [(b"Content-Length", b"%d" % (10 * 1024 * MIB))],
        "chunked": [(b"Transfer-Encoding", b"chunked")],
        "close": [(b"Connection", b"close")],
    }[framing]
    piece = b"%x\r\n%b\r\n" % (64 * KIB, bytes(64 * KIB)) if framing == "chunked" else bytes(64 * KIB)

    async def step(connection: Connection) -> None:
        for _ in range(10 * 1024 * MIB // len(piece)):
            await connection.send(piece)

    return [read_all(), send(b"HTTP/1.1 200 OK\r\n" + field_section(fields)), step]


# By the target that asks for it: what the origin does, and the code that the operation has to fail with.
MISDEEDS: dict[bytes, tuple[list[Step], str]] = {
    b"/never-answers": ([read_all(), stall()], "origin-timeout"),
    b"/never-sends-its-body": ([read_all(), send(WHOLE), stall()], "origin-timeout"),
    b"/trickles": ([read_all(), send(WHOLE), trickle(HALF, pause=0.05)], "origin-timeout"),
    b"/trickles-its-head": ([read_all(), trickle(WHOLE, pause=0.1)], "origin-timeout"),
    b"/resets": ([read_all(), reset()], "origin-broke-off"),
    b"/closes": ([read_all(), close()], "origin-broke-off"),
    b"/resets-mid-body": ([read_all(), send(WHOLE + HALF), reset()], "origin-broke-off"),
    b"/sends-less-than-it-says": ([read_all(), send(WHOLE + HALF), close()], "origin-broke-off"),
    b"/no-last-chunk": ([read_all(), send(CHUNKED + b"5\r\nhello\r\n"), close()], "origin-broke-off"),
    b"/speaks-something-else": ([read_all(), send(b"SSH-2.0-x\r\n\r\n")], "origin-malformed"),
    b"/announces-too-much": ([read_all(), answer(200, body=Pattern(MAX_BODY + 1))], "response-too-large"),
    b"/sends-too-much": (
        [read_all(), answer(200, body=Pattern(MAX_BODY + 1), framing="chunked")],
        "response-too-large",
    ),
    b"/sends-10-gib": (endless("length"), "response-too-large"),
    b"/sends-10-gib-in-chunks": (endless("chunked"), "response-too-large"),
    b"/sends-10-gib-until-close": (endless("close"), "response-too-large"),
}


@pytest.mark.parametrize("method", ["GET", "POST"])
async def test_every_misdeed_is_a_failure_with_its_name(begin: Begin, origin: ScriptedOrigin, method: str) -> None:
    """Rows: origin never answers, trickles, resets mid-body, lies about its length, sends 10 GiB; response over its limit."""
    service = await begin()
    origin.route(lambda request: MISDEEDS[request.target][0])
    before = forget_the_highest(service.pids)
    responses = await asyncio.gather(*(settled(service, method, target) for target in MISDEEDS))
    codes = dict(zip(MISDEEDS, map(code_of, responses), strict=True))
    assert codes == {target: code for target, (_, code) in MISDEEDS.items()}
    assert sorted(request.target for request in origin.requests) == sorted(MISDEEDS), "sent twice"
    assert highest(service.pids) - before < 60 * MIB
    origin.script(read_all(), answer(200, body=b"well"))
    assert (await settled(service, method)).body == b"well"


async def test_a_response_of_exactly_the_limit_is_whole(begin: Begin, origin: ScriptedOrigin) -> None:
    """Row: response over its limit: this one is not."""
    service = await begin()
    origin.script(read_all(), answer(200, body=Pattern(MAX_BODY), framing="chunked"))
    response = await settled(service)
    assert (response.status, response.sha256) == (200, Pattern(MAX_BODY).sha256)


async def test_a_request_over_its_limit_never_reaches_the_origin(begin: Begin, origin: ScriptedOrigin) -> None:
    """Row: request over its limit."""
    service = await begin()
    response = await service.ask("POST", b"/", LATER, body=bytes(MIB + 1))
    assert (response.status, json.loads(response.body)["code"]) == (413, "request-too-large")
    assert origin.requests == []


@pytest.mark.parametrize("breaks_off", [close(), reset()], ids=["closes", "resets"])
async def test_a_synchronous_response_that_breaks_off_is_seen_to(
    begin: Begin, origin: ScriptedOrigin, breaks_off: Step
) -> None:
    """Row: origin resets mid-body or lies about its length: nor does it look whole to who waits for it."""
    service = await begin()
    origin.script(read_all(), send(WHOLE + HALF), breaks_off)
    response = await service.ask("POST", b"/", body=b"order")
    assert (response.status, response.complete) == (200, False)
