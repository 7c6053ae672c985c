"""The heads of HTTP messages as they stand on the wire: bytes, in order, duplicates kept.

Nothing here decodes, folds or normalises; field names compare without regard to case (RFC 9110 section 5.1) and values
are opaque. Heads are tuples because one is made for every message that passes.
"""

from collections.abc import Collection, Iterator
from typing import NamedTuple, Self

Field = tuple[bytes, bytes]

CRLF = b"\r\n"
LAST_CHUNK = b"0\r\n\r\n"
CONTENT_LENGTH = frozenset({b"content-length"})  # for `without`


class Fields(tuple[Field, ...]):
    """A header section: (name, value) pairs in the order of the wire. Names asked for are given in lower case."""

    __slots__ = ()

    def all(self, name: bytes) -> list[bytes]:
        """Every value of the field, line by line."""
        return [value for key, value in self if key.lower() == name]

    def first(self, name: bytes) -> bytes | None:
        """The first line's value, or None where the field is absent."""
        for key, value in self:
            if key.lower() == name:
                return value
        return None

    def members(self, name: bytes) -> Iterator[bytes]:
        """The members of a list field without quoted strings (RFC 9110 section 5.6.1), lower case, empty ones left out."""
        for value in self.all(name):
            for member in value.split(b","):
                if stripped := member.strip(b" \t").lower():
                    yield stripped

    def without(self, names: Collection[bytes]) -> Self:
        """All fields but those named."""
        return type(self)(field for field in self if field[0].lower() not in names)

    def plus(self, *fields: Field) -> Self:
        """These fields, and after them the given ones."""
        return type(self)((*self, *fields))

    def to_wire(self) -> bytes:
        """The section with the empty line that ends it (RFC 9112 section 2.1)."""
        return b"".join([b"%b: %b\r\n" % field for field in self]) + CRLF


class RequestHead(NamedTuple):
    """Request line and fields."""

    method: str
    target: bytes  # as received, whatever its form
    fields: Fields
    version: tuple[int, int] = (1, 1)

    def to_wire(self) -> bytes:
        """The head as an HTTP/1.1 sender writes it, whatever version it came in (RFC 9110 section 2.5)."""
        return b"%b %b HTTP/1.1\r\n%b" % (self.method.encode(), self.target, self.fields.to_wire())


class ResponseHead(NamedTuple):
    """Status line and fields."""

    status: int
    reason: bytes
    fields: Fields

    def to_wire(self) -> bytes:
        """The head as an HTTP/1.1 sender writes it; the empty reason keeps its space (RFC 9112 section 4)."""
        return b"HTTP/1.1 %d %b\r\n%b" % (self.status, self.reason, self.fields.to_wire())


class Reply(NamedTuple):
    """A whole small response of the proxy's own."""

    head: ResponseHead
    content: bytes = b""


def chunk(piece: bytes) -> bytes:
    """Content as one chunk (RFC 9112 section 7.1); nothing of nothing, because an empty chunk would be the last."""
    return b"%x\r\n%b\r\n" % (len(piece), piece) if piece else b""


def has_body(method: str, status: int) -> bool:
    """Whether a response with this status to this method carries content (RFC 9112 section 6.3)."""
    return method != "HEAD" and status >= 200 and status not in (204, 304)  # they are their own names
