"""What operators get: replies and streams, with the fields that keep browsers from doing harm with them."""

import json
from collections.abc import AsyncGenerator
from contextlib import aclosing, suppress
from http import HTTPStatus
from typing import Final, NamedTuple

from proxy.client import ClientRequest
from proxy.errors import StoreUnavailable
from proxy.grammar import members
from proxy.message import Field, Fields, Reply, ResponseHead
from proxy.operators.page import PageFile
from proxy.operators.refusal import Refusal
from proxy.problem import untyped

PIECE: Final = 65_536  # bytes

# No page but our own, which loads nothing from elsewhere; and nobody frames it.
POLICY: Final = (
    b"default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; base-uri 'none';"
    b" form-action 'self'; frame-ancestors 'none'; require-trusted-types-for 'script'"
)
GUARDS: Final[tuple[Field, ...]] = (
    (b"Content-Security-Policy", POLICY),
    (b"Cross-Origin-Resource-Policy", b"same-origin"),
    (b"Referrer-Policy", b"no-referrer"),
    (b"X-Content-Type-Options", b"nosniff"),
)
NO_STORE: Final[Field] = (b"Cache-Control", b"no-store")
REVALIDATED: Final[Field] = (b"Cache-Control", b"no-cache")
JSON: Final = b"application/json"
TEXT: Final = b"text/plain; charset=utf-8"
EVENTS: Final[tuple[Field, ...]] = (
    (b"Content-Type", b"text/event-stream"),
    (b"X-Accel-Buffering", b"no"),  # nginx is to pass them on at once
)


class Stream(NamedTuple):
    """A response that is written as it is made: until it ends by itself, or its client leaves."""

    head: ResponseHead
    first: bytes
    rest: AsyncGenerator[bytes, None]
    endless: bool  # there is no last byte to wait for, as who has closed the own side may do


Response = Reply | Stream


def content(body: bytes, type: bytes = JSON) -> Reply:
    return Reply(_head(200, (b"Content-Type", type), NO_STORE), body)


def document(value: object) -> Reply:
    return content(json.dumps(value).encode())


def health(trouble: str | None, well: str) -> Reply:
    """For probes."""
    return Reply(
        _head(200 if trouble is None else 503, (b"Content-Type", TEXT), NO_STORE), f"{trouble or well}\n".encode()
    )


def file(found: PageFile) -> Reply:
    """One of the page. Browsers ask again for each, and may have it (see `unless_known`)."""
    return Reply(_head(200, (b"Content-Type", found.type), REVALIDATED, (b"ETag", found.etag)), found.content)


def unless_known(response: Response, fields: Fields) -> Response:
    """The response to a GET or HEAD with these fields: 304 where whoever asks has it already (RFC 9110 section 13.1.2).

    A stream, which is never the same again, stays one.
    """
    known = {one.removeprefix(b"W/") for line in fields.all(b"if-none-match") for one in members(line)}
    if (
        not isinstance(response, Reply)
        or response.head.status != 200
        or not known & {b"*", response.head.fields.first(b"etag")}
    ):
        return response
    kept = [(name, value) for name, value in response.head.fields if name.lower() != b"content-type"]
    return Reply(ResponseHead(304, b"Not Modified", Fields(kept)))


def problem(refusal: Refusal) -> Reply:
    more = [(name.encode(), value.encode()) for name, value in refusal.fields.items()]
    return untyped(refusal.status, refusal.detail, *more, *GUARDS, parameter=refusal.parameter)


async def stream(events: AsyncGenerator[bytes, None]) -> Stream:
    """Server-sent events, once there is something to show. Raises what `events` raises before that."""
    return Stream(_head(200, *EVENTS, NO_STORE), await anext(events), events, endless=True)


async def in_pieces(pieces: AsyncGenerator[bytes, None], type: bytes) -> Stream:
    """Content that is too long to be kept whole for each who takes it slowly."""
    return Stream(_head(200, (b"Content-Type", type), NO_STORE), await anext(pieces), pieces, endless=False)


async def send(client: ClientRequest, response: Response) -> None:
    """Respond. Raises ConnectionError if the client leaves, or takes nothing for too long."""
    match response:
        case Reply(head, whole):
            length = [(b"Content-Length", b"%d" % len(whole))] if whole else []
            _begin(client, head.with_fields(head.fields.plus(*length)), len(whole))
            await _write(client, whole)
        case Stream():
            await _follow(client, response)
    await client.end()


async def _follow(client: ClientRequest, stream: Stream) -> None:
    """Write all of a stream, which ends where the store fails: whoever asks again is told."""
    async with aclosing(stream.rest):
        if stream.endless and client.link.half_closed:  # before there was anything to follow
            raise ConnectionError("who follows a stream has left with the own side")
        _begin(client, stream.head, None)
        await _write(client, stream.first)
        if client.head.method == "HEAD":
            return
        with suppress(StoreUnavailable):
            async for piece in stream.rest:
                await _write(client, piece)


def _begin(client: ClientRequest, head: ResponseHead, length: int | None) -> None:
    date = (b"Date", client.link.clock.date())  # RFC 9110 section 6.6.1
    client.begin(head.with_fields(head.fields.plus(date)), length)


async def _write(client: ClientRequest, data: bytes) -> None:
    """In pieces, so that who takes some of it in time can go on."""
    for start in range(0, len(data), PIECE):
        await client.write(data[start : start + PIECE])


def _head(status: int, *fields: Field) -> ResponseHead:
    return ResponseHead(status, HTTPStatus(status).phrase.encode(), Fields((*fields, *GUARDS)))
