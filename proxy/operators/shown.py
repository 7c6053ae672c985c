"""How an operation looks to operators: plain data, ready for JSON, of which nothing is secret."""

from typing import Any, Final, assert_never

from proxy import reasons
from proxy.estimate import Estimate
from proxy.operation import Failure, Operation, State
from proxy.words import timestamp

LONGEST_TARGET: Final = 500  # characters

Json = dict[str, Any]


def operation(one: Operation, now: float, before: int | None, estimate: Estimate | None) -> Json:
    """An operation as it is at this time: how many stand before it in line, and how it is expected to go on."""
    return {
        "id": one.short_id,
        "route": one.route,
        "origin": one.origin or None,
        "method": one.request.method,
        "target": target(one),
        "state": one.state.value,
        "created": timestamp(one.created),
        "age": _seconds(one.created, now),
        "waited": _seconds(one.created, now if one.state is State.QUEUED else one.began),
        "duration": _seconds(one.created, one.settled_at),
        "settled": None if one.settled_at is None else timestamp(one.settled_at),
        "before": before,
        **_amount(one, estimate),
        "status": None if one.head is None else one.head.status,
        "error": None if one.failure is None else _error(one.failure),
        "attempts": one.attempts,
        "request_id": one.request.id or None,
        "why": why(one, stranded=estimate is not None and estimate.stranded),
    }


def target(one: Operation) -> str:
    """The path that was asked for, without the query, where secrets may be."""
    readable = one.request.path
    return readable if len(readable) <= LONGEST_TARGET else f"{readable[:LONGEST_TARGET]}…"


def why(one: Operation, *, stranded: bool = False) -> str:
    """Why it ended, or what its state means, for somebody who has never seen one."""
    match one.state:
        case State.QUEUED | State.RUNNING:
            now = reasons.stranded(one.origin) if stranded else reasons.unsettled(one, "It")
            return " ".join(filter(None, (one.why, _sent_again(one), now)))
        case State.COMPLETED:
            return f"The origin has answered{_with_status(one)}. The answer is kept for its client."
        case State.FAILED:
            return one.why or (reasons.of(one.failure.error()) if one.failure else "")
        case State.DISMISSED:
            return one.why or "It was cancelled before it was done."
        case never:
            assert_never(never)


def _sent_again(one: Operation) -> str:
    """What has become of it meanwhile, if the process that had sent it is dead."""
    if one.is_running:
        return "Its process died, and it was sent again." if one.attempts > 1 else ""
    return "Its process died, and it is to be sent again." if one.attempts else ""


def _amount(one: Operation, estimate: Estimate | None) -> Json:
    """How much of its response there is, and how much longer that may take."""
    if estimate is None:
        size = None if one.body is None else one.body.size
        return {"bytes": size, "size": size, "progress": None, "left": None}
    left = None if estimate.left is None else round(estimate.left, 1)
    return {"bytes": estimate.done, "size": estimate.size, "progress": estimate.progress, "left": left}


def _seconds(since: float, until: float | None) -> float | None:
    """How long that was; clocks may be set back meanwhile."""
    return None if until is None else round(max(until - since, 0), 3)


def _with_status(one: Operation) -> str:
    return f" with status {one.head.status}" if one.head else ""


def _error(failure: Failure) -> Json:
    return {"code": failure.code, "detail": failure.detail, "error_type": failure.error_type}
