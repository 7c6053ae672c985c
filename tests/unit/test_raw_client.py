"""The client that judges the proxy is itself held to account: what it accepts, flags and reports."""

from __future__ import annotations

import asyncio
import hashlib
from itertools import pairwise
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.raw_client import (
    WINDOW,
    End,
    MalformedError,
    Pattern,
    RawClient,
    Response,
    TruncatedError,
    Wire,
    read_head,
    request,
)
from tests.scripted_origin import ScriptedOrigin, Step, close, reset, send, stall, wait_for

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Sequence

    from tests.raw_client import Field

OK = b"HTTP/1.1 200 OK\r\n"
GET = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"


@pytest.fixture
async def server() -> AsyncIterator[ScriptedOrigin]:
    async with ScriptedOrigin() as origin:
        yield origin


async def answered(server: ScriptedOrigin, *steps: Step, method: str = "GET") -> Response:
    server.on_accept(*steps)
    async with RawClient(port=server.port) as client:
        return await client.response(method)


@pytest.mark.parametrize(
    ("raw", "method", "body"),
    [
        pytest.param(OK + b"Content-Length: 2\r\n\r\nhi", "GET", b"hi", id="Content-Length"),
        pytest.param(OK + b"Content-Length: 0\r\n\r\n", "GET", b"", id="empty"),
        pytest.param(OK + b"\r\nhi", "GET", b"hi", id="until close"),
        pytest.param(
            OK + b"Transfer-Encoding: Chunked\r\n\r\n1\r\nh\r\n01;x=y\r\ni\r\n0\r\n\r\n", "GET", b"hi", id="chunks"
        ),
        pytest.param(OK + b"Content-Length: 2\r\n\r\n", "HEAD", b"", id="HEAD"),
        pytest.param(OK + b"Transfer-Encoding: chunked\r\n\r\n", "HEAD", b"", id="HEAD of chunks"),
        pytest.param(b"HTTP/1.1 304 Not Modified\r\nContent-Length: 2\r\n\r\n", "GET", b"", id="304 with a length"),
        pytest.param(b"HTTP/1.0 204 \r\n\r\n", "GET", b"", id="204 of HTTP/1.0 without reason"),
    ],
)
async def test_whole_responses(server: ScriptedOrigin, raw: bytes, method: str, body: bytes) -> None:
    response = await answered(server, send(raw), close(), method=method)
    assert (response.complete, response.fault, response.body) == (True, "", body)
    assert (response.size, response.sha256) == (len(body), hashlib.sha256(body).hexdigest())


async def test_a_head_is_read_to_the_byte(server: ScriptedOrigin) -> None:
    raw = b"HTTP/1.1 299 Sehr sch\xf6n\r\nB: 1\r\na:\t2 \xff \r\nB:\r\nContent-Length: 0\r\n\r\n"
    response = await answered(server, send(raw))
    assert (response.version, response.status, response.reason) == (b"HTTP/1.1", 299, b"Sehr sch\xf6n")
    assert response.fields == [(b"B", b"1"), (b"a", b"2 \xff"), (b"B", b""), (b"Content-Length", b"0")]
    assert response.fields_named(b"b") == [b"1", b""]
    assert (response.field(b"A"), response.field(b"missing")) == (b"2 \xff", None)
    with pytest.raises(MalformedError, match="2 b'b' fields"):
        response.field(b"b")


CHUNKED = OK + b"Transfer-Encoding: chunked\r\n\r\n"


@pytest.mark.parametrize(
    "raw",
    [
        pytest.param(b"HTTP/1.1 200\r\n\r\n", id="no space after the status"),
        pytest.param(b"HTTP/2.0 200 OK\r\n\r\n", id="another version"),
        pytest.param(b"HTTP/1.1 999 OK\r\n\r\n", id="no such class of status"),
        pytest.param(b"\r\n" + OK + b"\r\n", id="an empty line first"),
        pytest.param(b"HTTP/1.1 200 OK\n\r\n", id="bare LF after the status line"),
        pytest.param(OK + b"A: b\n\r\n", id="bare LF after a field"),
        pytest.param(OK + b"A: b\r\r\n\r\n", id="bare CR"),
        pytest.param(OK + b"A : b\r\n\r\n", id="space before the colon"),
        pytest.param(OK + b"A: b\r\n c\r\n\r\n", id="folded line"),
        pytest.param(OK + b"A: \x00\r\n\r\n", id="NUL"),
        pytest.param(OK + b"A\r\n\r\n", id="no colon"),
        pytest.param(OK + b"Content-Length: 0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", id="both framings"),
        pytest.param(OK + b"Content-Length: 0\r\nContent-Length: 0\r\n\r\n", id="two lengths"),
        pytest.param(OK + b"Content-Length: +1\r\n\r\nx", id="signed length"),
        pytest.param(OK + b"Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n", id="another coding"),
        pytest.param(b"HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", id="chunks in HTTP/1.0"),
        pytest.param(b"HTTP/1.1 204 No Content\r\nContent-Length: 0\r\n\r\n", id="204 with a length"),
        pytest.param(b"HTTP/1.1 103 Early Hints\r\nTransfer-Encoding: chunked\r\n\r\n", id="1xx with chunks"),
        pytest.param(CHUNKED + b"0x1\r\nx\r\n0\r\n\r\n", id="prefixed chunk size"),
        pytest.param(CHUNKED + b"\r\n", id="no chunk size"),
        pytest.param(CHUNKED + b"1\nx\r\n0\r\n\r\n", id="bare LF after a chunk size"),
        pytest.param(CHUNKED + b"1\r\nxy\r\n0\r\n\r\n", id="chunk longer than its size"),
        pytest.param(CHUNKED + b"0\r\nT : x\r\n\r\n", id="bad trailer"),
        pytest.param(OK + b"A: " + b"x" * WINDOW, id="line without end"),
    ],
)
async def test_what_no_server_may_send_is_flagged(server: ScriptedOrigin, raw: bytes) -> None:
    with pytest.raises(MalformedError):
        await answered(server, send(raw), stall())


@pytest.mark.parametrize(
    ("raw", "body", "fault"),
    [
        pytest.param(OK + b"Content-Length: 5\r\n\r\nhi", b"hi", "3 bytes before", id="Content-Length"),
        pytest.param(CHUNKED + b"5\r\nhi", b"hi", "3 bytes before", id="in a chunk"),
        pytest.param(CHUNKED + b"2\r\nhi\r\n", b"hi", "in a line", id="no last chunk"),
        pytest.param(CHUNKED + b"2\r\nhi\r\n0\r\nA: b\r\n", b"hi", "in a line", id="in the trailers"),
    ],
)
async def test_a_response_that_breaks_off_is_not_complete(
    server: ScriptedOrigin, raw: bytes, body: bytes, fault: str
) -> None:
    response = await answered(server, send(raw), close())
    assert (response.complete, response.body) == (False, body)
    assert fault in response.fault
    assert await response.finish() is response


async def test_a_reset_does_not_end_a_response_well(server: ScriptedOrigin) -> None:
    gate = asyncio.Event()
    server.on_accept(send(OK + b"\r\nhi"), wait_for(gate), reset())
    async with RawClient(port=server.port) as client:
        response = await client.begin()
        assert await response.read() == b"hi"
        gate.set()
        await response.finish()
        assert not response.complete
        assert "RESET" in response.fault
        assert not await client.eof()


@pytest.mark.parametrize("raw", [b"", b"HTTP/1.1 2", OK + b"A: b\r\n"], ids=["nothing", "status line", "fields"])
async def test_a_head_that_breaks_off_is_raised(server: ScriptedOrigin, raw: bytes) -> None:
    with pytest.raises(TruncatedError, match="received so far"):
        await answered(server, send(raw), close())


async def test_trailers_are_kept_apart(server: ScriptedOrigin) -> None:
    response = await answered(server, send(CHUNKED + b"1\r\nx\r\n0\r\nDigest: y\r\n\r\n"))
    assert response.trailers == [(b"Digest", b"y")]
    assert response.field(b"digest") is None
    assert (await answered(server, send(OK + b"Content-Length: 0\r\n\r\n"))).trailers == []


async def test_interim_responses_are_collected(server: ScriptedOrigin) -> None:
    hints = b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n"
    response = await answered(server, send(hints + OK + b"Content-Length: 0\r\n\r\n"))
    assert [(one.status, one.field(b"link")) for one in response.interim] == [(100, None), (103, b"</a>")]


async def test_a_body_is_delivered_as_it_comes(server: ScriptedOrigin) -> None:
    gate = asyncio.Event()
    server.on_accept(send(CHUNKED + b"3\r\nabc"), wait_for(gate), send(b"\r\n0\r\n\r\n"))
    async with RawClient(port=server.port) as client:
        response = await client.begin()
        assert [await response.read(2), await response.read(2)] == [b"ab", b"c"]
        with pytest.raises(AssertionError, match="has not been read to its end"):
            await client.response()
        gate.set()
        assert await response.read() == b""
        assert await response.read() == b""
        assert response.complete


async def test_a_large_body_can_be_hashed_without_being_held(server: ScriptedOrigin) -> None:
    pattern = Pattern(3 * WINDOW + 1)
    server.on_accept(send(OK + b"\r\n" + b"".join(pattern)), close())
    async with RawClient(port=server.port) as client:
        response = await client.response(keep=False)
    assert (response.size, response.sha256, response.body) == (pattern.size, pattern.sha256, b"")


@pytest.mark.parametrize("size", [0, 1, 64 * 1024, 64 * 1024 + 1])
def test_a_pattern_has_the_size_and_checksum_it_says(size: int) -> None:
    whole = b"".join(Pattern(size))
    assert (len(whole), hashlib.sha256(whole).hexdigest()) == (size, Pattern(size).sha256)


EMPTY = OK + b"Content-Length: 0\r\n\r\n"


async def test_surplus_bytes_are_flagged_before_the_next_request(server: ScriptedOrigin) -> None:
    server.on_accept(send(EMPTY + b"x"))
    async with RawClient(port=server.port) as client:
        await client.response()
        with pytest.raises(MalformedError, match="surplus bytes after a response: b'x'"):
            await client.send(GET)
        await client.receive(1)


async def test_surplus_bytes_are_flagged_when_the_client_leaves(server: ScriptedOrigin) -> None:
    with pytest.raises(MalformedError, match="surplus"):
        await answered(server, send(EMPTY + b"x"))


async def test_leaving_with_an_error_raises_that_error(server: ScriptedOrigin) -> None:
    server.on_accept(send(EMPTY + b"x"))

    async def leave() -> None:
        async with RawClient(port=server.port) as client:
            await client.response()
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await leave()


async def test_pipelined_responses_are_no_surplus(server: ScriptedOrigin) -> None:
    async with RawClient(port=server.port) as client:
        await client.send(GET * 2)
        assert [(await client.response()).status, (await client.response()).status] == [200, 200]


async def test_bytes_after_an_upgrade_are_the_tunnel(server: ScriptedOrigin) -> None:
    server.on_accept(send(b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\n\r\nhello"), close())
    async with RawClient(port=server.port) as client:
        assert (await client.response()).status == 101
        await client.send(b"raw")
        assert await client.receive(5) == b"hello"
        with pytest.raises(TruncatedError, match="FIN"):
            await client.receive(1)


async def test_the_end_is_clean_or_a_reset(server: ScriptedOrigin) -> None:
    for step, clean in ((close(), True), (reset(), False)):
        server.on_accept(step)
        async with RawClient(port=server.port) as client:
            assert await client.eof() is clean


async def test_bytes_instead_of_the_end_are_flagged(server: ScriptedOrigin) -> None:
    server.on_accept(send(b"x"), close())
    async with RawClient(port=server.port) as client:
        with pytest.raises(MalformedError, match="bytes instead of the end"):
            await client.eof()


async def test_a_wait_is_limited_and_its_failure_shows_what_came(server: ScriptedOrigin) -> None:
    server.on_accept(send(b"HTTP/1.1 20"), stall())
    async with RawClient(port=server.port, limit=0.05) as client:
        with pytest.raises(TimeoutError, match=r"no line within 0.05 s; .*11 bytes, ending in b'HTTP/1.1 20'.*open"):
            await client.response()
        with pytest.raises(MalformedError, match="bytes instead of the end"):
            await client.eof()


async def test_a_server_that_does_not_read_makes_the_sender_wait(server: ScriptedOrigin) -> None:
    server.on_accept(stall())
    async with RawClient(port=server.port, limit=0.2) as client:
        with pytest.raises(TimeoutError, match="no room to write"):
            await client.send(bytes(64 * 1024 * 1024))


async def test_a_server_that_is_gone_cannot_be_sent_to(server: ScriptedOrigin) -> None:
    server.on_accept(reset())
    async with RawClient(port=server.port) as client:
        await client.eof()
        with pytest.raises(ConnectionResetError, match="RESET"):
            await client.send(GET)


@pytest.mark.parametrize(
    ("leave", "end"),
    [
        pytest.param(RawClient.close, End.FIN, id="close"),
        pytest.param(RawClient.half_close, End.FIN, id="half-close"),
        pytest.param(RawClient.reset, End.RESET, id="reset"),
    ],
)
async def test_a_client_leaves_as_it_is_told(
    server: ScriptedOrigin, leave: Callable[[RawClient], None], end: End
) -> None:
    server.on_accept(stall())
    async with RawClient(port=server.port) as client:
        await server.connection_opened()
        leave(client)
        assert (await server.connection_closed()).end is end
        client.reset()  # whatever was done before, this does no harm


async def test_after_a_half_close_the_response_still_comes(server: ScriptedOrigin) -> None:
    async with RawClient(port=server.port) as client:
        await client.send(GET)
        client.half_close()
        assert (await client.response()).complete
        assert await client.eof()


@pytest.mark.parametrize(
    ("fields", "body", "raw"),
    [
        pytest.param([], None, b"Host: proxy.test\r\n\r\n", id="plain"),
        pytest.param([(b"host", b"a"), (b"X", b"\xff")], None, b"host: a\r\nX: \xff\r\n\r\n", id="own host"),
        pytest.param([], b"", b"Host: proxy.test\r\nContent-Length: 0\r\n\r\n", id="empty body"),
        pytest.param(
            [(b"Host", b"a"), (b"Content-Length", b"9")], b"x", b"Host: a\r\nContent-Length: 9\r\n\r\nx", id="lie"
        ),
    ],
)
def test_requests_are_composed_as_given(fields: Sequence[Field], body: bytes | None, raw: bytes) -> None:
    assert request("POST", b"/a%2f?", fields, body) == b"POST /a%2f? HTTP/1.1\r\n" + raw


async def test_an_exchange_is_a_request_and_its_response(server: ScriptedOrigin) -> None:
    async with RawClient(port=server.port) as client:
        response = await client.exchange("HEAD", b"/x", [(b"A", b"b")], b"body")
    assert (response.status, response.body) == (200, b"")
    assert server.requests[0].raw == request("HEAD", b"/x", [(b"A", b"b")], b"body")


@given(chunks=st.lists(st.binary(min_size=1, max_size=40)), cuts=st.sets(st.integers(1, 400)))
async def test_however_a_response_is_cut_its_body_is_the_same(chunks: list[bytes], cuts: set[int]) -> None:
    coded = b"".join(b"%x\r\n%b\r\n" % (len(chunk), chunk) for chunk in chunks)
    raw = CHUNKED + coded + b"0\r\n\r\n"
    wire = Wire()
    wire.connection_made(asyncio.Transport())

    async def feed() -> None:
        borders = [0, *sorted(cut for cut in cuts if cut < len(raw)), len(raw)]
        for start, stop in pairwise(borders):
            wire.data_received(raw[start:stop])
            await asyncio.sleep(0)

    async with asyncio.TaskGroup() as group:
        group.create_task(feed())
        response = await Response(wire, await read_head(wire), "GET").finish()
    assert (response.body, response.complete, wire.unread) == (b"".join(chunks), True, b"")
