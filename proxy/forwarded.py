"""Who the client is, as proxies tell one another: X-Forwarded-For, -Proto, -Host and Forwarded (RFC 7239).

Anybody can write these fields, so they are believed from a trusted peer alone, and of the addresses that it passes on
only those up to the first that is not trusted itself: that one is the client, and what stands left of it is hearsay.
What cannot be read ends the walk the same way.

X-Forwarded-* goes before Forwarded. Nearly all proxies write the former, and many let a Forwarded pass that the client
made up. Of several values of -Proto or -Host the last counts, which the trusted peer itself has written.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from hashlib import blake2b
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address
from itertools import product
from typing import Final, NamedTuple

from proxy.grammar import OWS, TOKEN, WORD, members, quoted, unquoted
from proxy.message import Field, Fields
from proxy.target import is_authority

IPV6_SITE: Final = 64  # bits: what a household or a host is given, with all addresses in it to choose from
UNKNOWN: Final = "unknown"  # RFC 7239 section 6.2; Squid writes it into X-Forwarded-For, too

# Where fields become variables of an environment, as in CGI and WSGI, `_` and `-` are one.
FORWARDING_FIELDS: Final = frozenset({b"forwarded"}).union(
    b"x%cforwarded%c%b" % (first, second, what)
    for first, second, what in product(b"-_", b"-_", (b"for", b"host", b"proto"))
)

_PAIR: Final = rb"(%b)=(%b)" % (TOKEN, WORD)
_PAIRS: Final = re.compile(_PAIR)
_ELEMENT: Final = re.compile(rb"(?:%b)?(?:%b;%b(?:%b)?)*+" % (_PAIR, OWS, OWS, _PAIR))
# An address with an IPv6 zone is none: that means nothing on another host, and any characters may stand in it, commas too.
_NODE: Final = re.compile(rb"\[([0-9A-Fa-f:.]+)\](?::[\w.-]+)?|([0-9.]+)(?::[\w.-]+)?|([0-9A-Fa-f:.]+)")
_SCHEMES: Final = (b"http", b"https")


class Client(NamedTuple):
    """Who sent the request, and how it reached the first proxy that is trusted."""

    scheme: str  # "http" or "https"
    host: bytes  # with the port if the client named one; empty if it named no host
    address: str  # IP address, or UNKNOWN

    def root(self, local: bytes) -> str:
        """What the URLs that it asks for begin with.

        `local` is the authority of the address that it reached, for one that named no host.
        """
        return f"{self.scheme}://{(self.host or local).decode('ascii')}"


@dataclass(slots=True)
class Peer:
    """The other end of a connection to the proxy. Made by TrustedProxies, once for each connection."""

    address: str  # IP address; UNKNOWN at the other end of a Unix socket
    node: bytes  # the address as Forwarded has it
    scheme: str  # "https" if its TLS ends here
    trusted: bool
    last: "Arrival | None" = field(default=None, compare=False, repr=False)  # of a stranger: mostly the next is like it


NOBODY: Final = Peer(UNKNOWN, UNKNOWN.encode(), "http", trusted=False)  # who has left long ago


class Arrival(NamedTuple):
    """How a request reached the proxy."""

    peer: Peer
    authority: bytes  # of the target in absolute-form, else of Host; empty if neither has one
    client: Client
    told: tuple[Field, ...] | None = None  # `forwarding_fields`, where they do not depend on the request's own


def client_digest(client: Client, credential: bytes | None) -> str:
    """Who is counted as one client: whoever has this credential, or without one, this address.

    The same in every process and after every start, so there is no secret in it. It is one-way, which hides tokens; a
    password that is easy to guess can be guessed from it, as from the digest of an operation's owner: both are for the
    store alone, which only the proxy's user can read. A slow digest would make guessing slow, and every request.
    """
    who = b"address " + _site(client.address) if credential is None else b"credential " + credential
    return blake2b(who, digest_size=16, person=b"respond-async").hexdigest()


class TrustedProxies:
    """The networks whose word about a client counts."""

    def __init__(self, networks: Iterable[IPv4Network | IPv6Network] = ()) -> None:
        self._networks = tuple(networks)

    def peer(self, address: str | None, *, tls: bool) -> Peer:
        """The other end, by its IP address; a Unix socket has none, and is not trusted."""
        ip = _ip((address or "").partition("%")[0].encode())  # a scope means nothing on another host
        scheme = "https" if tls else "http"
        return Peer(str(ip or UNKNOWN), _node(ip), scheme, trusted=ip is not None and self._trusts(ip))

    def arrival(self, peer: Peer, authority: bytes, fields: Fields) -> Arrival:
        """How a request with these fields arrived, and who sent it as far as trusted proxies know."""
        if peer.trusted:
            client = self._seen_by_proxies(Client(peer.scheme, authority, peer.address), fields)
            return Arrival(peer, authority, client)
        if peer.last is None or peer.last.authority != authority:
            client = Client(peer.scheme, authority, peer.address)
            peer.last = Arrival(peer, authority, client, _made(peer, authority, client))
        return peer.last

    def _seen_by_proxies(self, client: Client, fields: Fields) -> Client:
        for hop in reversed(_hops(fields)):
            ip = _ip(hop.node)
            client = Client(
                scheme=hop.scheme.decode() or client.scheme,
                host=hop.host or client.host,
                address=client.address if ip is None else str(ip),
            )
            if ip is None or not self._trusts(ip):
                break
        return client

    def _trusts(self, ip: IPv4Address | IPv6Address) -> bool:
        return any(ip in network for network in self._networks)


def forwarding_fields(arrival: Arrival, fields: Fields) -> tuple[Field, ...]:
    """The fields that tell the origin who the client is. What a trusted peer told stands first in them.

    X-Forwarded-For and Forwarded stay one line each, for origins that read only one.
    """
    if arrival.told is not None:
        return arrival.told
    peer, authority, client, _ = arrival
    return _made(peer, authority, client, _addresses(fields), _elements(fields))


def _made(
    peer: Peer, authority: bytes, client: Client, addresses: Iterable[bytes] = (), elements: Iterable[bytes] = ()
) -> tuple[Field, ...]:
    """The fields, with the addresses and elements of the proxies before this one."""
    host: tuple[Field, ...] = ((b"X-Forwarded-Host", client.host),) if client.host else ()
    return (
        (b"X-Forwarded-For", b", ".join([*addresses, peer.address.encode()])),
        (b"X-Forwarded-Proto", client.scheme.encode()),
        *host,
        (b"Forwarded", b", ".join([*elements, _element(peer.node, authority, peer.scheme.encode())])),
    )


class _Hop(NamedTuple):
    """What one proxy says of the request that it received; empty where it says nothing, or nothing of use."""

    node: bytes = b""  # whom it came from
    host: bytes = b""
    scheme: bytes = b""

    @classmethod
    def of(cls, node: bytes, host: bytes, scheme: bytes) -> "_Hop":
        known = scheme.lower() if scheme.lower() in _SCHEMES else b""
        return cls(node, host if is_authority(host) else b"", known)


def _hops(fields: Fields) -> list[_Hop]:
    """What the proxies before this one say, in their order."""
    return _by_x_forwarded(fields) or _by_forwarded(fields)


def _by_x_forwarded(fields: Fields) -> list[_Hop]:
    nodes = fields.members(b"x-forwarded-for")
    host, scheme = _last(fields, b"x-forwarded-host"), _last(fields, b"x-forwarded-proto")
    if nodes or host or scheme:
        return [*map(_Hop, nodes[:-1]), _Hop.of(nodes[-1] if nodes else b"", host, scheme)]
    return []


def _by_forwarded(fields: Fields) -> list[_Hop]:
    return [_hop(member) for line in fields.all(b"forwarded") for member in members(line)]


def _hop(member: bytes) -> _Hop:
    """A forwarded-element (RFC 7239 section 4); one that cannot be read says nothing."""
    found = _PAIRS.findall(member) if _ELEMENT.fullmatch(member) else []
    pairs = {name.lower(): unquoted(value) for name, value in found}
    return _Hop.of(pairs.get(b"for", b""), pairs.get(b"host", b""), pairs.get(b"proto", b""))


def _addresses(fields: Fields) -> list[bytes]:
    """X-Forwarded-For as it came; where Forwarded stands for it, made of that (RFC 7239 section 7.4).

    There are addresses alone in it, without ports and brackets. Whoever has none that can be read keeps its place: else
    what stands left of it would look like the word of a proxy that never gave it.
    """
    told = _lines(fields, b"x-forwarded-for")
    if told or _by_x_forwarded(fields):
        return told
    return [str(_ip(hop.node) or UNKNOWN).encode() for hop in _by_forwarded(fields)]


def _elements(fields: Fields) -> list[bytes]:
    """Forwarded as it came; where there is none, made of X-Forwarded-* (RFC 7239 section 7.4)."""
    made = (_element(_node(_ip(hop.node)), hop.host, hop.scheme) for hop in _hops(fields))
    return _lines(fields, b"forwarded") or list(made)


def _element(node: bytes, host: bytes, scheme: bytes) -> bytes:
    pairs = (b"for", node), (b"host", host), (b"proto", scheme)
    return b";".join([b"%b=%b" % (name, quoted(value)) for name, value in pairs if value])


def _node(ip: IPv4Address | IPv6Address | None) -> bytes:
    """An address as RFC 7239 section 6 writes it."""
    return b"[%b]" % str(ip).encode() if isinstance(ip, IPv6Address) else str(ip or UNKNOWN).encode()


def _ip(node: bytes) -> IPv4Address | IPv6Address | None:
    """The address in a node (RFC 7239 section 6), or in X-Forwarded-For, where IPv6 may stand without brackets."""
    found = _NODE.fullmatch(node)
    if not found:
        return None
    try:
        ip = ip_address(found[found.lastindex or 0].decode("latin-1"))
    except ValueError:
        return None
    return getattr(ip, "ipv4_mapped", None) or ip  # so a socket for both families calls an IPv4 address


def _site(address: str) -> bytes:
    """The address, or of IPv6 the network that one client has for itself."""
    ip = _ip(address.encode())
    return str(IPv6Network((ip, IPV6_SITE), strict=False) if isinstance(ip, IPv6Address) else address).encode()


def _lines(fields: Fields, name: bytes) -> list[bytes]:
    """The lines of a list field as they came, but for those that have no members (RFC 9110 section 5.6.1.2)."""
    return [line for line in fields.all(name) if members(line)]


def _last(fields: Fields, name: bytes) -> bytes:
    *_, last = b"", *fields.members(name)
    return last
