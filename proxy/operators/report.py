"""What processes tell of themselves, as plain data, and what several come to together.

It is told in parts, since each is for somebody else: figures are summed; requests are listed, the newest first; and so are
the servers of origins, in one line each, with sums.
"""

from collections import Counter
from collections.abc import Iterable, Mapping
from heapq import merge
from itertools import chain, islice
from operator import itemgetter
from typing import Any, Final, Literal, NamedTuple, TypedDict

from proxy.figures import Figures, summed
from proxy.figures import lasting as lasting_figures

Part = Literal["figures", "requests", "servers"]
Entry = dict[str, Any]  # a request, with its `time` at least

NO_MATTER: Final[Mapping[str, str]] = {}


class Question(NamedTuple):
    """What a process is to tell."""

    parts: tuple[Part, ...]
    like: Mapping[str, str] = NO_MATTER  # values that the requests are to have; `status` may be a class, as 5xx
    most: int = 50  # requests

    def of(self, report: "Report") -> "Report":
        """What of a report is asked for."""
        found = Report()
        if "figures" in self.parts and "figures" in report:
            found["figures"] = report["figures"]
        if "requests" in self.parts and "requests" in report:
            found["requests"] = self.chosen(report["requests"])
        if "servers" in self.parts and "servers" in report:
            found["servers"] = report["servers"]
        return found

    def chosen(self, entries: Iterable[Entry]) -> list[Entry]:
        """Those of the requests that are asked for."""
        return list(islice((entry for entry in entries if _is_like(entry, self.like)), self.most))


FIGURES: Final = Question(("figures",))


class ServerState(TypedDict):
    """A server of an origin, seen from some processes."""

    origin: str
    server: str
    left_alone_by: int  # so many of them
    reason: str | None  # why one of them does that
    connections: int
    idle: int  # of these
    max_connections: int  # of the origin, at all of its servers
    waiting: int  # for a connection to the origin, at whichever of its servers
    held: int  # waiting until fewer operations of their route run
    used_by: dict[str, int]  # how many of the origin's places, at whichever of its servers, are used for each route


class Report(TypedDict, total=False):
    """Some parts of what is known."""

    figures: Figures
    requests: list[Entry]  # the newest first
    servers: list[ServerState]


class Answer(NamedTuple):
    """What the service tells as a whole."""

    report: Report
    workers: int  # processes
    since: float  # when it was started


def with_figures(report: Report, some: Iterable[Figures]) -> Report:
    """A report with its figures, which have come apart from it, some at a time."""
    figures = list(chain.from_iterable(some))
    return Report(**report, figures=figures) if figures else report


def merged(reports: Iterable[Report], most: int | None = None) -> Report:
    """All together, in the parts that any of them has; of requests, at most so many."""
    told = list(reports)
    whole = Report()
    if figures := [one["figures"] for one in told if "figures" in one]:
        whole["figures"] = summed(figures)
    if requests := [one["requests"] for one in told if "requests" in one]:
        whole["requests"] = list(islice(merge(*requests, key=itemgetter("time"), reverse=True), most))
    if servers := [one["servers"] for one in told if "servers" in one]:
        whole["servers"] = _together(state for states in servers for state in states)
    return whole


def lasting(report: Report) -> Report:
    """What stays true when the process is gone: what has happened, not how things stood."""
    left = Report()
    if "figures" in report:
        left["figures"] = lasting_figures(report["figures"])
    if "requests" in report:
        left["requests"] = report["requests"]
    return left


def renewed(known: Report, told: Report) -> Report:
    """What is known of a process that has told something again. Its requests it tells in part only, but at its end."""
    now = Report(**known)
    if "figures" in told:
        now["figures"] = told["figures"]
    return now


def _is_like(entry: Entry, wanted: Mapping[str, str]) -> bool:
    return all(_fits(key, str(entry.get(key)), value) for key, value in wanted.items())


def _fits(key: str, value: str, wanted: str) -> bool:
    """Whether a value is the wanted one or, of a status, of the wanted class: `5xx`."""
    return value == wanted or (key == "status" and wanted.endswith("xx") and value[:1] == wanted[:1])


def _together(states: Iterable[ServerState]) -> list[ServerState]:
    found: dict[tuple[str, str], ServerState] = {}
    for state in states:
        key = state["origin"], state["server"]
        found[key] = _sum(found[key], state) if key in found else state
    return list(found.values())


def _sum(one: ServerState, other: ServerState) -> ServerState:
    return ServerState(
        origin=one["origin"],
        server=one["server"],
        left_alone_by=one["left_alone_by"] + other["left_alone_by"],
        reason=one["reason"] or other["reason"],
        connections=one["connections"] + other["connections"],
        idle=one["idle"] + other["idle"],
        max_connections=max(one["max_connections"], other["max_connections"]),
        waiting=one["waiting"] + other["waiting"],
        held=one["held"] + other["held"],
        used_by=Counter(one["used_by"]) + Counter(other["used_by"]),
    )
