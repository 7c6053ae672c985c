"""How the proxy says no: the status, the problem document (RFC 9457), Proxy-Status (RFC 9209), and a clean close."""

import json
import re
from typing import Final

from tests.raw_client import RawClient, Response
from tests.scripted_origin import ScriptedOrigin

IMF_FIXDATE: Final = re.compile(
    rb"(?:Mon|Tue|Wed|Thu|Fri|Sat|Sun), [0-3][0-9] (?:Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec) [0-9]{4}"
    rb" [0-2][0-9]:[0-5][0-9]:[0-6][0-9] GMT"
)
CODES: Final = {
    400: "bad-request",
    408: "request-timeout",
    413: "request-too-large",
    414: "target-too-long",
    431: "fields-too-large",
    501: "method-not-implemented",
}


async def assert_refused(client: RawClient, origin: ScriptedOrigin, request: bytes, status: int = 400) -> None:
    """Sends the bytes: they are refused once, whatever stands behind them is ignored, and the origin sees nothing."""
    await client.send(request)
    await refusal(client, status)
    assert (origin.requests, origin.connections) == ([], [])


async def refusal(client: RawClient, status: int = 400, instance: str | None = None) -> Response:
    """The next response, which must be this error, whole and well-made, and the last on its connection."""
    response = await client.response()
    assert response.complete
    assert_problem(response, status, CODES[status], instance=instance)
    assert response.fields_named(b"proxy-status") == [b"respond-async; error=http_request_error"]
    assert response.fields_named(b"connection") == [b"close"]
    assert await client.eof(), "a reset may cost the client the response"
    return response


def assert_problem(response: Response, status: int, code: str, *, instance: str | None = None) -> None:
    """It is this problem, with the members of RFC 9457 and no others but `code`; None takes any path as instance."""
    assert response.status == status, response.body
    assert response.fields_named(b"content-type") == [b"application/problem+json"]
    assert response.fields_named(b"cache-control") == [b"no-store"]
    assert IMF_FIXDATE.fullmatch(response.field(b"date") or b"")
    document = json.loads(response.body)
    assert set(document) == {"type", "title", "status", "detail", "instance", "code"}
    assert (document["status"], document["code"]) == (status, code)
    assert document["type"] == f"urn:problem-type:respond-async:{code}"
    assert all(document[text].strip() for text in ("title", "detail"))
    assert "Traceback" not in str(document)
    if instance is not None:
        assert document["instance"] == instance
