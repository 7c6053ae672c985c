"""Whether a request is answered now, or perhaps later.

Size is not decided here: how much content a request has may be known only after it has been received.
"""

from dataclasses import dataclass, field
from typing import Final

from proxy.config import NEVER_LATER, Route
from proxy.message import RequestHead
from proxy.prefer import Preferences

# A 206 or 304 answers this very request; replayed to a later plain GET it would be wrong (RFC 9110 sections 13, 14).
PARTIAL_OR_CONDITIONAL: Final = frozenset({b"range", b"if-range", b"if-none-match", b"if-modified-since"})


@dataclass(frozen=True, slots=True)
class Sync:
    """The client waits for the origin, however long it takes."""

    why: str = field(default="", compare=False)  # where it had asked to be answered later


@dataclass(frozen=True, slots=True)
class Race:
    """The client is answered by the origin in time, or else with 202."""

    wait: float  # seconds from when the request has been received (RFC 7240 section 4.3)
    honoured_wait: int | None  # the client's own wait, if that is what it got


Plan = Sync | Race

SYNC: Final = Sync()
ANOTHER_SPELLING: Final = "a request to what may be read as a status URL"


def decide(preferences: Preferences, route: Route, request: RequestHead, *, disguised: bool = False) -> Plan:
    """The plan for a request with these preferences on this route (RFC 7240 section 4.1).

    `disguised`: its path is a status URL's in another spelling. That makes no operation, as no status URL does.
    """
    asynchronous = route.respond_async
    if not preferences.respond_async:
        return SYNC
    if asynchronous is None:
        return Sync(f"The preference respond-async was not honoured: route {route.name} has no respond_async.")
    if hindrance := ANOTHER_SPELLING if disguised else _hindrance(request):
        return Sync(f"The preference respond-async was not honoured: {hindrance} is never answered later.")
    if preferences.wait is None:
        return Race(asynchronous.wait, None)
    if preferences.wait > asynchronous.max_wait:
        return Race(asynchronous.max_wait, None)
    return Race(float(preferences.wait), preferences.wait)


def _hindrance(request: RequestHead) -> str | None:
    """What of the request keeps it from being answered later."""
    names = request.fields.names
    if request.method in NEVER_LATER:
        return request.method
    if b"upgrade" in names:
        return "a request with Upgrade"
    if request.method in {"GET", "HEAD"} and (found := PARTIAL_OR_CONDITIONAL.intersection(names)):
        return f"{request.method} with {min(found).decode().title()}"
    return None
