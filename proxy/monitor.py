"""How an operation looks on the wire: the 202, the status monitor while it runs, the result when it is done."""

from datetime import UTC, datetime
from functools import lru_cache
from json.encoder import encode_basestring_ascii as json_string
from math import ceil
from typing import Final

from proxy import pages
from proxy.message import Field, Fields, Reply, ResponseHead
from proxy.operation import Operation, State
from proxy.prefer import applied
from proxy.problem import NO_STORE, problem

CONTENT_TYPE: Final = frozenset({b"content-type"})
JSON: Final[Field] = (b"Content-Type", b"application/json")
VARY: Final[Field] = (b"Vary", b"Prefer")
ASYNC_RESULT: Final = frozenset({b"asyncresult"})
LONGEST_RETRY: Final = 10  # seconds: an old operation is not asked for more rarely than that
MOST_TIMESTAMPS: Final = 1024  # that are kept
SHARE_OF_AGE: Final = 0.1  # an operation that has run for a minute may as well be asked for in six seconds


def accepted(operation: Operation, href: str, honoured_wait: int | None) -> Reply:
    """The 202 that promises the operation (RFC 7240 section 4.1)."""
    link = (b"Link", b'<%b>; rel="monitor"' % href.encode())
    more = [*applied(honoured_wait), VARY, link]
    return _status(operation, href, operation.created, *more)


def running(operation: Operation, href: str, now: float) -> Reply:
    """The status of an operation that runs."""
    age = max(0, int(now - operation.created))
    return _status(operation, href, now, (b"X-Progress", b"running for %d s" % age))


def queued(operation: Operation, href: str, now: float, before: int) -> Reply:
    """The status of an operation that waits for its turn at the origin, behind so many others."""
    return _status(operation, href, now, (b"X-Progress", b"queued, %d before it" % before))


def for_a_person(status: Reply, operation: Operation, done: int | None = None, size: int | None = None) -> Reply:
    """The status of an operation as a page, with the same fields. `done` of `size` bytes have come, where that is known."""
    fields = status.head.fields
    words, refresh = (fields.first(name) or b"" for name in (b"x-progress", b"retry-after"))
    page = pages.of_operation(operation, pages.Progress(words.decode(), done, size), int(refresh))
    return Reply(status.head.with_fields(fields.without(CONTENT_TYPE).plus(*pages.FIELDS)), page)


def dismissed(operation: Operation, href: str) -> Reply:
    """The answer to DELETE: the operation is cancelled, or its result dropped."""
    return Reply(ResponseHead(200, b"OK", Fields((JSON, NO_STORE))), _document(operation, href, State.DISMISSED))


def completed(operation: Operation) -> ResponseHead:
    """The origin's response again, marked as the operation's outcome by OData 4.01's AsyncResult."""
    if operation.head is None:
        raise ValueError("only a completed operation has a response")
    head = operation.head
    fields = head.fields.without(ASYNC_RESULT)  # one of the origin's own would be taken for ours
    return head._replace(fields=fields.plus((b"AsyncResult", b"%d" % head.status), NO_STORE))


def failed(operation: Operation, instance: str, proxy_name: str, *, as_page: bool = False) -> Reply:
    """Why there is no response of the origin's."""
    if operation.failure is None:
        raise ValueError("only a failed operation has a failure")
    error = operation.failure.error()
    return problem(error, instance, proxy_name, (b"AsyncResult", b"%d" % error.status), as_page=as_page)


def retry_after(operation: Operation, now: float) -> int:
    """Seconds until it is worth asking again: few for a young operation, more for one that takes its time."""
    by_age = min(SHARE_OF_AGE * (now - operation.created), LONGEST_RETRY)
    return max(1, ceil(max(operation.retry_after, by_age)))


def _status(operation: Operation, href: str, now: float, *more: Field) -> Reply:
    at = href.encode()
    fields = Fields(
        (
            (b"Location", at),
            (b"Content-Location", at),
            (b"Retry-After", b"%d" % retry_after(operation, now)),
            NO_STORE,
            JSON,
            *more,
        )
    )
    return Reply(ResponseHead(202, b"Accepted", fields), _document(operation, href, operation.state))


def _document(operation: Operation, href: str, state: State) -> bytes:
    """OGC API - Processes has links like these; no member is called `link`, which would read as HAL."""
    # Ids, states and times are words of ours, which need no escaping.
    document = '{"id": "%s", "status": "%s", "created": "%s", "links": [{"rel": "monitor", "href": %s}]}'
    return (document % (operation.id, state.value, _timestamp(operation.created), json_string(href))).encode()


@lru_cache(MOST_TIMESTAMPS)
def _timestamp(seconds: float) -> str:
    """As RFC 3339 has it. An operation is asked for again and again."""
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds")[:-6] + "Z"
