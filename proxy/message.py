"""The heads of HTTP messages as they stand on the wire: bytes, in order, duplicates kept.

Nothing here decodes, folds or normalises; field names compare without regard to case (RFC 9110 section 5.1) and values
are opaque. Heads are tuples because one is made for every message that passes; whoever changes one makes it anew, which
costs half of what `_replace` does.
"""

from collections.abc import Iterable, Mapping
from collections.abc import Set as AbstractSet
from typing import NamedTuple, Self

Field = tuple[bytes, bytes]

CRLF = b"\r\n"
LAST_CHUNK = b"0\r\n\r\n"
CONTENT_LENGTH = frozenset({b"content-length"})  # for `without`
KEEP_ALIVE = [b"keep-alive"]  # what Connection says nearly always, where it is there


class Fields(tuple[Field, ...]):  # noqa: SLOT001  # tuples cannot have slots
    """A header section: (name, value) pairs in the order of the wire. Names asked for are given in lower case."""

    # The first value of each field, by its name in lower case; made when somebody asks for a name.
    _firsts: dict[bytes, bytes] | None = None

    @property
    def names(self) -> Mapping[bytes, bytes]:
        """The names that there are, in lower case, each with the first value."""
        return self._firsts or self._indexed()

    def all(self, name: bytes) -> list[bytes]:
        """Every value of the field, line by line."""
        firsts = self._firsts or self._indexed()
        if name not in firsts:
            return []
        if len(firsts) == len(self):  # no field has two lines
            return [firsts[name]]
        return [value for key, value in self if key.lower() == name]

    def first(self, name: bytes) -> bytes | None:
        """The first line's value, or None where the field is absent."""
        return (self._firsts or self._indexed()).get(name)

    def has(self, name: bytes) -> bool:
        """Whether the field is there, for those who ask for nothing else: an index would cost more."""
        for key, _ in self:  # noqa: SIM110  # a generator would cost twice as much
            if len(key) == len(name) and key.lower() == name:
                return True
        return False

    def members(self, name: bytes) -> list[bytes]:
        """The members of a list field without quoted strings (RFC 9110 section 5.6.1), lower case, empty ones left out."""
        if name not in (self._firsts or self._indexed()):
            return []
        values = self.all(name)
        return [member for part in b",".join(values).lower().split(b",") if (member := part.strip(b" \t"))]

    def without(self, names: AbstractSet[bytes]) -> Self:
        """All fields but those named."""
        if names.isdisjoint(self.names):
            return self
        return type(self)([field for field in self if field[0].lower() not in names])

    def plus(self, *fields: Field) -> Self:
        """These fields, and after them the given ones."""
        return type(self)((*self, *fields))

    def _indexed(self) -> dict[bytes, bytes]:
        firsts: dict[bytes, bytes] = {}
        for name, value in self:
            firsts.setdefault(name.lower(), value)
        self._firsts = firsts
        return firsts


class RequestHead(NamedTuple):
    """Request line and fields."""

    method: str
    target: bytes  # as received, whatever its form
    fields: Fields
    version: tuple[int, int] = (1, 1)

    def with_fields(self, fields: Fields) -> Self:
        return type(self)(self.method, self.target, fields, self.version)

    def to_wire(self, *more: Field) -> bytes:
        """The head, with `more` after its fields, as an HTTP/1.1 sender writes it, whatever version it came in.

        See RFC 9110 section 2.5.
        """
        return _to_wire(b"%b %b HTTP/1.1" % (self.method.encode(), self.target), self.fields, more)


class ResponseHead(NamedTuple):
    """Status line and fields."""

    status: int
    reason: bytes
    fields: Fields

    def with_fields(self, fields: Fields) -> Self:
        return type(self)(self.status, self.reason, fields)

    def to_wire(self, *more: Field) -> bytes:
        """The head, with `more` after its fields, as an HTTP/1.1 sender writes it.

        An empty reason keeps its space (RFC 9112 section 4).
        """
        return _to_wire(b"HTTP/1.1 %d %b" % (self.status, self.reason), self.fields, more)


def _to_wire(start: bytes, fields: Fields, more: Iterable[Field]) -> bytes:
    """A start line, fields, and the empty line that ends them (RFC 9112 section 2.1)."""
    return CRLF.join([start, *map(b": ".join, fields), *map(b": ".join, more), b"", b""])


class Reply(NamedTuple):
    """A whole small response of the proxy's own."""

    head: ResponseHead
    content: bytes = b""


def chunk(piece: bytes) -> bytes:
    """Content as one chunk (RFC 9112 section 7.1); nothing of nothing, because an empty chunk would be the last."""
    return b"%x\r\n%b\r\n" % (len(piece), piece) if piece else b""


def persists(fields: Fields, version: tuple[int, int]) -> bool:
    """Whether who sent these fields goes on with the connection (RFC 9112 section 9.3)."""
    lines = fields.all(b"connection")
    if not lines:
        return version >= (1, 1)
    if lines == KEEP_ALIVE:
        return True
    options = fields.members(b"connection")
    return b"close" not in options and (version >= (1, 1) or b"keep-alive" in options)


def has_body(method: str, status: int) -> bool:
    """Whether a response with this status to this method carries content (RFC 9112 section 6.3)."""
    return method != "HEAD" and status >= 200 and status not in (204, 304)  # they are their own names
