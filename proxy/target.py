"""What a request is sent to: its target and its Host (RFC 9112 section 3.2, RFC 9110 section 7.2).

The target stays as it came, byte for byte: nothing is decoded or re-quoted, no dot-segment removed, an empty `?` kept,
bytes beyond ASCII let through. Only what would be read in two ways is refused.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import Final, NamedTuple
from urllib.parse import unquote_to_bytes

from proxy.errors import BadRequest, MethodNotImplemented
from proxy.message import RequestHead

VERSIONS: Final = ((1, 0), (1, 1))
HOST_REQUIRED: Final = (1, 1)  # from this version on
KNOWN_HOSTS: Final = 128  # how many need not be checked again
MOST_DECODINGS: Final = 8  # of one path, by servers in a line

_REG_NAME: Final = rb"(?:[A-Za-z0-9._~!$&'()*+;=-]|%[0-9A-Fa-f]{2})"  # RFC 3986 section 3.2.2, but for the comma
_IP_LITERAL: Final = rb"\[(?:[0-9A-Fa-f:.]+|[vV][0-9A-Fa-f]+\.[A-Za-z0-9._~!$&'()*+;=:-]+)\]"
_AUTHORITY: Final = re.compile(rb"(?:%b|%b+)(?::[0-9]{0,5})?" % (_IP_LITERAL, _REG_NAME))
_PATH_AND_QUERY: Final = re.compile(rb"/[^\x00-\x20\x7f#]*+")
_ABSOLUTE: Final = re.compile(rb"https?://([^/?]*)(.*)", re.IGNORECASE | re.DOTALL)
_NEVER: Final = re.compile(rb"[\x00-\x20\x7f#]")


class Target(NamedTuple):
    """What a request is sent to."""

    authority: bytes  # of the target in absolute-form, else of Host; empty if neither has one
    origin_form: bytes  # path and query, or `*`


def checked(head: RequestHead) -> Target:
    """What the request is sent to. Raises BadRequest, MethodNotImplemented for what the parser lets through."""
    if head.version not in VERSIONS:
        raise BadRequest("The request is not HTTP/1.1 or HTTP/1.0.")
    if head.method == "CONNECT":
        raise MethodNotImplemented("This is no forward proxy.")
    codings = head.fields.all(b"transfer-encoding")
    if codings and (len(codings) > 1 or codings[0].lower() != b"chunked" or head.version < (1, 1)):
        raise BadRequest("The request has a Transfer-Encoding other than chunked.")
    return target_of(head)


def target_of(request: RequestHead) -> Target:
    """The target of a request other than CONNECT (RFC 9112 section 3.3). Raises BadRequest."""
    host = check_host(request)
    authority, origin_form = split_target(request.method, request.target)
    return Target(host if authority is None else authority, origin_form)


def split_target(method: str, target: bytes) -> tuple[bytes | None, bytes]:
    """The authority of a target in absolute-form, None for the other forms, and its origin-form or `*`.

    Raises BadRequest for what is none of these, and so for the authority-form that only CONNECT has.
    """
    if _PATH_AND_QUERY.fullmatch(target):
        return None, target
    if _NEVER.search(target):
        raise BadRequest("The request target contains a character that must not be in it.")
    if target == b"*" and method == "OPTIONS":
        return None, target
    absolute = _ABSOLUTE.fullmatch(target)
    if not absolute or not is_authority(absolute[1]):
        raise BadRequest("The request target has none of the forms that HTTP knows.")
    return absolute[1], _origin_form(method, absolute[2])


def _origin_form(method: str, rest: bytes) -> bytes:
    if not rest and method == "OPTIONS":
        return b"*"  # RFC 9112 section 3.2.4
    return rest if rest.startswith(b"/") else b"/" + rest


def check_host(request: RequestHead) -> bytes:
    """The value of Host; empty where HTTP/1.0 sent none. Raises BadRequest (RFC 9112 section 3.2).

    An empty Host is valid: a target URI without authority has it. It names no host, just as if there were none.
    """
    values = request.fields.all(b"host")
    if len(values) > 1:
        raise BadRequest("The request has more than one Host.")
    if not values:
        if request.version >= HOST_REQUIRED:
            raise BadRequest("The request has no Host.")
        return b""
    if values[0] and not is_authority(values[0]):
        raise BadRequest("The request's Host is not a host with an optional port.")
    return values[0]


@lru_cache(maxsize=KNOWN_HOSTS)
def is_authority(value: bytes) -> bool:
    """Whether this is a host with an optional port, and no user information (RFC 9110 section 4.2)."""
    return _AUTHORITY.fullmatch(value) is not None


@dataclass(frozen=True, slots=True)
class Paths:
    """What is taken from and put to the beginning of paths, on segment borders; without a slash at the end."""

    strip: bytes = b""
    add: bytes = b""

    def to_origin(self, target: bytes) -> bytes:
        """The target that the origin gets. One that is not below `strip` is not shortened; `*` stays."""
        if target == b"*" or not (self.strip or self.add):
            return target
        rest = _below(self.strip, target)
        moved = self.add + (target if rest is None else rest)
        return moved if moved.startswith(b"/") else b"/" + moved

    def to_client(self, path: bytes) -> bytes | None:
        """The path by which a client reaches this path of the origin; None if it cannot."""
        rest = _below(self.add, path)
        return None if rest is None else (self.strip + rest or b"/")


def _below(prefix: bytes, path: bytes) -> bytes | None:
    """What follows the prefix if it ends on a segment border."""
    rest = path[len(prefix) :]
    return rest if path.startswith(prefix) and rest[:1] in (b"", b"/", b"?") else None


def path_of(target: bytes) -> bytes:
    """The path of a target in origin-form, without the query, where secrets may be."""
    return target.partition(b"?")[0]


def readable_path(target: bytes) -> str:
    """The same, to be shown."""
    return target.partition(b"?")[0].decode("utf-8", "replace")  # not by `path_of`: each request is shown


def segments(path: bytes) -> Iterator[bytes]:
    """The path's segments as those may read it who decode, even more than once: without parameters, `.` and empty ones."""
    for segment in _decoded(path).replace(b"\\", b"/").split(b"/"):
        name = segment.partition(b";")[0]
        if name not in (b"", b"."):
            yield name


def _decoded(path: bytes) -> bytes:
    for _ in range(MOST_DECODINGS):
        before, path = path, unquote_to_bytes(path)
        if path == before:
            break
    return path
