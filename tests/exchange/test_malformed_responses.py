"""Responses that two readers could read in two ways, or nobody can: 502, and nothing of them reaches the client."""

import pytest

from tests.conftest import Settings
from tests.exchange.conftest import ClientVia
from tests.exchange.problems import assert_problem
from tests.raw_client import RawClient
from tests.scripted_origin import ScriptedOrigin, answer, close, send, stall, trickle

OK = b"HTTP/1.1 200 OK\r\n"
CHUNKED = OK + b"Transfer-Encoding: chunked\r\n\r\n"

MALFORMED = [
    pytest.param(b"SSH-2.0-OpenSSH_9.2\r\n", id="no HTTP"),
    pytest.param(b"\x16\x03\x01\x02\x00\x01", id="TLS"),
    pytest.param(b"<html>HTTP/0.9</html>", id="HTTP/0.9"),
    pytest.param(b"HTTP/2.0 200 OK\r\nContent-Length: 2\r\n\r\nok", id="HTTP/2.0"),
    pytest.param(b"HTTP/1.2 200 OK\r\nContent-Length: 2\r\n\r\nok", id="HTTP/1.2"),
    pytest.param(b"ICY 200 OK\r\nContent-Length: 2\r\n\r\nok", id="ICY"),
    pytest.param(b"HTTP/1.1 2000 OK\r\nContent-Length: 2\r\n\r\nok", id="status of four digits"),
    pytest.param(b"HTTP/1.1 99 OK\r\nContent-Length: 2\r\n\r\nok", id="status of two digits"),
    pytest.param(b"HTTP/1.1 099 Low\r\nContent-Length: 2\r\n\r\nok", id="status 099"),
    pytest.param(b"HTTP/1.1 000 Nothing\r\n\r\n", id="status 000"),
    pytest.param(b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: x\r\n\r\n", id="unasked 101"),
    pytest.param(b"HTTP/1.1 101 Switching Protocols\r\n\r\n", id="101 to nothing"),
    pytest.param(OK + b"Content-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n", id="CL and TE"),
    pytest.param(OK + b"Transfer-Encoding: chunked\r\nContent-Length: 2\r\n\r\n2\r\nok\r\n0\r\n\r\n", id="TE and CL"),
    pytest.param(OK + b"Content-Length: 2\r\nContent-Length: 3\r\n\r\nok!", id="two lengths that differ"),
    pytest.param(OK + b"Content-Length: 2\r\nContent-Length: 2\r\n\r\nok", id="two lengths that agree"),
    pytest.param(OK + b"Content-Length: 2, 2\r\n\r\nok", id="a list of lengths"),
    pytest.param(OK + b"Content-Length: +2\r\n\r\nok", id="length with a sign"),
    pytest.param(OK + b"Content-Length: -2\r\n\r\nok", id="negative length"),
    pytest.param(OK + b"Content-Length: 0x2\r\n\r\nok", id="hexadecimal length"),
    pytest.param(OK + b"Content-Length:\r\n\r\nok", id="empty length"),
    pytest.param(OK + b"Content-Length: 99999999999999999999999\r\n\r\nok", id="length beyond all measure"),
    pytest.param(OK + b"Transfer-Encoding: gzip, chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n", id="another coding and chunked"),
    pytest.param(OK + b"Transfer-Encoding: chunked, chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n", id="chunked twice"),
    pytest.param(OK + b"Transfer-Encoding: identity\r\n\r\nok", id="identity"),
    pytest.param(OK + b"Transfer-Encoding: foo\r\n\r\nok", id="unknown coding"),
    pytest.param(OK + b"Transfer-Encoding: xchunked\r\n\r\nok", id="almost chunked"),
    pytest.param(OK + b"Transfer-Encoding: \x0bchunked\r\n\r\nok", id="chunked behind a vertical tab"),
    pytest.param(OK + b"Transfer-Encoding:\r\n\r\nok", id="empty coding"),
    pytest.param(b"HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n", id="chunks in HTTP/1.0"),
    pytest.param(b"HTTP/1.1 200 OK\nContent-Length: 2\r\n\r\nok", id="bare LF after the status line"),
    pytest.param(OK + b"X: 1\nContent-Length: 2\r\n\r\nok", id="bare LF after a field"),
    pytest.param(OK + b"Content-Length: 2\r\n\nok", id="bare LF after the head"),
    pytest.param(OK + b"X: 1\rContent-Length: 2\r\n\r\nok", id="bare CR"),
    pytest.param(OK + b"X: 1\r\n folded\r\nContent-Length: 2\r\n\r\nok", id="folded field"),
    pytest.param(OK + b" X: 1\r\nContent-Length: 2\r\n\r\nok", id="folded status line"),
    pytest.param(OK + b"Content-Length : 2\r\n\r\nok", id="white space before the colon"),
    pytest.param(OK + b"No colon\r\nContent-Length: 2\r\n\r\nok", id="no colon"),
    pytest.param(OK + b": 1\r\nContent-Length: 2\r\n\r\nok", id="no name"),
    pytest.param(OK + b"X(): 1\r\nContent-Length: 2\r\n\r\nok", id="name that is no token"),
    pytest.param(OK + b"X: a\0b\r\nContent-Length: 2\r\n\r\nok", id="NUL in a value"),
    pytest.param(OK + b"X: a\x01b\r\nContent-Length: 2\r\n\r\nok", id="control character in a value"),
]  # fmt: skip

MALFORMED_CHUNKS = [
    pytest.param(b"2 \r\nok\r\n0\r\n\r\n", id="white space after the size"),
    pytest.param(b"0x2\r\nok\r\n0\r\n\r\n", id="0x"),
    pytest.param(b"+2\r\nok\r\n0\r\n\r\n", id="sign"),
    pytest.param(b"-2\r\nok\r\n0\r\n\r\n", id="negative"),
    pytest.param(b"\r\nok\r\n0\r\n\r\n", id="empty"),
    pytest.param(b"zz\r\nok\r\n0\r\n\r\n", id="no number"),
    pytest.param(b"10000000000000002\r\nok\r\n0\r\n\r\n", id="beyond 64 bits"),
    pytest.param(b"2\nok\r\n0\r\n\r\n", id="bare LF after the size"),
    pytest.param(b"2;a\nb\r\nok\r\n0\r\n\r\n", id="bare LF in an extension"),
    pytest.param(b"2\r\nok0\r\n\r\n", id="no line end after the chunk"),
    pytest.param(b"2\r\nok\n0\r\n\r\n", id="bare LF after the chunk"),
    pytest.param(b"2\r\nokay\r\n0\r\n\r\n", id="chunk longer than its size"),
    pytest.param(b"2\r\nok\r\n0\r\nContent-Length: 2\r\n\r\n", id="length in the trailers"),
]


@pytest.mark.parametrize("raw", MALFORMED)
async def test_what_is_no_response_is_an_error(client: RawClient, origin: ScriptedOrigin, raw: bytes) -> None:
    origin.queue([send(raw), close()])
    assert_problem(await client.exchange("GET", b"/"), 502, "origin-malformed", "http_protocol_error")
    assert (await client.exchange("GET", b"/")).status == 200
    assert len(origin.connections) == 2


@pytest.mark.parametrize("chunks", MALFORMED_CHUNKS)
@pytest.mark.parametrize("version", [b"HTTP/1.1", b"HTTP/1.0"])
async def test_malformed_chunks_break_the_response_off(
    client: RawClient, origin: ScriptedOrigin, version: bytes, chunks: bytes
) -> None:
    origin.script(send(CHUNKED + chunks), close())
    await client.send(b"GET / %b\r\nHost: proxy.test\r\n\r\n" % version)
    response = await client.response()
    assert (response.status, response.complete) == (200, False)
    assert b"ok".startswith(response.body)


@pytest.mark.parametrize(
    "head",
    [
        pytest.param(OK + b"X: " + b"x" * 5000 + b"\r\nContent-Length: 2\r\n\r\nok", id="one long field"),
        pytest.param(OK + b"X: y\r\n" * 1000 + b"Content-Length: 2\r\n\r\nok", id="many fields"),
        pytest.param(OK + b"X: " + b"x" * 5000, id="no end of a field"),
        pytest.param(b"HTTP/1.1 200 " + b"x" * 5000, id="no end of the reason"),
        pytest.param(b"HTTP/1.1 103 Early Hints\r\nX: " + b"x" * 5000, id="no end of an interim response"),
    ],
)
async def test_a_header_section_has_a_limit(client_via: ClientVia, origin: ScriptedOrigin, head: bytes) -> None:
    origin.script(send(head))
    client = await client_via(limits={"max_fields": "4KiB"})
    response = await client.exchange("GET", b"/")
    assert_problem(response, 502, "origin-malformed", "http_response_header_section_size")


async def test_interim_responses_do_not_add_up(client_via: ClientVia, origin: ScriptedOrigin) -> None:
    origin.script(send(b"HTTP/1.1 102 Processing\r\n\r\n" * 1500), answer(200, body=b"at last"))
    client = await client_via(limits={"max_fields": "4KiB"})
    assert (await client.exchange("GET", b"/")).body == b"at last"


@pytest.mark.parametrize(
    "endless",
    [
        pytest.param(b"0\r\nX-Trailer: " + b"x" * 1_000_000, id="trailer"),
        pytest.param(b"0\r\n" + b"X-Trailer: x\r\n" * 100_000, id="trailers"),
        pytest.param(b"2;" + b"x" * 1_000_000, id="chunk extension"),
    ],
)
async def test_framing_without_content_has_a_limit(
    client_via: ClientVia, origin: ScriptedOrigin, endless: bytes
) -> None:
    origin.script(send(OK + b"Transfer-Encoding: chunked\r\n\r\n2\r\nok\r\n" + endless), stall())
    client = await client_via(limits={"max_fields": "4KiB"})
    response = await client.exchange("GET", b"/")
    assert (response.status, response.complete, response.body) == (200, False, b"ok")


async def test_framing_does_not_keep_a_silent_origin_alive(client_via: ClientVia, origin: ScriptedOrigin) -> None:
    head = OK + b"Transfer-Encoding: chunked\r\n\r\n2\r\nok\r\n2;"
    origin.script(send(head), trickle(b"x" * 1000, pause=0.05))
    client = await client_via({"idle_timeout": "300ms"})
    response = await client.exchange("GET", b"/")
    assert (response.complete, response.body) == (False, b"ok")
    await origin.connection_closed()


@pytest.mark.parametrize(
    "head",
    [
        pytest.param(b"HTTP/1.1 200 O\x01K\r\nContent-Length: 0\r\n\r\n", id="in the reason"),
        pytest.param(b"HTTP/1.1 200 OK\r\nX: a\x00b\r\nContent-Length: 0\r\n\r\n", id="in a value"),
    ],
)
@pytest.mark.parametrize("lenient", [False, True], ids=["strict", "lenient"])
async def test_control_characters_go_no_further(
    client_via: ClientVia, origin: ScriptedOrigin, head: bytes, *, lenient: bool
) -> None:
    origin.script(send(head))
    client = await client_via(legacy={"lenient": lenient})
    assert_problem(await client.exchange("GET", b"/"), 502, "origin-malformed", "http_protocol_error")


async def test_the_limit_is_for_the_head_and_not_for_what_comes_with_it(
    client_via: ClientVia, origin: ScriptedOrigin
) -> None:
    origin.script(answer(200, [(b"X", b"x" * 3000)], b"x" * 10_000))
    client = await client_via(limits={"max_fields": "4KiB"})
    response = await client.exchange("GET", b"/")
    assert (response.status, response.body) == (200, b"x" * 10_000)


@pytest.mark.parametrize("method", ["GET", "POST"])
async def test_a_malformed_response_is_no_reason_to_ask_again(
    client: RawClient, origin: ScriptedOrigin, method: str
) -> None:
    origin.queue([answer()], [send(b"nonsense"), close()])
    await client.exchange("GET", b"/")
    assert (await client.exchange(method, b"/")).status == 502
    assert len(origin.requests) == 2


@pytest.mark.parametrize(
    "raw",
    [
        pytest.param(b"HTTP/1.1 200 OK\nContent-Length: 2\n\nok", id="bare LF"),
        pytest.param(OK + b"Transfer-Encoding: chunked\r\n\r\n2 \r\nok\r\n0\r\n\r\n", id="space after a chunk size"),
    ],
)
@pytest.mark.parametrize(("legacy", "status"), [({"lenient": True}, 200), ({}, 502)])
async def test_an_origin_that_cannot_be_repaired_can_be_endured(
    client_via: ClientVia, origin: ScriptedOrigin, raw: bytes, legacy: Settings, status: int
) -> None:
    origin.script(send(raw))
    client = await client_via(legacy=legacy)
    response = await client.exchange("GET", b"/")
    if status == 200:
        assert (response.status, response.body) == (200, b"ok")
    else:
        assert (response.status, response.complete) in [(502, True), (200, False)]


@pytest.mark.parametrize(
    "raw",
    [
        pytest.param(
            OK + b"Content-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n", id="CL and TE"
        ),
        pytest.param(OK + b"Content-Length: 2\r\nContent-Length: 3\r\n\r\nok!", id="two lengths"),
        pytest.param(OK + b"Transfer-Encoding: foo\r\n\r\nok", id="unknown coding"),
    ],
)
async def test_leniency_ends_where_bodies_do(client_via: ClientVia, origin: ScriptedOrigin, raw: bytes) -> None:
    origin.script(send(raw), close())
    client = await client_via(legacy={"lenient": True})
    assert_problem(await client.exchange("GET", b"/"), 502, "origin-malformed", "http_protocol_error")
