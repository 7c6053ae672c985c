"""Whatever two ends send one another through the proxy arrives as it was sent, however it was framed and cut up."""

from dataclasses import dataclass

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.conftest import Proxy
from tests.raw_client import Field, field_section
from tests.scripted_origin import Connection, ScriptedOrigin, Step, read_all

TOKEN_BYTES = b"!#$%&'*+-.^_`|~0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
VALUE_BYTES = bytes({0x09, *range(0x20, 0x100)} - {0x7F})
PATH_BYTES = bytes(set(range(0x21, 0x7F)) - set(b"#"))
SPECIAL = frozenset(  # what the proxy treats in its own way, which other tests are about
    b"connection content-length content-location date expect forwarded host http2-settings keep-alive location "
    b"max-forwards prefer proxy-authenticate proxy-authentication-info proxy-authorization proxy-connection te trailer "
    b"transfer-encoding upgrade vary via x-forwarded-for x-forwarded-host x-forwarded-proto x-request-id".split()
)
OURS = [
    (b"Via", b"1.1 respond-async"),
    (b"X-Forwarded-For", b"127.0.0.1"),
    (b"X-Forwarded-Proto", b"http"),
    (b"X-Forwarded-Host", b"proxy.test"),
    (b"Forwarded", b"for=127.0.0.1;host=proxy.test;proto=http"),
]


def text(alphabet: bytes, *, least: int = 0, most: int = 30) -> st.SearchStrategy[bytes]:
    return st.lists(st.sampled_from(alphabet), min_size=least, max_size=most).map(bytes)


names = text(TOKEN_BYTES, least=1).filter(lambda name: name.lower().replace(b"_", b"-") not in SPECIAL)
values = text(VALUE_BYTES).map(lambda value: value.strip(b" \t"))
fields = st.lists(st.tuples(names, values), max_size=8)
sizes = st.one_of(st.integers(1, 50), st.sampled_from([4096, 65_535, 65_536, 65_537, 200_000]))
bodies = st.lists(sizes.map(lambda size: (b"%d." % size * size)[:size]), max_size=4)


@dataclass(frozen=True)
class Sent:
    """A message: its first line, its fields, its content in pieces, and how that is framed."""

    line: bytes
    fields: list[Field]
    pieces: list[bytes]
    framing: str

    @property
    def framing_fields(self) -> list[Field]:
        match self.framing:
            case "length":
                return [(b"Content-Length", b"%d" % len(self.body))]
            case "chunked":
                return [(b"Transfer-Encoding", b"chunked")]
            case _:
                return []

    @property
    def body(self) -> bytes:
        return b"" if self.framing == "none" else b"".join(self.pieces)

    @property
    def segments(self) -> list[bytes]:
        """What is written at a time."""
        head = self.line + b"\r\n" + field_section([*self.fields, *self.framing_fields])
        if self.framing == "none":
            return [head]
        if self.framing == "chunked":
            return [head, *(b"%X;x\r\n%b\r\n" % (len(piece), piece) for piece in self.pieces), b"0\r\n\r\n"]
        return [head, *self.pieces]


requests = st.builds(
    Sent,
    st.builds(
        lambda method, path: b"%b /%b HTTP/1.1" % (method, path),
        st.sampled_from([b"GET", b"POST", b"PUT", b"DELETE", b"PROPFIND"]),
        text(PATH_BYTES, most=60),
    ),
    fields.map(lambda given: [(b"Host", b"proxy.test"), *given, (b"X-Request-Id", b"r1")]),
    bodies,
    st.sampled_from(["none", "length", "chunked"]),
)
responses = st.builds(
    Sent,
    st.builds(
        lambda status, reason: b"HTTP/1.1 %d %b" % (status, reason),
        st.sampled_from([200, 201, 202, 203, 205, 206, 226, 299, 300, 302, 400, 401, 407, 404, 418, 500, 503, 599]),
        text(VALUE_BYTES).map(bytes.strip),
    ),
    fields.map(lambda given: [*given, (b"Date", b"Thu, 01 Jan 1970 00:00:00 GMT")]),
    bodies,
    st.sampled_from(["length", "chunked", "close"]),
)


def answer(response: Sent) -> Step:
    async def step(connection: Connection) -> None:
        for segment in response.segments:
            await connection.send(segment)
        if response.framing == "close":
            connection.close()

    return step


@settings(max_examples=120, suppress_health_check=[HealthCheck.function_scoped_fixture])  # one proxy serves them all
@given(request=requests, response=responses, whole=st.booleans())
async def test_messages_arrive_as_they_were_sent(
    proxy: Proxy, origin: ScriptedOrigin, *, request: Sent, response: Sent, whole: bool
) -> None:
    origin.queue([read_all(), answer(response)])
    client = await proxy.client()
    for segment in [b"".join(request.segments)] if whole else request.segments:
        await client.send(segment)
    got = await client.response(request.line.split()[0].decode())
    received = origin.requests[-1]

    assert b"%b %b HTTP/1.1" % (received.method.encode(), received.target) == request.line
    assert received.fields == [*request.fields, *OURS, *request.framing_fields]
    assert (received.complete, received.body) == (True, request.body)

    assert b"HTTP/1.1 %d %b" % (got.status, got.reason) == response.line
    assert (got.complete, got.body) == (True, response.body)
    length = response.framing_fields if response.framing == "length" else []
    chunks = [] if length else [(b"Transfer-Encoding", b"chunked")]
    assert got.fields == [*response.fields, *length, (b"Via", b"1.1 respond-async"), (b"Vary", b"Prefer"), *chunks]
    client.close()
