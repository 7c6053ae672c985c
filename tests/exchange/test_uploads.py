"""Requests with content: framed anew, passed on as it comes, and never whole at the origin if it was not here."""

import asyncio
from collections.abc import Callable, Sequence

import pytest

from tests.exchange.conftest import ClientVia
from tests.exchange.problems import assert_problem
from tests.raw_client import RawClient, request
from tests.scripted_origin import ScriptedOrigin, Step, answer, close, read_all, read_body, stall, tell, wait_for

HEAD = b"POST / HTTP/1.1\r\nHost: proxy.test\r\n"
SIZED = HEAD + b"Content-Length: 10\r\n\r\n"
CHUNKED = HEAD + b"Transfer-Encoding: chunked\r\n\r\n"
BEGUN = [pytest.param(SIZED + b"first", id="known length"), pytest.param(CHUNKED + b"5\r\nfirst\r\n", id="chunked")]
CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"


def taking(first: bytes, came: asyncio.Event, *then: Step) -> Sequence[Step]:
    """Reads so many bytes, tells the test, and goes on."""
    return [read_body(len(first)), tell(came), *then]


@pytest.mark.parametrize("size", [0, 1, 70_000, 3_000_000])
@pytest.mark.parametrize("method", ["POST", "GET", "DELETE"])
async def test_a_known_length_stays_one(client: RawClient, origin: ScriptedOrigin, method: str, size: int) -> None:
    origin.script(read_all(), answer(body=b"taken"))
    body = b"0123456789" * (size // 10) + b"x" * (size % 10)
    assert (await client.exchange(method, b"/", body=body)).body == b"taken"
    received = await origin.request_received()
    assert received.fields_named(b"content-length") == [b"%d" % size]
    assert received.fields_named(b"transfer-encoding") == []
    assert received.body == body


@pytest.mark.parametrize(
    ("chunks", "body"),
    [
        pytest.param(b"0\r\n\r\n", b"", id="none"),
        pytest.param(b"4\r\nbody\r\n0\r\n\r\n", b"body", id="one"),
        pytest.param(b"002;a=b\r\nbo\r\n2;c\r\ndy\r\n0;d\r\nX-Trailer: 1\r\n\r\n", b"body", id="extensions, trailers"),
        pytest.param(b"186A0\r\n" + b"x" * 100_000 + b"\r\n0\r\n\r\n", b"x" * 100_000, id="large"),
    ],
)
async def test_chunks_are_made_anew(client: RawClient, origin: ScriptedOrigin, chunks: bytes, body: bytes) -> None:
    await client.send(CHUNKED + chunks)
    assert (await client.response()).status == 200
    received = await origin.request_received()
    assert received.fields_named(b"transfer-encoding") == [b"chunked"]
    assert received.fields_named(b"content-length") == []
    assert (received.body, received.trailers) == (body, [])


@pytest.mark.parametrize("method", ["GET", "POST", "DELETE"])
async def test_no_content_stays_none(client: RawClient, origin: ScriptedOrigin, method: str) -> None:
    await client.exchange(method, b"/")
    received = await origin.request_received()
    assert received.fields_named(b"content-length") + received.fields_named(b"transfer-encoding") == []


@pytest.mark.parametrize(
    ("begun", "rest"),
    [
        pytest.param(SIZED + b"first", b" last", id="known length"),
        pytest.param(CHUNKED + b"5\r\nfirst\r\n", b"5\r\n last\r\n0\r\n\r\n", id="chunked"),
    ],
)
async def test_content_is_passed_on_as_it_comes(
    client: RawClient, origin: ScriptedOrigin, begun: bytes, rest: bytes
) -> None:
    came = asyncio.Event()
    origin.script(*taking(b"first", came, read_all(), answer(body=b"taken")))
    await client.send(begun)
    await asyncio.wait_for(came.wait(), 5)
    await client.send(rest)
    assert (await client.response()).body == b"taken"
    assert (await origin.request_complete()).body == b"first last"


async def test_a_client_that_expects_100_continue_gets_it_from_the_proxy(
    client: RawClient, origin: ScriptedOrigin
) -> None:
    await client.send(HEAD + b"Expect: 100-Continue\r\nContent-Length: 4\r\n\r\n")
    assert await client.receive(len(CONTINUE)) == CONTINUE
    await client.send(b"body")
    response = await client.response()
    assert (response.status, response.interim) == (200, [])
    received = await origin.request_received()
    assert (received.body, received.fields_named(b"expect")) == (b"body", [])


@pytest.mark.parametrize(
    "sent",
    [
        pytest.param(HEAD + b"Expect: 100-continue\r\nContent-Length: 4\r\n\r\nbody", id="content is there already"),
        pytest.param(HEAD + b"Expect: 100-continue\r\n\r\n", id="no content to come"),
        pytest.param(
            b"POST / HTTP/1.0\r\nConnection: keep-alive\r\nExpect: 100-continue\r\nContent-Length: 4\r\n\r\nbody",
            id="HTTP/1.0 knows no interim responses",
        ),
    ],
)
async def test_nobody_is_told_to_continue_who_need_not_be(
    client: RawClient, origin: ScriptedOrigin, sent: bytes
) -> None:
    await client.send(sent)
    response = await client.response()
    assert (response.status, response.interim) == (200, [])
    assert (await origin.request_received()).fields_named(b"expect") == []


async def test_other_expectations_are_the_origins_to_meet(client: RawClient, origin: ScriptedOrigin) -> None:
    await client.exchange("POST", b"/", [(b"Expect", b"a-miracle")], b"body")
    assert (await origin.request_received()).fields_named(b"expect") == [b"a-miracle"]


@pytest.mark.parametrize(
    ("begun", "rest"),
    [
        pytest.param(SIZED + b"first", b" last", id="known length"),
        pytest.param(CHUNKED + b"5\r\nfirst\r\n", b"5\r\n last\r\n0\r\n\r\n", id="chunked"),
    ],
)
async def test_an_answer_to_an_unfinished_upload_is_passed_on_and_ends_both_connections(
    client: RawClient, origin: ScriptedOrigin, begun: bytes, rest: bytes
) -> None:
    origin.script(read_body(5), answer(401, body=b"who are you?"), stall())
    await client.send(begun)
    response = await client.response()
    assert (response.status, response.body) == (401, b"who are you?")
    assert response.field(b"connection") == b"close"
    await origin.connection_closed()
    assert not origin.requests[0].complete
    await client.send(rest)
    assert await client.eof()


@pytest.mark.parametrize("sent", BEGUN)
@pytest.mark.parametrize("leave", [RawClient.close, RawClient.reset])
async def test_an_upload_that_breaks_off_never_looks_whole_to_the_origin(
    client: RawClient, origin: ScriptedOrigin, sent: bytes, leave: Callable[[RawClient], None]
) -> None:
    came = asyncio.Event()
    origin.script(*taking(b"first", came, read_all()))
    await client.send(sent)
    await asyncio.wait_for(came.wait(), 5)
    leave(client)
    await origin.connection_closed()
    received = origin.requests[0]
    assert (received.body, received.complete) == (b"first", False)
    assert not received.raw.endswith(b"0\r\n\r\n")


async def test_a_request_that_announces_too_much_is_refused_before_anything_is_forwarded(
    client_via: ClientVia, origin: ScriptedOrigin
) -> None:
    client = await client_via({"max_request_body": "10B"})
    await client.send(HEAD + b"Expect: 100-continue\r\nContent-Length: 11\r\n\r\n")
    response = await client.response()
    assert_problem(response, 413, "request-too-large", "http_request_error")
    assert (response.interim, origin.connections) == ([], [])


async def test_a_request_that_turns_out_too_large_is_broken_off(client_via: ClientVia, origin: ScriptedOrigin) -> None:
    came = asyncio.Event()
    origin.script(*taking(b"first", came, read_all()))
    client = await client_via({"max_request_body": "10B"})
    await client.send(CHUNKED + b"5\r\nfirst\r\n")
    await asyncio.wait_for(came.wait(), 5)
    await client.send(b"6\r\n toomu\r\n")
    assert_problem(await client.response(), 413, "request-too-large", "http_request_error")
    await origin.connection_closed()
    assert not origin.requests[0].complete


async def test_a_whole_chunked_request_that_is_too_large_is_not_sent_whole(
    client_via: ClientVia, origin: ScriptedOrigin
) -> None:
    client = await client_via({"max_request_body": "10B"})
    await client.send(CHUNKED + b"b\r\n0123456789x\r\n0\r\n\r\n")
    assert_problem(await client.response(), 413, "request-too-large", "http_request_error")
    assert [received for received in origin.requests if received.complete] == []


@pytest.mark.parametrize("sent", [SIZED + b"0123456789", CHUNKED + b"a\r\n0123456789\r\n0\r\n\r\n"])
async def test_a_request_of_just_the_limit_passes(client_via: ClientVia, origin: ScriptedOrigin, sent: bytes) -> None:
    client = await client_via({"max_request_body": "10B"})
    await client.send(sent)
    assert (await client.response()).status == 200
    assert (await origin.request_complete()).body == b"0123456789"


@pytest.mark.parametrize("sent", BEGUN)
async def test_content_that_stops_coming_times_out_and_breaks_the_origins_request_off(
    client_via: ClientVia, origin: ScriptedOrigin, sent: bytes
) -> None:
    origin.script(read_all())
    client = await client_via(limits={"body_timeout": "100ms"})
    await client.send(sent)
    response = await client.response()
    assert_problem(response, 408, "request-timeout", "http_request_error")
    assert response.field(b"connection") == b"close"
    await origin.connection_closed()
    assert not origin.requests[0].complete


async def test_malformed_chunks_break_the_origins_request_off(client: RawClient, origin: ScriptedOrigin) -> None:
    came = asyncio.Event()
    origin.script(*taking(b"first", came, read_all()))
    await client.send(CHUNKED + b"5\r\nfirst\r\n")
    await asyncio.wait_for(came.wait(), 5)
    await client.send(b"no size\r\n")
    assert_problem(await client.response(), 400, "bad-request", "http_request_error")
    await origin.connection_closed()
    assert not origin.requests[0].complete
    assert await client.eof()


async def test_an_origin_that_takes_nothing_of_a_request_is_given_up(
    client_via: ClientVia, origin: ScriptedOrigin
) -> None:
    given_up = asyncio.Event()
    origin.script(wait_for(given_up), read_all(keep=False))
    client = await client_via({"idle_timeout": "200ms"})
    upload = asyncio.ensure_future(client.send(request("POST", b"/", body=bytes(32 * 1024 * 1024))))
    response = await client.response()
    assert_problem(response, 504, "origin-timeout", "connection_write_timeout")
    assert response.field(b"connection") == b"close"
    given_up.set()
    await origin.connection_closed()
    assert not origin.requests[0].complete
    upload.cancel()
    await asyncio.gather(upload, return_exceptions=True)


async def test_the_clock_of_the_response_starts_when_the_request_has_been_sent(
    client_via: ClientVia, origin: ScriptedOrigin
) -> None:
    origin.script(read_all(), answer(body=b"taken"))
    client = await client_via({"timeout": "1s"})
    await client.send(CHUNKED)
    for _ in range(5):
        await client.send(b"1\r\nx\r\n")
        await asyncio.sleep(0.22)  # longer than `timeout`, all in all
    await client.send(b"0\r\n\r\n")
    assert (await client.response()).body == b"taken"


async def test_an_origin_that_closes_in_mid_upload_is_an_error_and_not_a_retry(
    client: RawClient, origin: ScriptedOrigin
) -> None:
    origin.script(read_body(5), close())
    await client.send(SIZED + b"first")
    assert_problem(await client.response(), 502, "origin-broke-off", "http_response_incomplete")
    assert len(origin.requests) == 1
