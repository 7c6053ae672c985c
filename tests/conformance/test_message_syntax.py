"""Request lines and field lines that no correct client sends never reach the origin (RFC 9112 sections 2, 3 and 5)."""

import pytest

from tests.conformance.refusals import assert_refused
from tests.raw_client import RawClient, request
from tests.scripted_origin import ScriptedOrigin

SMUGGLED = b"GET /smuggled HTTP/1.1\r\nHost: proxy.test\r\n\r\n"
CONTROLS = [bytes([code]) for code in (*range(0x20), 0x7F) if code not in b"\t\r\n"]


@pytest.mark.parametrize(
    "request_line",
    [
        pytest.param(b"GET / HTTP/1.1\n", id="bare LF"),
        pytest.param(b"GET / HTTP/1.1\r", id="bare CR"),
        pytest.param(b"GET / HTTP/1.1\r\r\n", id="CR CRLF"),
        pytest.param(b"GET /\r\n", id="no version: HTTP/0.9"),
        pytest.param(b"GET / \r\n", id="empty version"),
        pytest.param(b"GET HTTP/1.1\r\n", id="no target"),
        pytest.param(b"GET  HTTP/1.1\r\n", id="empty target"),
        pytest.param(b" GET / HTTP/1.1\r\n", id="leading space"),
        pytest.param(b"GET / HTTP/1.1 \r\n", id="trailing space"),
        pytest.param(b"GET / a HTTP/1.1\r\n", id="space in the target"),
        pytest.param(b"GET\t/\tHTTP/1.1\r\n", id="tabs"),
        pytest.param(b"GET / HTTP/1.1 HTTP/1.1\r\n", id="two versions"),
        pytest.param(b"/ HTTP/1.1\r\n", id="no method"),
    ],
)
async def test_rfc9112_3_refuses_a_malformed_request_line(
    client: RawClient, origin: ScriptedOrigin, request_line: bytes
) -> None:
    await assert_refused(client, origin, request_line + b"Host: proxy.test\r\n\r\n" + SMUGGLED)


@pytest.mark.parametrize("method", [b"get", b"G ET", b"GE\x00T", b"G(T", b'"GET"', b"GET,", b"\xc3\x89", b"FROBNICATE"])
async def test_rfc9112_3_1_refuses_an_invalid_or_unheard_of_method(
    client: RawClient, origin: ScriptedOrigin, method: bytes
) -> None:
    await assert_refused(client, origin, method + b" / HTTP/1.1\r\nHost: proxy.test\r\n\r\n" + SMUGGLED)


@pytest.mark.parametrize(
    "version",
    [b"HTTP/2.0", b"HTTP/2", b"HTTP/3", b"HTTP/0.9", b"HTTP/2.1", b"HTTP/0.1", b"HTTP/1", b"HTTP/1.1.1", b"HTTP/01.1", b"HTTP/1.10",
     b"HTTP/9.9", b"http/1.1", b"HTTPS/1.1", b"ICE/1.0", b"HTTP/1,1", b"HTTP/+1.1", b"HTTP 1.1"],
)  # fmt: skip
async def test_rfc9112_2_3_refuses_what_is_no_version_of_http_1(
    client: RawClient, origin: ScriptedOrigin, version: bytes
) -> None:
    await assert_refused(client, origin, b"GET / " + version + b"\r\nHost: proxy.test\r\n\r\n" + SMUGGLED)


@pytest.mark.parametrize("version", [b"HTTP/1.2", b"HTTP/1.9"])
async def test_rfc9110_2_5_takes_a_higher_minor_version_for_1_1(
    client: RawClient, origin: ScriptedOrigin, version: bytes
) -> None:
    chunked = request("POST", b"/", [(b"Transfer-Encoding", b"chunked")]) + b"4\r\nbody\r\n0\r\n\r\n"
    await client.send(chunked.replace(b"HTTP/1.1", version) * 2)
    for received in (await client.response(), await client.response()):
        assert (received.status, received.fields_named(b"connection")) == (200, [])
    assert [(one.version, one.body) for one in origin.requests] == [(b"HTTP/1.1", b"body")] * 2


async def test_rfc9112_3_2_wants_a_host_of_higher_minor_versions_too(client: RawClient, origin: ScriptedOrigin) -> None:
    await assert_refused(client, origin, b"GET / HTTP/1.2\r\n\r\n" + SMUGGLED)


async def test_rfc9113_3_4_refuses_the_preface_of_http_2(client: RawClient, origin: ScriptedOrigin) -> None:
    settings = b"\x00\x00\x00\x04\x00\x00\x00\x00\x00"
    await assert_refused(client, origin, b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + settings)


@pytest.mark.parametrize(
    "hello", [b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", b"SSH-2.0-OpenSSH_9.0\r\n", b"\x00"]
)
async def test_other_protocols_get_a_plain_no(client: RawClient, origin: ScriptedOrigin, hello: bytes) -> None:
    await assert_refused(client, origin, hello)


@pytest.mark.parametrize(
    "field",
    [
        pytest.param(b"X-One: 1\nX-Two: 2\r\n", id="bare LF"),
        pytest.param(b"X-One: 1\n", id="bare LF at the end"),
        pytest.param(b"X-One: 1\rX-Two: 2\r\n", id="bare CR"),
        pytest.param(b"X-One: 1\r\r\n", id="CR CRLF"),
        pytest.param(b"X-One : 1\r\n", id="5.1 space before the colon"),
        pytest.param(b"X-One\t: 1\r\n", id="5.1 tab before the colon"),
        pytest.param(b"X One: 1\r\n", id="space in the name"),
        pytest.param(b": 1\r\n", id="no name"),
        pytest.param(b"X-One\r\n", id="no colon"),
        pytest.param(b"X-\xc3\x9cne: 1\r\n", id="name beyond ASCII"),
        pytest.param(b"X-\x00: 1\r\n", id="NUL in the name"),
        pytest.param(b"X(One): 1\r\n", id="delimiters in the name"),
        pytest.param(b"X-One: 1\r\n 2\r\n", id="5.2 folded with a space"),
        pytest.param(b"X-One: 1\r\n\t2\r\n", id="5.2 folded with a tab"),
        pytest.param(b"X-One: 1\r\n \r\n", id="5.2 folded emptiness"),
    ],
)
async def test_rfc9112_5_refuses_a_malformed_field_line(
    client: RawClient, origin: ScriptedOrigin, field: bytes
) -> None:
    await assert_refused(client, origin, b"GET / HTTP/1.1\r\nHost: proxy.test\r\n" + field + b"\r\n" + SMUGGLED)


async def test_rfc9112_2_2_refuses_white_space_before_the_first_field(
    client: RawClient, origin: ScriptedOrigin
) -> None:
    await assert_refused(client, origin, b"GET / HTTP/1.1\r\n Host: a.test\r\nHost: proxy.test\r\n\r\n")


@pytest.mark.parametrize("control", CONTROLS, ids=lambda control: f"{control[0]:#04x}")
async def test_rfc9110_5_5_refuses_control_characters_in_values(
    client: RawClient, origin: ScriptedOrigin, control: bytes
) -> None:
    await assert_refused(client, origin, request("GET", b"/", [(b"X-One", b"a" + control + b"b")]))


@pytest.mark.parametrize("control", CONTROLS, ids=lambda control: f"{control[0]:#04x}")
async def test_rfc9112_3_2_refuses_control_characters_in_the_target(
    client: RawClient, origin: ScriptedOrigin, control: bytes
) -> None:
    await assert_refused(client, origin, request("GET", b"/a" + control + b"b"))


async def test_rfc9112_2_2_ignores_empty_lines_before_a_request(client: RawClient, origin: ScriptedOrigin) -> None:
    for _ in range(2):
        await client.send(b"\r\n\r\n" + request("GET", b"/"))
        assert (await client.response()).status == 200
    assert len(origin.requests) == 2


async def test_a_request_may_come_byte_by_byte(client: RawClient, origin: ScriptedOrigin) -> None:
    for byte in request("POST", b"/a?b", [(b"X-One", b"1")], b"body"):
        await client.send(bytes([byte]))
    assert (await client.response()).status == 200
    received = await origin.request_complete()
    assert (received.target, received.body, received.field(b"x-one")) == (b"/a?b", b"body", b"1")
