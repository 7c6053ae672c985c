"""What is legal in a configuration, and hardly meant: `check` warns of it.

Each kind is a function of a whole configuration. None is about a default, which nobody has chosen: a warning that
everybody gets is read by nobody.
"""

from collections.abc import Callable, Iterator, Sequence
from ipaddress import ip_address
from itertools import combinations
from typing import Final, NamedTuple

from pydantic import BaseModel

from proxy.config.addresses import OriginUrl
from proxy.config.loading import Loaded
from proxy.config.reach import unreachable
from proxy.config.scalars import duration_text
from proxy.config.schema import NEVER_LATER, Config, RespondAsync, Route
from proxy.config.secrecy import is_secret
from proxy.config.source import Loc, Problem

LARGEST_NETWORK: Final = {4: 8, 6: 7}  # bits of the prefix: 10.0.0.0/8 and fc00::/7 are the largest that are private
PRIVATE_NAMES: Final = (".internal", ".local", ".localhost", ".lan", ".svc")


class Oddity(NamedTuple):
    """Something odd at a place of the configuration."""

    loc: Loc
    what: str  # and what to do


def warnings(loaded: Loaded) -> list[Problem]:
    """Everything odd about a configuration, by line."""
    found = (oddity for kind in KINDS for oddity in kind(loaded.config))
    return sorted((loaded.source.problem(*oddity) for oddity in found), key=lambda problem: problem.line)


def _routes_without_requests(config: Config) -> Iterator[Oddity]:
    for index, takers in unreachable(config.routes, config.status_path):
        names = " and ".join(f"`{config.routes[taker].name}` (routes[{taker}])" for taker in takers)
        why = f"{names} before it takes all of its requests; put it first" if takers else "such requests reach no route"
        yield Oddity(("routes", index), f"can never be reached: {why}, or remove it")


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


def _draining_too_short(config: Config) -> Iterator[Oddity]:
    if not _is_set(config, "drain_timeout") or not config.drain_timeout:
        return
    longest = max(config.routes, key=_longest)
    if config.drain_timeout < _longest(longest):
        key = "respond_async.timeout" if longest.respond_async else "timeout"
        what = f"is shorter than `{longest.name}` may take (`{key}`: {duration_text(_longest(longest))})"
        yield Oddity(("drain_timeout",), f"{what}: what is late is cut off at a stop; make it longer, or that shorter")


def _later_and_never(config: Config) -> Iterator[Oddity]:
    for index, route in enumerate(config.routes):
        if route.respond_async is None:
            continue
        if route.upgrade:
            what = "does nothing for requests with `Upgrade`, which are never answered later; give these a route of their own"
            yield Oddity(("routes", index, "respond_async"), what)
        if route.match.methods and route.match.methods <= NEVER_LATER:
            yield Oddity(
                ("routes", index, "respond_async"),
                "does nothing: the route's methods are never answered later; remove it",
            )


def _clocks_that_disagree(config: Config) -> Iterator[Oddity]:
    for index, route in enumerate(config.routes):
        if (later := route.respond_async) is not None:
            for key, what in _disagreements(route, later):
                yield Oddity(("routes", index, "respond_async", key), what)


def _disagreements(route: Route, later: RespondAsync) -> Iterator[tuple[str, str]]:
    """Keys of `respond_async`, and what is odd about them."""
    if later.wait >= later.timeout:
        yield (
            "wait",
            f"is never over before `timeout` ({duration_text(later.timeout)}): there will be no 202; make it shorter",
        )
    elif later.wait > route.timeout:
        what = f"is longer than the route's `timeout` ({duration_text(route.timeout)})"
        yield "wait", f"{what}: who prefers to be answered later waits longer than who does not; make it shorter"
    if later.wait < later.timeout < later.max_wait:
        yield (
            "max_wait",
            f"is longer than `timeout` ({duration_text(later.timeout)}), after which all is settled; make it shorter",
        )
    if later.keep < later.max_wait:
        what = f"is shorter than `max_wait` ({duration_text(later.max_wait)})"
        yield "keep", f"{what}: a result may be gone while a client still waits as long as it may; make it longer"
    if later.keep < later.retry_after:
        what = f"is shorter than `retry_after` ({duration_text(later.retry_after)})"
        yield "keep", f"{what}: clients are told to ask again when the result is gone; make it longer"


def _turns_nobody_needs(config: Config) -> Iterator[Oddity]:
    for index, route in enumerate(config.routes):
        most = config.origins[route.origin].max_connections
        if route.respond_async is not None and (route.respond_async.max_running or 0) > most:
            what = f"is never reached: origin `{route.origin}` has a `max_connections` of {most}; make it less"
            yield Oddity(("routes", index, "respond_async", "max_running"), what)


def _fields_removed_and_set(config: Config) -> Iterator[Oddity]:
    for index, route in enumerate(config.routes):
        for key in ("request_headers", "response_headers"):
            changes = getattr(route, key)
            for name in sorted(changes.remove & {name.lower() for name, _ in changes.set}):
                what = f"removes {name.decode()}, which `set` replaces anyway; leave it out"
                yield Oddity(("routes", index, key, "remove"), what)


KINDS: Final[Sequence[Callable[[Config], Iterator[Oddity]]]] = (
    _routes_without_requests,
    _origins_without_routes,
    _origins_that_are_one,
    _secrets_in_the_clear,
    _admin_in_the_open,
    _trust_in_everybody,
    _networks_within_others,
    _addresses_twice,
    _results_in_memory,
    _draining_too_short,
    _later_and_never,
    _clocks_that_disagree,
    _turns_nobody_needs,
    _fields_removed_and_set,
)


def _is_set(section: BaseModel, key: str) -> bool:
    """Whether the file has the key."""
    return key in section.model_fields_set


def _longest(route: Route) -> float:
    return route.timeout if route.respond_async is None else route.respond_async.timeout


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
