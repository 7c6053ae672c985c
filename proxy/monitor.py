"""How an operation looks on the wire: the 202, the status monitor while it runs, the result when it is done."""

from functools import lru_cache
from json.encoder import encode_basestring_ascii as json_string
from math import ceil
from typing import Final

from proxy import pages
from proxy.estimate import Estimate
from proxy.message import Field, Fields, Reply, ResponseHead
from proxy.operation import Operation, State
from proxy.prefer import applied
from proxy.problem import NO_STORE, problem
from proxy.words import timestamp

CONTENT_TYPE: Final = frozenset({b"content-type"})
JSON: Final[Field] = (b"Content-Type", b"application/json")
VARY: Final[Field] = (b"Vary", b"Prefer")
ASYNC_RESULT: Final = frozenset({b"asyncresult"})
MOST_TIMESTAMPS: Final = 1024  # that are kept


def accepted(operation: Operation, href: str, honoured_wait: int | None, estimate: Estimate) -> Reply:
    """The 202 that promises the operation (RFC 7240 section 4.1)."""
    link = (b"Link", b'<%b>; rel="monitor"' % href.encode())
    more = [*applied(honoured_wait), VARY, link]
    return _status(operation, href, operation.created, estimate, *more)


def unsettled(operation: Operation, href: str, now: float, estimate: Estimate) -> Reply:
    """The status of an operation that runs, or waits for its turn at the origin."""
    return _status(operation, href, now, estimate, (b"X-Progress", estimate.words.encode()))


def for_a_person(status: Reply, operation: Operation, estimate: Estimate) -> Reply:
    """The status of an operation as a page, with the same fields."""
    fields = status.head.fields
    page = pages.of_operation(operation, estimate)
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


def failed(operation: Operation, instance: str, proxy_name: str, *more: Field, as_page: bool = False) -> Reply:
    """Why there is no response of the origin's."""
    if operation.failure is None:
        raise ValueError("only a failed operation has a failure")
    error = operation.failure.error()
    return problem(error, instance, proxy_name, (b"AsyncResult", b"%d" % error.status), *more, as_page=as_page)


def _status(operation: Operation, href: str, now: float, estimate: Estimate, *more: Field) -> Reply:
    at = href.encode()
    fields = Fields(
        (
            (b"Location", at),
            (b"Content-Location", at),
            (b"Retry-After", b"%d" % estimate.retry_after),
            NO_STORE,
            JSON,
            *more,
        )
    )
    return Reply(
        ResponseHead(202, b"Accepted", fields), _document(operation, href, operation.state, _foretold(now, estimate))
    )


def _document(operation: Operation, href: str, state: State, foretold: str = "") -> bytes:
    """OGC API - Processes has links like these; no member is called `link`, which would read as HAL."""
    # Ids, states, times and progress are words of ours, which need no escaping.
    document = '{"id": "%s", "status": "%s", "created": "%s", %s"links": [{"rel": "monitor", "href": %s}]}'
    created = _timestamp(operation.created)
    return (document % (operation.id, state.value, created, foretold, json_string(href))).encode()


def _foretold(now: float, estimate: Estimate) -> str:
    """The members that tell of what is to come, as far as it is known."""
    end = "" if estimate.left is None else f'"estimated_completion": "{_timestamp(ceil(now + estimate.left))}", '
    return end if estimate.progress is None else f'{end}"progress": "{estimate.progress}", '


_timestamp = lru_cache(MOST_TIMESTAMPS)(timestamp)  # an operation is asked for again and again
