"""Upgrade is not passed on, and costs a connection nothing (RFC 9110 section 7.8)."""

import pytest

from tests.conformance.refusals import assert_problem, refusal
from tests.raw_client import Field, RawClient, request
from tests.scripted_origin import ScriptedOrigin, answer, read_all, send

WEBSOCKET: list[Field] = [
    (b"Connection", b"Upgrade"),
    (b"Upgrade", b"websocket"),
    (b"Sec-WebSocket-Version", b"13"),
    (b"Sec-WebSocket-Key", b"dGhlIHNhbXBsZSBub25jZQ=="),
]
H2C: list[Field] = [
    (b"Connection", b"Upgrade, HTTP2-Settings"),
    (b"Upgrade", b"h2c"),
    (b"HTTP2-Settings", b"AAMAAABkAARAAAAAAAIAAAAA"),
]
UPGRADES = [pytest.param(WEBSOCKET, id="websocket"), pytest.param(H2C, id="h2c")]


@pytest.mark.parametrize("fields", UPGRADES)
async def test_rfc9110_7_8_an_upgrade_is_stripped_and_the_connection_goes_on(
    client: RawClient, origin: ScriptedOrigin, fields: list[Field]
) -> None:
    for number in range(2):
        response = await client.exchange("GET", b"/", fields)
        assert (response.status, response.fields_named(b"upgrade")) == (200, [])
        received = origin.requests[number]
        assert received.fields_named(b"upgrade") + received.fields_named(b"http2-settings") == []
        assert b"upgrade" not in b"".join(received.fields_named(b"connection")).lower()
    assert (await client.exchange("POST", b"/", (), b"body")).status == 200


@pytest.mark.parametrize("fields", UPGRADES)
async def test_an_upgrade_with_content_is_the_last_request_of_its_connection(
    client: RawClient, origin: ScriptedOrigin, fields: list[Field]
) -> None:
    await client.send(request("POST", b"/1", fields, b"body") + request("GET", b"/2"))
    response = await client.response()
    assert (response.status, response.field(b"connection")) == (200, b"close")
    assert [(received.target, received.body) for received in origin.requests] == [(b"/1", b"body")]


@pytest.mark.parametrize("fields", UPGRADES)
async def test_rfc9110_7_8_a_request_pipelined_behind_an_upgrade_is_answered(
    client: RawClient, origin: ScriptedOrigin, fields: list[Field]
) -> None:
    await client.send(request("GET", b"/1", fields) + request("POST", b"/2", (), b"two") + request("GET", b"/3"))
    assert [(await client.response()).status for _ in range(3)] == [200] * 3
    assert [(request.target, request.body) for request in origin.requests] == [
        (b"/1", b""),
        (b"/2", b"two"),
        (b"/3", b""),
    ]


@pytest.mark.parametrize("fields", UPGRADES)
async def test_frames_behind_an_upgrade_that_did_not_happen_are_a_malformed_request(
    client: RawClient, origin: ScriptedOrigin, fields: list[Field]
) -> None:
    await client.send(request("GET", b"/", fields) + b"\x81\x85\x37\xfa\x21\x3d\x7f\x9f\x4d\x51\x58")
    assert (await client.response()).status == 200
    await refusal(client)
    assert len(origin.requests) == 1


async def test_rfc9110_7_8_an_upgrade_never_becomes_an_operation(client: RawClient, origin: ScriptedOrigin) -> None:
    fields: list[Field] = [*WEBSOCKET, (b"Prefer", b"respond-async, wait=0")]
    assert (await client.exchange("GET", b"/", fields)).status == 200


async def test_rfc9110_15_2_2_a_101_that_nobody_asked_for_is_no_response(
    client: RawClient, origin: ScriptedOrigin
) -> None:
    origin.script(
        read_all(), send(b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n")
    )
    response = await client.exchange("GET", b"/", WEBSOCKET)
    assert_problem(response, 502, "origin-malformed", instance="/")


async def test_rfc9110_7_8_the_origin_may_ask_for_an_upgrade_and_is_not_heard(
    client: RawClient, origin: ScriptedOrigin
) -> None:
    origin.script(answer(426, [(b"Upgrade", b"TLS/1.0"), (b"Connection", b"Upgrade")], b"no"))
    response = await client.exchange("GET", b"/")
    assert (response.status, response.body, response.fields_named(b"upgrade")) == (426, b"no", [])


@pytest.mark.parametrize(
    "behind",
    [
        pytest.param(request("POST", b"/", (), request("GET", b"/smuggled")), id="a request with content"),
        pytest.param(b"BAD\r\n\r\n", id="no request"),
        pytest.param(request("GET", b"/", [(b"Connection", b"upgrade"), (b"Upgrade", b"x")]), id="another offer"),
    ],
)
@pytest.mark.parametrize(
    ("framing", "content"),
    [
        pytest.param((b"Content-Length", b"4"), b"body", id="length"),
        pytest.param((b"Transfer-Encoding", b"chunked"), b"4\r\nbody\r\n0\r\n\r\n", id="chunks"),
    ],
)
async def test_nothing_behind_the_content_of_a_request_for_an_upgrade_reaches_an_origin(
    client: RawClient, origin: ScriptedOrigin, framing: Field, content: bytes, behind: bytes
) -> None:
    head = request("POST", b"/", [(b"Connection", b"upgrade"), (b"Upgrade", b"x"), framing])
    await client.send(head + content + behind)
    response = await client.response()
    assert (response.status, response.fields_named(b"connection")) == (200, [b"close"])
    assert await client.eof()
    assert [each.body for each in origin.requests] == [b"body"]


async def test_rfc9112_7_1_bad_chunks_of_a_request_for_an_upgrade_are_400(client: RawClient) -> None:
    fields = [(b"Connection", b"upgrade"), (b"Upgrade", b"x"), (b"Transfer-Encoding", b"chunked")]
    await client.send(request("POST", b"/", fields) + b"zz\r\nbody\r\n0\r\n\r\n")
    await refusal(client)
