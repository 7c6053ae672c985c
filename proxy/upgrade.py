"""Changing the protocol of a connection (RFC 9110 section 7.8): what a client may offer, and what an origin may choose.

`Upgrade` speaks of one connection, so that the proxy makes it anew on either side. What follows a 101 is beyond HTTP,
and beyond all that the proxy checks: protocols that are HTTP again are therefore never offered to an origin.
"""

from collections.abc import Iterable
from typing import Final

from proxy.grammar import members, number
from proxy.message import Field, Fields, RequestHead

# Requests in them would pass every route and every rule by (RFC 9113 section 3.1, RFC 2817).
HTTP_AGAIN: Final = frozenset({b"h2c", b"h2", b"http", b"tls"})

_CONNECTION: Final[Field] = (b"Connection", b"upgrade")


def offered(request: RequestHead) -> tuple[bytes, ...]:
    """The protocols that an origin may be offered for this request, as the client wrote them; none where it may not be.

    With content there is no offer, which a recipient may always ignore: the tunnel would begin behind the content.
    """
    fields = request.fields
    if request.version < (1, 1) or b"upgrade" not in fields.members(b"connection") or _has_content(fields):
        return ()
    return tuple(protocol for protocol in _protocols(fields) if _name(protocol) not in HTTP_AGAIN)


def chosen(response: Fields, offers: Iterable[bytes]) -> tuple[bytes, ...]:
    """The protocols that a 101 switches to; none if it is no answer to these offers."""
    protocols = tuple(_protocols(response))
    answers = b"upgrade" in response.members(b"connection") and _folded(protocols) <= _folded(offers)
    return protocols if answers else ()


def with_upgrade(fields: Fields, protocols: Iterable[bytes]) -> Fields:
    """The fields, with what offers these protocols, or switches to them."""
    return fields.plus((b"Upgrade", b", ".join(protocols)), _CONNECTION)


def _protocols(fields: Fields) -> list[bytes]:
    return [protocol for line in fields.all(b"upgrade") for protocol in members(line)]


def _name(protocol: bytes) -> bytes:
    """The protocol without its version."""
    return protocol.partition(b"/")[0].strip(b" \t").lower()


def _folded(protocols: Iterable[bytes]) -> set[bytes]:
    return {protocol.lower() for protocol in protocols}


def _has_content(fields: Fields) -> bool:
    length = fields.first(b"content-length")
    return fields.first(b"transfer-encoding") is not None or (length is not None and number(length) != 0)
