"""Origins that leave in mid-response: what the client gets never looks whole, and what it was told stays true."""

import pytest

from tests.exchange.conftest import ClientVia
from tests.exchange.problems import assert_problem
from tests.raw_client import End, RawClient, Response
from tests.scripted_origin import ScriptedOrigin, Step, answer, close, interim, read_all, reset, send, trickle

SIZED = b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n"
CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
UNTIL_CLOSE = b"HTTP/1.1 200 OK\r\nX: 1\r\n\r\n"
OLD_UNTIL_CLOSE = b"HTTP/1.0 200 OK\r\n\r\n"

NO_HEAD = [
    pytest.param([close()], id="closes at once"),
    pytest.param([reset()], id="resets at once"),
    pytest.param([read_all(), close()], id="closes once it has read"),
    pytest.param([send(b"HTTP/1.1 2"), close()], id="closes in the status line"),
    pytest.param([send(b"HTTP/1.1 200 OK\r\nContent-Len"), close()], id="closes in a field"),
    pytest.param([send(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n"), close()], id="closes before the empty line"),
    pytest.param([interim(100), close()], id="closes after an interim response"),
    pytest.param([interim(103), reset()], id="resets after an interim response"),
]
NO_END = [
    pytest.param([send(SIZED + b"first"), close()], id="length, close"),
    pytest.param([send(SIZED + b"first"), reset()], id="length, reset"),
    pytest.param([send(SIZED), close()], id="length, nothing of it"),
    pytest.param([send(CHUNKED + b"5\r\nfirst\r\n"), close()], id="chunks, no last one"),
    pytest.param([send(CHUNKED + b"5\r\nfirst\r\n0\r\n"), close()], id="chunks, no end of the last one"),
    pytest.param([send(CHUNKED + b"5\r\nfirst\r\n0\r\nX-Trailer: 1\r\n"), close()], id="chunks, no end of the trailers"),
    pytest.param([send(CHUNKED + b"5\r\nfirst\r\n"), reset()], id="chunks, reset"),
    pytest.param([send(CHUNKED + b"a\r\nfirst"), close()], id="in a chunk"),
    pytest.param([send(CHUNKED), close()], id="before the first chunk"),
    pytest.param([send(UNTIL_CLOSE + b"first"), reset()], id="until close, reset"),
    pytest.param([send(OLD_UNTIL_CLOSE + b"first"), reset()], id="HTTP/1.0 until close, reset"),
]  # fmt: skip


def assert_broken_off(response: Response, client: RawClient) -> None:
    """What came is a beginning of what the origin sent, and its end cannot be taken for the end of the content."""
    assert (response.status, response.complete) == (200, False)
    assert b"first".startswith(response.body)
    if not (response.fields_named(b"content-length") or response.fields_named(b"transfer-encoding")):
        assert client.wire.end is End.RESET


@pytest.mark.parametrize("script", NO_HEAD)
@pytest.mark.parametrize("method", ["GET", "POST", "HEAD"])
async def test_no_head_is_an_error_that_was_asked_for_once(
    client: RawClient, origin: ScriptedOrigin, method: str, script: list[Step]
) -> None:
    origin.script(*script)
    response = await client.exchange(method, b"/")
    if method == "HEAD":
        assert (response.status, response.body) == (502, b"")
    else:
        assert_problem(response, 502, "origin-broke-off", "http_response_incomplete")
    assert len(origin.requests) == 1
    origin.script(answer(body=b"well"))
    assert (await client.exchange("GET", b"/")).body == b"well"


@pytest.mark.parametrize("script", NO_END)
async def test_no_end_is_no_end_for_the_client(client: RawClient, origin: ScriptedOrigin, script: list[Step]) -> None:
    origin.script(*script)
    assert_broken_off(await client.exchange("GET", b"/"), client)
    assert len(origin.requests) == 1


@pytest.mark.parametrize("script", NO_END)
async def test_no_end_is_no_end_for_an_http_1_0_client(
    client: RawClient, origin: ScriptedOrigin, script: list[Step]
) -> None:
    origin.script(*script)
    await client.send(b"GET / HTTP/1.0\r\n\r\n")
    assert_broken_off(await client.response(), client)


@pytest.mark.parametrize("version", [b"HTTP/1.1", b"HTTP/1.0"])
@pytest.mark.parametrize("head", [SIZED, CHUNKED, UNTIL_CLOSE, OLD_UNTIL_CLOSE])
async def test_a_response_that_the_client_has_half_of_breaks_off_visibly(
    client: RawClient, origin: ScriptedOrigin, version: bytes, head: bytes
) -> None:
    origin.script(send(head + (b"5\r\nfirst\r\n" if head is CHUNKED else b"first")))
    await client.send(b"GET / %b\r\nHost: proxy.test\r\n\r\n" % version)
    response = await client.begin()
    assert await response.read() == b"first"
    (await origin.connection_opened()).reset()
    assert_broken_off(await response.finish(), client)


async def test_what_came_before_the_break_is_passed_on(client: RawClient, origin: ScriptedOrigin) -> None:
    body = b"0123456789" * 20_000
    origin.script(send(b"HTTP/1.1 200 OK\r\nContent-Length: 200001\r\n\r\n"))
    await client.send(b"GET / HTTP/1.1\r\nHost: proxy.test\r\n\r\n")
    response = await client.begin()
    connection = await origin.connection_opened()
    await connection.send(body)
    while response.size < len(body):
        await response.read()
    connection.close()
    await response.finish()
    assert (response.complete, response.body) == (False, body)


async def test_a_head_that_tells_nothing_of_an_end_needs_none(client: RawClient, origin: ScriptedOrigin) -> None:
    origin.script(send(SIZED), reset())
    response = await client.exchange("HEAD", b"/")
    assert (response.status, response.complete, response.field(b"content-length")) == (200, True, b"10")


@pytest.mark.parametrize(
    "script",
    [
        pytest.param([], id="says nothing"),
        pytest.param([interim(102)], id="says that it is at it"),
        pytest.param([send(b"HTTP/1.1 200 OK\r\nX")], id="says half a head"),
    ],
)
@pytest.mark.parametrize("method", ["GET", "POST"])
async def test_an_origin_that_never_answers_is_given_up(
    client_via: ClientVia, origin: ScriptedOrigin, method: str, script: list[Step]
) -> None:
    origin.script(*script)
    client = await client_via({"timeout": "100ms"})
    assert_problem(await client.exchange(method, b"/"), 504, "origin-timeout", "http_response_timeout")
    await origin.connection_closed()
    assert len(origin.requests) == 1
    origin.script(answer(body=b"well"))
    assert (await client.exchange(method, b"/")).body == b"well"


@pytest.mark.parametrize(
    ("begin", "crumb"),
    [
        pytest.param(b"", b"HTTP/1.1 102 Processing\r\n\r\n", id="interim responses"),
        pytest.param(b"HTTP/1.1 200 OK\r\nX: ", b"x", id="bytes of a field"),
    ],
)
async def test_crumbs_do_not_keep_the_client_waiting(
    client_via: ClientVia, origin: ScriptedOrigin, begin: bytes, crumb: bytes
) -> None:
    client = await client_via({"timeout": "200ms"})
    origin.script(send(begin), trickle(crumb * 500, pause=0.02, size=len(crumb)))
    assert_problem(await client.exchange("GET", b"/"), 504, "origin-timeout", "http_response_timeout")


@pytest.mark.parametrize("version", [b"HTTP/1.1", b"HTTP/1.0"])
@pytest.mark.parametrize("head", [SIZED, CHUNKED, UNTIL_CLOSE])
async def test_an_origin_that_falls_silent_in_its_body_is_given_up(
    client_via: ClientVia, origin: ScriptedOrigin, version: bytes, head: bytes
) -> None:
    origin.script(send(head + (b"5\r\nfirst\r\n" if head is CHUNKED else b"first")))
    client = await client_via({"idle_timeout": "100ms"})
    await client.send(b"GET / %b\r\nHost: proxy.test\r\n\r\n" % version)
    assert_broken_off(await client.response(), client)
    await origin.connection_closed()


async def test_a_slow_body_is_not_a_silent_one(client_via: ClientVia, origin: ScriptedOrigin) -> None:
    origin.script(send(SIZED), trickle(b"x" * 10, pause=0.12))
    client = await client_via({"idle_timeout": "1s"})  # it takes longer than that
    assert (await client.exchange("GET", b"/")).body == b"x" * 10
