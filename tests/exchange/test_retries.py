"""A request is sent once; a second time only if it is safe, has no content, and met a connection that was dead already."""

import asyncio

import pytest

from tests.exchange.conftest import ClientVia, ProxyVia
from tests.exchange.problems import assert_problem
from tests.raw_client import RawClient, request
from tests.scripted_origin import (
    ScriptedOrigin,
    Step,
    answer,
    close,
    half_close,
    interim,
    read_all,
    reset,
    send,
    wait_for,
)

UNSAFE = ["POST", "PUT", "PATCH", "DELETE", "PROPFIND", "TRACE"]
DEAD = [pytest.param(close(), id="closed"), pytest.param(reset(), id="reset")]


async def used_once(client: RawClient, origin: ScriptedOrigin) -> None:
    """The origin's connection has served, and lies in the pool."""
    origin.queue([answer(body=b"first")])
    assert (await client.exchange("GET", b"/first")).body == b"first"


@pytest.mark.parametrize("dead", DEAD)
@pytest.mark.parametrize("method", ["GET", "HEAD", "OPTIONS"])
async def test_a_dead_connection_costs_a_safe_request_a_second_try(
    client: RawClient, origin: ScriptedOrigin, method: str, dead: Step
) -> None:
    await used_once(client, origin)
    origin.queue([dead], [answer(203)])
    assert (await client.exchange(method, b"/again", [(b"X-Request-Id", b"same")])).status == 203
    _, tried, repeated = origin.requests
    assert tried.raw == repeated.raw
    assert [len(connection.requests) for connection in origin.connections] == [2, 1]


@pytest.mark.parametrize("dead", DEAD)
async def test_there_is_no_third_try(client: RawClient, origin: ScriptedOrigin, dead: Step) -> None:
    await used_once(client, origin)
    origin.queue([dead], [dead])
    assert_problem(await client.exchange("GET", b"/"), 502, "origin-broke-off", "http_response_incomplete")
    assert len(origin.requests) == 3


async def test_the_second_try_takes_a_new_connection_and_not_another_old_one(
    proxy_via: ProxyVia, origin: ScriptedOrigin
) -> None:
    proxy, both_here = await proxy_via(), asyncio.Event()
    clients = [await proxy.client(), await proxy.client()]
    origin.script(wait_for(both_here), answer())
    for client in clients:
        await client.send(request("GET", b"/first"))
    await origin.request_received(2)
    both_here.set()
    for client in clients:
        assert (await client.response()).status == 200
    origin.queue([reset()], [answer(203)])
    assert (await clients[0].exchange("GET", b"/")).status == 203
    assert [[each.target for each in connection.requests] for connection in origin.connections][2] == [b"/"]


async def test_the_second_try_takes_the_place_of_the_first(client_via: ClientVia, origin: ScriptedOrigin) -> None:
    client = await client_via(legacy={"max_connections": 1})
    await used_once(client, origin)
    origin.queue([reset()], [answer(203)])
    assert (await client.exchange("GET", b"/")).status == 203
    assert (await client.exchange("GET", b"/")).status == 200
    assert [len(connection.requests) for connection in origin.connections] == [2, 2]


@pytest.mark.parametrize("dead", DEAD)
@pytest.mark.parametrize("method", UNSAFE)
async def test_an_unsafe_request_is_never_sent_twice(
    client: RawClient, origin: ScriptedOrigin, method: str, dead: Step
) -> None:
    await used_once(client, origin)
    origin.queue([dead])
    assert_problem(await client.exchange(method, b"/"), 502, "origin-broke-off", "http_response_incomplete")
    assert len(origin.requests) == 2


@pytest.mark.parametrize(
    "content",
    [
        pytest.param(b"Content-Length: 4\r\n\r\nbody", id="length"),
        pytest.param(b"Content-Length: 0\r\n\r\n", id="empty"),
        pytest.param(b"Transfer-Encoding: chunked\r\n\r\n4\r\nbody\r\n0\r\n\r\n", id="chunks"),
    ],
)
async def test_a_get_with_content_is_never_sent_twice(
    client: RawClient, origin: ScriptedOrigin, content: bytes
) -> None:
    await used_once(client, origin)
    origin.queue([read_all(), reset()])
    await client.send(b"GET / HTTP/1.1\r\nHost: proxy.test\r\n" + content)
    assert_problem(await client.response(), 502, "origin-broke-off", "http_response_incomplete")
    assert len(origin.requests) == 2


@pytest.mark.parametrize("dead", DEAD)
@pytest.mark.parametrize("method", ["GET", "OPTIONS", "POST"])
async def test_on_a_new_connection_nothing_is_sent_twice(
    client: RawClient, origin: ScriptedOrigin, method: str, dead: Step
) -> None:
    origin.queue([dead])
    assert_problem(await client.exchange(method, b"/"), 502, "origin-broke-off", "http_response_incomplete")
    assert len(origin.requests) == 1


@pytest.mark.parametrize(
    "sign",
    [
        pytest.param(send(b"H"), id="one byte"),
        pytest.param(interim(100), id="an interim response"),
        pytest.param(send(b"HTTP/1.1 200 OK\r\nX"), id="half a head"),
    ],
)
async def test_a_connection_that_showed_a_sign_of_life_was_not_dead(
    client: RawClient, origin: ScriptedOrigin, sign: Step
) -> None:
    await used_once(client, origin)
    origin.queue([sign, close()])
    assert_problem(await client.exchange("GET", b"/"), 502, "origin-broke-off", "http_response_incomplete")
    assert len(origin.requests) == 2


async def test_a_late_answer_is_no_reason_to_ask_again(client_via: ClientVia, origin: ScriptedOrigin) -> None:
    client = await client_via({"timeout": "100ms"})
    await used_once(client, origin)
    origin.script()
    assert_problem(await client.exchange("GET", b"/"), 504, "origin-timeout", "http_response_timeout")
    assert len(origin.requests) == 2


@pytest.mark.parametrize("farewell", [pytest.param(half_close(), id="closed"), pytest.param(reset(), id="reset")])
async def test_a_connection_that_the_origin_has_closed_meanwhile_is_not_used(
    client: RawClient, origin: ScriptedOrigin, farewell: Step
) -> None:
    origin.queue([answer(body=b"first"), farewell], [read_all(), answer(body=b"second")])
    assert (await client.exchange("GET", b"/")).body == b"first"
    await origin.connection_closed()
    assert (await client.exchange("POST", b"/", body=b"once")).body == b"second"
    assert [len(connection.requests) for connection in origin.connections] == [1, 1]


async def test_requests_of_one_client_are_told_apart(client: RawClient, origin: ScriptedOrigin) -> None:
    await used_once(client, origin)
    origin.queue([reset()], [answer(body=b"a")], [answer(body=b"b")])
    await client.send(request("GET", b"/a") + request("POST", b"/b", body=b"b"))
    assert [(await client.response()).body, (await client.response()).body] == [b"a", b"b"]
    assert [each.target for each in origin.requests] == [b"/first", b"/a", b"/a", b"/b"]
