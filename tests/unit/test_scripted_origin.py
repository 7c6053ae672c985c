"""The origin that the other tests lean on does what its script says, records what came, and leaves nothing behind."""

from __future__ import annotations

import asyncio
import gc
import hashlib
import json
import ssl
from typing import TYPE_CHECKING

import pytest

from tests.raw_client import End, MalformedError, Pattern, RawClient, TruncatedError, request
from tests.scripted_origin import (
    Connection,
    ScriptedOrigin,
    answer,
    close,
    half_close,
    interim,
    read_all,
    read_body,
    reset,
    send,
    stall,
    tell,
    trickle,
    wait_for,
)

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from tests.raw_client import Field
    from tests.scripted_origin import Body, Step

MIB = 1024 * 1024
GET = request("GET", b"/")
CHUNKED_POST = (
    b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3;x=y\r\nabc\r\n2\r\nde\r\n0\r\nT: u\r\n\r\n"
)


@pytest.fixture
async def origin() -> AsyncIterator[ScriptedOrigin]:
    async with ScriptedOrigin() as origin:
        yield origin


@pytest.fixture
async def client(origin: ScriptedOrigin) -> AsyncIterator[RawClient]:
    async with RawClient(port=origin.port) as client:
        yield client


async def test_without_a_script_it_echoes_what_it_got(client: RawClient) -> None:
    response = await client.exchange("PUT", b"/a%2F../\xe4?", [(b"X-Y", b"\xff"), (b"x-y", b"")], b"body")
    assert (response.status, response.field(b"content-type")) == (200, b"application/json")
    assert json.loads(response.body) == {
        "method": "PUT",
        "target": "/a%2F../\xe4?",
        "version": "HTTP/1.1",
        "fields": [["Host", "proxy.test"], ["Content-Length", "4"], ["X-Y", "\xff"], ["x-y", ""]],
        "length": 4,
        "sha256": hashlib.sha256(b"body").hexdigest(),
    }


async def test_a_request_is_recorded_raw_and_parsed(origin: ScriptedOrigin, client: RawClient) -> None:
    await client.send(CHUNKED_POST)
    await client.response("POST")
    recorded = await origin.request_complete()
    assert recorded.raw == CHUNKED_POST
    assert (recorded.method, recorded.target, recorded.version) == ("POST", b"/", b"HTTP/1.1")
    assert recorded.fields == [(b"Host", b"a"), (b"Transfer-Encoding", b"chunked")]
    assert (recorded.body, recorded.trailers) == (b"abcde", [(b"T", b"u")])


async def test_a_large_upload_can_be_counted_without_being_held(origin: ScriptedOrigin, client: RawClient) -> None:
    origin.script(read_all(keep=False), answer())
    pattern = Pattern(2 * MIB + 1)
    head = request("POST", b"/", [(b"Content-Length", b"%d" % pattern.size)])
    await client.send(head)
    for piece in pattern:
        await client.send(piece)
    await client.response("POST")
    (recorded,) = origin.requests
    assert (recorded.size, recorded.sha256) == (pattern.size, pattern.sha256)
    assert (recorded.body, recorded.raw) == (b"", head)


async def test_it_can_read_so_many_bytes_of_a_body(origin: ScriptedOrigin, client: RawClient) -> None:
    gate = asyncio.Event()
    origin.script(read_body(1), read_body(3), answer(), wait_for(gate), read_body(9))
    await client.send(CHUNKED_POST)
    await client.response("POST")
    (recorded,) = origin.requests
    assert (recorded.body, recorded.complete) == (b"abcd", False)
    gate.set()
    assert (await origin.request_complete()).body == b"abcde"


async def test_it_can_answer_before_the_body_came(origin: ScriptedOrigin, client: RawClient) -> None:
    origin.script(answer(413))
    upload = request("POST", b"/", [], b"body")
    await client.send(upload[:-4])
    assert (await client.response("POST")).status == 413
    assert not (await origin.request_received()).complete
    await client.send(b"body" + upload)
    assert (await client.response("POST")).status == 413
    assert [one.body for one in origin.requests] == [b"body", b"body"]


@pytest.mark.parametrize(
    ("step", "body", "fields", "stays"),
    [
        pytest.param(answer(body=b"hi"), b"hi", [(b"Content-Length", b"2")], True, id="length"),
        pytest.param(answer(body=[b"h", b"", b"i"]), b"hi", [(b"Content-Length", b"2")], True, id="in pieces"),
        pytest.param(
            answer(body=[b"h", b"", b"i"], framing="chunked"),
            b"hi",
            [(b"Transfer-Encoding", b"chunked")],
            True,
            id="chunks",
        ),
        pytest.param(answer(body=b"hi", framing="close"), b"hi", [], False, id="until close"),
        pytest.param(answer(204, body=b"not sent"), b"", [], True, id="204"),
        pytest.param(answer(304, [(b"ETag", b'"x"')]), b"", [(b"ETag", b'"x"')], True, id="304"),
        pytest.param(
            answer(200, [(b"Connection", b"x, Close"), (b"Content-Length", b"0")]),
            b"",
            [(b"Connection", b"x, Close"), (b"Content-Length", b"0")],
            False,
            id="Connection: close",
        ),
        pytest.param(answer(b"HTTP/1.0 200 OK"), b"", [(b"Content-Length", b"0")], False, id="HTTP/1.0"),
        pytest.param(
            answer(b"HTTP/1.0 200 OK", [(b"Connection", b"keep-alive")]),
            b"",
            [(b"Connection", b"keep-alive"), (b"Content-Length", b"0")],
            True,
            id="HTTP/1.0 that stays",
        ),
    ],
)
async def test_answers_are_well_made(
    origin: ScriptedOrigin, client: RawClient, step: Step, body: bytes, fields: list[Field], *, stays: bool
) -> None:
    origin.queue([step])
    response = await client.exchange("GET", b"/")
    assert (response.complete, response.body, response.fields) == (True, body, fields)
    if stays:
        assert (await client.exchange("GET", b"/")).complete
        assert len(origin.connections) == 1
    else:
        assert await client.eof()


async def test_an_answer_to_head_has_no_body(origin: ScriptedOrigin, client: RawClient) -> None:
    origin.script(answer(body=b"hi"))
    for _ in range(2):
        response = await client.exchange("HEAD", b"/")
        assert (response.field(b"content-length"), response.body) == (b"2", b"")


async def test_the_status_line_can_be_given_whole(origin: ScriptedOrigin, client: RawClient) -> None:
    origin.script(answer(b"HTTP/1.0 299 Sehr sch\xf6n"))
    response = await client.exchange("GET", b"/")
    assert (response.version, response.status, response.reason) == (b"HTTP/1.0", 299, b"Sehr sch\xf6n")


async def test_it_can_lie_about_the_length(origin: ScriptedOrigin, client: RawClient) -> None:
    origin.script(answer(200, [(b"Content-Length", b"9")], b"short"), close())
    response = await client.exchange("GET", b"/")
    assert (response.complete, response.body) == (False, b"short")
    assert "4 bytes before" in response.fault


async def test_it_can_claim_chunks_and_send_something_else(origin: ScriptedOrigin, client: RawClient) -> None:
    origin.script(answer(200, [(b"Transfer-Encoding", b"chunked")], b"no chunk\r\n", framing="chunked"))
    with pytest.raises(MalformedError, match="no chunk"):
        await client.exchange("GET", b"/")


async def test_it_can_send_surplus_bytes(origin: ScriptedOrigin) -> None:
    origin.script(send(b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nxsurplus"))
    async with RawClient(port=origin.port) as client:
        assert (await client.exchange("GET", b"/")).body == b"x"
        assert await client.receive(7) == b"surplus"


@pytest.mark.parametrize("body", [Pattern(2 * MIB + 1), list(Pattern(2 * MIB + 1))], ids=["made", "held"])
async def test_large_bodies_come_through(origin: ScriptedOrigin, client: RawClient, body: Body) -> None:
    for framed in (answer(body=body), answer(body=body, framing="chunked")):
        origin.script(framed)
        await client.send(GET)
        response = await client.response(keep=False)
        assert (response.size, response.sha256) == (2 * MIB + 1, Pattern(2 * MIB + 1).sha256)


async def test_a_slow_reader_is_waited_for(origin: ScriptedOrigin, client: RawClient) -> None:
    sent = asyncio.Event()
    origin.script(answer(body=Pattern(16 * MIB)), tell(sent))
    await client.send(GET)
    response = await client.begin()
    assert not sent.is_set()  # more than the socket buffers hold
    assert (await response.finish(keep=False)).sha256 == Pattern(16 * MIB).sha256
    await sent.wait()


async def test_it_can_trickle(origin: ScriptedOrigin, client: RawClient) -> None:
    origin.script(
        send(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n"), read_all(), trickle(b"abcde", pause=0.02, size=2)
    )
    await client.send(GET)
    response = await client.begin()
    assert [await response.read() for _ in range(3)] == [b"ab", b"cd", b"e"]


async def test_it_stalls_until_the_gate_opens(origin: ScriptedOrigin, client: RawClient) -> None:
    arrived, gate = asyncio.Event(), asyncio.Event()
    origin.script(tell(arrived), wait_for(gate), answer())
    await client.send(GET)
    await arrived.wait()
    assert client.wire.received == 0
    gate.set()
    assert (await client.response()).complete


async def test_it_stalls_until_the_peer_leaves(origin: ScriptedOrigin, client: RawClient) -> None:
    left = asyncio.Event()
    origin.script(stall(), tell(left))
    await client.send(GET)
    await origin.request_received()
    assert not left.is_set()
    client.reset()
    await left.wait()
    assert (await origin.connection_closed()).end is End.RESET


async def test_interim_responses_come_first(origin: ScriptedOrigin, client: RawClient) -> None:
    origin.script(interim(), interim(103, [(b"Link", b"</a>")]), answer())
    response = await client.exchange("GET", b"/")
    assert [(one.status, one.reason, one.fields) for one in response.interim] == [
        (100, b"Continue", []),
        (103, b"Early Hints", [(b"Link", b"</a>")]),
    ]


async def test_it_closes_or_resets(origin: ScriptedOrigin) -> None:
    origin.queue([close()], [reset()])
    for clean in (True, False):
        async with RawClient(port=origin.port) as client:
            await client.send(GET)
            assert await client.eof() is clean


async def test_it_can_half_close_and_read_on(origin: ScriptedOrigin, client: RawClient) -> None:
    origin.script(half_close(), read_all())
    await client.send(CHUNKED_POST[:-4])
    assert await client.eof()
    await client.send(CHUNKED_POST[-4:])
    assert (await origin.request_complete()).body == b"abcde"


async def test_it_can_close_an_idle_connection(origin: ScriptedOrigin, client: RawClient) -> None:
    gate = asyncio.Event()
    origin.script(answer(), wait_for(gate), close())
    assert (await client.exchange("GET", b"/")).complete
    assert origin.open_connections == origin.connections
    gate.set()
    assert await client.eof()
    assert (await origin.connection_closed()).end is End.LOCAL
    assert origin.open_connections == []


async def test_it_can_misbehave_before_any_request(origin: ScriptedOrigin) -> None:
    origin.on_accept(send(b"SSH-2.0-x\r\n"), close())
    async with RawClient(port=origin.port) as client:
        assert await client.receive(11) == b"SSH-2.0-x\r\n"
        assert await client.eof()
    assert origin.requests == []


async def test_steps_can_be_written_for_the_occasion(origin: ScriptedOrigin, client: RawClient) -> None:
    async def tunnel(connection: Connection) -> None:
        while data := await connection.some():
            await connection.send(data.upper())

    origin.script(send(b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\n\r\n"), tunnel)
    assert (await client.exchange("GET", b"/")).status == 101
    await client.send(b"hello")
    assert await client.receive(5) == b"HELLO"


async def test_scripts_come_from_the_queue_then_from_the_route(origin: ScriptedOrigin, client: RawClient) -> None:
    origin.queue([answer(201)], [answer(202)])
    origin.route(lambda request: [answer(404 if request.target == b"/no" else 200)])
    statuses = [(await client.exchange("GET", target)).status for target in (b"/no", b"/", b"/no", b"/")]
    assert statuses == [201, 202, 404, 200]


@pytest.mark.parametrize(
    "raw", [b"GET / HTTP/1.0\r\n\r\n", b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"], ids=["1.0", "close"]
)
async def test_the_last_request_of_a_connection_closes_it(client: RawClient, raw: bytes) -> None:
    await client.send(raw)
    assert (await client.response()).complete
    assert await client.eof()


async def test_connections_and_requests_are_counted(origin: ScriptedOrigin) -> None:
    for _ in range(2):
        async with RawClient(port=origin.port) as client:
            await client.exchange("GET", b"/1")
            await client.exchange("GET", b"/2")
    second = await origin.connection_closed(2)
    assert [len(one.requests) for one in origin.connections] == [2, 2]
    assert (second.requests[1], len(origin.requests)) == (await origin.request_received(4), 4)


async def test_a_wait_at_the_origin_is_limited_and_shows_what_came() -> None:
    async with ScriptedOrigin(limit=0.05) as origin, RawClient(port=origin.port) as client:
        await client.send(GET + b"GET /half")
        await client.response()
        with pytest.raises(
            TimeoutError, match=r"no request 2 at the origin within 0.05 s; requests: \[\"GET b'/'\"\].*GET /half"
        ):
            await origin.request_received(2)
        with pytest.raises(TimeoutError, match="no end of connection 1"):
            await origin.connection_closed()


@pytest.mark.parametrize(
    ("sent", "complete"),
    [pytest.param(GET[:-2], [], id="in the head"), pytest.param(CHUNKED_POST[:-4], [False], id="in the body")],
)
async def test_a_peer_that_breaks_off_ends_the_script_but_is_no_error(sent: bytes, complete: list[bool]) -> None:
    answered = asyncio.Event()
    async with ScriptedOrigin() as origin:
        origin.script(read_all(), tell(answered), answer())
        async with RawClient(port=origin.port) as client:
            await client.send(sent)
            client.half_close()
            assert await client.eof()
    assert not answered.is_set()
    assert [one.complete for one in origin.requests] == complete


async def test_a_peer_that_leaves_in_an_answer_is_no_error_of_the_origin() -> None:
    gate = asyncio.Event()
    async with ScriptedOrigin() as origin:
        origin.script(wait_for(gate), answer(body=Pattern(MIB)))
        async with RawClient(port=origin.port) as client:
            await client.send(GET)
            await origin.request_received()
            client.reset()
            await origin.connection_closed()
        gate.set()


async def fail(_: Connection) -> None:
    raise ZeroDivisionError


async def spoil(origin: ScriptedOrigin, raw: bytes = GET) -> None:
    """Makes one connection fail at the origin."""
    async with RawClient(port=origin.port) as client:
        await client.send(raw)
        assert await client.eof() in {True, False}


async def test_an_error_in_a_script_closes_the_connection_and_is_raised_at_the_end() -> None:
    origin = ScriptedOrigin()
    await origin.__aenter__()
    origin.script(fail)
    await spoil(origin)
    with pytest.raises(ZeroDivisionError):
        await origin.__aexit__(None, None, None)


async def test_several_errors_are_raised_together() -> None:
    origin = ScriptedOrigin()
    await origin.__aenter__()
    origin.script(fail)
    await spoil(origin)
    await spoil(origin)
    with pytest.raises(ExceptionGroup) as raised:
        await origin.__aexit__(None, None, None)
    assert [type(error) for error in raised.value.exceptions] == [ZeroDivisionError] * 2


async def test_an_error_of_the_test_comes_first_and_notes_those_of_the_script() -> None:
    async def test() -> None:
        async with ScriptedOrigin() as origin:
            origin.script(fail)
            await spoil(origin)
            raise KeyError

    with pytest.raises(KeyError) as raised:
        await test()
    assert raised.value.__notes__ == ["in the scripted origin: ZeroDivisionError()"]


@pytest.mark.parametrize(
    "raw",
    [
        pytest.param(b"GET /a b HTTP/1.1\r\nHost: a\r\n\r\n", id="space in the target"),
        pytest.param(b"GET / HTTP/2.0\r\nHost: a\r\n\r\n", id="version"),
        pytest.param(b"GET /\r\n\r\n", id="HTTP/0.9"),
        pytest.param(b"GET / HTTP/1.1\r\nHost : a\r\n\r\n", id="space before the colon"),
        pytest.param(b"GET / HTTP/1.1\r\nContent-Length: 0\r\nTransfer-Encoding: chunked\r\n\r\n", id="framing"),
        pytest.param(CHUNKED_POST.replace(b"de\r\n", b"def\r\n"), id="chunk longer than its size"),
    ],
)
async def test_a_request_no_client_may_send_is_raised(raw: bytes) -> None:
    origin = ScriptedOrigin()
    await origin.__aenter__()
    await spoil(origin, raw)
    with pytest.raises(MalformedError):
        await origin.__aexit__(None, None, None)


async def test_leaving_ends_all_scripts_and_closes_all_sockets() -> None:
    before = asyncio.all_tasks()
    async with ScriptedOrigin() as origin, RawClient(port=origin.port) as client, RawClient(port=origin.port):
        origin.script(wait_for(asyncio.Event()))
        await client.send(GET)
        await origin.request_received()
        await origin.connection_opened(2)
        await origin.__aexit__(None, None, None)
        with pytest.raises(TruncatedError):
            await client.response()
    assert asyncio.all_tasks() == before
    assert origin.open_connections == []
    gc.collect()  # an unclosed socket would warn now, and a warning is an error


async def test_it_serves_a_unix_socket(tmp_path: Path) -> None:
    path = tmp_path / "origin.sock"
    async with ScriptedOrigin(unix_path=path) as origin, RawClient(unix_path=path) as client:
        assert origin.url == f"unix:{path}"
        assert (await client.exchange("GET", b"/")).complete


@pytest.fixture
async def certificate(tmp_path: Path) -> Path:
    """A certificate for localhost that signs itself, and its key, in one file."""
    path = tmp_path / "localhost.pem"
    subject = ["-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost"]
    key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
    command = ["openssl", "req", "-x509", *key, *subject, "-keyout", str(path), "-out", str(tmp_path / "certificate")]
    process = await asyncio.create_subprocess_exec(*command, stderr=asyncio.subprocess.DEVNULL)
    assert await process.wait() == 0
    path.write_bytes(path.read_bytes() + (tmp_path / "certificate").read_bytes())
    return path


async def test_it_speaks_tls(certificate: Path) -> None:
    server = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    server.load_cert_chain(certificate)
    trusting = ssl.create_default_context(cafile=str(certificate))
    async with ScriptedOrigin(ssl=server) as origin:
        origin.queue([answer(body=Pattern(MIB))], [answer(framing="close")], [reset()])
        async with RawClient("localhost", origin.port, ssl=trusting) as client:
            assert (await client.exchange("GET", b"/")).sha256 == Pattern(MIB).sha256
            assert (await client.exchange("GET", b"/")).complete
            assert await client.eof()
        async with RawClient("localhost", origin.port, ssl=trusting) as client:
            await client.send(GET)
            assert not await client.eof()
        assert origin.url == f"https://127.0.0.1:{origin.port}"


async def test_its_url_is_where_it_listens(origin: ScriptedOrigin) -> None:
    assert origin.url == f"http://127.0.0.1:{origin.port}"
    assert origin.port > 0
