"""What is decided about a request, by those who decide it for real ones, in their order (see `parser`, `handler`, `forward`)."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final, Literal

from proxy.config import Config, Match, OriginSettings, Route
from proxy.errors import NoRoute, ProxyError, RequestTooLarge
from proxy.explain.imagined import Imagined
from proxy.fields import Forwarding, addressed, check_passages, hop_counted
from proxy.forwarded import TrustedProxies
from proxy.message import Field, RequestHead
from proxy.parser import RequestParser
from proxy.plan import Plan, Race, decide
from proxy.prefer import Preferences, parse
from proxy.routes import Routes
from proxy.target import Target, checked
from proxy.upgrade import offered, with_upgrade
from proxy.urls import StatusUrls

NEW_ID: Final = b"(a new one)"
KEYS: Final = ("host", "methods", "path", "path_regex")  # of `match`

Kind = Literal["refused", "status", "here", "sync", "race", "upgrade"]


@dataclass(frozen=True, slots=True)
class PassedBy:
    """A route that stands before the one that is taken, and is not for the request."""

    index: int
    route: Route
    keys: tuple[str, ...]  # of its `match` that do not fit


@dataclass(frozen=True, slots=True)
class Taken:
    """The route that is taken."""

    index: int
    route: Route
    origin: OriginSettings


@dataclass(frozen=True, slots=True)
class Explanation:
    """What would become of a request."""

    request: RequestHead
    kind: Kind
    why: str
    passed_by: tuple[PassedBy, ...] = ()
    taken: Taken | None = None
    plan: Plan | None = None
    sent: RequestHead | None = None  # as the origin gets it
    error: ProxyError | None = None  # with which it is refused

    @property
    def removed(self) -> list[Field]:
        """Fields that the origin does not get, or not as they came."""
        return [] if self.sent is None else [field for field in self.request.fields if field not in self.sent.fields]

    @property
    def added(self) -> list[Field]:
        """Fields that it gets from the proxy, or other than they came."""
        return [] if self.sent is None else [field for field in self.sent.fields if field not in self.request.fields]


def explain(config: Config, imagined: Imagined) -> Explanation:
    try:
        head = _parsed(imagined.head, config.limits.max_fields)
        target = checked(head)
    except ProxyError as error:
        return Explanation(imagined.head, "refused", _why_not(imagined.head, error), error=error)
    urls = StatusUrls(config.status_path, config.public_url)
    if urls.id(target.origin_form) is not None:
        return Explanation(head, "status", f"It is below {config.status_path} (`status_path`), where status URLs are.")
    if hop_counted(head) is None:
        return Explanation(head, "here", "Its Max-Forwards is 0: it goes no further.")
    try:
        check_passages(head, config.name)
    except ProxyError as error:
        return Explanation(head, "refused", "It goes in circles.", error=error)
    route = Routes(config.routes).match(head.method, target.authority, target.origin_form)
    passed_by = tuple(_passed_by(config, route, head.method, target))
    if route is None:
        return Explanation(head, "refused", "No route is for it.", passed_by, error=NoRoute())
    likeness = urls.likeness(target.origin_form)
    disguised = likeness is not None and likeness.is_disguise
    return _on_its_route(config, imagined._replace(head=head), target, passed_by, disguised=disguised)


def _parsed(head: RequestHead, most: int) -> RequestHead:
    """The head as it is taken from a connection. Raises ProxyError for what never becomes a request."""
    taken: list[RequestHead] = []
    line_end = b" HTTP/%d.%d\r\n" % head.version
    parser = RequestParser(most, lambda head, _: taken.append(head), lambda: None)
    parser.feed(head.to_wire().replace(b" HTTP/1.1\r\n", line_end, 1))
    return taken[0]


def _why_not(head: RequestHead, error: ProxyError) -> str:
    in_other_case = "" if head.method.isupper() else " Case counts in methods."
    return error.why or f"It is no request that can be forwarded.{in_other_case}"


def _on_its_route(
    config: Config, imagined: Imagined, target: Target, passed_by: tuple[PassedBy, ...], *, disguised: bool
) -> Explanation:
    head, route = imagined.head, config.routes[len(passed_by)]
    taken = Taken(len(passed_by), route, config.origins[route.origin])
    preferences = parse(head.fields.all(b"prefer"))
    plan = decide(preferences, route, head, disguised=disguised)
    offers = offered(head) if route.upgrade else ()
    kind: Kind = "upgrade" if offers else "race" if isinstance(plan, Race) else "sync"
    why = _why(kind, plan, preferences, route)
    if error := _too_large(imagined, taken, kind):
        return Explanation(head, "refused", why, passed_by, taken, plan, error=error)
    sent = _sent(config, imagined, target, taken)
    if offers:
        sent = sent.with_fields(with_upgrade(sent.fields, offers))
    return Explanation(head, kind, why, passed_by, taken, plan, sent)


def _passed_by(config: Config, route: Route | None, method: str, target: Target) -> Iterator[PassedBy]:
    """The routes before this one. What of them does not fit is found by asking for a route with nothing else."""
    for index, earlier in enumerate(config.routes):
        if earlier is route:
            return
        tried = ((key, getattr(earlier.match, key)) for key in KEYS)
        alone = {key: earlier.model_copy(update={"match": Match(**{key: value})}) for key, value in tried if value}
        keys = (
            key for key, one in alone.items() if not Routes([one]).match(method, target.authority, target.origin_form)
        )
        yield PassedBy(index, earlier, tuple(keys))


def _why(kind: Kind, plan: Plan, preferences: Preferences, route: Route) -> str:
    if kind == "upgrade":
        return "It offers another protocol, and the route has `upgrade: true`."
    if isinstance(plan, Race):
        return f"It prefers respond-async, and the route honours that; {_whose_wait(plan, preferences)}."
    return plan.why or _unasked(preferences, route)


def _unasked(preferences: Preferences, route: Route) -> str:
    asked = " (`wait` alone asks for nothing)" if preferences.wait is not None else ""
    vain = ", which its route would not honour: it has no `respond_async`" if route.respond_async is None else ""
    return f"It does not prefer respond-async{asked}{vain}."


def _whose_wait(race: Race, preferences: Preferences) -> str:
    if race.honoured_wait is not None:
        return f"the origin has the client's own wait of {race.wait:g} s to answer"
    if preferences.wait is not None:
        return f"of the client's wait of {preferences.wait} s it grants `max_wait`, {race.wait:g} s"
    return f"the client names no wait, so the origin has the route's, {race.wait:g} s, to answer"


def _too_large(imagined: Imagined, taken: Taken, kind: Kind) -> ProxyError | None:
    later = taken.route.respond_async
    limit = later.max_request_body if kind == "race" and later is not None else taken.route.max_request_body
    if imagined.length is None or imagined.length <= limit:
        return None
    return RequestTooLarge.announced(imagined.length, limit)


def _sent(config: Config, imagined: Imagined, target: Target, taken: Taken) -> RequestHead:
    """The head as the origin gets it, from the first of its servers."""
    counted = hop_counted(imagined.head) or imagined.head
    head = counted._replace(target=target.origin_form)
    trusted = TrustedProxies(config.trusted_proxies)
    peer = trusted.peer(imagined.peer, tls=config.tls is not None)
    forwarding = Forwarding(taken.route, taken.origin, config.name)
    fields = forwarding.for_origin(head, trusted.arrival(peer, target.authority, head.fields), NEW_ID)
    sent = addressed(RequestHead(head.method, forwarding.target(head.target), fields), taken.origin.url[0].authority)
    if imagined.length is None:
        return sent
    return sent.with_fields(sent.fields.plus((b"Content-Length", b"%d" % imagined.length)))
