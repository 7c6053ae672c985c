"""What the client sees of a response: what the origin sent, byte for byte, and the proxy's own few fields."""

import gzip

import pytest

from tests.exchange.conftest import ClientVia
from tests.raw_client import Field, RawClient, Response
from tests.scripted_origin import ScriptedOrigin, Step, answer, close, interim, read_all, send

DATE = (b"Date", b"Thu, 01 Jan 1970 00:00:00 GMT")
VIA = (b"Via", b"1.1 respond-async")
VARY = (b"Vary", b"Prefer")


async def old_client_gets(client: RawClient, fields: bytes = b"") -> Response:
    await client.send(b"GET / HTTP/1.0\r\nHost: proxy.test\r\n%b\r\n" % fields)
    return await client.response()


async def test_fields_arrive_in_order_byte_for_byte_with_ours_after_them(
    client: RawClient, origin: ScriptedOrigin
) -> None:
    fields: list[Field] = [
        (b"server", b"legacy/0.9"),
        (b"Content-Length", b"4"),
        (b"Set-Cookie", b"a=1; Path=/; Expires=Thu, 01 Jan 1970 00:00:00 GMT"),
        (b"X-MIXED-case", b"1"),
        (b"Set-Cookie", b"b=2"),
        (b"X-Latin", b"caf\xe9"),
        (b"X-All-Bytes", bytes(range(0x80, 0x100))),
        (b"X-Empty", b""),
        (b"Set-Cookie", b"a=3"),
        (b"WWW-Authenticate", b'Basic realm="a, b"'),
        (b"Location", b"/elsewhere?a=%zz"),
        DATE,
    ]
    origin.script(answer(401, fields, b"body"))
    response = await client.exchange("GET", b"/")
    assert (response.status, response.reason, response.body) == (401, b"Unauthorized", b"body")
    assert response.fields == [*fields, VIA, VARY]


async def test_nothing_is_invented_for_a_response_of_nothing_but_framing(
    client_via: ClientVia, origin: ScriptedOrigin
) -> None:
    client = await client_via({"respond_async": None})
    origin.script(answer(200, [], b"body"))
    length, via, (date, _) = (await client.exchange("GET", b"/")).fields
    assert (length, via, date) == ((b"Content-Length", b"4"), VIA, b"Date")


async def test_fields_of_the_origins_connection_end_here(client: RawClient, origin: ScriptedOrigin) -> None:
    hop_by_hop: list[Field] = [
        (b"Connection", b"X-Named"),
        (b"X-Named", b"1"),
        (b"Keep-Alive", b"timeout=5"),
        (b"Proxy-Connection", b"keep-alive"),
        (b"Proxy-Authenticate", b"Basic"),
        (b"TE", b"trailers"),
        (b"Trailer", b"X-Checksum"),
        (b"Upgrade", b"h2,h2c"),
        (b"connection", b"Upgrade, content-length"),
        (b"HTTP2-Settings", b"AAMAAABk"),
    ]
    origin.script(answer(200, [*hop_by_hop, DATE], b"body"))
    response = await client.exchange("GET", b"/")
    assert response.fields == [DATE, (b"Content-Length", b"4"), VIA, VARY]
    assert response.body == b"body"


@pytest.mark.parametrize("vary", [b"Accept, prefer", b"*"])
async def test_vary_is_not_said_twice(client: RawClient, origin: ScriptedOrigin, vary: bytes) -> None:
    origin.script(answer(200, [(b"Vary", vary)]))
    assert (await client.exchange("GET", b"/")).fields_named(b"vary") == [vary]


@pytest.mark.parametrize(
    ("line", "status", "reason"),
    [
        pytest.param(b"HTTP/1.1 203 Not So Sure", 203, b"Not So Sure", id="unusual reason"),
        pytest.param(b"HTTP/1.1 299 ", 299, b"", id="unusual status, empty reason"),
        pytest.param(b"HTTP/1.1 200", 200, b"", id="no space after the status"),
        pytest.param(b"HTTP/1.1 404 Pas trouv\xe9", 404, b"Pas trouv\xe9", id="reason beyond ASCII"),
        pytest.param(b"HTTP/1.1 500 a  b\tc ", 500, b"a  b\tc ", id="white space in the reason"),
        pytest.param(b"HTTP/1.1 599 Last", 599, b"Last", id="last status"),
        pytest.param(b"HTTP/1.1 302 Found", 302, b"Found", id="redirect, not followed"),
        pytest.param(b"HTTP/1.1 407 Proxy Authentication Required", 407, b"Proxy Authentication Required", id="407"),
    ],
)
async def test_the_status_line_arrives_as_it_was(
    client: RawClient, origin: ScriptedOrigin, line: bytes, status: int, reason: bytes
) -> None:
    origin.script(send(line + b"\r\nContent-Length: 2\r\n\r\nok"))
    response = await client.exchange("GET", b"/")
    assert (response.version, response.status, response.reason) == (b"HTTP/1.1", status, reason)
    assert response.body == b"ok"


FRAMINGS = [
    pytest.param([answer(body=b"body")], id="length"),
    pytest.param([answer(body=[b"bo", b"dy"], framing="chunked")], id="chunks"),
    pytest.param(
        [
            send(b"HTTP/1.1 200 OK\r\ntransfer-encoding: Chunked\r\n\r\n1;a=b\r\nb\r\n03;c=x\r\nody\r\n"),
            send(b"0;last\r\nX-Checksum: 1\r\nSet-Cookie: a=b\r\n\r\n"),
        ],
        id="chunks with extensions and trailers",
    ),
    pytest.param([answer(body=b"body", framing="close")], id="until close"),
    pytest.param([send(b"HTTP/1.1 200 OK\r\n\r\nbody"), close()], id="until close, no fields at all"),
    pytest.param([answer(b"HTTP/1.0 200 OK", body=b"body")], id="HTTP/1.0, length"),
    pytest.param([answer(b"HTTP/1.0 200 OK", body=b"body", framing="close")], id="HTTP/1.0, until close"),
    pytest.param(
        [answer(b"HTTP/1.0 200 OK", [(b"Connection", b"keep-alive")], b"body")], id="HTTP/1.0, kept alive"
    ),
    pytest.param([answer(200, [(b"Connection", b"close")], b"body")], id="length and Connection: close"),
    pytest.param([answer(200, [(b"Content-Length", b"4")], b"bodybody")], id="surplus bytes"),
    pytest.param([answer(200, [(b"Upgrade", b"h2c"), (b"Connection", b"upgrade")], b"body")], id="upgrade on offer"),
]  # fmt: skip


@pytest.mark.parametrize("script", FRAMINGS)
async def test_a_body_arrives_whole_however_it_was_framed(
    client: RawClient, origin: ScriptedOrigin, script: list[Step]
) -> None:
    origin.script(*script)
    for _ in range(2):  # and the client's connection stays usable, whatever became of the origin's
        response = await client.exchange("GET", b"/")
        assert (response.complete, response.body, response.trailers) == (True, b"body", [])


@pytest.mark.parametrize("script", FRAMINGS)
async def test_an_http_1_0_client_gets_no_chunks(client: RawClient, origin: ScriptedOrigin, script: list[Step]) -> None:
    origin.script(*script)
    response = await old_client_gets(client)
    assert (response.complete, response.body) == (True, b"body")
    assert response.fields_named(b"transfer-encoding") == []
    assert response.field(b"connection") == b"close"
    assert await client.eof()


async def test_an_http_1_0_client_may_keep_its_connection_where_the_length_is_known(
    client: RawClient, origin: ScriptedOrigin
) -> None:
    origin.script(answer(body=b"body"))
    for _ in range(2):
        response = await old_client_gets(client, b"Connection: keep-alive\r\n")
        assert (response.body, response.field(b"connection")) == (b"body", b"keep-alive")


async def test_an_http_1_0_client_loses_its_connection_where_only_a_close_can_tell_the_end(
    client: RawClient, origin: ScriptedOrigin
) -> None:
    origin.script(answer(body=[b"bo", b"dy"], framing="chunked"))
    response = await old_client_gets(client, b"Connection: keep-alive\r\n")
    assert (response.body, response.field(b"connection")) == (b"body", b"close")
    assert await client.eof()


async def test_a_client_that_asks_for_the_end_gets_it(client: RawClient, origin: ScriptedOrigin) -> None:
    response = await client.exchange("GET", b"/", [(b"Connection", b"close")])
    assert response.field(b"connection") == b"close"
    assert await client.eof()


@pytest.mark.parametrize(
    ("method", "status", "sent", "received"),
    [
        pytest.param("HEAD", 200, [(b"Content-Length", b"5")], [(b"Content-Length", b"5")], id="HEAD with length"),
        pytest.param("HEAD", 200, [(b"Transfer-Encoding", b"chunked")], [], id="HEAD, would be in chunks"),
        pytest.param("HEAD", 404, [], [], id="HEAD, nothing said"),
        pytest.param("GET", 204, [], [], id="204"),
        pytest.param("GET", 204, [(b"Content-Length", b"0")], [], id="204 with length"),
        pytest.param("HEAD", 204, [(b"Content-Length", b"5")], [], id="204 with length to HEAD"),
        pytest.param(
            "HEAD", 304, [(b"Content-Length", b"5")], [(b"Content-Length", b"5")], id="304 with length to HEAD"
        ),
        pytest.param("GET", 304, [(b"Content-Length", b"5")], [(b"Content-Length", b"5")], id="304 with length"),
        pytest.param("GET", 304, [(b"ETag", b'"a"')], [(b"ETag", b'"a"')], id="304 without length"),
        pytest.param("GET", 205, [(b"Content-Length", b"0")], [(b"Content-Length", b"0")], id="205"),
        pytest.param("DELETE", 200, [(b"Content-Length", b"0")], [(b"Content-Length", b"0")], id="200 with nothing"),
    ],
)
async def test_a_response_without_content_has_the_fields_it_should(
    client: RawClient, origin: ScriptedOrigin, *, method: str, status: int, sent: list[Field], received: list[Field]
) -> None:
    head = b"HTTP/1.1 %d Some Reason\r\n" % status + b"".join(b"%b: %b\r\n" % field for field in [*sent, DATE])
    origin.script(send(head + b"\r\n"))
    for _ in range(2):
        response = await client.exchange(method, b"/")
        assert (response.status, response.body) == (status, b"")
        assert response.fields == [*received, DATE, VIA, VARY]
    assert len(origin.connections) == 1


@pytest.mark.parametrize(
    ("method", "head"),
    [
        pytest.param("HEAD", b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n", id="HEAD, length"),
        pytest.param("HEAD", b"HTTP/1.1 200 OK\r\n\r\n", id="HEAD, no length"),
        pytest.param("GET", b"HTTP/1.1 204 No Content\r\nContent-Length: 5\r\n\r\n", id="204"),
        pytest.param("GET", b"HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n\r\n", id="304"),
    ],
)
async def test_a_body_where_none_may_be_is_dropped_with_the_connection_it_spoilt(
    client: RawClient, origin: ScriptedOrigin, method: str, head: bytes
) -> None:
    origin.queue([send(head + b"stray")])
    assert (await client.exchange(method, b"/")).body == b""
    assert (await client.exchange("GET", b"/")).status == 200
    assert len(origin.connections) == 2


@pytest.mark.parametrize(
    "surplus",
    [
        pytest.param(b"surplus", id="no HTTP"),
        pytest.param(b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\npoison", id="a whole response"),
        pytest.param(b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\npoi", id="the beginning of a response"),
        pytest.param(b"HTTP/1.1 200 OK\r\nX-Poison: ", id="half a head"),
        pytest.param(b"H", id="one byte of a response"),
        pytest.param(b"HTTP/1.1 100 Continue\r\n\r\n", id="an interim response"),
    ],
)
async def test_what_comes_after_a_response_never_answers_the_next_request(
    client: RawClient, origin: ScriptedOrigin, surplus: bytes
) -> None:
    origin.queue([send(b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\none" + surplus)])
    assert (await client.exchange("GET", b"/")).body == b"one"
    origin.queue([answer(body=b"two")])
    assert (await client.exchange("GET", b"/")).body == b"two"
    assert len(origin.connections) == 2


async def test_interim_responses_are_dropped(client: RawClient, origin: ScriptedOrigin) -> None:
    hints = (b"Link", b"</style.css>; rel=preload")
    origin.script(interim(100), interim(102, [(b"X-Interim", b"1")]), interim(103, [hints]), answer(200, [DATE], b"ok"))
    response = await client.exchange("GET", b"/")
    assert (response.interim, response.reason, response.body) == ([], b"OK", b"ok")
    assert response.fields == [DATE, (b"Content-Length", b"2"), VIA, VARY]


async def test_content_codings_are_nobodys_business_but_the_ends(client: RawClient, origin: ScriptedOrigin) -> None:
    coded, coding = gzip.compress(b"a text " * 1000), (b"Content-Encoding", b"gzip")
    origin.script(read_all(), answer(200, [coding], coded))
    response = await client.exchange("POST", b"/", [coding, (b"Accept-Encoding", b"gzip;q=0.5")], coded)
    assert (response.body, response.fields_named(b"content-encoding")) == (coded, [b"gzip"])
    received = await origin.request_received()
    assert (received.body, received.fields_named(b"content-encoding")) == (coded, [b"gzip"])
    assert received.fields_named(b"accept-encoding") == [b"gzip;q=0.5"]


async def test_the_head_and_each_piece_are_passed_on_as_they_come(client: RawClient, origin: ScriptedOrigin) -> None:
    origin.script(send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"))
    await client.send(b"GET / HTTP/1.1\r\nHost: proxy.test\r\n\r\n")
    response = await client.begin()
    connection = await origin.connection_opened()
    for piece in (b"first", b"second"):
        await connection.send(b"%x\r\n%b\r\n" % (len(piece), piece))
        assert await response.read() == piece
    await connection.send(b"0\r\n\r\n")
    assert (await response.finish()).complete


async def test_via_names_the_version_that_the_origin_spoke(client: RawClient, origin: ScriptedOrigin) -> None:
    origin.script(answer(b"HTTP/1.0 200 OK", [(b"Via", b"1.1 behind")]))
    response = await client.exchange("GET", b"/")
    assert response.fields_named(b"via") == [b"1.1 behind", b"1.0 respond-async"]
