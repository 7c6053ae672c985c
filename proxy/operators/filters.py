"""What an operator asks a list for, read from a query. What cannot be read is refused with what could be."""

import re
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from math import inf
from typing import Final, NamedTuple
from urllib.parse import urlencode

from proxy.config.scalars import Refused, duration
from proxy.operation import SHORT_ID, State
from proxy.operators.refusal import Refusal
from proxy.request_id import as_kept
from proxy.store import ANY, SETTLED, UNSETTLED, Wanted

KEYS: Final = ("route", "state", "older_than", "younger_than", "limit", "cursor")
WORDS: Final = {
    **{state.value: frozenset({state}) for state in State},
    "unsettled": UNSETTLED,
    "settled": SETTLED,
}
USUAL: Final = 50  # operations in a page of the list
MOST: Final = 500
CURSOR: Final = re.compile("[1-9][0-9]{0,17}")
STATUS: Final = re.compile("[1-5]([0-9]{2}|xx)")


class Asked(NamedTuple):
    """A page of a list, as it was asked for."""

    query: Mapping[str, str]
    wanted: Wanted
    limit: int
    before: int | None
    settled_by: float  # of the settled ones, those that were so at this time

    def next(self, before: int | None) -> str | None:
        """The target that asks for the page after this one."""
        return None if before is None else f"/operations?{urlencode({**self.query, 'cursor': before}, safe=',')}"


def single(query: Iterable[tuple[str, str]], keys: Sequence[str]) -> dict[str, str]:
    """The query by its keys. Raises Refusal for others, for one given twice, and for one without a value.

    That is most likely a variable that was not set, where somebody meant one route, and not all of them.
    """
    found: dict[str, str] = {}
    for key, value in query:
        if key not in keys:
            raise Refusal(400, f"There is no such parameter here. There are {_listed(keys)}.")
        if key in found:
            raise Refusal.of(key, "is given twice. Several values stand in one, with commas, where it takes them.")
        if not value:
            raise Refusal.of(key, "is empty: give it a value, or leave it out.")
        found[key] = value
    return found


def asked(query: Iterable[tuple[str, str]], now: float, keys: Sequence[str] = KEYS) -> Asked:
    """What a query asks for at this time. Raises Refusal."""
    given = single(query, keys)
    return Asked(
        given,
        _wanted(given, now),
        _limit(given.get("limit", "")),
        _before(given.get("cursor", "")),
        _time("settled_by", given) if "settled_by" in given else now,
    )


def states_wanted(query: Iterable[tuple[str, str]]) -> frozenset[State]:
    """In which states an operation is to be, of which nothing else is asked. Raises Refusal."""
    return _states(single(query, ("state",)))


def requests_wanted(query: Iterable[tuple[str, str]]) -> dict[str, str]:
    """What recent requests are to be like: `id`, `operation`, `route`, `status`. Raises Refusal."""
    given = single(query, ("id", "operation", "route", "status"))
    if not STATUS.fullmatch(given.get("status", "5xx")):
        raise Refusal.of("status", "is one such as 504, or a class of them such as 5xx.")
    if "id" in given:
        given["id"] = as_kept(given["id"])
    if "operation" in given:
        given["operation"] = given["operation"][:SHORT_ID]  # as much as is known of it
    return given


def _wanted(given: Mapping[str, str], now: float) -> Wanted:
    older, younger = _seconds("older_than", given, -inf), _seconds("younger_than", given, inf)
    if older >= younger:
        raise Refusal.of("younger_than", "must be more than `older_than`: no operation is older and younger than that.")
    return Wanted(_states(given), _routes(given), earliest=now - younger, latest=now - older)


def _states(given: Mapping[str, str]) -> frozenset[State]:
    if "state" not in given:
        return ANY
    try:
        return frozenset().union(*(WORDS[word] for word in given["state"].split(",")))
    except KeyError as exc:
        raise Refusal.of("state", f"is one or several, with commas, of {_listed(WORDS)}.") from exc


def _routes(given: Mapping[str, str]) -> frozenset[str]:
    routes = frozenset(given["route"].split(",")) if "route" in given else frozenset()
    if "" in routes:
        raise Refusal.of("route", "is one or several, with commas; one of these is empty.")
    return routes


def _seconds(key: str, given: Mapping[str, str], otherwise: float) -> float:
    try:
        return duration(given[key]) if key in given else otherwise
    except Refused as exc:
        raise Refusal.of(key, f"{exc.reason}.") from exc


def _time(key: str, given: Mapping[str, str]) -> float:
    try:
        return datetime.strptime(given[key], "%Y-%m-%dT%H:%M:%S.%f%z").timestamp()
    except ValueError as exc:
        raise Refusal.of(key, "is the `time` of a list: 2026-11-24T20:00:00.000Z.") from exc


def _limit(text: str) -> int:
    if not text:
        return USUAL
    if not re.fullmatch("[0-9]{1,3}", text) or not 1 <= int(text) <= MOST:
        raise Refusal.of("limit", f"is a whole number from 1 to {MOST}.")
    return int(text)


def _before(text: str) -> int | None:
    if not text:
        return None
    if not CURSOR.fullmatch(text):
        raise Refusal.of("cursor", "is not one that `next` of a list had. Without it, the list begins at the newest.")
    return int(text)


def _listed(words: Iterable[str]) -> str:
    return ", ".join(f"`{word}`" for word in words)
