"""An operation without a usable response says so, and is never taken for a success (contract 4 and 6, P3)."""

import asyncio
import errno
import json
import ssl
from pathlib import Path
from typing import Any

import aiohappyeyeballs
import pytest

from tests.operations.conftest import Start
from tests.operations.house import House, both_stores, document, names
from tests.raw_client import Pattern, Response
from tests.scripted_origin import ScriptedOrigin, Step, answer, close, read_all, reset, send, stall

INTERNALS = ("127.0.0.1", "Traceback", "tmp", "proxy/", "Errno")


def assert_failed(response: Response, status: int, code: str, error_type: str, path: bytes) -> None:
    assert response.status == status
    assert response.fields_named(b"asyncresult") == [b"%d" % status]
    assert response.fields_named(b"content-type") == [b"application/problem+json"]
    assert response.fields_named(b"proxy-status") == [b"respond-async; error=" + error_type.encode()]
    assert response.fields_named(b"cache-control") == [b"no-store"]
    assert not {b"location", b"content-location", b"x-progress"} & set(names(response))
    told = document(response)
    assert (told["status"], told["code"], told["instance"]) == (status, code, path.decode())
    assert set(told) == {"type", "title", "status", "detail", "instance", "code"}
    assert all(told.values())
    assert not [word for word in INTERNALS if word in json.dumps(told)]


async def test_without_a_file_descriptor_there_is_no_connection_and_operations_wait_for_one(
    house: House, origin: ScriptedOrigin, monkeypatch: pytest.MonkeyPatch
) -> None:
    gate = asyncio.Event()
    gate.set()

    async def connect(*_: object, **__: object) -> None:
        await gate.wait()
        raise OSError(errno.EMFILE, "too many")

    monkeypatch.setattr(aiohappyeyeballs, "start_connection", connect)
    now = await house.ask("GET", b"/")
    assert (now.status, document(now)["code"], now.field(b"retry-after")) == (503, "busy", b"1")
    gate.clear()
    path = await house.accepted()
    assert document(await house.ask("GET", path))["status"] == "queued"
    gate.set()
    monkeypatch.undo()
    assert (await house.outcome(path)).status == 200
    assert [request.method for request in origin.requests] == ["POST"]


@both_stores
@pytest.mark.parametrize(
    ("steps", "code", "error_type"),
    [
        pytest.param([close()], "origin-broke-off", "http_response_incomplete", id="closes without an answer"),
        pytest.param([reset()], "origin-broke-off", "http_response_incomplete", id="resets without an answer"),
        pytest.param(
            [send(b"HTTP/1.1 200 OK\r\nContent-"), close()],
            "origin-broke-off",
            "http_response_incomplete",
            id="breaks off in its head",
        ),
        pytest.param(
            [answer(200, [(b"Content-Length", b"9")], b"short"), close()],
            "origin-broke-off",
            "http_response_incomplete",
            id="breaks off in its body",
        ),
        pytest.param(
            [send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nshort\r\n"), close()],
            "origin-broke-off",
            "http_response_incomplete",
            id="breaks off between chunks",
        ),
        pytest.param(
            [answer(200, [(b"Content-Length", b"200000")], Pattern(150_000)), reset()],
            "origin-broke-off",
            "http_response_incomplete",
            id="resets far in its body",
        ),
        pytest.param(
            [send(b"SSH-2.0-OpenSSH\r\n\r\n")], "origin-malformed", "http_protocol_error", id="speaks no HTTP"
        ),
        pytest.param(
            [answer(200, [(b"Content-Length", b"1"), (b"Transfer-Encoding", b"chunked")], b"x")],
            "origin-malformed",
            "http_protocol_error",
            id="has ambiguous framing",
        ),
        pytest.param(
            [answer(200, [(b"Transfer-Encoding", b"chunked")], b"zz\r\n")],
            "origin-malformed",
            "http_protocol_error",
            id="has bad chunks",
        ),
        pytest.param(
            [send(b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n")],
            "origin-malformed",
            "http_protocol_error",
            id="switches protocols unasked",
        ),
        pytest.param(
            [answer(200, [(b"X-Long", b"x" * 100_000)])],
            "origin-malformed",
            "http_response_header_section_size",
            id="has too large a head",
        ),
    ],
)
async def test_an_origin_that_fails(
    house: House, origin: ScriptedOrigin, steps: list[Step], code: str, error_type: str
) -> None:
    origin.script(read_all(), *steps)
    path = await house.accepted()
    response = await house.outcome(path)
    assert_failed(response, 502, code, error_type, path)
    await house.quiet()
    assert len(origin.requests) == 1


@both_stores
async def test_an_origin_that_is_not_there(start: Start, unused_port: int) -> None:
    house = await start(origins={"legacy": {"url": f"http://127.0.0.1:{unused_port}"}})
    path = await house.accepted()
    assert_failed(await house.outcome(path), 502, "origin-unreachable", "connection_refused", path)


async def why(house: House, path: bytes) -> str:
    """What operators are told of it, once it has failed."""
    assert (await house.outcome(path)).status == 502
    operation = await house.operation(path)
    assert operation is not None
    return operation.why


@both_stores
async def test_operators_are_told_why_there_is_no_connection(start: Start, unused_port: int) -> None:
    house = await start(origins={"legacy": {"url": f"http://127.0.0.1:{unused_port}"}})
    told = await why(house, await house.accepted())
    assert "The origin refused the connection (url of origin legacy). Cause: " in told
    assert f"('127.0.0.1', {unused_port})" in told


@both_stores
async def test_operators_are_told_why_a_certificate_was_not_accepted_and_clients_are_not(
    start: Start, certificate: tuple[Path, Path]
) -> None:
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(*certificate)
    async with ScriptedOrigin(ssl=context) as origin:
        tls = {"ca_file": str(certificate[0]), "server_name": "other.example"}
        house = await start(origins={"legacy": {"url": origin.url, "tls": tls}})
        path = await house.accepted()
        told = await why(house, path)
    assert "(tls of origin legacy). Cause: " in told
    assert "certificate is not valid for 'other.example'" in told
    response = await house.outcome(path)
    assert_failed(response, 502, "origin-unreachable", "tls_certificate_error", path)
    assert b"other.example" not in response.body


async def test_what_lies_behind_a_malformed_response_is_not_kept(house: House, origin: ScriptedOrigin) -> None:
    origin.script(read_all(), answer(200, [(b"Transfer-Encoding", b"chunked")], b"secret\r\n"))
    assert "Cause" not in await why(house, await house.accepted())


@both_stores
@pytest.mark.parametrize(
    "steps",
    [
        pytest.param([stall()], id="no head"),
        pytest.param([answer(200, [(b"Content-Length", b"9")], b"short"), stall()], id="no end"),
    ],
)
async def test_the_whole_exchange_takes_too_long(start: Start, origin: ScriptedOrigin, steps: list[Step]) -> None:
    house = await start({"timeout": "150ms"})
    origin.script(read_all(), *steps)
    path = await house.accepted()
    assert_failed(await house.outcome(path), 504, "origin-timeout", "http_response_timeout", path)
    await origin.connection_closed()
    await house.quiet()


async def test_the_body_falls_silent_for_too_long(start: Start, origin: ScriptedOrigin) -> None:
    house = await start(route={"idle_timeout": "100ms"})
    origin.script(read_all(), answer(200, [(b"Content-Length", b"9")], b"short"), stall())
    path = await house.accepted()
    assert_failed(await house.outcome(path), 504, "origin-timeout", "connection_read_timeout", path)
    await origin.connection_closed()


@both_stores
@pytest.mark.parametrize("framing", ["length", "chunked", "close"])
async def test_a_response_above_its_limit(start: Start, origin: ScriptedOrigin, framing: Any) -> None:  # noqa: ANN401
    house = await start({"max_response_body": "100KiB"})
    origin.script(read_all(), answer(200, body=Pattern(100 * 1024 + 1), framing=framing))
    path = await house.accepted()
    assert_failed(await house.outcome(path), 502, "response-too-large", "http_response_body_size", path)


@both_stores
async def test_a_response_without_end_is_ended_at_its_limit(start: Start, origin: ScriptedOrigin) -> None:
    house = await start({"max_response_body": "1MiB"})
    endless = [b"x" * 10_000] * 100_000
    origin.script(read_all(), answer(200, body=endless, framing="chunked"))
    path = await house.accepted()
    assert_failed(await house.outcome(path), 502, "response-too-large", "http_response_body_size", path)
    await origin.connection_closed()
    await house.quiet()
    assert (await house.store.usage()).bytes == 0


async def test_a_response_that_announces_too_much_is_not_waited_for(start: Start, origin: ScriptedOrigin) -> None:
    house = await start({"max_response_body": "100KiB"})
    origin.script(read_all(), answer(200, [(b"Content-Length", b"9" * 15)], b"x"), stall())
    path = await house.accepted()
    assert_failed(await house.outcome(path), 502, "response-too-large", "http_response_body_size", path)


@both_stores
@pytest.mark.parametrize("framing", ["length", "chunked", "close"])
async def test_a_response_at_its_limit_is_whole(start: Start, origin: ScriptedOrigin, framing: Any) -> None:  # noqa: ANN401
    house = await start({"max_response_body": "100KiB"})
    origin.script(read_all(), answer(200, body=Pattern(100 * 1024), framing=framing))
    response = await house.outcome(await house.accepted())
    assert (response.status, response.sha256) == (200, Pattern(100 * 1024).sha256)


async def test_a_failure_looks_the_same_each_time_and_to_head(house: House, origin: ScriptedOrigin) -> None:
    origin.script(read_all(), close())
    path = await house.accepted()
    first, again, head = await house.outcome(path), await house.ask("GET", path), await house.ask("HEAD", path)
    assert (again.status, again.body) == (first.status, first.body)
    assert (head.status, head.body, head.field(b"asyncresult")) == (502, b"", b"502")
    assert len(origin.requests) == 1


@pytest.mark.parametrize("prefer", [b"respond-async", b"respond-async, wait=30"])
async def test_a_failure_in_time_is_a_plain_problem(house: House, origin: ScriptedOrigin, prefer: bytes) -> None:
    origin.script(read_all(), close())
    response = await house.ask("POST", b"/", (b"Prefer", prefer))
    assert (response.status, document(response)["code"]) == (502, "origin-broke-off")
    assert response.field(b"proxy-status") == b"respond-async; error=http_response_incomplete"
    assert response.fields_named(b"vary") == [b"Prefer"]
    assert not {b"asyncresult", b"preference-applied", b"location"} & set(names(response))
    assert not house.store.calls
