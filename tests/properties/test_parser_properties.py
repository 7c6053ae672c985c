"""However a client's bytes are cut into pieces, the same requests come out, or the same refusal in the same place."""

import asyncio
from collections.abc import Sequence
from itertools import pairwise
from typing import TYPE_CHECKING

from hypothesis import given
from hypothesis import strategies as st

from proxy.errors import ProxyError
from proxy.message import RequestHead
from proxy.parser import RequestParser
from tests.raw_client import request

if TYPE_CHECKING:
    from proxy.inflow import Inflow

MOST = 2000  # bytes of a head

VISIBLE = bytes(range(0x21, 0x7F))

names = st.from_regex(rb"X-[A-Za-z]{1,12}", fullmatch=True)
values = st.binary(max_size=30).map(lambda raw: bytes(byte for byte in raw if byte in VISIBLE or byte > 0x7F))
targets = st.binary(max_size=30).map(lambda raw: b"/" + bytes(byte for byte in raw if byte in VISIBLE))
old_targets = st.binary(max_size=30).map(lambda raw: b"/" + bytes(byte for byte in raw if byte > 0x7F))
contents = st.binary(max_size=200)


@st.composite
def requests(draw: st.DrawFn) -> bytes:
    fields = draw(st.lists(st.tuples(names, values), max_size=4))
    target = draw(targets)
    match draw(st.sampled_from(["none", "length", "chunked", "upgrade"])):
        case "none":
            return request("GET", target, fields)
        case "length":
            return request("POST", target, fields, draw(contents))
        case "upgrade":
            return request("GET", target, [*fields, (b"Connection", b"upgrade"), (b"Upgrade", b"x")])
        case _:
            pieces = draw(st.lists(contents.filter(len), max_size=3))
            chunks = b"".join(b"%x;ext\r\n%b\r\n" % (len(piece), piece) for piece in pieces)
            return request("PUT", target, [*fields, (b"Transfer-Encoding", b"chunked")]) + chunks + b"0\r\nT: 1\r\n\r\n"


Outcome = tuple[list[tuple[RequestHead, bytes]], str | None]


def outcome(pieces: Sequence[bytes]) -> Outcome:
    """The requests with their content, and the code of what ends them. Requests for an upgrade are answered at once."""
    taken: list[tuple[RequestHead, Inflow]] = []
    parser = RequestParser(MOST, lambda head, inflow: taken.append((head, inflow)), lambda: None)
    refusal = None
    try:
        for piece in pieces:
            parser.feed(piece)
            while parser.buffered and taken[-1][1].ended and parser._held is not None:
                parser.resume()
    except ProxyError as error:
        refusal = error.code
    return [(head, inflow.take()) for head, inflow in taken], refusal


def cut(data: bytes, places: Sequence[int]) -> list[bytes]:
    ends = sorted({place % (len(data) + 1) for place in places} | {0, len(data)})
    return [data[start:end] for start, end in pairwise(ends)]


@given(st.lists(requests(), min_size=1, max_size=4), st.lists(st.integers(0, 5000), max_size=12))
def test_requests_are_what_they_are_however_they_are_cut(messages: list[bytes], places: list[int]) -> None:
    alone = [outcome([message]) for message in messages]
    assert outcome(cut(b"".join(messages), places)) == (
        [one for requests, _ in alone for one in requests],
        None,
    )
    assert all(len(requests) == 1 and refusal is None for requests, refusal in alone)


@given(st.lists(st.tuples(old_targets, names, values), min_size=1), st.lists(st.integers(0, 5000), max_size=12))
def test_targets_beyond_ascii_are_what_they_are_however_they_are_cut(
    sent: list[tuple[bytes, bytes, bytes]], places: list[int]
) -> None:
    data = b"".join(request("GET", target, [(name, value)]) for target, name, value in sent)
    requests, refusal = outcome(cut(data, places))
    assert refusal is None
    assert [(head.target, head.fields[-1]) for head, _ in requests] == [
        (target, (name, value)) for target, name, value in sent
    ]


@given(st.binary(min_size=1, max_size=400), st.lists(st.integers(0, 400), max_size=8))
def test_bytes_that_are_no_request_are_refused_the_same_way(data: bytes, places: list[int]) -> None:
    requests, refusal = outcome([data])
    in_pieces, refused = outcome(cut(data, places))
    assert (in_pieces, refused) == (requests, refusal)


async def test_whoever_reads_content_is_told_of_its_end_by_whoever_feeds_it() -> None:
    taken: list[Inflow] = []
    parser = RequestParser(MOST, lambda _, inflow: taken.append(inflow), lambda: None)
    parser.feed(request("POST", b"/", [(b"Content-Length", b"4")]))
    reading = asyncio.get_running_loop().create_task(taken[0].next(5))
    await asyncio.sleep(0)
    parser.feed(b"body")
    assert (await reading, await taken[0].next(5)) == (b"body", b"")
