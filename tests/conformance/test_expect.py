"""`Expect: 100-continue` is answered by the proxy, when it wants the content and not before (RFC 9110 section 10.1.1)."""

import asyncio

import pytest

from tests.conformance.refusals import refusal
from tests.conftest import StartProxy, settings_for
from tests.raw_client import Field, RawClient, Response, request
from tests.scripted_origin import ScriptedOrigin, answer, interim, read_all, tell, wait_for

EXPECT: Field = (b"Expect", b"100-continue")
SPOOLED: Field = (b"Prefer", b"respond-async, wait=10")


def statuses(response: Response) -> list[int]:
    return [*(one.status for one in response.interim), response.status]


async def continued(client: RawClient) -> None:
    assert (await client.wire.line(), await client.wire.line()) == (b"HTTP/1.1 100 Continue\r\n", b"\r\n")


@pytest.mark.parametrize("fields", [[EXPECT], [(b"expect", b"100-Continue")], [EXPECT, SPOOLED]])
@pytest.mark.parametrize("framing", [(b"Content-Length", b"4"), (b"Transfer-Encoding", b"chunked")])
async def test_rfc9110_10_1_1_invites_the_content_with_one_100(
    client: RawClient, origin: ScriptedOrigin, fields: list[Field], framing: Field
) -> None:
    await client.send(request("POST", b"/", [*fields, framing]))
    await continued(client)
    await client.send(b"body" if framing[1] == b"4" else b"4\r\nbody\r\n0\r\n\r\n")
    response = await client.response()
    assert statuses(response) == [200]
    received = await origin.request_complete()
    assert (received.body, received.fields_named(b"expect")) == (b"body", [])


async def test_rfc9110_10_1_1_no_100_for_content_that_is_already_there(
    client: RawClient, origin: ScriptedOrigin
) -> None:
    await client.send(request("POST", b"/", [EXPECT], b"body"))
    assert statuses(await client.response()) == [200]
    assert (await origin.request_complete()).body == b"body"


async def test_rfc9110_10_1_1_no_100_without_content(client: RawClient, origin: ScriptedOrigin) -> None:
    await client.send(request("GET", b"/", [EXPECT]))
    assert statuses(await client.response()) == [200]


async def test_rfc9110_10_1_1_no_100_to_http_1_0(client: RawClient, origin: ScriptedOrigin) -> None:
    received = asyncio.Event()
    origin.script(tell(received), read_all(), answer(200))
    head = request("POST", b"/", [EXPECT, (b"Content-Length", b"4")])
    await client.send(head.replace(b"HTTP/1.1", b"HTTP/1.0"))
    await received.wait()
    assert not client.wire.received
    await client.send(b"body")
    assert statuses(await client.response()) == [200]


async def test_rfc9110_10_1_1_no_100_where_the_final_status_is_known(start_proxy: StartProxy, unused_port: int) -> None:
    client = await (await start_proxy(settings_for(f"http://127.0.0.1:{unused_port}"))).client()
    await client.send(request("POST", b"/", [EXPECT, (b"Content-Length", b"4")]))
    assert statuses(await client.response()) == [502]
    assert await client.eof()


async def test_rfc9110_10_1_1_no_100_for_content_that_is_too_large(
    start_proxy: StartProxy, origin: ScriptedOrigin
) -> None:
    client = await (await start_proxy(settings_for(origin.url, max_request_body="3B"))).client()
    await client.send(request("POST", b"/", [EXPECT, (b"Content-Length", b"4")]))
    assert (await refusal(client, 413)).interim == []


async def test_rfc9110_10_1_1_no_100_after_a_final_status(client: RawClient, origin: ScriptedOrigin) -> None:
    origin.script(answer(417))
    await client.send(request("POST", b"/", [EXPECT, (b"Content-Length", b"4")]))
    response = await client.response()
    assert (response.status, response.fields_named(b"connection")) == (417, [b"close"])
    assert len(response.interim) <= 1
    assert await client.eof()


async def test_rfc9110_15_2_interim_responses_of_the_origin_stay_there(
    client: RawClient, origin: ScriptedOrigin
) -> None:
    origin.script(interim(100), interim(103, [(b"Link", b"</style.css>")]), read_all(), answer(200))
    await client.send(request("POST", b"/", [EXPECT, (b"Content-Length", b"4")]))
    await continued(client)
    await client.send(b"body")
    assert statuses(await client.response()) == [200]


async def test_the_client_is_not_invited_while_another_answer_is_under_way(
    client: RawClient, origin: ScriptedOrigin
) -> None:
    gate = asyncio.Event()
    origin.queue([wait_for(gate), answer(201)], [read_all(), answer(202)])
    await client.send(request("GET", b"/") + request("POST", b"/", [EXPECT, (b"Content-Length", b"4")]))
    await origin.request_received()
    assert not client.wire.received
    gate.set()
    assert statuses(await client.response()) == [201]
    await continued(client)
    await client.send(b"body")
    assert statuses(await client.response()) == [202]
