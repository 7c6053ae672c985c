"""The content of a request that may be answered later: received whole, before the clock starts (contract 2)."""

import asyncio

import pytest

from tests.operations.conftest import Start
from tests.operations.house import AT_ONCE, House, document, status_path
from tests.raw_client import Field, Pattern, RawClient, request
from tests.scripted_origin import ScriptedOrigin, answer, read_all, stall, wait_for
from tests.store.samples import full_disk

CHUNKED: Field = (b"Transfer-Encoding", b"chunked")
KIB = 1024
IN_MEMORY = 64 * KIB


def chunks(*pieces: bytes) -> bytes:
    return b"".join(b"%x\r\n%b\r\n" % (len(piece), piece) for piece in pieces) + b"0\r\n\r\n"


async def test_the_upload_does_not_start_the_clock(house: House, origin: ScriptedOrigin) -> None:
    origin.script(read_all(), stall())
    client = await house.client()
    await client.send(request("POST", b"/", [AT_ONCE, (b"Content-Length", b"8")]) + b"half")
    await asyncio.sleep(0.1)  # a clock of no seconds would have run out many times
    assert (origin.connections, client.wire.received) == ([], 0)
    await client.send(b"half")
    assert (await client.response("POST")).status == 202
    assert (await origin.request_complete()).body == b"halfhalf"


@pytest.mark.parametrize("size", [0, 1, IN_MEMORY - 1, IN_MEMORY, IN_MEMORY + 1, 5 * KIB * KIB])
@pytest.mark.parametrize("framing", ["length", "chunked"])
async def test_a_request_arrives_whole_and_with_its_length(
    house: House, origin: ScriptedOrigin, size: int, framing: str
) -> None:
    origin.script(read_all(keep=False), answer(204))
    body = b"".join(Pattern(size))
    pieces = [body[start : start + 50_000] for start in range(0, size, 50_000)]
    async with RawClient(port=house.port) as client:
        if framing == "length":
            await client.send(request("PUT", b"/", [AT_ONCE], body))
        else:
            await client.send(request("PUT", b"/", [AT_ONCE, CHUNKED]) + chunks(*pieces))
        response = await client.response("PUT")
    assert response.status == 202
    received = await origin.request_complete()
    assert received.fields_named(b"content-length") == [b"%d" % size]
    assert received.fields_named(b"transfer-encoding") == []
    assert (received.size, received.sha256) == (size, Pattern(size).sha256)
    assert (await house.outcome(status_path(response))).status == 204


async def test_a_request_without_content_is_sent_without_content_length(house: House, origin: ScriptedOrigin) -> None:
    origin.script(read_all(), answer(204))
    await house.accepted("DELETE")
    assert (await origin.request_received()).fields_named(b"content-length") == []


@pytest.mark.parametrize(
    ("fields", "content"),
    [
        pytest.param([(b"Content-Length", b"1001")], b"", id="announced"),
        pytest.param([(b"Content-Length", b"9" * 18)], b"", id="announced, and enormous"),
        pytest.param([CHUNKED], chunks(b"x" * 600, b"x" * 401), id="in chunks"),
        pytest.param([CHUNKED], b"3e9\r\n" + b"x" * 1001, id="in a chunk that does not end"),
    ],
)
async def test_too_much_content_is_refused_before_anything_is_forwarded(
    start: Start, origin: ScriptedOrigin, fields: list[Field], content: bytes
) -> None:
    house = await start({"max_request_body": "1000B"})
    client = await house.client()
    await client.send(request("POST", b"/", [AT_ONCE, *fields]) + content)
    response = await client.response("POST")
    assert (response.status, document(response)["code"]) == (413, "request-too-large")
    assert response.field(b"proxy-status") == b"respond-async; error=http_request_error"
    assert response.fields_named(b"vary") == [b"Prefer"]
    assert (origin.connections, house.store.calls) == ([], {})


@pytest.mark.parametrize("framing", ["length", "chunked"])
async def test_as_much_content_as_allowed_is_taken(start: Start, origin: ScriptedOrigin, framing: str) -> None:
    house = await start({"max_request_body": "1000B"})
    client = await house.client()
    content = b"x" * 1000
    if framing == "length":
        await client.send(request("POST", b"/", [AT_ONCE], content))
    else:
        await client.send(request("POST", b"/", [AT_ONCE, CHUNKED]) + chunks(content[:999], content[999:]))
    assert (await client.response("POST")).status == 202
    assert (await origin.request_complete()).body == content


async def test_the_limit_is_that_of_streamed_requests_where_nothing_is_asked(
    start: Start, origin: ScriptedOrigin
) -> None:
    house = await start({"max_request_body": "1000B"})
    response = await house.ask("POST", b"/", body=b"x" * 1001)
    assert (response.status, document(response)["length"]) == (200, 1001)


async def test_expect_100_continue_is_answered_before_the_upload_and_the_202_after_it(
    house: House, origin: ScriptedOrigin
) -> None:
    origin.script(read_all(), stall())
    client = await house.client()
    await client.send(request("POST", b"/", [AT_ONCE, (b"Expect", b"100-continue"), (b"Content-Length", b"4")]))
    assert await client.wire.line() == b"HTTP/1.1 100 Continue\r\n"
    assert await client.wire.line() == b"\r\n"
    await client.send(b"body")
    response = await client.response("POST")
    assert (response.status, response.interim) == (202, [])
    assert (await origin.request_complete()).fields_named(b"expect") == []


@pytest.mark.parametrize("size", [10, IN_MEMORY * 2])
async def test_a_client_that_leaves_in_its_upload_reaches_no_origin(
    house: House, origin: ScriptedOrigin, size: int
) -> None:
    client = await house.client()
    await client.send(request("POST", b"/", [AT_ONCE, (b"Content-Length", b"%d" % (size + 1))]) + b"x" * size)
    client.reset()
    assert (await house.ask("GET", b"/")).status == 200
    assert [one.method for one in origin.requests] == ["GET"]
    assert not house.store.calls


async def test_a_malformed_upload_is_400_and_reaches_no_origin(house: House, origin: ScriptedOrigin) -> None:
    client = await house.client()
    await client.send(request("POST", b"/", [AT_ONCE, CHUNKED]) + b"4\r\nbody\r\nzz\r\n")
    response = await client.response("POST")
    assert (response.status, document(response)["code"]) == (400, "bad-request")
    assert (origin.connections, house.store.calls) == ([], {})


async def test_an_early_answer_to_a_large_spooled_request_is_passed_on(house: House, origin: ScriptedOrigin) -> None:
    origin.script(answer(413, [(b"Connection", b"close")], b"too much for me"))
    response = await house.ask("POST", b"/", (b"Prefer", b"respond-async"), body=b"x" * (3 * KIB * KIB))
    assert (response.status, response.body) == (413, b"too much for me")


async def test_a_large_request_whose_client_has_its_202_goes_on_being_sent(
    house: House, origin: ScriptedOrigin
) -> None:
    gate = asyncio.Event()
    origin.script(wait_for(gate), read_all(keep=False), answer(200, body=b"got it"))
    size = 8 * KIB * KIB  # more than the sockets' buffers take
    path = await house.accepted("PUT", b"/", body=b"".join(Pattern(size)))
    assert not (await origin.request_received()).complete
    gate.set()
    assert (await house.outcome(path)).body == b"got it"
    assert origin.requests[0].sha256 == Pattern(size).sha256


async def test_a_disk_that_takes_no_more_costs_the_preference_and_not_the_request(
    house: House, origin: ScriptedOrigin
) -> None:
    origin.script(read_all(keep=False), answer(200, body=b"got it"))
    with full_disk(200_000):
        response = await house.ask("PUT", b"/", AT_ONCE, body=b"".join(Pattern(900_000)))
    assert (response.status, response.body) == (200, b"got it")
    assert response.fields_named(b"preference-applied") == []
    received = await origin.request_complete()
    assert (received.sha256, received.fields_named(b"content-length")) == (Pattern(900_000).sha256, [b"900000"])
    assert (len(origin.requests), house.store.calls) == (1, {})
