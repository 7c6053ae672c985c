"""What one client may send, and how many there may be: limits end in a readable answer, never in a reset or a crash."""

import asyncio
import json

import pytest

from proxy.tally import Tally
from tests.conformance.refusals import assert_problem, assert_refused, refusal
from tests.conftest import Proxy, StartProxy, settings_for
from tests.raw_client import Field, Pattern, RawClient, request
from tests.scripted_origin import ScriptedOrigin, answer, read_all, read_body, tell, wait_for

MAX_FIELDS = 32 * 1024  # the default


def lines(count: int, size: int) -> list[Field]:
    """So many fields of `size` bytes each, CRLF included."""
    return [(b"X-%04d" % number, b"v" * (size - 10)) for number in range(count)]


@pytest.mark.parametrize(
    "fields",
    [
        pytest.param(lines(1, MAX_FIELDS + 100), id="one long field"),
        pytest.param(lines(65, 512), id="many short fields"),
        pytest.param([(b"X" * MAX_FIELDS, b"1")], id="a long name"),
        pytest.param(lines(1001, 16), id="very many fields"),
    ],
)
@pytest.mark.parametrize("pieces", [1, 7], ids=["at once", "in pieces"])
async def test_rfc6585_5_a_header_section_over_the_limit_is_431(
    client: RawClient, origin: ScriptedOrigin, fields: list[Field], pieces: int
) -> None:
    head = request("GET", b"/", fields)
    size = len(head) // pieces
    for start in range(0, size * (pieces - 1), size):
        await client.send(head[start : start + size])
    await assert_refused(client, origin, head[size * (pieces - 1) :], 431)


@pytest.mark.parametrize("along", [MAX_FIELDS + 100, 1000], ids=["all", "little"])
async def test_rfc6585_5_a_header_section_over_the_limit_is_431_behind_content_too(
    client: RawClient, origin: ScriptedOrigin, along: int
) -> None:
    """However much of it comes along with the content."""
    origin.script(read_body(1), tell(begun := asyncio.Event()), read_all(), answer(200))
    await client.send(request("POST", b"/", [(b"Content-Length", b"100")]) + b"x" * 50)
    await asyncio.wait_for(begun.wait(), 5)
    head = request("GET", b"/", lines(1, MAX_FIELDS + 100))
    await client.send(b"x" * 50 + head[:along])
    assert (await client.response()).status == 200
    await client.send(head[along:])
    assert_problem(await client.response(), 431, "fields-too-large")


async def test_a_header_section_below_the_limit_is_passed_on(client: RawClient, origin: ScriptedOrigin) -> None:
    fields = lines(62, 512)
    assert (await client.exchange("GET", b"/", fields)).status == 200
    assert [field for field in origin.requests[0].fields if field in fields] == fields


async def test_the_limit_of_a_header_section_is_configurable(start_proxy: StartProxy, origin: ScriptedOrigin) -> None:
    proxy = await start_proxy(limits={"max_fields": "2KiB"})
    await assert_refused(await proxy.client(), origin, request("GET", b"/", lines(3, 1024)), 431)
    assert (await (await proxy.client()).exchange("GET", b"/", lines(1, 1024))).status == 200


@pytest.mark.parametrize("pieces", [1, 7], ids=["at once", "in pieces"])
async def test_rfc9112_3_a_request_line_over_the_limit_is_414(
    client: RawClient, origin: ScriptedOrigin, pieces: int
) -> None:
    head = request("GET", b"/" + b"a" * MAX_FIELDS)
    size = len(head) // pieces
    for start in range(0, size * (pieces - 1), size):
        await client.send(head[start : start + size])
    await assert_refused(client, origin, head[size * (pieces - 1) :], 414)


@pytest.mark.parametrize("octet", [b"a", b"\xff"], ids=["ASCII", "beyond ASCII"])
async def test_rfc9112_3_a_request_line_of_8000_octets_is_passed_on(
    client: RawClient, origin: ScriptedOrigin, octet: bytes
) -> None:
    target = b"/" + octet * 7990
    assert (await client.exchange("GET", target)).status == 200
    assert origin.requests[0].target == target


@pytest.mark.parametrize("flood", [b"\r\n", b"a", b"GET / HTTP/1.1\r\n", b"\x00\xff", b"X-One: 1\r\n"])
async def test_a_client_that_goes_on_and_on_can_still_read_its_refusal(
    client: RawClient, origin: ScriptedOrigin, flood: bytes
) -> None:
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(client.send(flood * (5_000_000 // len(flood))))
        response = await client.response()
        assert response.status in {400, 414, 431}
        assert_problem(response, response.status, json.loads(response.body)["code"], instance="/")
        assert await client.eof()
    assert origin.requests == []


@pytest.mark.parametrize("prefer", [b"nothing", b"respond-async, wait=0"], ids=["streamed", "spooled"])
@pytest.mark.parametrize("framing", [(b"Content-Length", b"5000000"), (b"Transfer-Encoding", b"chunked")])
async def test_rfc9110_15_5_14_content_over_the_limit_is_413_and_can_be_read_while_sending(
    start_proxy: StartProxy, origin: ScriptedOrigin, prefer: bytes, framing: Field
) -> None:
    settings = settings_for(origin.url, max_request_body="1MiB", respond_async={"max_request_body": "1MiB"})
    client = await (await start_proxy(settings)).client()
    await client.send(request("POST", b"/a", [(b"Prefer", prefer), framing]))
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(upload(client, chunked=framing[1] == b"chunked"))
        await refusal(client, 413, instance="/a")
    assert [request for request in origin.requests if request.complete] == []
    if (prefer, framing[1]) != (b"nothing", b"chunked"):
        assert origin.requests == [], "it was known, or waited for, before a connection was needed"


async def upload(client: RawClient, *, chunked: bool) -> None:
    for piece in Pattern(5_000_000):
        await client.send(b"%x\r\n%b\r\n" % (len(piece), piece) if chunked else piece)


@pytest.mark.parametrize(
    "junk", [b"!\r\n", b"5\r\nhello!", b"0\r\nbad trailer\r\n\r\n"], ids=["size", "end", "trailer"]
)
async def test_what_comes_after_an_early_answer_does_no_harm(
    client: RawClient, origin: ScriptedOrigin, junk: bytes
) -> None:
    origin.script(read_body(5), answer(403, [(b"Connection", b"close")]))
    await client.send(request("POST", b"/", [(b"Transfer-Encoding", b"chunked")]) + b"5\r\nhello\r\n")
    response = await client.response()
    assert (response.status, response.field(b"connection")) == (403, b"close")
    await client.send(junk)
    assert await client.eof()


async def test_connections_over_the_limit_are_told_to_come_back(
    start_proxy: StartProxy, origin: ScriptedOrigin
) -> None:
    proxy = await start_proxy(limits={"max_connections": 2})
    gate = asyncio.Event()
    origin.script(wait_for(gate), answer(200))
    inside = [await proxy.client() for _ in range(2)]
    for client in inside:
        await client.send(request("GET", b"/"))
    await origin.request_received(2)
    for _ in range(3):
        await assert_busy(await proxy.client())
    gate.set()
    assert [(await client.response()).status for client in inside] == [200, 200]


async def test_room_is_made_by_a_connection_that_ends(start_proxy: StartProxy, origin: ScriptedOrigin) -> None:
    proxy = await start_proxy(limits={"max_connections": 1})
    for _ in range(3):
        first = await proxy.client()
        assert (await first.exchange("GET", b"/", [(b"Connection", b"close")])).status == 200
        assert await first.eof()
    second = await proxy.client()
    assert (await second.exchange("GET", b"/")).status == 200
    await assert_busy(await proxy.client())
    assert (await second.exchange("GET", b"/")).status == 200


async def test_the_connections_of_all_processes_count_together(start_proxy: StartProxy) -> None:
    proxy = await start_proxy(limits={"max_connections": 3})
    tally = Tally(2)
    proxy.service._front.admitted, other_process = tally.cell(0), tally.cell(1)
    for _ in range(2):
        other_process.add()
    first = await proxy.client()
    assert (await first.exchange("GET", b"/")).status == 200
    await assert_busy(await proxy.client())
    assert tally.total() == 3, "who is refused does not count"
    tally.clear(1)
    second = await proxy.client()
    assert (await second.exchange("GET", b"/")).status == 200
    for client in (first, second):
        assert (await client.exchange("GET", b"/", [(b"Connection", b"close")])).status == 200
        assert await client.eof()
    assert tally.total() == 0


async def assert_busy(client: RawClient) -> None:
    response = await client.response()
    assert_problem(response, 503, "busy", instance="/")
    assert response.field(b"proxy-status") == b"respond-async; error=connection_limit_reached"
    assert response.field(b"connection") == b"close"
    assert int(response.field(b"retry-after") or 0) >= 1
    assert await client.eof()


async def test_garbage_on_many_connections_leaves_the_others_alone(
    proxy: Proxy, client: RawClient, origin: ScriptedOrigin
) -> None:
    async def rubbish(number: int) -> None:
        garbage = Pattern(200_000).sha256.encode() * 1000 if number % 2 else bytes(range(256)) * 400
        other = await proxy.client()
        await other.send(garbage)
        assert (await other.response()).status in {400, 414}

    async with asyncio.TaskGroup() as tasks:
        for number in range(50):
            tasks.create_task(rubbish(number))
        for _ in range(50):
            assert (await client.exchange("GET", b"/")).status == 200
