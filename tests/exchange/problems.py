"""What an error of the proxy's own must look like, whatever went wrong (RFC 9457, RFC 9209, contract's section 6)."""

import json

from tests.raw_client import Response

TITLES = {
    "loop-detected": "The request has come through this proxy too often",
    "shutting-down": "The proxy is shutting down",
    "bad-request": "The request is malformed or ambiguous",
    "busy": "Too much is going on at once",
    "origin-broke-off": "The origin closed the connection before its response was complete",
    "origin-malformed": "The origin's response is not valid HTTP",
    "origin-timeout": "The origin took too long",
    "origin-unreachable": "No connection to the origin could be made",
    "request-timeout": "The request did not arrive in time",
    "request-too-large": "The request's content is too large",
}
INTERNALS = (b"127.0.0.1", b"::1", b"localhost", b"Traceback", b"proxy/", b"Errno", b".py")


def assert_problem(response: Response, status: int, code: str, error_type: str, *, instance: str = "/") -> None:
    """The response is this error, whole, with nothing in it but what a client may know."""
    assert response.complete, response.fault
    assert response.status == status
    document = json.loads(response.body)
    detail = document.pop("detail")
    assert isinstance(detail, str)
    assert detail
    assert document == {
        "type": f"urn:problem-type:respond-async:{code}",
        "title": TITLES[code],
        "status": status,
        "instance": instance,
        "code": code,
    }
    assert response.field(b"content-type") == b"application/problem+json"
    assert response.field(b"proxy-status") == b"respond-async; error=%b" % error_type.encode()
    assert response.field(b"cache-control") == b"no-store"
    assert response.field(b"date") is not None
    leaked = [hint for hint in INTERNALS if hint in response.body or any(hint in value for _, value in response.fields)]
    assert not leaked
