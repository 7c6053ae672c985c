"""What is legal in a configuration, and hardly meant: `check` warns of it.

Each kind is a function of a whole configuration. None is about a default, which nobody has chosen: a warning that
everybody gets is read by nobody. Where two keys disagree, it is said of one that was written.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from ipaddress import ip_address
from itertools import combinations
from typing import Final, NamedTuple

from pydantic import BaseModel

from proxy.config.addresses import OriginUrl
from proxy.config.loading import Loaded
from proxy.config.reach import METHODS, NEVER_FORWARDED, unreachable
from proxy.config.routes import NEVER_LATER, RespondAsync, Route
from proxy.config.scalars import duration_text, size_text
from proxy.config.secrecy import is_secret
from proxy.config.service import Config
from proxy.config.source import Loc, Problem
from proxy.words import nearest

LARGEST_NETWORK: Final = {4: 8, 6: 7}  # bits of the prefix: 10.0.0.0/8 and fc00::/7 are the largest that are private
PRIVATE_NAMES: Final = (".internal", ".local", ".localhost", ".lan", ".svc")


class Oddity(NamedTuple):
    """Something odd at a place of the configuration."""

    loc: Loc
    what: str  # and what to do


Kind = Callable[[Config], Iterator[Oddity]]


class Clock(NamedTuple):
    """A key with a length of time."""

    section: BaseModel
    at: Loc  # of the section
    key: str
    name: str  # as the other's oddity has it

    @property
    def seconds(self) -> float:
        return float(getattr(self.section, self.key))

    @property
    def told(self) -> str:
        return f"{self.name} ({_told(self.section, self.key, duration_text(self.seconds))})"


def warnings(loaded: Loaded) -> list[Problem]:
    """Everything odd about a configuration, by line."""
    return _problems(loaded, (*OF_ENTRIES, *OF_ALL))


def warnings_of_entries(loaded: Loaded, is_meant: Callable[[Loc], bool]) -> list[Problem]:
    """What is odd about origins, routes and sections at these places, each by itself."""
    return _problems(loaded, OF_ENTRIES, is_meant)


def _problems(loaded: Loaded, kinds: Iterable[Kind], is_meant: Callable[[Loc], bool] = lambda _: True) -> list[Problem]:
    found = (oddity for kind in kinds for oddity in kind(loaded.config) if is_meant(oddity.loc))
    return sorted((loaded.source.problem(*oddity) for oddity in found), key=lambda problem: problem.line)


def _routes_without_requests(config: Config) -> Iterator[Oddity]:
    for index, takers in unreachable(config.routes, config.status_path):
        names = " and ".join(f"`{config.routes[taker].name}` (routes[{taker}])" for taker in takers)
        why = (
            f"{names} before it takes all of its requests; put it first, or"
            if takers
            else "such requests reach no route;"
        )
        yield Oddity(("routes", index), f"can never be reached: {why} remove it")


def _origins_without_routes(config: Config) -> Iterator[Oddity]:
    used = {route.origin for route in config.routes}
    for name in config.origins:
        if name not in used:
            yield Oddity(("origins", name), "is used by no route; remove it, or name it as a route's `origin`")


def _origins_that_are_one(config: Config) -> Iterator[Oddity]:
    for (name, one), (other, second) in combinations(config.origins.items(), 2):
        if shared := set(one.url) & set(second.url):
            what = f"has {min(map(str, shared))} in common with `{name}`, each with a `max_connections` of its own"
            yield Oddity(("origins", other, "url"), f"{what}; make them one origin")


def _secrets_in_the_clear(config: Config) -> Iterator[Oddity]:
    for index, route in enumerate(config.routes):
        far = [url for url in config.origins[route.origin].url if url.scheme == "http" and not _is_near(url)]
        for name, _ in route.request_headers.set if far else ():
            if is_secret(name):
                text = name.decode()
                what = f"is sent unencrypted to {far[0]}; use `https://` for origin `{route.origin}`"
                yield Oddity(("routes", index, "request_headers", "set", text), what)


def _admin_in_the_open(config: Config) -> Iterator[Oddity]:
    admin = config.admin
    if admin is None or admin.unix_path is not None:
        return
    if admin.is_everywhere or _is_global(admin.host):
        what = "is open to the world, and its token is sent unencrypted; listen on the loopback or in a network of your own"
        yield Oddity(("admin",), what)


def _trust_in_everybody(config: Config) -> Iterator[Oddity]:
    for index, network in enumerate(config.trusted_proxies):
        if network.prefixlen < LARGEST_NETWORK[network.version]:
            what = "believes what strangers say of who they are; name the proxies, or their own network"
            yield Oddity(("trusted_proxies", index), what)


def _networks_within_others(config: Config) -> Iterator[Oddity]:
    networks = config.trusted_proxies
    for index, network in enumerate(networks):
        for place, other in enumerate(networks):
            within = network.version == other.version and network.subnet_of(other)  # type: ignore[arg-type]
            if within and (network != other or place < index):
                yield Oddity(("trusted_proxies", index), f"is part of {other} already; remove it")
                break


def _addresses_twice(config: Config) -> Iterator[Oddity]:
    for index, address in enumerate(config.listen):
        if address in config.listen[:index] and (address.port or address.unix_path):
            yield Oddity(("listen", index), "is there twice; remove one")


def _results_in_memory(config: Config) -> Iterator[Oddity]:
    if config.store.url.kind != "memory":
        return
    for index, route in enumerate(config.routes):
        if route.respond_async is not None and _is_set(route.respond_async, "keep"):
            what = "promises more than `memory:` holds, which forgets everything at a restart; use a `sqlite:` store"
            yield Oddity(("routes", index, "respond_async", "keep"), what)


def _results_too_large(config: Config) -> Iterator[Oddity]:
    most = config.store.max_size
    for index, route in enumerate(config.routes):
        later = route.respond_async
        if later is None or later.max_response_body <= most:
            continue
        if _is_set(later, "max_response_body"):
            what = (
                f"is more than the store holds (`store.max_size`: {_told(config.store, 'max_size', size_text(most))})"
            )
            at: Loc = ("routes", index, "respond_async", "max_response_body")
            yield Oddity(at, f"{what}: such a response is never kept; make it less, or that more")
        else:
            largest = _told(later, "max_response_body", size_text(later.max_response_body))
            what = f"is less than one result of `{route.name}` may have (`max_response_body`: {largest})"
            yield Oddity(("store", "max_size"), f"{what}: such a response is never kept; make it more, or that less")


def _draining_too_short(config: Config) -> Iterator[Oddity]:
    if not _is_set(config, "drain_timeout") or not config.drain_timeout:
        return
    route = max(config.routes, key=lambda route: _whole(route).seconds)
    whole = _whole(route)
    if config.drain_timeout < whole.seconds:
        what = f"is shorter than `{route.name}` may take, {whole.told}"
        yield Oddity(("drain_timeout",), f"{what}: what is late is cut off at a stop; make it longer, or that shorter")


def _later_and_never(config: Config) -> Iterator[Oddity]:
    for index, route in enumerate(config.routes):
        if route.respond_async is None:
            continue
        at: Loc = ("routes", index, "respond_async")
        if route.match.methods and route.match.methods <= NEVER_LATER:
            if not route.match.methods <= NEVER_FORWARDED:  # of which it is said that they reach no route
                yield Oddity(at, "does nothing: the route's methods are never answered later; remove it")
        elif route.upgrade:
            what = "does nothing for requests with `Upgrade`, which are never answered later; give these a route of their own"
            yield Oddity(at, what)


def _methods_of_no_route(config: Config) -> Iterator[Oddity]:
    for index, route in enumerate(config.routes):
        at: Loc = ("routes", index, "match", "methods")
        methods = route.match.methods or frozenset()
        for method in sorted(methods - METHODS):
            meant = nearest(method, sorted(METHODS)) or "remove it"
            yield Oddity(at, f"has `{method}`, which is no method that is taken: it is answered 400; {meant}")
        if methods != NEVER_FORWARDED:  # of a route for nothing else it is said that it cannot be reached
            for method in sorted(methods & NEVER_FORWARDED):
                yield Oddity(at, f"has `{method}`, which reaches no route: it is answered 501; remove it")


def _wildcards_in_paths(config: Config) -> Iterator[Oddity]:
    for index, route in enumerate(config.routes):
        path = route.match.path or ""
        if "*" in path:
            bare = path.rstrip("*").removesuffix("/") or "/"
            instead = "a pattern is a `path_regex`" if "*" in bare else f"`{bare}` takes all that is below it"
            yield Oddity(("routes", index, "match", "path"), f"fits only what has a `*` there itself; {instead}")


def _clocks_that_disagree(config: Config) -> Iterator[Oddity]:
    for index, route in enumerate(config.routes):
        if route.respond_async is not None:
            yield from _disagreements(route, route.respond_async, ("routes", index))


def _disagreements(route: Route, later: RespondAsync, at: Loc) -> Iterator[Oddity]:
    wait, max_wait, timeout, keep, retry_after = (
        Clock(later, (*at, "respond_async"), key, f"`{key}`")
        for key in ("wait", "max_wait", "timeout", "keep", "retry_after")
    )
    synchronous = Clock(route, at, "timeout", "the route's `timeout`")
    if later.wait >= later.timeout:
        yield _longer(wait, timeout, "there will be no 202")
    elif later.wait > route.timeout:
        yield _longer(wait, synchronous, "who prefers to be answered later waits longer than who does not")
    if later.wait < later.timeout < later.max_wait:
        yield _longer(
            max_wait, timeout, "an operation has ended by its `timeout`, so nobody can wait for all of `max_wait`"
        )
    if later.max_wait > later.keep:
        yield _longer(max_wait, keep, "a result may be gone while a client still waits as long as it may")
    if later.retry_after > later.keep:
        yield _longer(retry_after, keep, "clients are told to ask again when the result is gone")


def _longer(long: Clock, short: Clock, why: str) -> Oddity:
    """That one is longer than the other, or as long; said of one that was written."""
    same = "as long as" if long.seconds == short.seconds else ""
    if _is_set(short.section, short.key):
        what = f"is {same or 'shorter than'} {long.told}: {why}; make it longer, or {long.name} shorter"
        return Oddity((*short.at, short.key), what)
    return Oddity((*long.at, long.key), f"is {same or 'longer than'} {short.told}: {why}; make it shorter")


def _turns_nobody_needs(config: Config) -> Iterator[Oddity]:
    for index, route in enumerate(config.routes):
        origin = config.origins[route.origin]
        if route.respond_async is not None and (route.respond_async.max_running or 0) > origin.max_connections:
            most = _told(origin, "max_connections", str(origin.max_connections))
            what = (
                f"is never reached: origin `{route.origin}` has `max_connections` ({most}); make it less, or that more"
            )
            yield Oddity(("routes", index, "respond_async", "max_running"), what)


def _fields_removed_and_set(config: Config) -> Iterator[Oddity]:
    for index, route in enumerate(config.routes):
        for key in ("request_headers", "response_headers"):
            changes = getattr(route, key)
            for name in sorted(changes.remove & {name.lower() for name, _ in changes.set}):
                what = f"removes {name.decode()}, which `set` replaces anyway; leave it out"
                yield Oddity(("routes", index, key, "remove"), what)


OF_ENTRIES: Final[Sequence[Kind]] = (  # of one origin, route or section, whatever else there is
    _secrets_in_the_clear,
    _admin_in_the_open,
    _trust_in_everybody,
    _networks_within_others,
    _addresses_twice,
    _later_and_never,
    _methods_of_no_route,
    _wildcards_in_paths,
    _clocks_that_disagree,
    _fields_removed_and_set,
)
OF_ALL: Final[Sequence[Kind]] = (  # of several together
    _routes_without_requests,
    _origins_without_routes,
    _origins_that_are_one,
    _results_in_memory,
    _results_too_large,
    _draining_too_short,
    _turns_nobody_needs,
)


def _is_set(section: BaseModel, key: str) -> bool:
    """Whether the file has the key."""
    return key in section.model_fields_set


def _told(section: BaseModel, key: str, value: str) -> str:
    """A value, and whether anybody has chosen it."""
    return value if _is_set(section, key) else f"{value}, its default"


def _whole(route: Route) -> Clock:
    """What bounds the whole exchange, so far as anything does."""
    if route.respond_async is None:
        return Clock(route, (), "timeout", "`timeout`")
    return Clock(route.respond_async, (), "timeout", "`respond_async.timeout`")


def _is_near(url: OriginUrl) -> bool:
    """Whether what is sent there stays on this machine or in a network of one's own, as far as its name tells."""
    if url.unix_path is not None or url.host.endswith(PRIVATE_NAMES):
        return True
    try:
        return not ip_address(url.host).is_global
    except ValueError:
        return "." not in url.host  # such as containers have among themselves


def _is_global(host: str) -> bool:
    try:
        return ip_address(host).is_global
    except ValueError:
        return False
