"""The status URL while the operation runs, what it refuses, and where it is said to be (contract 3 and 4)."""

import asyncio

import pytest

from tests.operations.conftest import Start
from tests.operations.house import AT_ONCE, House, both_stores, document, eventually, id_of, names, status_path
from tests.raw_client import Field, RawClient, request
from tests.scripted_origin import ScriptedOrigin, answer, close, read_all, stall, wait_for

UNKNOWN = b"/.async/" + b"A" * 24


@pytest.fixture(autouse=True)
def stalled(origin: ScriptedOrigin) -> None:
    origin.script(read_all(), stall())


@pytest.mark.usefixtures("connects_in_time")
@both_stores
async def test_a_running_operation_has_these_fields_and_no_others(house: House) -> None:
    path = await house.accepted("POST", b"/", (b"Host", b"api.example.com"))
    response = await house.ask("GET", path, (b"Host", b"api.example.com"))
    href = b"http://api.example.com" + path
    assert (response.status, response.reason) == (202, b"Accepted")
    assert sorted(field for field in response.fields if field[0] != b"Date") == [
        (b"Cache-Control", b"no-store"),
        (b"Content-Length", b"%d" % len(response.body)),
        (b"Content-Location", href),
        (b"Content-Type", b"application/json"),
        (b"Location", href),
        (b"Retry-After", b"1"),
        (b"X-Progress", b"running for 0 s"),
    ]
    told = document(response)
    assert told.pop("created")
    assert told == {"id": id_of(path), "status": "running", "links": [{"rel": "monitor", "href": href.decode()}]}


async def test_the_document_of_the_202_is_that_of_the_status_url(house: House) -> None:
    promised = await house.ask("POST", b"/", AT_ONCE)
    assert document(await house.ask("GET", status_path(promised))) == document(promised)


async def test_an_old_operation_is_to_be_asked_for_more_rarely(house: House) -> None:
    path = await house.accepted()
    asked = []
    for age in (0, 15, 45, 1e3, 1e9):
        house.clock.ahead = age
        response = await house.ask("GET", path)
        asked.append(int(response.field(b"retry-after") or b""))
        assert len(response.field(b"x-progress") or b"x" * 100) < 100
    assert asked == sorted(asked)
    assert asked[0] == 1 < asked[2]


async def test_a_clock_that_jumps_back_leaves_a_sensible_answer(house: House) -> None:
    path = await house.accepted()
    house.clock.ahead = -3600
    response = await house.ask("GET", path)
    assert (response.status, response.field(b"retry-after")) == (202, b"1")
    assert b"-" not in (response.field(b"x-progress") or b"-")


async def test_head_is_get_without_content(house: House) -> None:
    path = await house.accepted()
    got, head = await house.ask("GET", path), await house.ask("HEAD", path)
    assert (head.status, head.body) == (202, b"")
    assert names(head) == names(got)
    assert head.field(b"content-length") == got.field(b"content-length")


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "TRACE", "PROPFIND"])
async def test_other_methods_are_405_and_change_nothing(house: House, method: str) -> None:
    path = await house.accepted()
    response = await house.ask(method, path, AT_ONCE, body=b"x")
    assert (response.status, response.field(b"allow")) == (405, b"GET, HEAD, DELETE, OPTIONS")
    assert response.field(b"content-type") == b"application/problem+json"
    assert response.fields_named(b"cache-control") == [b"no-store"]
    assert (await house.ask("GET", path)).status == 202


async def test_a_problem_names_what_was_asked_for_without_its_query(house: House, origin: ScriptedOrigin) -> None:
    origin.script(read_all(), answer(200, body=b"ten bytes!"))
    done = await house.accepted()
    assert (await house.outcome(done)).status == 200
    origin.script(read_all(), close())
    failed = await house.accepted()
    assert (await house.outcome(failed)).status == 502
    outside = await house.ask("GET", done + b"?token", (b"Range", b"bytes=20-"))
    assert (outside.status, document(outside)["instance"]) == (416, done.decode())
    response = await house.ask("GET", failed + b"?token")
    assert (response.status, document(response)["instance"]) == (502, failed.decode())
    page = await house.ask("GET", failed + b"?token", (b"Accept", b"text/html"))
    assert b"token" not in page.body


async def test_options_tells_the_methods(house: House) -> None:
    path = await house.accepted()
    response = await house.ask("OPTIONS", path)
    assert (response.status, response.field(b"allow"), response.body) == (204, b"GET, HEAD, DELETE, OPTIONS", b"")
    assert response.fields_named(b"cache-control") == [b"no-store"]


EVERY_KIND = pytest.mark.parametrize(
    ("method", "status"), [("GET", 202), ("HEAD", 202), ("DELETE", 200), ("OPTIONS", 204), ("POST", 405)]
)
AWAITED: list[Field] = [(b"Content-Length", b"5"), (b"Expect", b"100-continue")]


@EVERY_KIND
async def test_content_that_waits_for_a_100_is_not_asked_for_and_the_connection_ends(
    house: House, method: str, status: int
) -> None:
    path, client = await house.accepted(), await house.client()
    response = await client.exchange(method, path, AWAITED)
    assert (response.status, response.interim, response.field(b"connection")) == (status, [], b"close")
    assert await client.eof()


@EVERY_KIND
async def test_content_that_did_not_wait_for_its_100_is_skipped_and_the_connection_goes_on(
    house: House, method: str, status: int
) -> None:
    path, client = await house.accepted(), await house.client()
    await client.send(request(method, path, AWAITED) + b"GET /" + request("OPTIONS", path))
    response = await client.response(method)
    assert (response.status, response.interim, response.fields_named(b"connection")) == (status, [], [])
    assert (await client.response("OPTIONS")).status == 204


@pytest.mark.parametrize("method", ["GET", "HEAD", "DELETE", "OPTIONS", "POST"])
async def test_asking_asynchronously_makes_no_other_operation(
    house: House, origin: ScriptedOrigin, method: str
) -> None:
    path = await house.accepted()
    await origin.request_received()
    response = await house.ask(method, path, AT_ONCE)
    assert b"preference-applied" not in names(response)
    assert (len(house.store.created), len(origin.requests)) == (1, 1)


@pytest.mark.parametrize("method", ["GET", "HEAD", "DELETE"])
@pytest.mark.parametrize(
    "path",
    [
        pytest.param(UNKNOWN, id="never made"),
        pytest.param(b"/.async/", id="the folder itself"),
        pytest.param(b"/.async/x", id="too short"),
        pytest.param(b"/.async/" + b"A" * 5000, id="very long"),
        pytest.param(b"/.async/..%2f..%2fetc%2fpasswd", id="encoded slashes"),
        pytest.param(b"/.async/../../etc/passwd", id="dot segments"),
    ],
)
async def test_the_unknown_is_404(house: House, origin: ScriptedOrigin, path: bytes, method: str) -> None:
    response = await house.ask(method, path)
    assert (response.status, response.field(b"content-type")) == (404, b"application/problem+json")
    assert response.fields_named(b"cache-control") == [b"no-store"]
    assert b"asyncresult" not in names(response)
    assert b"proxy-status" not in names(response)
    if method != "HEAD":
        told = document(response)
        assert (told["code"], told["status"]) == ("unknown-operation", 404)
    assert origin.requests == []


async def test_a_query_does_not_hide_the_operation(house: House) -> None:
    path = await house.accepted()
    assert (await house.ask("GET", path + b"?cache=no")).status == 202


async def test_the_query_is_in_no_answer(house: House) -> None:
    response = await house.ask("GET", UNKNOWN + b"?token=secret")
    assert b"secret" not in response.body


@pytest.mark.parametrize(
    ("settings", "fields", "base"),
    [
        pytest.param({}, [(b"Host", b"[::1]:80")], b"http://[::1]:80", id="the client's host"),
        pytest.param(
            {"public_url": "https://api.example.com"},
            [(b"Host", b"inside:8080")],
            b"https://api.example.com",
            id="public_url",
        ),
        pytest.param(
            {"trusted_proxies": ["127.0.0.0/8"]},
            [(b"Host", b"inside"), (b"X-Forwarded-Proto", b"https"), (b"X-Forwarded-Host", b"outside.example:444")],
            b"https://outside.example:444",
            id="a trusted proxy's",
        ),
        pytest.param(
            {"trusted_proxies": ["127.0.0.0/8"]},
            [(b"Host", b"inside"), (b"Forwarded", b"proto=https;host=outside.example;for=192.0.2.1")],
            b"https://outside.example",
            id="a trusted proxy's by RFC 7239",
        ),
        pytest.param(
            {},
            [(b"Host", b"inside"), (b"X-Forwarded-Proto", b"https"), (b"X-Forwarded-Host", b"evil.example")],
            b"http://inside",
            id="a stranger's word counts nothing",
        ),
        pytest.param({"status_path": "/jobs/"}, [(b"Host", b"inside")], b"http://inside", id="status_path elsewhere"),
    ],
)
async def test_status_urls_are_where_the_client_came_in(
    start: Start, settings: dict[str, object], fields: list[Field], base: bytes
) -> None:
    house = await start(**settings)
    promised = await house.ask("POST", b"/", AT_ONCE, *fields)
    path = status_path(promised)
    assert path.startswith(b"/jobs/" if "status_path" in settings else b"/.async/")
    running = await house.ask("GET", path, *fields)
    for response in (promised, running):
        assert response.field(b"location") == response.field(b"content-location") == base + path
        assert document(response)["links"] == [{"rel": "monitor", "href": (base + path).decode()}]
    assert promised.field(b"link") == b'<%b>; rel="monitor"' % (base + path)


async def test_a_target_in_absolute_form_names_the_host(house: House) -> None:
    promised = await house.ask("POST", b"http://api.example.com/slow", AT_ONCE, (b"Host", b"api.example.com"))
    assert promised.field(b"location") == b"http://api.example.com" + status_path(promised)
    assert (await house.ask("GET", b"http://api.example.com" + status_path(promised))).status == 202


async def test_http_1_0_without_host_gets_the_address_that_it_reached(house: House) -> None:
    async with RawClient(port=house.port) as client:
        await client.send(b"POST / HTTP/1.0\r\nPrefer: respond-async, wait=0\r\nContent-Length: 1\r\n\r\nx")
        promised = await client.response("POST")
    assert promised.status == 202
    assert promised.field(b"location") == b"http://127.0.0.1:%d" % house.port + status_path(promised)


async def test_the_log_does_not_tell_a_status_url(house: House, quiet_log: list[dict[str, object]]) -> None:
    path = await house.accepted()
    await house.ask("GET", path)
    await eventually(lambda: len([line for line in quiet_log if line["event"] == "request"]) == 2)
    assert id_of(path) not in str(quiet_log)


async def test_many_operations_run_side_by_side_and_each_gets_its_own_answer(
    house: House, origin: ScriptedOrigin
) -> None:
    gate = asyncio.Event()
    origin.route(lambda request: [read_all(), wait_for(gate), answer(200, body=b"for " + request.target)])
    paths = [await house.accepted("POST", b"/%d" % number) for number in range(40)]
    assert house.running == 40
    gate.set()
    results = [(await house.outcome(path)).body for path in paths]
    assert results == [b"for /%d" % number for number in range(40)]
