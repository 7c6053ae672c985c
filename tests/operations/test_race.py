"""Who answers first, the origin or the clock, and what the 202 says (contract 2 and 3)."""

import asyncio
import base64
import re
from datetime import UTC, datetime, timedelta

import pytest

from tests.operations.conftest import Start
from tests.operations.house import AT_ONCE, House, both_stores, document, id_of, names, status_path
from tests.raw_client import Field, Response, request
from tests.scripted_origin import ScriptedOrigin, answer, read_all, send, wait_for

RESPOND_ASYNC: Field = (b"Prefer", b"respond-async")
HOST: Field = (b"Host", b"api.example.com:8443")
SLOW_WAIT = {"wait": "50ms", "max_wait": "60s"}


def preferring(value: bytes) -> Field:
    return (b"Prefer", value)


@pytest.fixture
def gate() -> asyncio.Event:
    return asyncio.Event()


@pytest.fixture
def slow(origin: ScriptedOrigin, gate: asyncio.Event) -> asyncio.Event:
    """The origin answers each request with `done`, once the event is set."""
    origin.script(read_all(), wait_for(gate), answer(200, [(b"X-Origin", b"yes")], b"done"))
    return gate


def without_date(response: Response) -> list[Field]:
    return [field for field in response.fields if field[0].lower() != b"date"]


async def test_an_answer_that_comes_first_passes_as_if_nobody_had_asked(house: House, origin: ScriptedOrigin) -> None:
    fields = [(b"X-One", b"1"), (b"Set-Cookie", b"a=1"), (b"x-one", b"2"), (b"Set-Cookie", b"b=2")]
    origin.script(read_all(), answer(b"HTTP/1.1 203 Hm", fields, b"body"))
    plain = await house.ask("POST", b"/", body=b"x")
    asked = await house.ask("POST", b"/", RESPOND_ASYNC, body=b"x")
    assert (asked.status, asked.reason, asked.body) == (plain.status, plain.reason, plain.body) == (203, b"Hm", b"body")
    assert without_date(asked) == without_date(plain)
    assert b"preference-applied" not in names(asked)
    assert asked.fields_named(b"vary") == plain.fields_named(b"vary") == [b"Prefer"]
    assert len(origin.requests) == 2
    assert not house.store.calls


@pytest.mark.usefixtures("connects_in_time")
@both_stores
async def test_a_clock_that_comes_first_makes_a_202_with_these_fields_and_no_others(
    house: House, origin: ScriptedOrigin, slow: asyncio.Event
) -> None:
    before = datetime.now(UTC)
    response = await house.ask("POST", b"/reports?x", AT_ONCE, HOST, body=b"x")
    assert (response.status, response.reason) == (202, b"Accepted")
    href = response.field(b"location")
    assert href is not None
    assert re.fullmatch(rb"http://api\.example\.com:8443/\.async/[A-Za-z0-9_-]{22,}", href)
    assert sorted(without_date(response)) == [
        (b"Cache-Control", b"no-store"),
        (b"Content-Length", b"%d" % len(response.body)),
        (b"Content-Location", href),
        (b"Content-Type", b"application/json"),
        (b"Link", b'<%b>; rel="monitor"' % href),
        (b"Location", href),
        (b"Preference-Applied", b"respond-async"),
        (b"Preference-Applied", b"wait=0"),
        (b"Retry-After", b"1"),
        (b"Vary", b"Prefer"),
    ]
    assert response.field(b"date") is not None
    told = document(response)
    created = datetime.fromisoformat(told.pop("created"))
    assert before - timedelta(milliseconds=1) <= created <= datetime.now(UTC)
    assert told == {
        "id": id_of(status_path(response)),
        "status": "running",
        "links": [{"rel": "monitor", "href": href.decode()}],
    }
    slow.set()
    assert (await house.outcome(status_path(response))).body == b"done"
    assert [(one.method, one.target, one.body) for one in origin.requests] == [("POST", b"/reports?x", b"x")]


async def test_created_is_an_rfc_3339_time_in_utc(house: House, slow: asyncio.Event) -> None:
    response = await house.ask("POST", b"/", AT_ONCE)
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z", document(response)["created"])


@both_stores
async def test_the_status_url_is_known_as_soon_as_it_is_named(house: House, slow: asyncio.Event) -> None:
    client = await house.client()
    for _ in range(20):
        response = await client.exchange("POST", b"/", [AT_ONCE])
        assert (await house.operation(status_path(response))) is not None
        assert (await client.exchange("GET", status_path(response))).status == 202


async def test_ids_have_128_random_bits_and_never_repeat(house: House, slow: asyncio.Event) -> None:
    ids = [id_of(await house.accepted()) for _ in range(50)]
    assert len(set(ids)) == 50
    decoded = [base64.urlsafe_b64decode(id + "=" * (-len(id) % 4)) for id in ids]
    assert all(len(one) >= 16 for one in decoded)
    for position in range(16):  # none of the bytes counts, tells the time, or stands still: chance 256^-49 per byte
        assert len({one[position] for one in decoded}) > 1


async def test_an_answer_within_the_clients_wait_is_synchronous(
    start: Start, origin: ScriptedOrigin, slow: asyncio.Event
) -> None:
    house = await start({"wait": "0ms", "max_wait": "60s"})
    async with asyncio.TaskGroup() as group:
        asked = group.create_task(house.ask("POST", b"/", preferring(b"respond-async, wait=30")))
        await origin.request_complete()
        slow.set()
    assert (asked.result().status, asked.result().body) == (200, b"done")
    assert b"preference-applied" not in names(asked.result())


@pytest.mark.parametrize(
    "prefer",
    [
        pytest.param([b"respond-async"], id="none"),
        pytest.param([b"respond-async, wait=-1"], id="negative"),
        pytest.param([b"respond-async, wait=10s"], id="with a unit"),
        pytest.param([b"respond-async, wait=1.5"], id="a fraction"),
        pytest.param([b"respond-async, wait="], id="empty"),
        pytest.param([b"respond-async, wait"], id="without value"),
        pytest.param([b'respond-async, wait=""'], id="an empty string"),
        pytest.param([b"respond-async, wait=0x1"], id="hexadecimal"),
        pytest.param([b"respond-async, wait=\xd9\xa3"], id="digits of another script"),
    ],
)
async def test_without_a_readable_wait_it_is_the_routes(start: Start, slow: asyncio.Event, prefer: list[bytes]) -> None:
    house = await start(SLOW_WAIT)
    response = await house.ask("POST", b"/", *map(preferring, prefer))
    assert response.status == 202
    assert response.fields_named(b"preference-applied") == [b"respond-async"]


async def test_without_a_wait_the_routes_own_is_waited(
    start: Start, origin: ScriptedOrigin, slow: asyncio.Event
) -> None:
    house = await start({"wait": "30s"})
    async with asyncio.TaskGroup() as group:
        asked = group.create_task(house.ask("POST", b"/", RESPOND_ASYNC))
        await origin.request_complete()
        slow.set()
    assert asked.result().status == 200


@pytest.mark.parametrize(
    ("max_wait", "wait", "applied"),
    [
        pytest.param("1s", b"1", [b"respond-async", b"wait=1"], id="the ceiling itself is honoured"),
        pytest.param("100ms", b"1", [b"respond-async"], id="more is not"),
        pytest.param("100ms", b"9" * 30, [b"respond-async"], id="much more is not"),
        pytest.param("0s", b"1", [b"respond-async"], id="a ceiling of nothing"),
    ],
)
async def test_a_wait_above_the_ceiling_is_cut_and_not_called_applied(
    start: Start, slow: asyncio.Event, max_wait: str, wait: bytes, applied: list[bytes]
) -> None:
    house = await start({"wait": "0ms", "max_wait": max_wait})
    response = await house.ask("POST", b"/", preferring(b"respond-async, wait=" + wait))
    assert response.status == 202
    assert response.fields_named(b"preference-applied") == applied


@pytest.mark.parametrize(
    "prefer",
    [
        pytest.param([b"Respond-Async, WAIT=0"], id="in other case"),
        pytest.param([b"respond-async", b"wait=0"], id="two lines"),
        pytest.param([b'return=minimal; x="a,b", wait = 0 ,, respond-async ; p=1'], id="among others"),
        pytest.param([b"@@, respond-async, wait=0"], id="beside a malformed member"),
        pytest.param([b"respond-async, wait=0, wait=30"], id="the first wait counts"),
        pytest.param([b'respond-async, wait="0"'], id="quoted"),
    ],
)
async def test_prefer_is_read_by_rfc_7240(house: House, slow: asyncio.Event, prefer: list[bytes]) -> None:
    response = await house.ask("POST", b"/", *map(preferring, prefer))
    assert response.status == 202
    assert response.fields_named(b"preference-applied") == [b"respond-async", b"wait=0"]


@pytest.mark.parametrize(
    ("method", "fields"),
    [
        pytest.param("POST", [], id="nothing asked"),
        pytest.param("POST", [(b"Prefer", b"wait=0")], id="wait alone"),
        pytest.param("GET", [AT_ONCE, (b"Range", b"bytes=0-1")], id="Range"),
        pytest.param("GET", [AT_ONCE, (b"If-Range", b'"x"')], id="If-Range"),
        pytest.param("GET", [AT_ONCE, (b"If-None-Match", b'"x"')], id="If-None-Match"),
        pytest.param(
            "HEAD", [AT_ONCE, (b"if-modified-since", b"Thu, 01 Jan 1970 00:00:00 GMT")], id="HEAD, conditional"
        ),
        pytest.param("OPTIONS", [AT_ONCE], id="OPTIONS"),
        pytest.param("TRACE", [AT_ONCE], id="TRACE"),
        pytest.param("GET", [AT_ONCE, (b"Upgrade", b"websocket"), (b"Connection", b"upgrade")], id="Upgrade"),
    ],
)
async def test_what_cannot_be_answered_later_is_answered_now(
    start: Start, origin: ScriptedOrigin, slow: asyncio.Event, method: str, fields: list[Field]
) -> None:
    house = await start({"wait": "0ms"})
    async with asyncio.TaskGroup() as group:
        asked = group.create_task(house.ask(method, b"/", *fields))
        await origin.request_complete()
        slow.set()
    assert asked.result().status == 200
    assert asked.result().fields_named(b"vary") == [b"Prefer"]
    assert not house.store.calls


async def test_a_route_without_the_section_is_never_asynchronous(
    start: Start, origin: ScriptedOrigin, slow: asyncio.Event
) -> None:
    plain = {"name": "everything", "origin": "legacy"}
    house = await start(routes=[plain])
    async with asyncio.TaskGroup() as group:
        asked = group.create_task(house.ask("POST", b"/", AT_ONCE))
        received = await origin.request_complete()
        slow.set()
    assert asked.result().status == 200
    assert asked.result().fields_named(b"vary") == []
    assert received.field(b"prefer") == AT_ONCE[1]


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE"])
async def test_conditions_do_not_keep_other_methods_from_it(house: House, slow: asyncio.Event, method: str) -> None:
    fields = [AT_ONCE, (b"If-None-Match", b"*"), (b"Range", b"bytes=0-1")]
    assert (await house.ask(method, b"/", *fields)).status == 202


async def test_the_origins_own_202_is_passed_on(house: House, origin: ScriptedOrigin) -> None:
    origin.script(read_all(), answer(202, [(b"Location", b"/jobs/7")], b"queued"))
    response = await house.ask("POST", b"/", RESPOND_ASYNC)
    assert (response.status, response.field(b"location"), response.body) == (202, b"/jobs/7", b"queued")
    assert b"preference-applied" not in names(response)
    assert not house.store.calls


async def test_a_head_in_time_is_streamed_however_slow_its_body(
    start: Start, origin: ScriptedOrigin, gate: asyncio.Event
) -> None:
    house = await start({"wait": "1s"})
    origin.script(read_all(), answer(200, [(b"Content-Length", b"8")], b"half"), wait_for(gate), send(b"half"))
    client = await house.client()
    await client.send(request("POST", b"/", [RESPOND_ASYNC], b""))
    response = await client.begin("POST")
    assert await response.read() == b"half"
    await asyncio.sleep(1.1)  # the wait is over now
    gate.set()
    assert (response.status, (await response.finish()).body, response.complete) == (200, b"halfhalf", True)
    assert not house.store.calls


@pytest.mark.parametrize(
    ("strip_prefer", "sent"),
    [pytest.param(False, [AT_ONCE[1]], id="whole"), pytest.param(True, [], id="unless the route strips it")],
)
async def test_prefer_reaches_the_origin(
    start: Start, origin: ScriptedOrigin, slow: asyncio.Event, *, strip_prefer: bool, sent: list[bytes]
) -> None:
    house = await start(route={"strip_prefer": strip_prefer})
    await house.accepted()
    assert (await origin.request_received()).fields_named(b"prefer") == sent
