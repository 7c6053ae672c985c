"""How an operation looks on the wire, as values."""

import dataclasses
import json
from datetime import datetime

import pytest

from proxy import monitor
from proxy.errors import OriginTimeout
from proxy.estimate import Estimate
from proxy.message import Fields, ResponseHead
from proxy.operation import BodyRef, Failure, Operation, RequestSummary

HREF = "https://api.example.com/.async/" + "A" * 24
RUNNING = Operation(
    id="A" * 24,
    route="reports",
    origin="legacy",
    keeper="keeper",
    request=RequestSummary("POST", "https://api.example.com/reports"),
    created=1_700_000_000.25,
    keep=60.0,
    longest_wait=30.0,
    retry_after=1.0,
)
NOW = RUNNING.created
UNKNOWN = Estimate(retry_after=3, words="running for 0 s")


@pytest.mark.parametrize(
    ("honoured", "applied"),
    [(None, [b"respond-async"]), (0, [b"respond-async", b"wait=0"]), (7, [b"respond-async", b"wait=7"])],
)
def test_what_was_applied_is_told_line_by_line(honoured: int | None, applied: list[bytes]) -> None:
    assert monitor.accepted(RUNNING, HREF, honoured, UNKNOWN).head.fields.all(b"preference-applied") == applied


def test_the_promise_and_the_monitor_tell_the_same_document() -> None:
    promise, running = (
        monitor.accepted(RUNNING, HREF, None, UNKNOWN),
        monitor.unsettled(RUNNING, HREF, NOW + 100, UNKNOWN),
    )
    assert promise.content == running.content
    document = json.loads(promise.content)
    assert datetime.fromisoformat(document["created"]).timestamp() == RUNNING.created
    assert document == {
        "id": RUNNING.id,
        "status": "running",
        "created": "2023-11-14T22:13:20.250Z",
        "links": [{"rel": "monitor", "href": HREF}],
    }


def test_what_is_foretold_is_in_the_document_and_the_fields() -> None:
    words = "12 MiB of 80 MiB, about 40 s left"
    estimate = Estimate(retry_after=20, words=words, progress=words, left=39.6, done=12 << 20, size=80 << 20)
    promise, status = (
        monitor.accepted(RUNNING, HREF, None, estimate), monitor.unsettled(RUNNING, HREF, NOW, estimate)
    )  # fmt: skip
    assert promise.content == status.content
    assert [reply.head.fields.all(b"retry-after") for reply in (promise, status)] == [[b"20"], [b"20"]]
    assert [reply.head.fields.all(b"x-progress") for reply in (promise, status)] == [[], [words.encode()]]
    assert json.loads(promise.content) == {
        "id": RUNNING.id,
        "status": "running",
        "created": "2023-11-14T22:13:20.250Z",
        "estimated_completion": "2023-11-14T22:14:00.000Z",
        "progress": words,
        "links": [{"rel": "monitor", "href": HREF}],
    }


@pytest.mark.parametrize("created", [0.0, 1_700_000_000.0, 1_700_000_000.9999, 4e9])
def test_created_is_always_written_in_one_form(created: float) -> None:
    operation = dataclasses.replace(RUNNING, created=created)
    text = json.loads(monitor.accepted(operation, HREF, None, UNKNOWN).content)["created"]
    assert len(text) == len("2023-11-14T22:13:20.250Z")
    assert text.endswith("Z")


def test_a_dismissed_operation_has_the_same_kind_of_document() -> None:
    reply = monitor.dismissed(RUNNING, HREF)
    running = json.loads(monitor.unsettled(RUNNING, HREF, NOW, UNKNOWN).content)
    assert reply.head.status == 200
    assert json.loads(reply.content) == running | {"status": "dismissed"}


def test_a_result_is_the_origins_response_marked_as_the_outcome() -> None:
    fields = Fields([(b"Set-Cookie", b"a"), (b"X", b"\xff"), (b"set-cookie", b"b"), (b"Cache-Control", b"max-age=1")])
    head = ResponseHead(404, b"Nope", fields)
    assert monitor.completed(RUNNING.completed(head, BodyRef(0, 0, b""), NOW)) == ResponseHead(
        404, b"Nope", fields.plus((b"AsyncResult", b"404"), (b"Cache-Control", b"no-store"))
    )


def test_a_failure_is_a_problem_marked_as_the_outcome() -> None:
    failure = Failure.of(OriginTimeout("It took 3 seconds."))
    reply = monitor.failed(RUNNING.failed(failure, NOW), "/.async/x", "respond-async")
    assert (reply.head.status, reply.head.fields.all(b"asyncresult")) == (504, [b"504"])
    assert json.loads(reply.content)["detail"] == "It took 3 seconds."


def test_what_has_no_outcome_has_none_to_show() -> None:
    with pytest.raises(ValueError, match="completed"):
        monitor.completed(RUNNING)
    with pytest.raises(ValueError, match="failed"):
        monitor.failed(RUNNING, "/", "respond-async")
