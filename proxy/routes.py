"""Which route a request takes: the first that matches.

Paths are matched as the bytes that came, up to the `?`: nothing is decoded and no dot-segment removed, because nothing
is changed on the way to the origin either. So `/a%2Fb/../c` is below `/a%2Fb`, and not below `/a/b` or `/c`. An origin
that decodes and normalises may see another path than the route did: a route says where a request goes, it does not
guard what lies there.

- `path` matches on segment borders: `/reports` matches itself and `/reports/x`, not `/reportsx`; `/api/` matches
  what is below it, not `/api`; `/` matches every request, that for `*` too.
- `path_regex` must match from the path's first byte and need not reach its last, unless it says so.
- `host` is compared without port, case and a last dot; `*.example.com` matches at any depth below `example.com`.
- `methods` are compared exactly (RFC 9110 section 9.1).
"""

import re
from collections.abc import Iterable

from proxy.config import Route
from proxy.target import path_of


class Routes:
    """The routes of a configuration, ready for matching."""

    def __init__(self, routes: Iterable[Route]) -> None:
        self._matchers = [_Matcher(route) for route in routes]
        self._by_host = any(matcher.host for matcher in self._matchers)

    def match(self, method: str, host: bytes | None, target: bytes) -> Route | None:
        """The route for a Host value, port and all, and a target in origin-form or `*`."""
        path = path_of(target)
        name = host_name(host or b"") if self._by_host else b""
        for matcher in self._matchers:
            if matcher.accepts(method, name, path):
                return matcher.route
        return None


class _Matcher:
    __slots__ = ("_below", "_exact", "_methods", "_regex", "host", "route")

    def __init__(self, route: Route) -> None:
        match = route.match
        self.route = route
        self._methods = frozenset(match.methods or ())
        self.host = (match.host or "").encode().removeprefix(b"*")  # ".example.com" of a wildcard
        self._exact = (match.path or "/").encode()
        self._below = b"" if self._exact == b"/" else self._exact.removesuffix(b"/") + b"/"
        self._regex = None if match.path_regex is None else re.compile(match.path_regex.pattern.encode())

    def accepts(self, method: str, host: bytes, path: bytes) -> bool:
        if self._methods and method not in self._methods:
            return False
        if self.host and not self._accepts_host(host):
            return False
        if self._regex:
            return self._regex.match(path) is not None
        return path.startswith(self._below) or path == self._exact

    def _accepts_host(self, host: bytes) -> bool:
        return host.endswith(self.host) if self.host.startswith(b".") else host == self.host


def host_name(authority: bytes) -> bytes:
    """The host in a Host value, in lower case; IPv6 keeps its brackets."""
    if authority.startswith(b"["):
        return authority.partition(b"]")[0].lower() + b"]"
    return authority.partition(b":")[0].removesuffix(b".").lower()
