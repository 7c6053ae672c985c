"""Errors on the wire: problem documents (RFC 9457, which replaced RFC 7807) or pages, and Proxy-Status (RFC 9209)."""

import json
from typing import Final

from proxy import pages
from proxy.errors import ProxyError
from proxy.message import Field, Fields, Reply, ResponseHead

REASONS: Final = {
    400: b"Bad Request",
    401: b"Unauthorized",
    403: b"Forbidden",
    404: b"Not Found",
    405: b"Method Not Allowed",
    408: b"Request Timeout",
    409: b"Conflict",
    410: b"Gone",
    413: b"Content Too Large",
    414: b"URI Too Long",
    416: b"Range Not Satisfiable",
    429: b"Too Many Requests",
    431: b"Request Header Fields Too Large",
    500: b"Internal Server Error",
    501: b"Not Implemented",
    502: b"Bad Gateway",
    503: b"Service Unavailable",
    504: b"Gateway Timeout",
}
JSON: Final[Field] = (b"Content-Type", b"application/problem+json")
NO_STORE: Final[Field] = (b"Cache-Control", b"no-store")


def problem(error: ProxyError, instance: str, proxy_name: str, *more: Field, as_page: bool = False) -> Reply:
    """The response that tells a client of an error. `instance` is the path of what it asked for."""
    document = {
        "type": f"urn:problem-type:respond-async:{error.code}",
        "title": error.title(),
        "status": error.status,
        "detail": error.detail or f"{error.title()}.",
        "instance": instance,
        "code": error.code,
    }
    fields: list[Field] = [*(pages.FIELDS if as_page else (JSON,)), NO_STORE]
    if error.error_type is not None:
        fields.append((b"Proxy-Status", _proxy_status(proxy_name, error.error_type)))
    if error.retry_after is not None:
        fields.append((b"Retry-After", b"%d" % error.retry_after))
    head = ResponseHead(error.status, REASONS[error.status], Fields((*fields, *error.fields, *more)))
    return Reply(head, pages.of_problem(document) if as_page else json.dumps(document).encode())


def untyped(status: int, detail: str, *more: Field, parameter: str | None = None) -> Reply:
    """One whose title is that of its status, since it has no type of its own (RFC 9457 section 4.2.1).

    `parameter` names what of a query it is about.
    """
    reason = REASONS[status]
    document = {"type": "about:blank", "title": reason.decode(), "status": status, "detail": detail}
    if parameter is not None:
        document["parameter"] = parameter
    return Reply(ResponseHead(status, reason, Fields((JSON, NO_STORE, *more))), json.dumps(document).encode())


def _proxy_status(proxy_name: str, error_type: str) -> bytes:
    """A list of one member (RFC 9209 section 2); a name that is no token of RFC 8941 is written as a string."""
    name = proxy_name if proxy_name[0].isalpha() or proxy_name[0] == "*" else f'"{proxy_name}"'
    return f"{name}; error={error_type}".encode()
