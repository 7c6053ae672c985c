"""Requests whose end two readers could see in two places never reach the origin (RFC 9112 sections 6 and 7)."""

import asyncio

import pytest

from tests.conformance.refusals import assert_refused, refusal
from tests.raw_client import RawClient
from tests.scripted_origin import ScriptedOrigin, answer, read_body, stall

HEAD = b"POST /order HTTP/1.1\r\nHost: proxy.test\r\n"
SMUGGLED = b"GET /smuggled HTTP/1.1\r\nHost: proxy.test\r\n\r\n"
CHUNKED = HEAD + b"Transfer-Encoding: chunked\r\n\r\n"


@pytest.mark.parametrize(
    "fields",
    [
        pytest.param(b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n", id="CL.TE"),
        pytest.param(b"Transfer-Encoding: chunked\r\nContent-Length: 5\r\n", id="TE.CL"),
        pytest.param(b"Transfer-Encoding: Chunked\r\nContent-Length: 5\r\n", id="TE in another case"),
        pytest.param(b"Content-Length: 5\r\nTransfer-Encoding: identity\r\n", id="CL and TE identity"),
        pytest.param(b"Content-Length: 5\r\nTransfer-Encoding:\r\n", id="CL and an empty TE"),
    ],
)
async def test_rfc9112_6_1_refuses_content_length_beside_transfer_encoding(
    client: RawClient, origin: ScriptedOrigin, fields: bytes
) -> None:
    await assert_refused(client, origin, HEAD + fields + b"\r\n0\r\n\r\n" + SMUGGLED)


@pytest.mark.parametrize(
    "fields",
    [
        pytest.param(b"Content-Length: 5\r\nContent-Length: 6\r\n", id="two that differ"),
        pytest.param(b"Content-Length: 5\r\nContent-Length: 5\r\n", id="two that agree"),
        pytest.param(b"Content-Length: 5, 5\r\n", id="a list that agrees"),
        pytest.param(b"Content-Length: 5, 6\r\n", id="a list that differs"),
        pytest.param(b"Content-Length: 5,\r\n", id="a list of one"),
        pytest.param(b"Content-Length:\r\n", id="empty"),
        pytest.param(b"Content-Length: -5\r\n", id="negative"),
        pytest.param(b"Content-Length: +5\r\n", id="with a plus"),
        pytest.param(b"Content-Length: 0x5\r\n", id="hexadecimal"),
        pytest.param(b"Content-Length: 5.0\r\n", id="with a point"),
        pytest.param(b"Content-Length: 5 5\r\n", id="with a space"),
        pytest.param(b"Content-Length: \xd9\xa5\r\n", id="an Arabic digit"),
        pytest.param(b"Content-Length: 18446744073709551616\r\n", id="two to the 64th"),
        pytest.param(b"Content-Length: 99999999999999999999999999\r\n", id="26 digits"),
        pytest.param(b"content-length : 5\r\n", id="space before the colon"),
    ],
)
async def test_rfc9112_6_3_refuses_an_invalid_content_length(
    client: RawClient, origin: ScriptedOrigin, fields: bytes
) -> None:
    await assert_refused(client, origin, HEAD + fields + b"\r\nhello" + SMUGGLED)


@pytest.mark.parametrize(
    "coding",
    [
        b"gzip",
        b"gzip, chunked",
        b"chunked, gzip",
        b"chunked, chunked",
        b"identity",
        b"chunked, identity",
        b"xchunked",
        b"chunkedx",
        b"chunked;q=1",
        b'"chunked"',
        b"chunked,",
        b"\x0bchunked",
        b"",
    ],
)
async def test_rfc9112_6_1_refuses_a_transfer_coding_other_than_chunked(
    client: RawClient, origin: ScriptedOrigin, coding: bytes
) -> None:
    await assert_refused(client, origin, HEAD + b"Transfer-Encoding: " + coding + b"\r\n\r\n0\r\n\r\n" + SMUGGLED)


@pytest.mark.parametrize("second", [b"chunked", b"identity", b"gzip"])
async def test_rfc9112_6_1_refuses_a_second_transfer_encoding(
    client: RawClient, origin: ScriptedOrigin, second: bytes
) -> None:
    fields = b"Transfer-Encoding: chunked\r\nTransfer-Encoding: " + second + b"\r\n\r\n"
    await assert_refused(client, origin, HEAD + fields + b"0\r\n\r\n" + SMUGGLED)


async def test_rfc9112_6_1_refuses_a_transfer_coding_in_http_1_0(client: RawClient, origin: ScriptedOrigin) -> None:
    request = b"POST / HTTP/1.0\r\nHost: proxy.test\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"
    await assert_refused(client, origin, request)


@pytest.mark.parametrize(
    "chunks",
    [
        pytest.param(b"0x5\r\nhello\r\n0\r\n\r\n", id="0x"),
        pytest.param(b"+5\r\nhello\r\n0\r\n\r\n", id="plus"),
        pytest.param(b"-5\r\nhello\r\n0\r\n\r\n", id="minus"),
        pytest.param(b"5.0\r\nhello\r\n0\r\n\r\n", id="point"),
        pytest.param(b"5_0\r\nhello\r\n0\r\n\r\n", id="underscore"),
        pytest.param(b" 5\r\nhello\r\n0\r\n\r\n", id="space before"),
        pytest.param(b"5 \r\nhello\r\n0\r\n\r\n", id="space after"),
        pytest.param(b"\r\nhello\r\n0\r\n\r\n", id="no size"),
        pytest.param(b"g\r\nhello\r\n0\r\n\r\n", id="not hexadecimal"),
        pytest.param(b"10000000000000005\r\nhello\r\n0\r\n\r\n", id="past 64 bits"),
        pytest.param(b"fffffffffffffffff\r\nhello\r\n0\r\n\r\n", id="17 digits"),
        pytest.param(b"5\nhello\r\n0\r\n\r\n", id="bare LF after the size"),
        pytest.param(b"5\rhello\r\n0\r\n\r\n", id="bare CR after the size"),
        pytest.param(b"5;a\nhello\r\n0\r\n\r\n", id="bare LF after an extension"),
        pytest.param(b"5\r\nhello\n0\r\n\r\n", id="bare LF after the data"),
        pytest.param(b"5\r\nhello0\r\n\r\n", id="no CRLF after the data"),
        pytest.param(b"3\r\nhello\r\n0\r\n\r\n", id="longer than its size"),
        pytest.param(b"5;\x00\r\nhello\r\n0\r\n\r\n", id="NUL in an extension"),
        pytest.param(b"5\r\nhello\r\n0\n\n", id="bare LF at the end"),
        pytest.param(b"5\r\nhello\r\n0\r\nx : y\r\n\r\n", id="space in a trailer's name"),
        pytest.param(b"5\r\nhello\r\n0\r\nx: y\n\r\n", id="bare LF in a trailer"),
    ],
)
async def test_rfc9112_7_1_refuses_malformed_chunks(client: RawClient, origin: ScriptedOrigin, chunks: bytes) -> None:
    await assert_refused(client, origin, CHUNKED + chunks + SMUGGLED)


@pytest.mark.parametrize(
    "size", [b"5", b"005", b"00000000000000005", b"5;a=b", b'5;a="b;c"', b"5;a"], ids=lambda size: size.decode()
)
async def test_rfc9112_7_1_1_ignores_chunk_extensions_and_leading_zeros(
    client: RawClient, origin: ScriptedOrigin, size: bytes
) -> None:
    await client.send(CHUNKED + size + b"\r\nhello\r\n0\r\nX-Trailer: 1\r\n\r\n")
    assert (await client.response()).status == 200
    request = await origin.request_complete()
    assert (request.body, request.trailers) == (b"hello", [])
    assert request.raw.endswith(b"5\r\nhello\r\n0\r\n\r\n")


@pytest.mark.parametrize(
    "junk", [pytest.param(b"!\r\n", id="a bad size"), pytest.param(b"3\r\nlonger\r\n", id="a bad end")]
)
async def test_rfc9112_7_1_chunks_that_go_bad_on_the_way_break_the_origins_request_off(
    client: RawClient, origin: ScriptedOrigin, junk: bytes
) -> None:
    origin.script(read_body(5), stall())
    await client.send(CHUNKED + b"5\r\nhello\r\n")
    await origin.request_received()
    await client.send(junk)
    await refusal(client, instance="/order")
    assert (await origin.connection_closed()).requests[0].complete is False


@pytest.mark.parametrize(
    "flood",
    [
        pytest.param(b"5;" + b"e" * 100_000, id="one extension"),
        pytest.param(b"5" + b";e=1" * 25_000, id="many extensions"),
        pytest.param(b"0\r\n" + b"X-Trailer: 1\r\n" * 900 * 8, id="many trailers"),
        pytest.param(b"0\r\n" + (b"X-Trailer: %b\r\n" % (b"v" * 10_000)) * 10, id="long trailers"),
        pytest.param(b"0" * 100_000, id="leading zeros"),
    ],
)
async def test_rfc9112_7_1_1_framing_without_end_is_refused(
    client: RawClient, origin: ScriptedOrigin, flood: bytes
) -> None:
    origin.script(read_body(5), stall())
    await client.send(CHUNKED + b"5\r\nhello\r\n")
    await origin.request_received()
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(client.send(flood))
        await refusal(client, 400)
    assert (await origin.connection_closed()).requests[0].complete is False


async def test_many_small_chunks_are_no_flood(client: RawClient, origin: ScriptedOrigin) -> None:
    await client.send(CHUNKED + b"1;ext=yes\r\nx\r\n" * 20_000 + b"0\r\n\r\n")
    assert (await client.response()).status == 200
    assert (await origin.request_complete()).body == b"x" * 20_000


async def test_rfc9112_6_3_a_request_without_framing_has_no_content(client: RawClient, origin: ScriptedOrigin) -> None:
    origin.queue([answer(200)], [answer(201)])
    await client.send(HEAD + b"\r\n")
    assert (await client.response()).status == 200
    request = await origin.request_complete()
    assert request.fields_named(b"content-length") + request.fields_named(b"transfer-encoding") == []
    await client.send(SMUGGLED)
    assert (await client.response()).status == 201


async def test_rfc9110_8_6_content_length_may_have_leading_zeros(client: RawClient, origin: ScriptedOrigin) -> None:
    await client.send(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: " + b"0" * 5000 + b"2\r\n\r\nok")
    assert (await client.response()).status == 200
    assert [request.body for request in origin.requests] == [b"ok"]
