"""What the log tells of an operation's life: a line for each event, which all have its short id and its request's id."""

import logging
from typing import Any

import structlog

from proxy.errors import ProxyError
from proxy.ledger import Course
from proxy.operation import Operation

log = structlog.get_logger()


def accepted(operation: Operation) -> None:
    """It is on disk, and its 202 about to be sent."""
    if log.is_enabled_for(logging.INFO):  # of each operation: what nobody reads is not to be put together
        log.info("operation accepted", **_names(operation), state=operation.state.value, why=operation.why)


def queued(operation: Operation, why: str) -> None:
    """It waits for its turn."""
    log.info("operation queued", **_names(operation), why=why)


def started(operation: Operation, queued: float) -> None:
    """It is no longer queued, and about to be sent, after so many seconds."""
    log.info("operation started", **_names(operation), queued=_rounded(queued), attempts=operation.attempts)


def taken_over(operation: Operation) -> None:
    """The process that had it is dead, and it waits for its turn here."""
    why = "The process that had it is dead; its request was kept, and is sent when its turn comes."
    log.info("operation taken over", **_names(operation), attempts=operation.attempts, why=why)


def exchange_failed(operation: Operation, error: ProxyError) -> None:
    """There is no usable response, by the origin's doing or because it was late."""
    log.info("exchange failed", **_names(operation), error=error.code, cause=error.cause)


def settled(operation: Operation, course: Course) -> None:
    """It was settled by this process."""
    if not log.is_enabled_for(logging.INFO):
        return
    failure = operation.failure
    log.info(
        "operation settled",
        **_names(operation),
        state=operation.state.value,
        status=operation.head.status if operation.head else None,
        error=failure.code if failure else None,
        error_type=failure.error_type if failure else None,
        detail=failure.detail if failure else None,
        why=operation.why or None,
        bytes=operation.body.size if operation.body else None,
        seconds=round(operation.seconds, 3),
        queued=_rounded(course.queued),
        origin=_rounded(course.origin),
        lag=_rounded(course.lag),
    )


def expired(count: int) -> None:
    """So many results were dropped, or forgotten altogether."""
    log.info("operations expired", count=count)


def _names(operation: Operation) -> dict[str, Any]:
    return {
        "operation": operation.short_id,
        "id": operation.request.id or None,
        "route": operation.route,
        "method": operation.request.method,
    }


def _rounded(seconds: float | None) -> float | None:
    return None if seconds is None else round(seconds, 4)
