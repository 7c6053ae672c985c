"""An explanation as people read it, and as JSON. Neither shows a credential, a query, or what came from the environment."""

import json
from collections.abc import Iterable, Iterator
from typing import Any, Final

from proxy.config import Loaded, Route
from proxy.config.secrecy import is_secret
from proxy.explain.terms import Term, terms
from proxy.explain.verdict import Explanation, PassedBy, Taken
from proxy.message import Field, RequestHead

HIDDEN: Final = "(hidden)"

ENDINGS: Final = {
    "refused": "No origin sees it.",
    "status": "It is about an operation: the proxy answers it itself, and no origin sees it.",
    "here": "The proxy answers it itself.",
    "sync": "Its client waits for the origin's answer.",
    "race": "The origin's answer if it comes in time, else 202 with a status URL.",
    "upgrade": "If the origin agrees, the connection becomes a tunnel to it.",
}


def as_text(loaded: Loaded, explanation: Explanation) -> str:
    lines = [
        *_request(explanation),
        "",
        f"According to {loaded.source.file}:",
        *_route(loaded, explanation),
        "",
        *_outcome(explanation),
    ]
    if explanation.error is None and explanation.taken is not None:
        lines += ["", "Deadlines and limits, in order of time:", *_table(terms(loaded.config, explanation))]
    if explanation.sent is not None and explanation.taken is not None:
        lines += ["", *_sent(loaded, explanation, explanation.taken, explanation.sent)]
    return "\n".join(lines) + "\n"


def as_json(loaded: Loaded, explanation: Explanation) -> str:
    error, taken = explanation.error, explanation.taken
    return json.dumps(
        {
            "configuration": loaded.source.file,
            "request": _head_as_json(explanation.request, frozenset()),
            "plan": explanation.kind,
            "why": explanation.why,
            "error": None if error is None else {"status": error.status, "code": error.code, "detail": error.detail},
            "route": None if taken is None else {"name": taken.route.name, "index": taken.index},
            "passed_by": [
                {"name": one.route.name, "index": one.index, "keys": list(one.keys)} for one in explanation.passed_by
            ],
            "terms": [one._asdict() for one in terms(loaded.config, explanation)] if error is None and taken else [],
            "origin": _origin_as_json(loaded, explanation),
        },
        indent=2,
    )


def _request(explanation: Explanation) -> Iterator[str]:
    head = explanation.request
    yield f"{head.method} {_target(head)}"
    yield from (f"  {_line(field, frozenset())}" for field in head.fields)


def _route(loaded: Loaded, explanation: Explanation) -> Iterator[str]:
    taken = explanation.taken
    if taken is None:
        yield "Route: none"
    else:
        line = loaded.source.mark(("routes", taken.index)).line
        yield f"Route: {taken.route.name} (routes[{taken.index}], line {line}), to origin {taken.route.origin}"
    for passed_by in explanation.passed_by:
        yield f"  not {passed_by.route.name} (routes[{passed_by.index}]), which is for {_wanted_by(passed_by)}"


def _wanted_by(passed_by: PassedBy) -> str:
    return "; ".join(f"`{key}` {_wanted(passed_by.route, key)}" for key in passed_by.keys)


def _wanted(route: Route, key: str) -> str:
    value = getattr(route.match, key)
    if key == "methods":
        return ", ".join(sorted(value))
    return str(value.pattern if key == "path_regex" else value)


def _outcome(explanation: Explanation) -> Iterator[str]:
    yield f"Plan: {explanation.kind}. {ENDINGS[explanation.kind]}"
    yield f"  {explanation.why}"
    if (error := explanation.error) is not None:
        yield f"  {error.status} {error.code}: {error.title()}. {error.detail}".rstrip()


def _table(rows: Iterable[Term]) -> Iterator[str]:
    rows = list(rows)
    widths = [max(len(row[column]) for row in rows) for column in range(3)]
    for row in rows:
        cells = (cell.ljust(width) for cell, width in zip(row[:3], widths, strict=True))
        yield f"  {'  '.join(cells)}  -> {row.then}"


def _sent(loaded: Loaded, explanation: Explanation, taken: Taken, sent: RequestHead) -> Iterator[str]:
    """Marked with + what the proxy makes or the route sets, and with - what it keeps back."""
    hidden = _of_environment(loaded, taken)
    yield f"What the origin gets, at {', '.join(map(str, taken.origin.url))}:"
    yield f"    {sent.method} {_target(sent)} HTTP/1.1"
    for field in sent.fields:
        yield f"  {'+' if field in explanation.added else ' '} {_line(field, hidden)}"
    for field in explanation.removed:
        yield f"  - {_line(field, hidden)}"


def _origin_as_json(loaded: Loaded, explanation: Explanation) -> dict[str, Any] | None:
    taken, sent = explanation.taken, explanation.sent
    if taken is None or sent is None:
        return None
    hidden = _of_environment(loaded, taken)
    return {
        "name": taken.route.origin,
        "servers": list(map(str, taken.origin.url)),
        "request": _head_as_json(sent, hidden),
        "added": _pairs(explanation.added, hidden),
        "removed": _pairs(explanation.removed, hidden),
    }


def _head_as_json(head: RequestHead, hidden: frozenset[bytes]) -> dict[str, Any]:
    return {"method": head.method, "target": _target(head), "fields": _pairs(head.fields, hidden)}


def _pairs(fields: Iterable[Field], hidden: frozenset[bytes]) -> list[list[str]]:
    return [[_text(name), _shown(name, value, hidden)] for name, value in fields]


def _target(head: RequestHead) -> str:
    """Of a query it says only that there is one: it may well be a credential."""
    path, mark, query = head.target.partition(b"?")
    return f"{_text(path + mark)}{HIDDEN if query else ''}"


def _line(field: Field, hidden: frozenset[bytes]) -> str:
    return f"{_text(field[0])}: {_shown(*field, hidden)}"


def _shown(name: bytes, value: bytes, hidden: frozenset[bytes]) -> str:
    return HIDDEN if name in hidden or is_secret(name) else _text(value)


def _of_environment(loaded: Loaded, taken: Taken) -> frozenset[bytes]:
    """The names of fields that the route sets to what came from the environment."""
    at = ("routes", taken.index, "request_headers", "set")
    names = (name for name, _ in taken.route.request_headers.set)
    return frozenset(name for name in names if loaded.source.mark((*at, name.decode())).interpolated)


def _text(data: bytes) -> str:
    return data.decode("utf-8", "backslashreplace")
