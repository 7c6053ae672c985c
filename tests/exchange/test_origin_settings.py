"""What a configuration says of an origin and the way to it: sockets, TLS, paths, Host, fields set and removed."""

import ssl
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.conftest import Settings
from tests.exchange.conftest import ClientVia
from tests.raw_client import End
from tests.scripted_origin import Connection, ScriptedOrigin, answer, send

HOST = (b"Host", b"example.com")
Paths = tuple[Path, Path]


@pytest.fixture
def server_context(certificate: Paths) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*certificate)
    return context


@pytest.fixture
async def tls_origin(server_context: ssl.SSLContext) -> AsyncIterator[ScriptedOrigin]:
    async with ScriptedOrigin(ssl=server_context) as origin:
        yield origin


async def test_an_origin_may_listen_on_a_unix_socket(client_via: ClientVia, tmp_path: Path) -> None:
    async with ScriptedOrigin(unix_path=tmp_path / "origin.sock") as origin:
        client = await client_via(legacy={"url": origin.url})
        for _ in range(2):
            assert (await client.exchange("POST", b"/", body=b"x" * 100_000)).status == 200
        assert [received.size for received in origin.requests] == [100_000] * 2
        assert len(origin.connections) == 1


@pytest.mark.parametrize(
    "tls",
    [
        pytest.param({"ca_file": "cert"}, id="ca_file"),
        pytest.param({"ca_file": "cert", "server_name": "localhost"}, id="server_name"),
        pytest.param({"verify": "false"}, id="verify: false"),
        pytest.param({"verify": "false", "server_name": "other.example"}, id="verify: false, another name"),
    ],
)
async def test_an_origin_may_speak_tls(
    client_via: ClientVia, tls_origin: ScriptedOrigin, certificate: Paths, tls: Settings
) -> None:
    tls_origin.script(answer(body=b"x" * 1_000_000))
    client = await client_via(legacy={"url": tls_origin.url, "tls": with_files(tls, certificate)})
    for _ in range(2):
        assert (await client.exchange("GET", b"/")).body == b"x" * 1_000_000
    assert len(tls_origin.connections) == 1


def with_files(tls: Settings, certificate: Paths) -> Settings:
    files = {"cert": str(certificate[0]), "key": str(certificate[1])}
    return {key: files.get(value, value) for key, value in tls.items()}


async def test_the_server_name_is_what_is_asked_for(
    client_via: ClientVia, server_context: ssl.SSLContext, certificate: Paths
) -> None:
    asked: list[str | None] = []
    server_context.sni_callback = lambda _, name, __: asked.append(name)
    tls = with_files({"ca_file": "cert", "server_name": "localhost"}, certificate)
    async with ScriptedOrigin(ssl=server_context) as origin:
        client = await client_via(legacy={"url": origin.url, "tls": tls})
        assert (await client.exchange("GET", b"/")).status == 200
    assert asked == ["localhost"]


@pytest.mark.parametrize(
    ("tls", "accepted"),
    [
        pytest.param({"client_cert": "cert", "client_key": "key"}, True, id="shown"),
        pytest.param({}, False, id="not shown"),
    ],
)
async def test_an_origin_may_ask_for_a_certificate(
    client_via: ClientVia, server_context: ssl.SSLContext, certificate: Paths, tls: Settings, *, accepted: bool
) -> None:
    server_context.verify_mode = ssl.CERT_REQUIRED
    server_context.load_verify_locations(certificate[0])
    async with ScriptedOrigin(ssl=server_context) as origin:
        settings = with_files({"ca_file": "cert"} | tls, certificate)
        client = await client_via(legacy={"url": origin.url, "tls": settings})
        response = await client.exchange("GET", b"/")
        assert response.status == (200 if accepted else 502)
        assert len(origin.requests) == (1 if accepted else 0)


async def test_a_body_until_close_over_tls_ends_with_the_origins_farewell(
    client_via: ClientVia, tls_origin: ScriptedOrigin
) -> None:
    tls_origin.script(answer(body=b"body", framing="close"))
    client = await client_via(legacy={"url": tls_origin.url, "tls": {"verify": False}})
    response = await client.exchange("GET", b"/")
    assert (response.complete, response.body) == (True, b"body")


async def test_an_idle_connection_is_closed_with_the_farewell_of_tls(
    client_via: ClientVia, tls_origin: ScriptedOrigin
) -> None:
    settings = {"url": tls_origin.url, "tls": {"verify": False}, "keepalive_timeout": "50ms"}
    assert (await (await client_via(legacy=settings)).exchange("GET", b"/")).status == 200
    assert (await tls_origin.connection_closed()).end is End.FIN


async def test_a_body_until_close_over_tls_without_a_farewell_is_cut(
    client_via: ClientVia, tls_origin: ScriptedOrigin
) -> None:
    """RFC 9112 section 9.8: an incomplete close is a premature one, and anybody on the way could have made it."""

    async def cut_below_tls(connection: Connection) -> None:
        connection.transport.abort()

    tls_origin.script(send(b"HTTP/1.1 200 OK\r\n\r\nbody"), cut_below_tls)
    client = await client_via(legacy={"url": tls_origin.url, "tls": {"verify": False}})
    response = await client.exchange("GET", b"/")
    assert (response.status, response.complete) == (200, False)


@pytest.mark.parametrize(
    ("route", "target", "origin_form"),
    [
        pytest.param({"strip_path": "/app"}, b"/app/a%2Fb/../c?d", b"/a%2Fb/../c?d", id="strip"),
        pytest.param({"strip_path": "/app"}, b"/app", b"/", id="strip all"),
        pytest.param({"strip_path": "/app"}, b"/app?x", b"/?x", id="strip all but the query"),
        pytest.param({"strip_path": "/app"}, b"/apple", b"/apple", id="strip on segment borders only"),
        pytest.param({"add_path": "/v1"}, b"//a/?", b"/v1//a/?", id="add"),
        pytest.param({"strip_path": "/app", "add_path": "/v1"}, b"/app/x%zz", b"/v1/x%zz", id="strip and add"),
    ],
)
async def test_the_beginning_of_a_path_changes_and_nothing_else(
    client_via: ClientVia, origin: ScriptedOrigin, route: Settings, target: bytes, origin_form: bytes
) -> None:
    client = await client_via(route)
    await client.exchange("GET", target)
    assert (await origin.request_received()).target == origin_form


@pytest.mark.parametrize(
    ("location", "seen"),
    [
        pytest.param(b"/v1/new?x=%zz#f", b"/app/new?x=%zz#f", id="path"),
        pytest.param(b"http://example.com/v1/new", b"http://example.com/app/new", id="the host it was asked for"),
        pytest.param(b"ORIGIN/v1/new", b"http://example.com/app/new", id="its own address"),
        pytest.param(b"new", b"new", id="relative to the target"),
        pytest.param(b"/other", b"/other", id="not below add_path"),
        pytest.param(b"http://elsewhere.example/v1/new", b"http://elsewhere.example/v1/new", id="somewhere else"),
    ],
)
async def test_locations_are_mapped_back(
    client_via: ClientVia, origin: ScriptedOrigin, location: bytes, seen: bytes
) -> None:
    location = location.replace(b"ORIGIN", origin.url.encode())
    origin.script(answer(201, [(b"Location", location), (b"Content-Location", location)]))
    client = await client_via({"strip_path": "/app", "add_path": "/v1"})
    response = await client.exchange("POST", b"/app/items", [HOST])
    assert (response.field(b"location"), response.field(b"content-location")) == (seen, seen)


async def test_locations_are_mapped_back_to_the_public_url(client_via: ClientVia, origin: ScriptedOrigin) -> None:
    fields = [(b"Location", origin.url.encode() + b"/v1/new"), (b"Content-Location", b"/v1/new")]
    origin.script(answer(201, fields))
    client = await client_via({"strip_path": "/app", "add_path": "/v1"}, public_url="https://api.example.com:444")
    response = await client.exchange("POST", b"/app/items", [HOST])
    assert response.field(b"location") == b"https://api.example.com:444/app/new"
    assert response.field(b"content-location") == b"/app/new"


@pytest.mark.parametrize(
    ("match", "host", "root"),
    [
        pytest.param("files.example.com", b"files.example.com", b"https://files.example.com", id="a host"),
        pytest.param(
            "files.example.com", b"Files.example.com:81", b"https://Files.example.com:81", id="as it was named"
        ),
        pytest.param("*.example.com", b"a.example.com", b"https://a.example.com", id="any of its hosts"),
        pytest.param(None, b"files.example.com", b"https://api.example.com:444", id="a route for all hosts"),
    ],
)
async def test_with_a_public_url_the_host_of_a_route_stays_that_of_the_client(
    client_via: ClientVia, origin: ScriptedOrigin, match: str | None, host: bytes, root: bytes
) -> None:
    origin.script(
        answer(201, [(b"Location", origin.url.encode() + b"/7"), (b"Content-Location", b"//" + host + b"/8")])
    )
    client = await client_via({"match": {"host": match}, "strip_path": "/f"}, public_url="https://api.example.com:444")
    response = await client.exchange("POST", b"/f/items", [(b"Host", host)])
    assert response.field(b"location") == root + b"/f/7"
    assert response.field(b"content-location") == root.removeprefix(b"https:") + b"/f/8"


async def test_the_origin_may_want_its_own_host(client_via: ClientVia, origin: ScriptedOrigin) -> None:
    client = await client_via(legacy={"host_header": "origin"})
    await client.exchange("GET", b"/", [HOST])
    received = await origin.request_received()
    assert received.fields_named(b"host") == [b"127.0.0.1:%d" % origin.port]
    assert received.fields_named(b"x-forwarded-host") == [b"example.com"]


async def test_a_route_sets_and_removes_fields_of_requests(client_via: ClientVia, origin: ScriptedOrigin) -> None:
    changes = {"set": {"X-Api-Key": "s3cret", "x-twice": "once"}, "remove": ["cookie", "X-Forwarded-For", "Via"]}
    client = await client_via({"request_headers": changes})
    sent = [HOST, (b"Cookie", b"a=1"), (b"X-Twice", b"1"), (b"COOKIE", b"b"), (b"X-Twice", b"2")]
    await client.exchange("GET", b"/", [*sent, (b"X-Request-Id", b"r1")])
    assert (await origin.request_received()).fields == [
        HOST,
        (b"X-Request-Id", b"r1"),
        (b"X-Forwarded-Proto", b"http"),
        (b"X-Forwarded-Host", b"example.com"),
        (b"Forwarded", b"for=127.0.0.1;host=example.com;proto=http"),
        (b"X-Api-Key", b"s3cret"),
        (b"x-twice", b"once"),
    ]


async def test_a_route_sets_and_removes_fields_of_responses(client_via: ClientVia, origin: ScriptedOrigin) -> None:
    origin.script(answer(200, [(b"Server", b"legacy"), (b"X-Powered-By", b"luck"), (b"ETag", b'"a"')], b"body"))
    client = await client_via({"response_headers": {"set": {"Server": "new"}, "remove": ["x-powered-by", "Date"]}})
    response = await client.exchange("GET", b"/")
    assert response.fields == [
        (b"ETag", b'"a"'),
        (b"Content-Length", b"4"),
        (b"Via", b"1.1 respond-async"),
        (b"Server", b"new"),
        (b"Vary", b"Prefer"),
    ]


async def test_the_name_of_the_proxy_can_be_chosen(client_via: ClientVia, origin: ScriptedOrigin) -> None:
    client = await client_via(name="edge-1")
    response = await client.exchange("GET", b"/")
    assert response.fields_named(b"via") == [b"1.1 edge-1"]
    assert (await origin.request_received()).fields_named(b"via") == [b"1.1 edge-1"]


@pytest.mark.parametrize(("strip", "seen"), [(True, []), (False, [b"wait=1", b"handling=strict"])])
async def test_prefer_is_the_origins_to_see_unless_the_route_says_otherwise(
    client_via: ClientVia, origin: ScriptedOrigin, seen: list[bytes], *, strip: bool
) -> None:
    client = await client_via({"strip_prefer": strip})
    await client.exchange("GET", b"/", [(b"Prefer", b"wait=1"), (b"Prefer", b"handling=strict")])
    assert (await origin.request_received()).fields_named(b"prefer") == seen
