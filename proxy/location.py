"""The references in Location and Content-Location (RFC 9110 sections 10.2.2 and 8.7), as the client is to see them.

What needs no change keeps its bytes, and what cannot be understood is left as it is.
"""

import re
from collections.abc import Sequence
from typing import Final, NamedTuple

from proxy.config import OriginUrl
from proxy.forwarded import Client
from proxy.message import Field, Fields
from proxy.target import Paths

REFERENCE_FIELDS: Final = frozenset({b"location", b"content-location"})

_PARTS: Final = re.compile(  # RFC 3986 appendix B
    rb"((?:[A-Za-z][A-Za-z0-9+.-]*+:)?)((?://[^/?#]*+)?)([^?#]*+)((?:\?[^#]*+)?)((?:#.*+)?)", re.DOTALL
)
_NEVER: Final = re.compile(rb"[\x00-\x1f\x7f]")
_OWN_PORTS: Final = {b"http:": b":80", b"https:": b":443"}


class _Reference(NamedTuple):
    """The parts of a URI reference, each with its delimiters, so that together they are the reference again."""

    scheme: bytes  # "http:"
    authority: bytes  # "//example.com"
    path: bytes
    query: bytes  # "?x"
    fragment: bytes  # "#x"

    @classmethod
    def of(cls, text: bytes) -> "_Reference":
        return cls(*_PARTS.findall(text)[0])


class WayBack:
    """From an origin's view of itself to the client's view of it: what Apache calls ProxyPassReverse."""

    def __init__(self, paths: Paths, servers: Sequence[OriginUrl]) -> None:
        self._paths = paths
        self._scheme = servers[0].scheme.encode() + b":"
        self._authorities = {_normal(self._scheme, b"//" + server.authority) for server in servers}

    def client_location(self, value: bytes, host_sent: bytes | None, client: Client) -> bytes:
        """The reference as the client must use it if it points at the origin, else as it is.

        It does so with the origin's own scheme and the authority of any of its servers, with the Host that was sent to
        it (None: that of a server), or as a path from the root; and its path lies where `add_path` leads. References
        relative to the target need no change.
        """
        reference = _Reference.of(value)
        path = self._paths.to_client(reference.path)
        if path is None or not self._points_at_origin(reference, host_sent):
            return value
        if not (reference.authority and client.host):
            path = b"/." + path if path.startswith(b"//") else path  # else its beginning would name another host
            return b"".join(reference._replace(scheme=b"", authority=b"", path=path))
        scheme = client.scheme.encode() + b":" if reference.scheme else b""
        return b"".join(reference._replace(scheme=scheme, authority=b"//" + client.host, path=path))

    def _points_at_origin(self, reference: _Reference, host_sent: bytes | None) -> bool:
        if not reference.authority:
            return not reference.scheme and reference.path.startswith(b"/")
        scheme = reference.scheme.lower() or self._scheme
        named = _normal(scheme, reference.authority)
        if scheme == self._scheme and named in self._authorities:
            return True
        return host_sent is not None and scheme in _OWN_PORTS and named == _normal(scheme, b"//" + host_sent)


def _normal(scheme: bytes, authority: bytes) -> bytes:
    """In lower case and without the scheme's own port (RFC 9110 section 4.2.3)."""
    return authority.lower().removesuffix(_OWN_PORTS.get(scheme, b""))


def with_absolute_references(fields: Fields, base_uri: str) -> Fields:
    """The fields with Location and Content-Location made absolute, for a response that another URL will give."""
    if REFERENCE_FIELDS.isdisjoint(fields.names):
        return fields
    return Fields(_made_absolute(field, base_uri) for field in fields)


def _made_absolute(field: Field, base_uri: str) -> Field:
    name, value = field
    return (name, absolute(value, base_uri)) if name.lower() in REFERENCE_FIELDS else field


def absolute(value: bytes, base_uri: str) -> bytes:
    """The reference resolved against an absolute URI (RFC 3986 section 5.2); an absolute one as it is.

    So is one with control characters. What else cannot stand in a URI, such as a space, is resolved all the same and keeps
    its bytes: clients understand it, and at another URL they would understand something else.
    Bytes beyond ASCII that are not UTF-8 stand in `base_uri` as surrogates (PEP 383).
    """
    reference = _Reference.of(value)
    if reference.scheme or _NEVER.search(value):
        return value
    base = _Reference.of(base_uri.encode("utf-8", "surrogateescape"))
    return b"".join(_resolved(reference, base)._replace(scheme=base.scheme))


def _resolved(reference: _Reference, base: _Reference) -> _Reference:
    if reference.authority:
        return reference._replace(path=_without_dots(reference.path))
    if not reference.path:
        return reference._replace(authority=base.authority, path=base.path, query=reference.query or base.query)
    folder = b"" if reference.path.startswith(b"/") else base.path.rpartition(b"/")[0] + b"/"
    return reference._replace(authority=base.authority, path=_without_dots(folder + reference.path))


def _without_dots(path: bytes) -> bytes:
    """The path without `.` and `..` (RFC 3986 section 5.2.4)."""
    segments = path.split(b"/")
    kept: list[bytes] = []
    for segment in segments:
        if segment not in (b".", b".."):
            kept.append(segment)
        elif segment == b".." and len(kept) > 1:  # the first is the root
            kept.pop()
    if segments[-1] in (b".", b".."):
        kept.append(b"")
    return b"/".join(kept)
