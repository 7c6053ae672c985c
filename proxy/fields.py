"""What forwarding changes in header sections, both ways.

All else stays as it came: names and values byte for byte, order and duplicates. What the proxy makes stands after what
the other side sent. A route's own changes have the last word, over the proxy's fields too; only `Vary: Prefer` stays,
without which caches would mix up answers (RFC 7240 section 2).

Framing is not decided here. Requests leave without Content-Length, which whoever sends the content adds; responses keep
theirs, which is right even where there is no content to count (HEAD, 304).
"""

from collections.abc import Iterable
from typing import Final

from proxy.config import FieldChanges, OriginSettings, Route
from proxy.errors import LoopDetected
from proxy.forwarded import FORWARDING_FIELDS, Arrival, Client, forwarding_fields
from proxy.grammar import number
from proxy.location import REFERENCE_FIELDS, WayBack
from proxy.message import KEEP_ALIVE, Field, Fields, RequestHead, ResponseHead
from proxy.target import Paths

HOP_BY_HOP: Final = frozenset(
    {
        b"connection", b"keep-alive", b"te", b"trailer", b"transfer-encoding", b"upgrade",  # RFC 9110 section 7.6.1
        b"proxy-authenticate", b"proxy-authentication-info", b"proxy-authorization",  # 11.7: for the proxy next to one
        b"http2-settings",  # RFC 7540 section 3.2.1: belongs to Upgrade
        b"proxy-connection",  # never standard, still sent
    }
)  # fmt: skip

# Connection may name any field (RFC 9110 section 7.6.1), but messages without these would mean something else.
ESSENTIAL: Final = frozenset({b"host", b"content-length"})

LIMITED: Final = frozenset({"TRACE", "OPTIONS"})  # whose Max-Forwards counts (RFC 9110 section 7.6.2)
MOST_PASSAGES: Final = 8  # of one request through proxies of one name

_VARIES_ANYWAY: Final = frozenset({b"*", b"prefer"})
_VARY_PREFER: Final[Field] = (b"Vary", b"Prefer")


def end_to_end(fields: Fields) -> Fields:
    """The fields without those that speak of one connection only (RFC 9110 section 7.6.1)."""
    return Fields(_remaining(fields, _with_named(HOP_BY_HOP, fields)))


def hop_counted(request: RequestHead) -> RequestHead | None:
    """The request with its Max-Forwards counted down; None if it must be answered here (RFC 9110 section 7.6.2)."""
    if request.method not in LIMITED:
        return request
    left = number(request.fields.first(b"max-forwards") or b"")
    if left is None:
        return request
    counted = (
        (name, b"%d" % (left - 1) if name.lower() == b"max-forwards" else value) for name, value in request.fields
    )
    return request.with_fields(Fields(counted)) if left else None


def check_passages(request: RequestHead, name: str) -> None:
    """Raises LoopDetected where forwarding would go in circles (RFC 9110 section 7.6). The name is the proxy's own.

    Some proxies of one name may stand in line.
    """
    if b"via" not in request.fields.names:
        return
    passed, here = request.fields.members(b"via"), b" " + name.lower().encode()
    if len(passed) >= MOST_PASSAGES and sum(via.endswith(here) for via in passed) >= MOST_PASSAGES:
        raise LoopDetected("Its Via names this proxy too many times: an origin leads back to it.")


def addressed(request: RequestHead, authority: bytes) -> RequestHead:
    """The request as this server gets it: with its own authority for a Host that was left empty."""
    place = _place_of_host(request.fields)
    if place is not None and request.fields[place][1]:
        return request
    lines = list(request.fields)
    _put_host(lines, authority)
    return request.with_fields(Fields(lines))


class Forwarding:
    """What changes on the way from a route to its origin and back. Made once, at start."""

    def __init__(self, route: Route, origin: OriginSettings, name: str, public_url: str | None = None) -> None:
        """The name is the proxy's own, for Via. For the URL see `client_view`."""
        unwanted = FORWARDING_FIELDS | {b"content-length"} | ({b"prefer"} if route.strip_prefer else set())
        self._request = _Changes(route.request_headers, HOP_BY_HOP | unwanted)
        self._response = _Changes(route.response_headers, HOP_BY_HOP)
        self._via: dict[tuple[int, int], Field] = {
            (1, minor): (b"Via", b"1.%d %b" % (minor, name.encode())) for minor in (0, 1)
        }
        self._preserves_host = origin.host_header == "preserve"
        set_by_route = Fields(self._response.lines).members(b"vary")
        self._varies = route.respond_async is not None and _VARIES_ANYWAY.isdisjoint(set_by_route)
        self._public = None if public_url is None else public_url.split("://")
        self._has_own_host = route.match.host is not None
        self._paths = Paths((route.strip_path or "").encode(), (route.add_path or "").encode())
        self._way_back = WayBack(self._paths, origin.url) if self._paths != Paths() else None

    def target(self, origin_form: bytes) -> bytes:
        """The target for the origin."""
        return self._paths.to_origin(origin_form)

    def client_view(self, client: Client) -> Client:
        """The client, with the scheme and host by which it knows what the route leads to.

        They are those of `public_url`, whatever it seems to have used, but for the host of a route that is for that host:
        on another, the same path may be another route's.
        """
        if self._public is None:
            return client
        scheme, host = self._public
        return client._replace(scheme=scheme, host=client.host if self._has_own_host else host.encode())

    def for_origin(self, request: RequestHead, arrival: Arrival, request_id: bytes) -> Fields:
        """The fields for the origin, without framing; the id is for requests that have none.

        Host is empty where it is to be the origin's own: its servers have one each (see `addressed`).
        """
        fields, changes = request.fields, self._request
        names, host = fields.names, arrival.authority if self._preserves_host else b""
        dropped, own_id = _with_named(changes.dropped, fields), names.get(b"x-request-id")
        if own_id == b"":  # which is none: the proxy goes by the one that it has made
            dropped |= {b"x-request-id"}
        kept = _remaining(fields, dropped)
        if b"expect" in names:
            kept = [field for field in kept if not _is_answered_here(field)]
        if fields.first(b"host") != host:
            _put_host(kept, host)
        made = [self._via[request.version], *forwarding_fields(arrival, fields)]
        if own_id is None or b"x-request-id" in dropped:
            made.append((b"X-Request-Id", request_id))
        return Fields(changes.applied(kept, made))

    def for_client(
        self, response: ResponseHead, arrival: Arrival, date: bytes, version: tuple[int, int] = (1, 1)
    ) -> Fields:
        """The fields for the client; the date is for responses that have none, the version is the origin's."""
        fields, changes = response.fields, self._response
        names = fields.names
        dropped = _with_named(changes.dropped, fields)
        kept = _remaining(fields, dropped)
        if self._way_back and not REFERENCE_FIELDS.isdisjoint(names):
            kept = self._led_back(kept, self._way_back, arrival)
        made = [self._via[version]]
        if b"date" not in names or b"date" in dropped:
            made.append((b"Date", date))
        lines = changes.applied(kept, made)
        if self._varies and (b"vary" not in names or b"vary" in dropped or _lacks_prefer(fields)):
            lines.append(_VARY_PREFER)
        return Fields(lines)

    def _host(self, arrival: Arrival) -> bytes | None:
        """What the origin gets as Host; None: its own."""
        return (arrival.authority or None) if self._preserves_host else None

    def _led_back(self, fields: Iterable[Field], way_back: WayBack, arrival: Arrival) -> list[Field]:
        host, client = self._host(arrival), self.client_view(arrival.client)
        return [
            (name, way_back.client_location(value, host, client) if name.lower() in REFERENCE_FIELDS else value)
            for name, value in fields
        ]


class _Changes:
    """What a route sets and removes, with what is dropped from the start."""

    def __init__(self, changes: FieldChanges, dropped: frozenset[bytes]) -> None:
        self.lines = changes.set
        self._names = changes.remove.union(name.lower() for name, _ in changes.set)
        self.dropped = dropped | self._names

    def applied(self, kept: list[Field], made: list[Field]) -> list[Field]:
        """What is left of the sender's fields, what the proxy made, and what the route sets."""
        if self._names:
            made = [field for field in made if field[0].lower() not in self._names]
        return [*kept, *made, *self.lines]


def _with_named(dropped: frozenset[bytes], fields: Fields) -> frozenset[bytes]:
    """The names that are dropped, and those that Connection adds to them."""
    lines = fields.all(b"connection")
    if not lines or lines == KEEP_ALIVE:  # which is dropped anyway
        return dropped
    names = fields.names
    named = [name for name in fields.members(b"connection") if name in names and name not in ESSENTIAL]
    return dropped.union(named) if named else dropped


def _remaining(fields: Fields, dropped: frozenset[bytes]) -> list[Field]:
    """The fields but those dropped."""
    if dropped.isdisjoint(fields.names):
        return list(fields)
    return [field for field in fields if field[0].lower() not in dropped]


def _put_host(fields: list[Field], host: bytes) -> None:
    """Host in its place; in the first where it had none (RFC 9110 section 7.2)."""
    place = _place_of_host(fields)
    if place is None:
        fields.insert(0, (b"Host", host))
    else:
        fields[place] = (fields[place][0], host)


def _place_of_host(fields: Iterable[Field]) -> int | None:
    """Where Host stands: nearly always first, so that an index of all names would cost more."""
    for place, (name, _) in enumerate(fields):
        if name.lower() == b"host":
            return place
    return None


def _lacks_prefer(fields: Fields) -> bool:
    """Whether Vary is there, and says nothing of Prefer."""
    return _VARIES_ANYWAY.isdisjoint(fields.members(b"vary"))


def _is_answered_here(field: Field) -> bool:
    """Whether this is the one expectation that the proxy itself meets (RFC 9110 section 10.1.1)."""
    return field[0].lower() == b"expect" and field[1].lower() == b"100-continue"
