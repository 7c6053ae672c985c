"""A connection to an origin, byte by byte: what the cutting of a stream, a full buffer or an early end does to it."""

import asyncio
import socket
from collections.abc import AsyncIterator
from itertools import pairwise
from typing import cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.connection import HIGH_WATER, MOMENT, Connection
from proxy.errors import OriginBrokeOff, OriginError, OriginMalformed, OriginTimeout
from proxy.response import Response, WentStale

SIZED = b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nbody"
CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4;x=y\r\nbody\r\n0\r\nX-Trailer: 1\r\n\r\n"
OLD = b"HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nContent-Length: 4\r\n\r\nbody"
INTERIM = b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n" + SIZED


class OriginEnd(asyncio.Protocol):
    """The other end of the connection."""

    def __init__(self) -> None:
        self.received = b""
        self.closed = asyncio.Event()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        self.received += data

    def connection_lost(self, _: Exception | None) -> None:
        self.closed.set()


@pytest.fixture
async def ends() -> AsyncIterator[tuple[Connection, OriginEnd]]:
    loop, (ours, theirs) = asyncio.get_running_loop(), socket.socketpair()
    _, origin = await loop.create_connection(OriginEnd, sock=theirs)
    _, connection = await loop.create_connection(lambda: Connection(4096), sock=ours)
    yield connection, origin
    connection.close()
    origin.transport.abort()
    await asyncio.wait_for(origin.closed.wait(), 5)


Ends = tuple[Connection, OriginEnd]


def answer_to_get() -> Response:
    response = Response(4096, lenient=False)
    response.begin("GET")
    return response


async def body(connection: Connection) -> bytes:
    whole = b""
    while piece := await connection.piece(5):
        whole += piece
    return whole


@given(
    raw=st.sampled_from([SIZED, CHUNKED, OLD, INTERIM]),
    surplus=st.sampled_from([b"", b"H", b"HTTP/1.1 200 OK\r\n", SIZED, b"nonsense"]),
    cuts=st.sets(st.integers(1, 200), max_size=20),
)
def test_where_the_stream_is_cut_makes_no_difference(raw: bytes, surplus: bytes, cuts: set[int]) -> None:
    response = answer_to_get()
    stream = raw + surplus
    edges = [0, *sorted(cut for cut in cuts if cut < len(stream)), len(stream)]
    for start, stop in pairwise(edges):
        response.feed(stream[start:stop])
    assert response.head is not None
    assert (response.head.status, response.head.reason) == (200, b"OK")
    assert [name for name, _ in response.head.fields if name in (b"Link", b"X-Trailer")] == []
    assert (response.complete, response.error, b"".join(response.pieces)) == (True, None, b"body")
    assert response.persistent == (not surplus)


@given(junk=st.binary(min_size=1, max_size=60), raw=st.sampled_from([SIZED, CHUNKED]), at=st.integers(0, 90))
def test_junk_in_a_stream_raises_nothing_but_our_own_errors(junk: bytes, raw: bytes, at: int) -> None:
    response = answer_to_get()
    response.feed(raw[:at] + junk + raw[at:])
    response.end_of_stream(clean=True)
    assert response.complete or isinstance(response.error, OriginError)


@pytest.mark.parametrize(
    ("sent", "clean", "error"),
    [
        pytest.param(b"", True, WentStale, id="nothing"),
        pytest.param(b"", False, WentStale, id="nothing, reset"),
        pytest.param(b"HTTP/1.1 100 Continue\r\n\r\n", True, OriginBrokeOff, id="an interim response"),
        pytest.param(SIZED[:-1], True, OriginBrokeOff, id="all but a byte"),
        pytest.param(CHUNKED[:-2], True, OriginBrokeOff, id="all but a line"),
        pytest.param(b"HTTP/1.1 200 OK\r\n\r\nbody", True, None, id="until close"),
        pytest.param(b"HTTP/1.1 200 OK\r\n\r\nbody", False, OriginBrokeOff, id="until close, reset"),
        pytest.param(SIZED, False, None, id="all, reset"),
        pytest.param(b"nonsense", True, OriginMalformed, id="no HTTP"),
    ],
)
def test_what_the_end_of_the_stream_means(sent: bytes, error: type[OriginError] | None, *, clean: bool) -> None:
    response = answer_to_get()
    response.feed(sent) if sent else None
    response.end_of_stream(clean=clean)
    response.end_of_stream(clean=True)  # what comes later changes nothing
    response.abandon()
    assert type(response.error) is (error or type(None))
    assert response.complete == (error is None)


def test_a_body_until_close_that_we_closed_is_not_whole() -> None:
    response = answer_to_get()
    response.feed(b"HTTP/1.1 200 OK\r\n\r\nbody")
    response.abandon()
    response.end_of_stream(clean=True)
    assert (response.complete, type(response.error)) == (False, OriginBrokeOff)


async def test_an_exchange_and_another_one(ends: Ends) -> None:
    connection, origin = ends
    for used in (False, True):
        connection.begin("GET")
        assert connection.used == used
        connection.write(b"request")
        connection.sent_whole()
        origin.transport.write(SIZED)
        assert (await connection.head(5)).status == 200
        assert not connection.reusable  # while the body is unread
        assert await body(connection) == b"body"
        assert connection.reusable
    await asyncio.sleep(0)
    assert origin.received == b"requestrequest"


async def test_an_unfinished_request_cannot_be_followed_by_another(ends: Ends) -> None:
    connection, origin = ends
    connection.begin("POST")
    origin.transport.write(SIZED)
    await connection.head(5)
    await body(connection)
    assert not connection.reusable


async def test_a_connection_can_be_used_from_the_first(ends: Ends) -> None:
    connection, _ = ends
    assert connection.reusable


async def test_a_response_to_head_leaves_nothing_for_the_next(ends: Ends) -> None:
    connection, origin = ends
    for method, content in (("HEAD", b""), ("GET", b"body"), ("HEAD", b"")):
        connection.begin(method)
        connection.sent_whole()
        origin.transport.write(SIZED if content else SIZED.removesuffix(b"body"))
        await connection.head(5)
        assert await body(connection) == content
        assert connection.reusable


async def test_a_connection_that_is_closed_has_gone_stale(ends: Ends) -> None:
    connection, _ = ends
    connection.close()
    connection.begin("GET")
    connection.write(b"request")
    await connection.drain(5)
    with pytest.raises(WentStale):
        await connection.head(5)


async def test_closing_ends_whoever_waits(ends: Ends) -> None:
    connection, origin = ends
    connection.begin("GET")
    waiting = asyncio.create_task(connection.head(5))
    await asyncio.sleep(0)
    connection.close()
    with pytest.raises(OriginBrokeOff):
        await waiting
    await asyncio.wait_for(origin.closed.wait(), 5)


async def test_bytes_before_any_request_close_the_connection(ends: Ends) -> None:
    connection, origin = ends
    origin.transport.write(SIZED)
    await asyncio.wait_for(origin.closed.wait(), 5)
    assert connection.closed


async def test_reading_pauses_while_nobody_takes_what_came(ends: Ends) -> None:
    connection, origin = ends
    size = 64 * HIGH_WATER
    connection.begin("GET")
    origin.transport.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % size + bytes(size))
    await connection.head(5)
    async with asyncio.timeout(5):
        while connection.response.buffered <= HIGH_WATER:
            await connection.response.news()
    for _ in range(100):
        await asyncio.sleep(0)
    assert connection.response.buffered < 3 * HIGH_WATER  # what one read can bring on top
    assert len(await body(connection)) == size


async def test_sending_waits_while_the_origin_takes_nothing(ends: Ends) -> None:
    connection, origin = ends
    origin.transport.pause_reading()
    connection.begin("POST")
    await connection.drain(0.01)  # there is room yet
    connection.write(bytes(16 * HIGH_WATER))
    with pytest.raises(OriginTimeout) as late:
        await connection.drain(0.05)
    assert late.value.error_type == "connection_write_timeout"
    waiting = asyncio.create_task(connection.drain(5))
    await asyncio.sleep(0)
    origin.transport.resume_reading()
    await waiting


async def test_an_origin_that_leaves_ends_the_wait_for_room(ends: Ends) -> None:
    connection, origin = ends
    origin.transport.pause_reading()
    connection.begin("POST")
    connection.write(bytes(16 * HIGH_WATER))
    waiting = asyncio.create_task(connection.drain(5))
    await asyncio.sleep(0)
    origin.transport.abort()
    await waiting
    with pytest.raises(OriginBrokeOff):
        await connection.head(5)


async def test_the_head_has_one_deadline_and_the_body_one_for_each_gap(ends: Ends) -> None:
    connection, origin = ends
    connection.begin("GET")
    with pytest.raises(OriginTimeout) as late:
        await connection.head(0.02)
    assert late.value.error_type == "http_response_timeout"
    origin.transport.write(SIZED[:-1])
    await connection.head(5)
    assert await connection.piece(5) == b"bod"
    with pytest.raises(OriginTimeout) as late:
        await connection.piece(0.02)
    assert late.value.error_type == "connection_read_timeout"


async def test_an_origin_that_goes_on_sending_after_our_farewell_is_broken_off(
    ends: Ends, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("proxy.connection.FAREWELL", 60)
    monkeypatch.setattr(OriginEnd, "eof_received", lambda _: True)  # it keeps its own side open
    connection, origin = ends
    connection.begin("GET")
    connection.close()
    assert not connection.lost.done()
    origin.transport.write(SIZED)
    await asyncio.wait_for(connection.lost, 5)


async def test_a_connection_is_not_used_again_while_its_request_is_not_all_out(ends: Ends) -> None:
    connection, origin = ends
    origin.transport.pause_reading()
    connection.begin("POST")
    connection.write(b"x" * 8 * 1024 * 1024)
    connection.sent_whole()
    origin.transport.write(SIZED)
    await connection.head(5)
    assert await body(connection) == b"body"
    assert not connection.reusable


async def test_a_connection_that_another_protocol_was_to_have_and_never_took_is_lost_once(ends: Ends) -> None:
    connection, origin = ends
    failures: list[object] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: failures.append(context))
    connection.begin("GET", (b"echo",))
    origin.transport.write(b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: echo\r\nConnection: upgrade\r\n\r\n")
    await connection.head(5)
    connection.take_over()
    connection.close()
    await asyncio.wait_for(connection.lost, 5)
    await asyncio.sleep(2 * MOMENT)  # in which it would be told again
    assert failures == []
