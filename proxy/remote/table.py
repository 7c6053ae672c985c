"""Operations and requests as text: a table of several, all that is known of one."""

from collections.abc import Iterable, Sequence
from typing import Any, Final

from proxy.remote.answers import Json
from proxy.words import amount, elapsed, printable

HEADING: Final = ("ID", "STATE", "ROUTE", "METHOD", "TARGET", "AGE", "202 TO END", "SIZE", "OUTCOME")
OF_REQUESTS: Final = ("TIME", "STATUS", "ID", "METHOD", "PATH", "END", "WHY")
MAY_BE_LONG: Final = frozenset({"ID", "TARGET", "PATH"})  # as their clients like
# In characters, where there is no room for all:
LEAST_OF_LONG: Final = 16  # in any case
LEAST_OF_LAST: Final = 20  # of the last column, before a long one gets more than its least
ENOUGH_OF_LONG: Final = 40  # before it gets more than that, the last column is whole
AGES: Final = frozenset({"age", "waited", "duration", "left"})
NAMES: Final = {
    "age": "since 202",
    "before": "before it in line",
    "waited": "waited after 202",
    "duration": "from 202 to end",
}  # others are as in JSON
ENDED_OTHERWISE: Final = frozenset({"failed", "dismissed"})
SIZES: Final = frozenset({"bytes", "size"})


def table(operations: Iterable[Json], width: int | None) -> str:
    """One line for each, none of them wider than that."""
    return _in_columns([HEADING, *map(_row, operations)], width)


def requests(entries: Iterable[Json], width: int | None) -> str:
    """The same of recent requests."""
    names = [name.lower() for name in OF_REQUESTS]
    rows = ([printable(str(entry.get(name, ""))) for name in names] for entry in entries)
    return _in_columns([OF_REQUESTS, *rows], width)


def _in_columns(rows: Sequence[Sequence[str]], width: int | None) -> str:
    widths = _widths(rows, width)
    written = (
        "  ".join(_shortened(cell, size).ljust(size) for cell, size in zip(row, widths, strict=True)).rstrip()
        for row in rows
    )
    return "\n".join(line[:width] for line in written)


def _widths(rows: Sequence[Sequence[str]], width: int | None) -> Sequence[int]:
    """Of the columns: one long path is not to push what stands behind it out of sight of all the others."""
    longest = [max(map(len, column)) for column in zip(*rows, strict=True)]
    long = [size for name, size in zip(rows[0], longest, strict=True) if name in MAY_BE_LONG]
    most = ENOUGH_OF_LONG
    if width is not None:
        last = longest[-1]
        room = width - 2 * (len(longest) - 1) - (sum(longest) - sum(long) - last)  # for the long ones and the last
        enough = min(ENOUGH_OF_LONG, _most(long, room - min(last, LEAST_OF_LAST)))
        most = max(LEAST_OF_LONG, enough, _most(long, room - last))
    return [min(size, most) if name in MAY_BE_LONG else size for name, size in zip(rows[0], longest, strict=True)]


def _most(sizes: Sequence[int], room: int) -> int:
    """How large each may be, so that there is room for all: the smallest are whole, and the others share the rest."""
    sizes = sorted(sizes)
    # Where too few of them are left whole, or too many, it comes to less.
    return max((room - sum(sizes[:small])) // (len(sizes) - small) for small in range(len(sizes)))


def _shortened(text: str, size: int) -> str:
    """The text without its middle: paths begin like others, and end with what they are of."""
    if len(text) <= size:
        return text
    end = (size - 1) // 2
    return f"{text[: size - 1 - end]}…{text[len(text) - end :]}"


def details(operation: Json) -> str:
    """One line for each member that says something, and so for those of its error."""
    error = operation["error"] or {}
    members = {**operation, "error": error.get("code"), "detail": error.get("detail") or None, "why": operation["why"]}
    return lines(members)


def lines(members: Json) -> str:
    """One line for each member that says something."""
    known = {_name(name): _said(name, value) for name, value in members.items() if value is not None}
    width = max(map(len, known), default=0)
    return "\n".join(f"{name.ljust(width)}  {value}" for name, value in known.items())


def _row(operation: Json) -> Sequence[str]:
    size = operation["bytes"] if operation["size"] is None else operation["size"]
    return [
        *(printable(str(operation[name])) for name in ("id", "state", "route", "method", "target")),
        elapsed(operation["age"]),
        "" if operation["duration"] is None else elapsed(operation["duration"]),
        "" if size is None else amount(size),
        _outcome(operation),
    ]


def _outcome(operation: Json) -> str:
    """Its status, why it has none, or how far it has come."""
    if operation["state"] in ENDED_OTHERWISE:
        code = f"{operation['error']['code']}: " if operation["error"] else ""
        return printable(f"{code}{operation['why']}")
    return printable(str(operation["status"] or operation["progress"] or ""))


def _name(member: str) -> str:
    return NAMES.get(member) or printable(member.replace("_", " "))


def _said(name: str, value: Any) -> str:  # noqa: ANN401  # what JSON can hold
    if name in AGES and isinstance(value, (int, float)):
        return elapsed(value)
    if name in SIZES and isinstance(value, (int, float)):
        return amount(int(value))
    return printable(str(value))
