"""A client's bytes as requests: heads, and content as it comes.

llhttp (through httptools) splits the stream and refuses what is malformed. What it does not do stands here: it limits
neither a head nor what lies between two pieces of content; it takes the content of a request that asks for an upgrade
for another protocol; it refuses bytes beyond ASCII in a target, which browsers never send and old clients and their
backends know as names; and it does not know what comes after HTTP/1.1.
"""

import re
import secrets
from collections.abc import Callable
from types import SimpleNamespace
from typing import Final

import httptools

from proxy.errors import BadRequest, FieldsTooLarge, ProxyError, TargetTooLong
from proxy.grammar import number
from proxy.inflow import NOTHING, Inflow
from proxy.message import Field, Fields, RequestHead

MOST_FIELDS: Final = 1000  # of one message: a bound on objects; bytes have their own
# Higher minor versions are read as the highest that is known here (RFC 9110 section 2.5).
VERSIONS: Final = {"1.0": (1, 0)} | {f"1.{minor}": (1, 1) for minor in range(1, 10)}
NO_VERSION: Final = (0, 0)  # that is known here
FRAMING: Final = frozenset({b"content-length", b"transfer-encoding"})

HEAD_END: Final = b"\r\n\r\n"

# What stands for a byte beyond ASCII in a target on its way through llhttp. Nobody can send it on purpose.
STAND_IN: Final = b"~%b~" % secrets.token_hex(8).encode()

_BEYOND_ASCII: Final = re.compile(rb"[\x80-\xff]")
_STOOD_IN_FOR: Final = re.compile(STAND_IN + rb"([0-9a-f]{2})")

Take = Callable[[RequestHead, Inflow], None]


class RequestParser:
    """Splits what comes on one connection into requests, and hands each over as soon as its head is complete."""

    def __init__(self, max_fields: int, take: Take, relieved: Callable[[], None]) -> None:
        """`max_fields` is in bytes; `relieved` is called when content that had come has been taken."""
        self._most = max_fields  # bytes of a head, or between two pieces of content
        self._take = take
        self._relieved = relieved
        self._parser = httptools.HttpRequestParser(self)
        self._parser.set_dangerous_leniencies(lenient_version=True)  # `checked` knows which there are
        self._target = b""
        self._fields: list[Field] = []
        self._seen = 0  # bytes since the last that was of use
        self._measures = False  # whether heads have to be measured, since so much has come at once
        self._has_line = False  # whether the first line of an incomplete head is complete
        self._skipped = b""  # the framing of content that llhttp takes for another protocol
        self._held: bytearray | None = None  # what came behind a request for an upgrade, until that is answered
        self._ended = False  # it takes nothing more
        self.content = NOTHING  # of the last request
        self._in_head = False  # whether a head has begun and not ended

    def feed(self, data: bytes) -> None:
        """Take what has come. Raises ProxyError for what never becomes a request; nothing is taken behind that.

        Where it is content that is malformed, whoever reads it is told instead.
        """
        if self._ended:
            return
        if self._held is not None:
            self._held += data
            return
        try:
            if not self.content.ended or (data.endswith(HEAD_END) and data.isascii()):
                self._feed(data)
                self._has_line = self._in_head
            else:
                self._feed_by_lines(data)
        except ProxyError as error:
            self._ended = True
            if self.content.ended:
                raise
            self.content.fail(error)

    @property
    def in_head(self) -> bool:
        """Whether a head has begun and not ended; it may begin with empty lines (RFC 9112 section 2.2)."""
        return self._in_head or (self._seen > 0 and self.content.ended)

    @property
    def in_last(self) -> bool:
        """Whether nothing can follow the request whose head is complete."""
        return bool(self._skipped)

    @property
    def buffered(self) -> int:
        """How many bytes wait here for whoever takes them."""
        return self.content.buffered + len(self._held or b"")

    def resume(self) -> None:
        """Take what was held for an upgrade as what follows the request, since there was none. Raises as `feed`."""
        if self._held is not None:
            held, self._held = bytes(self._held), None
            self.feed(held)

    def release(self) -> bytes:
        """Give out what was held, since the protocol changes. Nothing more is taken here."""
        self._ended = True
        return bytes(self._held or b"")

    def _feed(self, data: bytes, size: int | None = None) -> None:
        """The size is what the client sent, where that is not the data itself."""
        goes_on = self._in_head and (self._measures or not self._seen)  # not seen: what came along with content
        self._seen += len(data) if size is None else size
        self._measures = goes_on or self._seen > self._most
        behind: bytes | None = None
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade as upgrade:
            behind = data[upgrade.args[0] :]
        except httptools.HttpParserError as exc:
            if not self._ended:
                raise self._error(exc) from exc
        if self._ended:
            return  # whatever stands behind the last request
        if behind is not None:
            self._behind_upgrade(behind)
        elif self._seen > self._most:
            raise self._too_large()

    def _feed_by_lines(self, data: bytes) -> None:
        """Feed heads so that each request line is seen, and can go through llhttp in ASCII.

        One that follows content in the same segment is not seen, and refused where it is not in ASCII.
        """
        start = 0
        while start < len(data) and self.content.ended and self._held is None:
            end = data.find(b"\n", start) + 1 or len(data)
            line = data[start:end]
            self._feed(line if self._has_line or line.isascii() else _with_stand_ins(line), len(line))
            self._has_line = self._in_head and (self._has_line or line.endswith(b"\n"))
            start = end
        if start < len(data):
            self.feed(data[start:])

    def _behind_upgrade(self, rest: bytes) -> None:
        """Hold what follows a request for an upgrade, or go on with its content: then there is no upgrade."""
        if not self._skipped:
            self._held = bytearray(rest)
            return
        content_alone = SimpleNamespace(on_body=self._last_body, on_message_complete=self._last_complete)
        self._parser = httptools.HttpRequestParser(content_alone)
        head, self._skipped = b"POST / HTTP/1.1\r\n%b\r\n" % self._skipped, b""
        self._feed(head + rest)

    def _last_body(self, piece: bytes) -> None:
        if not self._ended:  # else it is content of what stands behind the last request
            self.on_body(piece)

    def _last_complete(self) -> None:
        self.on_message_complete()
        self._ended = True

    # What llhttp calls.

    def on_message_begin(self) -> None:
        self._in_head, self._target, self._fields = True, b"", []

    def on_url(self, piece: bytes) -> None:
        self._target += piece

    def on_header(self, name: bytes, value: bytes) -> None:
        if not self._in_head:
            return  # a trailer, which ends here (RFC 9110 section 6.5.1)
        fields = self._fields
        fields.append((name, value.rstrip(b" \t")))
        if len(fields) > MOST_FIELDS:
            raise self._too_large()

    def on_headers_complete(self) -> None:
        if self._measures and self._size() > self._most:
            raise self._too_large()
        parser, fields = self._parser, Fields(self._fields)
        version = VERSIONS.get(parser.get_http_version(), NO_VERSION)
        target = _raw(self._target) if STAND_IN in self._target else self._target
        head = RequestHead(parser.get_method().decode(), target, fields, version)
        self._in_head, self._seen = False, 0
        names = fields.names
        framing = [] if FRAMING.isdisjoint(names) else [field for field in fields if field[0].lower() in FRAMING]
        self.content = Inflow(self._relieved) if framing else NOTHING
        if parser.should_upgrade() and any(number(value) != 0 for _, value in framing):
            self._skipped = b"".join([b"%b: %b\r\n" % field for field in framing])
        self._take(head, self.content)

    def on_body(self, piece: bytes) -> None:
        self._seen = 0
        self.content.feed(piece)

    def on_message_complete(self) -> None:
        self._seen = 0
        if not (self._skipped or self.content.ended):
            self.content.end()

    # What is wrong.

    def _error(self, exc: httptools.HttpParserError) -> Exception:
        if isinstance(exc.__context__, Exception):
            return exc.__context__  # from what llhttp called
        if not self.content.ended:
            return BadRequest("The framing of the request's content is malformed.")
        if isinstance(exc, httptools.HttpParserInvalidMethodError):
            return BadRequest("The request does not begin with a method that HTTP knows.")
        return BadRequest("The request is not valid HTTP/1.1.")

    def _too_large(self) -> ProxyError:
        """Which of the parts is too large: RFC 9112 section 3 wants a status of its own for the request line."""
        if not self.content.ended:
            return BadRequest("The request's content has too much chunk framing, or too long a trailer section.")
        if len(_raw(self._target)) > self._most // 2:
            why = f"The request line has more than half of {self._most} bytes (limits.max_fields)."
            return TargetTooLong("The request line is longer than is taken here.", why=why)
        if len(self._fields) > MOST_FIELDS:
            return FieldsTooLarge(f"The request has more than {MOST_FIELDS} field lines.")
        why = f"The request line and header section have more than {self._most} bytes (limits.max_fields)."
        return FieldsTooLarge("The request line and header section are larger than is taken here.", why=why)

    def _size(self) -> int:
        """The bytes of a head, about."""
        return len(_raw(self._target)) + sum(len(name) + len(value) + 4 for name, value in self._fields)


def _raw(target: bytes) -> bytes:
    """The target as the client sent it."""
    return _STOOD_IN_FOR.sub(lambda found: bytes.fromhex(found[1].decode()), target)


def _with_stand_ins(line: bytes) -> bytes:
    """The request line in ASCII."""
    return _BEYOND_ASCII.sub(lambda found: STAND_IN + found[0].hex().encode(), line)
