"""Which routes no request can reach, because those before them take all of theirs.

Said only where it is certain: whether one regular expression takes all that another does is decided by their literal
beginnings alone, so that many a route that cannot be reached is not found here; none is that can.
"""

import re
from collections.abc import Iterator, Sequence
from typing import Final, NamedTuple

from proxy.config.routes import Match, Route

EVERYTHING: Final = "/"  # the path that every request is below
NEVER_FORWARDED: Final = frozenset({"CONNECT"})

# What the parser takes for methods; a request with another is answered before any route.
METHODS: Final = frozenset(
    {"ACL", "BIND", "CHECKOUT", "CONNECT", "COPY", "DELETE", "GET", "HEAD", "LINK", "LOCK", "M-SEARCH", "MERGE",
     "MKACTIVITY", "MKCALENDAR", "MKCOL", "MOVE", "NOTIFY", "OPTIONS", "PATCH", "POST", "PROPFIND", "PROPPATCH",
     "PURGE", "PUT", "QUERY", "REBIND", "REPORT", "SEARCH", "SOURCE", "SUBSCRIBE", "TRACE", "UNBIND", "UNLINK",
     "UNLOCK", "UNSUBSCRIBE"}
)  # fmt: skip

# Characters that mean themselves, up to one of which there may also be none.
_LITERAL: Final = re.compile(r"[A-Za-z0-9/_~%!&',:;=@-]*")
_MAY_BE_NONE: Final = ("*", "?", "{")


class Unreachable(NamedTuple):
    """A route that cannot be reached."""

    route: int  # its index
    takers: tuple[int, ...]  # the routes that take its requests; none: no route gets them


def unreachable(routes: Sequence[Route], status_path: str) -> Iterator[Unreachable]:
    """The routes that no request reaches, in their order. What is below `status_path` is for no route."""
    for index, route in enumerate(routes):
        if _begins(route.match).startswith(status_path) or route.match.methods == NEVER_FORWARDED:
            yield Unreachable(index, ())
        elif takers := _takers(route.match, [earlier.match for earlier in routes[:index]]):
            yield Unreachable(index, takers)


def _takers(later: Match, earlier: Sequence[Match]) -> tuple[int, ...]:
    """Who takes all requests of the later one, together; empty if some are left."""
    wider = [(index, match) for index, match in enumerate(earlier) if _covers_place(match, later)]
    found = set()
    for method in (later.methods or {""}) - NEVER_FORWARDED:
        takes = (index for index, match in wider if match.methods is None or method in match.methods)
        if (first := next(takes, None)) is None:
            return ()
        found.add(first)
    return tuple(sorted(found))


def _covers_place(earlier: Match, later: Match) -> bool:
    return _covers_host(earlier.host, later.host) and _covers_path(earlier, later)


def _covers_host(earlier: str | None, later: str | None) -> bool:
    if earlier is None or earlier == later:
        return True
    return later is not None and earlier.startswith("*") and later.removeprefix("*").endswith(earlier[1:])


def _covers_path(earlier: Match, later: Match) -> bool:
    if earlier.path_regex is not None:
        return _covers_by_regex(earlier.path_regex.pattern, later)
    path = earlier.path or EVERYTHING
    if path == EVERYTHING or (later.path_regex is None and later.path == path):
        return True
    return _begins(later).startswith(path.removesuffix("/") + "/")


def _covers_by_regex(pattern: str, later: Match) -> bool:
    """An expression without anything special takes whatever begins like it: it need not match to the end."""
    if later.path_regex is not None and later.path_regex.pattern == pattern:
        return True
    literal = pattern.removesuffix(".*")
    return _literal_beginning(literal) == literal and (_begins(later) or "*").startswith(literal)


def _begins(match: Match) -> str:
    """What all paths begin with that it takes; nothing where that is not known."""
    if match.path_regex is not None:
        return _literal_beginning(match.path_regex.pattern)
    return "" if match.path in (None, EVERYTHING) else str(match.path)


def _literal_beginning(pattern: str) -> str:
    found = _LITERAL.match(pattern)
    literal = found[0] if found and "|" not in pattern else ""
    return literal[:-1] if pattern[len(literal) :].startswith(_MAY_BE_NONE) else literal
