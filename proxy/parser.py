"""aiohttp's request parser, guarded, and what its errors mean to us.

It limits a field but not the header section, nor what stands between two pieces of content; it leaves whoever reads a
body waiting when its chunks are malformed; it forgets the requests of a segment in which something malformed follows;
and it refuses bytes beyond ASCII in a target, which browsers never send and old clients and their backends know as names.
"""

import re
import secrets
from collections.abc import Sequence
from typing import Final

from aiohttp import web
from aiohttp.http import HttpRequestParser, RawRequestMessage
from aiohttp.http_exceptions import BadHttpMethod, HttpProcessingError, LineTooLong
from aiohttp.streams import EMPTY_PAYLOAD, StreamReader
from aiohttp.web_protocol import MAX_MSG_QUEUE_SIZE, _ErrInfo

from proxy.errors import BadRequest, FieldsTooLarge, ProxyError, TargetTooLong

HEAD_END: Final = b"\r\n\r\n"

# What stands for a byte beyond ASCII in a target on its way through llhttp. Nobody can send it on purpose.
STAND_IN: Final = b"~%b~" % secrets.token_hex(8).encode()

_BEYOND_ASCII: Final = re.compile(rb"[\x80-\xff]")
_STOOD_IN_FOR: Final = re.compile(STAND_IN + rb"([0-9a-f]{2})")

Request = tuple[RawRequestMessage, StreamReader]  # head and content
Refused = tuple[_ErrInfo, StreamReader]
Parsed = tuple[Sequence[Request | Refused], bool, bytes]  # whether the last asks for an upgrade, and what follows then


class GuardedParser:
    """What aiohttp's protocol takes for its parser."""

    def __init__(self, parser: HttpRequestParser, most: int) -> None:
        self._parser = parser
        self._most = most  # bytes of a head, or between two pieces of content
        self._seen = 0  # bytes of these
        self._has_line = False  # whether the first line of the head is complete
        self._content: StreamReader = EMPTY_PAYLOAD  # of the last request
        self._queued = 0  # requests that wait for their turn
        self.pause_reading = parser.pause_reading
        self.feed_eof = parser.feed_eof
        self.set_upgraded = parser.set_upgraded

    @property
    def in_head(self) -> bool:
        """Whether a head has begun and not ended."""
        return self._seen > 0 and self._content.is_eof()

    def message_consumed(self) -> None:
        self._queued = max(self._queued - 1, 0)
        self._parser.message_consumed()

    def feed_data(self, data: bytes) -> Parsed:
        """Head by head, so that each request is out before what follows it can spoil anything."""
        first, rest = (data, b"") if not self._content.is_eof() else _divided(self._in_ascii(data))
        messages, upgraded, tail = self._feed(first)
        if upgraded or not rest:
            return messages, upgraded, tail + rest
        try:
            more, upgraded, tail = self._feed(rest) if self._is_full or not messages else self.feed_data(rest)
        except HttpProcessingError as exc:
            if not (messages and self._content.is_eof()):
                raise
            more, upgraded, tail = [refused(exc)], False, b""
        return [*messages, *more], upgraded, tail

    def _in_ascii(self, data: bytes) -> bytes:
        """What has come of a head, with stand-ins for what llhttp takes for invalid in a request line."""
        return data if data.isascii() or self._has_line else _with_stand_ins(data)

    def _feed(self, data: bytes) -> Parsed:
        content, reached = self._content, self._content.total_bytes
        in_content = not content.is_eof()
        try:
            messages, upgraded, tail = self._parser.feed_data(data)
            moved = in_content and (content.is_eof() or content.total_bytes > reached)
            self._count(data, messages, moved=moved)
        except HttpProcessingError as exc:
            if not content.is_eof():
                content.set_exception(web.RequestPayloadError("malformed"))
            raise self._finer(exc, data) from exc
        return messages, upgraded, tail

    def _count(self, data: bytes, messages: Sequence[Request], *, moved: bool) -> None:
        """Count bytes up to the end of a head, or to the next of content. Raises LineTooLong where they are too many."""
        seen, was_full = self._seen + len(data), self._is_full
        if seen > self._most and not (was_full or moved) and self._is_too_large(messages):
            raise LineTooLong(b"", self._most)
        if messages:
            self._queued += len(messages)
            self._content = messages[-1][1]
        if messages or moved or was_full:
            self._seen, self._has_line = 0, False
        else:
            self._seen, self._has_line = seen, self._has_line or b"\n" in data

    def _is_too_large(self, messages: Sequence[Request]) -> bool:
        return not messages or any(_size(message) > self._most for message, _ in messages)

    @property
    def _is_full(self) -> bool:
        """Whether so many requests wait that aiohttp reads nothing more, and only keeps what has come."""
        return self._queued >= MAX_MSG_QUEUE_SIZE

    def _finer(self, exc: HttpProcessingError, data: bytes) -> HttpProcessingError:
        """Tell a request line that is too long from fields that are (RFC 9112 section 3 wants a status of its own)."""
        in_line = not self._has_line and data.find(b"\n", 0, self._most) < 0
        self._seen, self._has_line = 0, False
        return _RequestLineTooLong(b"", self._most) if isinstance(exc, LineTooLong) and in_line else exc


class _RequestLineTooLong(LineTooLong):
    """No end of the request line within the limit."""


def refused(error: Exception) -> Refused:
    """What takes the place of a request that is none, in aiohttp's queue."""
    return _ErrInfo(400, error, ""), EMPTY_PAYLOAD  # aiohttp's own idea of status and message, which nobody asks for


def as_error(exc: BaseException | None) -> ProxyError:
    """What went wrong, in our words. The cause is left for the log."""
    match exc:
        case ProxyError():
            return exc
        case BadHttpMethod():
            error: ProxyError = BadRequest("The request does not begin with a method that HTTP knows.")
        case _RequestLineTooLong():
            error = TargetTooLong("The request line is longer than is taken here.")
        case LineTooLong() | HttpProcessingError(message="Too many headers received"):
            error = FieldsTooLarge("The request line and header section are larger than is taken here.")
        case HttpProcessingError():
            error = BadRequest("The request is not valid HTTP/1.1.")
        case _:
            error = ProxyError("An error in the proxy itself, which its log tells more about.")
    error.__cause__ = exc
    return error


def raw_target(path: str) -> bytes:
    """The request target as the client sent it, of aiohttp's `path`."""
    target = path.encode("utf-8", "surrogateescape")
    if STAND_IN not in target:
        return target
    return _STOOD_IN_FOR.sub(lambda found: bytes.fromhex(found[1].decode()), target)


def _with_stand_ins(head: bytes) -> bytes:
    """The head with its request line in ASCII."""
    line, end, rest = head.partition(b"\n")
    return _BEYOND_ASCII.sub(lambda found: STAND_IN + found[0].hex().encode(), line) + end + rest


def _divided(data: bytes) -> tuple[bytes, bytes]:
    """The data up to the first end of a head, and the rest."""
    end = data.find(HEAD_END)
    return (data, b"") if end < 0 else (data[: end + len(HEAD_END)], data[end + len(HEAD_END) :])


def _size(message: RawRequestMessage) -> int:
    """The bytes of a head, about."""
    return len(message.path) + sum(len(name) + len(value) + 4 for name, value in message.raw_headers)
