"""A completed operation gives the origin's response again, byte for byte (contract 4)."""

import gzip

import pytest

from tests.operations.conftest import Start
from tests.operations.house import House, both_stores, names
from tests.raw_client import Field, Pattern
from tests.scripted_origin import ScriptedOrigin, Step, answer, close, interim, read_all, send

HOST: Field = (b"Host", b"api.example.com")
COMPRESSED = gzip.compress(b"text " * 1000, mtime=0)


def scripted(origin: ScriptedOrigin, *steps: Step) -> None:
    origin.script(read_all(), *steps)


@both_stores
async def test_status_reason_fields_and_body_are_the_origins(house: House, origin: ScriptedOrigin) -> None:
    fields = [
        (b"Date", b"Thu, 01 Jan 1970 00:00:00 GMT"),
        (b"Set-Cookie", b"a=1; Path=/, and more"),
        (b"X-One", b"first"),
        (b"set-cookie", b"b=2"),
        (b"x-ONE", b"second"),
        (b"X-Bytes", b"\xff\x80\xe9"),
        (b"X-Empty", b""),
        (b"Cache-Control", b"max-age=60"),
        (b"ETag", b'"v1"'),
        (b"Vary", b"Accept"),
        (b"Content-Type", b"application/x-own; a=b"),
        (b"Connection", b"keep-alive, X-Hop"),
        (b"X-Hop", b"not for the client"),
        (b"Keep-Alive", b"timeout=5"),
    ]
    body = bytes(range(256)) * 3
    scripted(origin, answer(b"HTTP/1.1 299 Own Reason!", fields, body))
    response = await house.outcome(await house.accepted())
    assert (response.status, response.reason, response.body) == (299, b"Own Reason!", body)
    hop_by_hop = {b"connection", b"x-hop", b"keep-alive"}
    assert response.fields == [
        *[field for field in fields if field[0].lower() not in hop_by_hop],
        *[field for field in response.fields if field not in fields],
    ]
    ours = [field for field in response.fields if field not in fields]
    assert sorted(ours) == [
        (b"AsyncResult", b"299"),
        (b"Cache-Control", b"no-store"),
        (b"Content-Length", b"768"),
        (b"Vary", b"Prefer"),
        (b"Via", b"1.1 respond-async"),
    ]


@both_stores
@pytest.mark.parametrize(
    ("status", "reason"),
    [(200, b"OK"), (201, b"Created"), (303, b"See Other"), (400, b"Bad Request"), (404, b"Not Found"),
     (422, b"Unprocessable Entity"), (500, b"Internal Server Error"), (503, b"Service Unavailable")],
)  # fmt: skip
async def test_any_status_of_the_origins_is_an_outcome(
    house: House, origin: ScriptedOrigin, status: int, reason: bytes
) -> None:
    scripted(origin, answer(b"HTTP/1.1 %d %b" % (status, reason), [(b"Retry-After", b"7")], b"says the origin"))
    response = await house.outcome(await house.accepted())
    assert (response.status, response.reason, response.body) == (status, reason, b"says the origin")
    assert response.fields_named(b"asyncresult") == [b"%d" % status]
    assert response.fields_named(b"retry-after") == [b"7"]
    assert response.fields_named(b"proxy-status") == []


@both_stores
@pytest.mark.parametrize("size", [0, 1, 65_535, 65_536, 65_537, 5_000_000])
@pytest.mark.parametrize("framing", ["length", "chunked", "close"])
async def test_a_body_of_any_size_and_framing_comes_back_with_its_length(
    house: House, origin: ScriptedOrigin, size: int, framing: str
) -> None:
    scripted(origin, answer(200, body=Pattern(size), framing=framing))  # type: ignore[arg-type]  # it is one of them
    response = await house.outcome(await house.accepted(), keep=False)
    assert response.fields_named(b"content-length") == [b"%d" % size]
    assert response.fields_named(b"transfer-encoding") == []
    assert (response.complete, response.size, response.sha256) == (True, size, Pattern(size).sha256)


@both_stores
async def test_content_codings_are_left_alone(house: House, origin: ScriptedOrigin) -> None:
    fields = [(b"Content-Encoding", b"gzip"), (b"Content-Type", b"text/plain")]
    scripted(origin, answer(200, fields, COMPRESSED))
    response = await house.outcome(await house.accepted())
    assert (response.field(b"content-encoding"), response.body) == (b"gzip", COMPRESSED)


@pytest.mark.parametrize("asked", ["GET", "HEAD"])
@pytest.mark.parametrize("made_by", ["DELETE", "HEAD"])
@pytest.mark.parametrize("stated", [[], [(b"Content-Length", b"5")]], ids=["without length", "with length"])
async def test_a_204_has_no_content_and_tells_of_none(
    house: House, origin: ScriptedOrigin, stated: list[Field], made_by: str, asked: str
) -> None:
    scripted(origin, answer(204, [(b"X-One", b"1"), *stated]))
    path = await house.accepted(made_by)
    await house.outcome(path)
    response = await house.ask(asked, path)
    assert (response.status, response.body, response.field(b"x-one")) == (204, b"", b"1")
    assert (response.field(b"asyncresult"), response.fields_named(b"content-length")) == (b"204", [])


@pytest.mark.parametrize("framing", ["length", "chunked", "close"])
async def test_head_shows_what_get_would_give(house: House, origin: ScriptedOrigin, framing: str) -> None:
    scripted(origin, answer(200, [(b"X-One", b"1")], b"body", framing=framing))  # type: ignore[arg-type]  # it is one of them
    path = await house.accepted()
    got, head = await house.outcome(path), await house.ask("HEAD", path)
    assert (head.status, head.body, names(head)) == (200, b"", names(got))
    assert head.field(b"content-length") == b"4"


async def test_an_operation_of_head_fetched_by_head_shows_the_length_that_the_origin_told(
    house: House, origin: ScriptedOrigin
) -> None:
    scripted(origin, answer(200, [(b"Content-Length", b"1234"), (b"X-One", b"1")]))
    path = await house.accepted("HEAD")
    await house.outcome(path)
    response = await house.ask("HEAD", path)
    assert (response.status, response.field(b"content-length"), response.field(b"x-one")) == (200, b"1234", b"1")


async def test_an_operation_of_head_fetched_by_get_has_no_content_and_says_so(
    house: House, origin: ScriptedOrigin
) -> None:
    scripted(origin, answer(200, [(b"Content-Length", b"1234"), (b"X-One", b"1")]))
    response = await house.outcome(await house.accepted("HEAD"))
    assert (response.status, response.body, response.field(b"x-one")) == (200, b"", b"1")
    assert response.fields_named(b"content-length") == [b"0"]


async def test_it_is_repeatable(house: House, origin: ScriptedOrigin) -> None:
    scripted(origin, answer(200, [(b"X-One", b"1")], b"body"))
    path = await house.accepted()
    await house.outcome(path)
    client = await house.client()
    answers = [await client.exchange("GET", path) for _ in range(5)]
    assert {(one.status, one.body, tuple(one.fields)) for one in answers} == {(200, b"body", tuple(answers[0].fields))}
    assert len(origin.requests) == 1


async def test_it_goes_to_an_http_1_0_client_too(house: House, origin: ScriptedOrigin) -> None:
    scripted(origin, answer(200, body=[b"in ", b"chunks"], framing="chunked"))
    path = await house.accepted()
    await house.outcome(path)
    client = await house.client()
    await client.send(b"GET " + path + b" HTTP/1.0\r\n\r\n")
    response = await client.response()
    assert (response.body, response.field(b"content-length")) == (b"in chunks", b"9")


async def test_interim_responses_and_trailers_are_not_kept(house: House, origin: ScriptedOrigin) -> None:
    body = b"4\r\nbody\r\n0\r\nX-Trailer: 1\r\n\r\n"
    head = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: X-Trailer\r\n\r\n"
    scripted(origin, interim(103, [(b"Link", b"</style.css>")]), send(head + body))
    response = await house.outcome(await house.accepted())
    assert (response.status, response.body, response.interim, response.trailers) == (200, b"body", [], [])
    assert not {b"trailer", b"x-trailer", b"link"} & set(names(response))


@both_stores
async def test_an_answer_of_http_1_0_is_kept_too(house: House, origin: ScriptedOrigin) -> None:
    scripted(origin, send(b"HTTP/1.0 200 Fine\r\n\r\nto the end"), close())
    response = await house.outcome(await house.accepted())
    assert (response.reason, response.body, response.field(b"via")) == (b"Fine", b"to the end", b"1.0 respond-async")


@pytest.mark.parametrize(
    ("location", "absolute"),
    [
        pytest.param(b"7?x", b"http://api.example.com/a/7?x", id="relative"),
        pytest.param(b"/jobs/7", b"http://api.example.com/jobs/7", id="from the root"),
        pytest.param(b"?again", b"http://api.example.com/a/b?again", id="a query"),
        pytest.param(b"//other.example/x", b"http://other.example/x", id="another host"),
        pytest.param(b"https://other.example/x#y", b"https://other.example/x#y", id="absolute"),
        pytest.param(b"../up", b"http://api.example.com/up", id="upwards"),
        pytest.param(b"", b"http://api.example.com/a/b?q", id="empty"),
        pytest.param(b"report 12:30.pdf", b"http://api.example.com/a/report 12:30.pdf", id="no URI, but understood"),
    ],
)
async def test_references_are_made_absolute_against_the_original_target(
    house: House, origin: ScriptedOrigin, location: bytes, absolute: bytes
) -> None:
    scripted(origin, answer(201, [(b"Location", location), (b"Content-Location", location)]))
    response = await house.outcome(await house.accepted("POST", b"/a/b?q", HOST))
    assert response.fields_named(b"location") == response.fields_named(b"content-location") == [absolute]


async def test_references_are_led_back_first_where_paths_are_changed(start: Start, origin: ScriptedOrigin) -> None:
    house = await start(route={"strip_path": "/legacy", "add_path": "/app"})
    scripted(origin, answer(201, [(b"Location", origin.url.encode() + b"/app/jobs/7")]))
    response = await house.outcome(await house.accepted("POST", b"/legacy/jobs", HOST))
    assert origin.requests[0].target == b"/app/jobs"
    assert response.field(b"location") == b"http://api.example.com/legacy/jobs/7"


@pytest.mark.parametrize(
    ("location", "absolute"),
    [
        pytest.param(b"7?x", b"https://api.example.com/legacy/7?x", id="relative"),
        pytest.param(b"/app/jobs/7", b"https://api.example.com/legacy/jobs/7", id="from the root"),
        pytest.param(b"ORIGIN/app/jobs/7", b"https://api.example.com/legacy/jobs/7", id="the origin's address"),
        pytest.param(b"http://localhost/app/7", b"https://api.example.com/legacy/7", id="the Host that was sent"),
        pytest.param(b"http://localhost/elsewhere", b"http://localhost/elsewhere", id="where no client can go"),
    ],
)
async def test_with_a_public_url_references_begin_with_that(
    start: Start, origin: ScriptedOrigin, location: bytes, absolute: bytes
) -> None:
    house = await start(route={"strip_path": "/legacy", "add_path": "/app"}, public_url="https://api.example.com")
    location = location.replace(b"ORIGIN", origin.url.encode())
    scripted(origin, answer(201, [(b"Location", location), (b"Content-Location", location)]))
    response = await house.outcome(await house.accepted("POST", b"/legacy/jobs", (b"Host", b"localhost")))
    assert response.fields_named(b"location") == response.fields_named(b"content-location") == [absolute]


@pytest.mark.parametrize(
    ("route", "location"),
    [
        pytest.param({}, b"7", id="relative"),
        pytest.param({}, b"/f/7", id="from the root"),
        pytest.param({"strip_path": "/f"}, b"7", id="relative, to a path that is mapped"),
        pytest.param({"strip_path": "/f"}, b"/7", id="from the root, mapped back"),
        pytest.param({"strip_path": "/f"}, b"ORIGIN/7", id="the origin's address"),
    ],
)
async def test_with_a_public_url_references_of_a_route_with_a_host_stay_on_that(
    start: Start, origin: ScriptedOrigin, route: dict[str, str], location: bytes
) -> None:
    house = await start(route={"match": {"host": "files.example.com"}} | route, public_url="https://api.example.com")
    scripted(origin, answer(201, [(b"Location", location.replace(b"ORIGIN", origin.url.encode()))]))
    accepted = await house.accepted("POST", b"/f/jobs", (b"Host", b"files.example.com"))
    response = await house.outcome(accepted)
    assert response.field(b"location") == b"https://files.example.com/f/7"


async def test_with_a_public_url_the_origin_is_told_of_the_client_as_without(
    start: Start, origin: ScriptedOrigin
) -> None:
    house = await start(public_url="https://api.example.com")
    scripted(origin, answer(201, [(b"Location", b"/jobs/7")]))
    response = await house.outcome(await house.accepted("POST", b"/jobs", (b"Host", b"localhost")))
    assert response.field(b"location") == b"https://api.example.com/jobs/7"
    received = origin.requests[0]
    names = (b"host", b"x-forwarded-host", b"x-forwarded-proto", b"forwarded")
    assert [received.field(name) for name in names] == [
        b"localhost",
        b"localhost",
        b"http",
        b"for=127.0.0.1;host=localhost;proto=http",
    ]


async def test_what_the_route_changes_is_changed_in_results_too(start: Start, origin: ScriptedOrigin) -> None:
    house = await start(route={"response_headers": {"set": {"X-Set": "1"}, "remove": ["X-Powered-By"]}})
    scripted(origin, answer(200, [(b"X-Powered-By", b"steam")]))
    response = await house.outcome(await house.accepted())
    assert (response.field(b"x-set"), response.field(b"x-powered-by")) == (b"1", None)
