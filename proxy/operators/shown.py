"""How an operation looks to operators: plain data, ready for JSON, of which nothing is secret."""

from datetime import UTC, datetime
from typing import Any, Final, assert_never

from proxy import reasons
from proxy.operation import Failure, Operation, State
from proxy.store import Listed

LONGEST_TARGET: Final = 500  # characters

Json = dict[str, Any]


def time_text(seconds: float) -> str:
    """As RFC 3339 has it, in UTC."""
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds").removesuffix("+00:00") + "Z"


def operation(listed: Listed, now: float) -> Json:
    """An operation as it is at this time."""
    one = listed.operation
    age = round(max(now - one.created, 0), 3)
    return {
        "id": one.short_id,
        "route": one.route,
        "origin": one.origin or None,
        "method": one.request.method,
        "target": target(one),
        "state": one.state.value,
        "created": time_text(one.created),
        "age": age,
        "waited": age if one.state is State.QUEUED else None,
        "duration": None if one.settled_at is None else round(max(one.settled_at - one.created, 0), 3),
        "settled": None if one.settled_at is None else time_text(one.settled_at),
        **_amount(listed),
        "status": None if one.head is None else one.head.status,
        "error": None if one.failure is None else _error(one.failure),
        "attempts": one.attempts,
        "request_id": None,
        "why": why(one),
    }


def target(one: Operation) -> str:
    """The path that was asked for, without the query, where secrets may be."""
    _, _, rest = one.request.uri.partition("://")
    _, slash, path = rest.partition("/")
    readable = (slash + path).partition("?")[0].encode("utf-8", "surrogateescape").decode("utf-8", "replace")
    return readable if len(readable) <= LONGEST_TARGET else f"{readable[:LONGEST_TARGET]}…"


def why(one: Operation) -> str:
    """What its state means, for somebody who has never seen one."""
    match one.state:
        case State.QUEUED:
            return "Its client was told to ask again later. It waits for its turn: its origin, or its route, is busy."
        case State.RUNNING if one.attempts > 1:
            return "Its process died, and it was sent again. The origin is still at work on it."
        case State.RUNNING:
            return "The origin is still at work on it; its client was told to ask again later, and does so."
        case State.COMPLETED:
            return f"The origin has answered{_with_status(one)}. The answer is kept for its client."
        case State.FAILED:
            return reasons.of(one.failure.error()) if one.failure else ""
        case State.DISMISSED:
            return "It was cancelled before it was done."
        case never:
            assert_never(never)


def _amount(listed: Listed) -> Json:
    one = listed.operation
    size = None if one.body is None else one.body.size
    received = listed.received if one.is_running else None
    return {"bytes": size if one.is_settled else received, "size": size, "progress": None, "left": None}


def _with_status(one: Operation) -> str:
    return f" with status {one.head.status}" if one.head else ""


def _error(failure: Failure) -> Json:
    return {"code": failure.code, "detail": failure.detail, "error_type": failure.error_type}
