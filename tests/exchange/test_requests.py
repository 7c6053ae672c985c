"""What the origin sees of a request: what the client sent, byte for byte, and the proxy's own few fields."""

import re

import pytest

from tests.exchange.conftest import ClientVia
from tests.raw_client import Field, RawClient, request
from tests.scripted_origin import ScriptedOrigin

HOST = (b"Host", b"example.com")
ID = (b"X-Request-Id", b"r1")
OURS = [
    (b"Via", b"1.1 respond-async"),
    (b"X-Forwarded-For", b"127.0.0.1"),
    (b"X-Forwarded-Proto", b"http"),
    (b"X-Forwarded-Host", b"example.com"),
    (b"Forwarded", b"for=127.0.0.1;host=example.com;proto=http"),
]


@pytest.mark.parametrize(
    "target",
    [
        pytest.param(b"/", id="root"),
        pytest.param(b"/a%2Fb/../c", id="encoded slash and dot segments"),
        pytest.param(b"/a%2fb/%7E", id="case and choice of percent-encoding"),
        pytest.param(b"//x", id="two slashes in front"),
        pytest.param(b"//evil.example/x", id="what looks like an authority"),
        pytest.param(b"/a//b/./", id="empty and dot segments"),
        pytest.param(b"/?", id="empty query"),
        pytest.param(b"/a??b=?", id="several question marks"),
        pytest.param(b"/a?b=c&b=d&&=", id="query as it is"),
        pytest.param(b"/%zz%", id="broken percent-encoding"),
        pytest.param(b"/%00%0d%0a", id="encoded control characters"),
        pytest.param(b'/[a]{b}|\\^`"<>', id="characters that are no part of a URI"),
        pytest.param(b"/a;v=1,2/b:c@d=e+f", id="delimiters of path segments"),
        pytest.param(b"/http://other.example/", id="a URI within the path"),
        pytest.param(b"/" + b"x" * 30_000, id="long path"),
        pytest.param(b"/?" + b"x=%41&" * 5_000, id="long query"),
    ],
)
async def test_the_target_stays_as_it_came(client: RawClient, origin: ScriptedOrigin, target: bytes) -> None:
    response = await client.exchange("GET", target)
    assert response.status == 200
    assert (await origin.request_received()).target == target


@pytest.mark.parametrize(
    "target",
    [
        pytest.param("/zürich/東京?ä=ö".encode(), id="UTF-8"),
        pytest.param(b"/z\xfcrich?\xff", id="no UTF-8"),
    ],
)
async def test_a_target_with_raw_bytes_beyond_ascii_stays_as_it_came(
    client: RawClient, origin: ScriptedOrigin, target: bytes
) -> None:
    response = await client.exchange("GET", target)
    assert response.status == 200
    assert (await origin.request_received()).target == target


@pytest.mark.parametrize(
    ("method", "target", "origin_form"),
    [
        pytest.param("GET", b"http://other.example/a%2F?b", b"/a%2F?b", id="path and query"),
        pytest.param("GET", b"HTTPS://other.example", b"/", id="neither path nor query"),
        pytest.param("GET", b"http://other.example?x", b"/?x", id="query only"),
        pytest.param("OPTIONS", b"http://other.example", b"*", id="the whole server"),
    ],
)
async def test_absolute_form_names_the_host_and_never_picks_the_origin(
    client: RawClient, origin: ScriptedOrigin, method: str, target: bytes, origin_form: bytes
) -> None:
    await client.exchange(method, target, [HOST])
    received = await origin.request_received()
    assert (received.target, received.fields_named(b"host")) == (origin_form, [b"other.example"])


@pytest.mark.parametrize("target", [b"/a#b", b"/a\x01b", b"/a b", b"example.com:80", b"*", b"ftp://example.com/"])
async def test_a_target_that_could_be_read_in_two_ways_is_refused(
    client: RawClient, origin: ScriptedOrigin, target: bytes
) -> None:
    response = await client.exchange("GET", target)
    assert (response.status, origin.requests) == (400, [])
    assert await client.eof()


@pytest.mark.parametrize(
    "method", ["GET", "POST", "PUT", "PATCH", "DELETE", "PROPFIND", "REPORT", "MKCOL", "LOCK", "SEARCH", "PURGE"]
)
async def test_methods_pass(client: RawClient, origin: ScriptedOrigin, method: str) -> None:
    await client.exchange(method, b"/")
    assert (await origin.request_received()).method == method


async def test_options_asks_the_whole_server(client: RawClient, origin: ScriptedOrigin) -> None:
    await client.exchange("OPTIONS", b"*")
    received = await origin.request_received()
    assert (received.method, received.target) == ("OPTIONS", b"*")


@pytest.mark.parametrize("method", ["TRACE", "OPTIONS"])
async def test_max_forwards_is_counted_down(client: RawClient, origin: ScriptedOrigin, method: str) -> None:
    await client.exchange(method, b"/", [(b"Max-Forwards", b"2")])
    assert (await origin.request_received()).field(b"max-forwards") == b"1"


@pytest.mark.parametrize(("method", "status"), [("TRACE", 405), ("OPTIONS", 204)])
async def test_max_forwards_zero_ends_here(client: RawClient, origin: ScriptedOrigin, method: str, status: int) -> None:
    response = await client.exchange(method, b"/", [(b"Max-Forwards", b"0")])
    assert (response.status, origin.requests) == (status, [])


async def test_max_forwards_of_other_methods_is_a_field_like_any_other(
    client: RawClient, origin: ScriptedOrigin
) -> None:
    await client.exchange("GET", b"/", [(b"Max-Forwards", b"0")])
    assert (await origin.request_received()).field(b"max-forwards") == b"0"


async def test_fields_arrive_in_order_byte_for_byte_with_ours_after_them(
    client: RawClient, origin: ScriptedOrigin
) -> None:
    fields = [
        (b"x-lower", b"1"),
        HOST,
        (b"X-MIXED-case", b"2"),
        (b"X-Twice", b"a"),
        (b"Cookie", b"a=1"),
        (b"X-Latin", b"caf\xe9"),
        (b"X-Utf-8", "東京".encode()),
        (b"X-All-Bytes", bytes(range(0x80, 0x100))),
        (b"X-Empty", b""),
        (b"x-twice", b"b, c"),
        (b"Cookie", b"b=2"),
        (b"X-Inside", b'a \t b "quoted\\" ,'),
        (b"Prefer", b"wait=5, handling=lenient"),
        (b"Accept-Encoding", b"br"),
        ID,
    ]
    await client.exchange("GET", b"/", fields)
    assert (await origin.request_received()).fields == [*fields, *OURS]


async def test_nothing_is_invented_for_a_request_of_nothing_but_a_host(
    client: RawClient, origin: ScriptedOrigin
) -> None:
    await client.exchange("GET", b"/", [HOST])
    *fields, (name, request_id) = (await origin.request_received()).fields
    assert fields == [HOST, *OURS]
    assert name == b"X-Request-Id"
    assert re.fullmatch(rb"[0-9a-f]{32}", request_id)


async def test_every_request_gets_an_id_of_its_own(client: RawClient, origin: ScriptedOrigin) -> None:
    for _ in range(2):
        await client.exchange("GET", b"/")
    first, second = (request.field(b"x-request-id") for request in origin.requests)
    assert first != second


async def test_fields_of_the_clients_connection_end_here(client: RawClient, origin: ScriptedOrigin) -> None:
    hop_by_hop: list[Field] = [
        (b"Connection", b"X-Named, keep-alive"),
        (b"connection", b" x-named-too ,"),
        (b"X-Named", b"1"),
        (b"X-Named-Too", b"2"),
        (b"Keep-Alive", b"timeout=5"),
        (b"TE", b"trailers"),
        (b"Trailer", b"X-Checksum"),
        (b"Upgrade", b"h2c"),
        (b"HTTP2-Settings", b"AAMAAABkAARAAAAAAAIAAAAA"),
        (b"Proxy-Connection", b"keep-alive"),
        (b"Proxy-Authorization", b"Basic Zm9vOmJhcg=="),
    ]
    await client.exchange("GET", b"/", [HOST, *hop_by_hop, ID])
    assert (await origin.request_received()).fields == [HOST, ID, *OURS]


async def test_connection_cannot_take_away_what_a_message_needs(client: RawClient, origin: ScriptedOrigin) -> None:
    await client.exchange("POST", b"/", [HOST, (b"Connection", b"host, content-length"), ID], b"whole")
    received = await origin.request_received()
    assert received.fields == [HOST, ID, *OURS, (b"Content-Length", b"5")]
    assert received.body == b"whole"


@pytest.mark.parametrize("protocol", [b"websocket", b"h2c"])
async def test_an_upgrade_is_not_forwarded_and_the_connection_stays_what_it_was(
    client: RawClient, origin: ScriptedOrigin, protocol: bytes
) -> None:
    for _ in range(2):
        response = await client.exchange("GET", b"/", [HOST, (b"Connection", b"Upgrade"), (b"Upgrade", protocol), ID])
        assert response.status == 200
    assert [received.fields for received in origin.requests] == [[HOST, ID, *OURS]] * 2


async def test_who_the_client_is_cannot_be_made_up(client: RawClient, origin: ScriptedOrigin) -> None:
    made_up = [
        (b"X-Forwarded-For", b"10.9.9.9"),
        (b"X-Forwarded-Proto", b"https"),
        (b"X-Forwarded-Host", b"evil.example"),
        (b"Forwarded", b"for=10.9.9.9"),
    ]
    await client.exchange("GET", b"/", [HOST, *made_up, ID])
    assert (await origin.request_received()).fields == [HOST, ID, *OURS]


async def test_what_a_trusted_proxy_tells_is_passed_on(client_via: ClientVia, origin: ScriptedOrigin) -> None:
    client = await client_via(trusted_proxies=["127.0.0.0/8"])
    told = [(b"X-Forwarded-For", b"203.0.113.7"), (b"X-Forwarded-Proto", b"https"), (b"Via", b"2 edge")]
    await client.exchange("GET", b"/", [HOST, *told, ID])
    received = await origin.request_received()
    assert received.fields_named(b"x-forwarded-for") == [b"203.0.113.7, 127.0.0.1"]
    assert received.fields_named(b"x-forwarded-proto") == [b"https"]
    assert received.fields_named(b"via") == [b"2 edge", b"1.1 respond-async"]
    assert received.field(b"forwarded") == b"for=203.0.113.7;proto=https, for=127.0.0.1;host=example.com;proto=http"


async def test_an_http_1_0_request_is_sent_on_as_http_1_1(client: RawClient, origin: ScriptedOrigin) -> None:
    await client.send(b"GET /old HTTP/1.0\r\nX-Request-Id: r1\r\n\r\n")
    response = await client.response()
    assert response.status == 200
    received = await origin.request_received()
    assert (received.version, received.target) == (b"HTTP/1.1", b"/old")
    assert received.fields == [
        (b"Host", b"127.0.0.1:%d" % origin.port),
        ID,
        (b"Via", b"1.0 respond-async"),
        (b"X-Forwarded-For", b"127.0.0.1"),
        (b"X-Forwarded-Proto", b"http"),
        (b"Forwarded", b"for=127.0.0.1;proto=http"),
    ]


async def test_pipelined_requests_are_answered_in_order(client: RawClient, origin: ScriptedOrigin) -> None:
    targets = [b"/1", b"/2", b"/3"]
    await client.send(b"".join(request("GET", target) for target in targets))
    bodies = [(await client.response()).body for _ in targets]
    assert [b'"target": "%b"' % target in body for target, body in zip(targets, bodies, strict=True)] == [True] * 3
