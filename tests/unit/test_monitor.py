"""How an operation looks on the wire, as values."""

import dataclasses
import json
from datetime import datetime

import pytest

from proxy import monitor
from proxy.errors import OriginTimeout
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


@pytest.mark.parametrize(
    ("least", "age", "seconds"),
    [
        pytest.param(1.0, 0, 1, id="young"),
        pytest.param(0.001, 0, 1, id="never less than one"),
        pytest.param(2.5, 0, 3, id="rounded up"),
        pytest.param(1.0, 20, 2, id="grows with its age"),
        pytest.param(1.0, 10_000, 10, id="not for ever"),
        pytest.param(60.0, 10_000, 60, id="the route's own is the least"),
        pytest.param(1.0, -3600, 1, id="a clock that was set back"),
    ],
)
def test_retry_after(least: float, age: float, seconds: int) -> None:
    operation = dataclasses.replace(RUNNING, retry_after=least)
    assert monitor.retry_after(operation, NOW + age) == seconds


def test_retry_after_never_shrinks_as_time_passes() -> None:
    waits = [monitor.retry_after(RUNNING, NOW + age) for age in range(300)]
    assert waits == sorted(waits)
    assert waits[0] < waits[-1]


@pytest.mark.parametrize("age", [0, 1, 59.9, 86_400, 1e9, -5])
def test_progress_is_short_and_never_negative(age: float) -> None:
    progress = monitor.running(RUNNING, HREF, NOW + age).head.fields.first(b"x-progress")
    assert progress == b"running for %d s" % max(age, 0)
    assert len(progress) < 100


@pytest.mark.parametrize(
    ("honoured", "applied"),
    [(None, [b"respond-async"]), (0, [b"respond-async", b"wait=0"]), (7, [b"respond-async", b"wait=7"])],
)
def test_what_was_applied_is_told_line_by_line(honoured: int | None, applied: list[bytes]) -> None:
    assert monitor.accepted(RUNNING, HREF, honoured).head.fields.all(b"preference-applied") == applied


def test_the_promise_and_the_monitor_tell_the_same_document() -> None:
    promise, running = monitor.accepted(RUNNING, HREF, None), monitor.running(RUNNING, HREF, NOW + 100)
    assert promise.content == running.content
    document = json.loads(promise.content)
    assert datetime.fromisoformat(document["created"]).timestamp() == RUNNING.created
    assert document == {
        "id": RUNNING.id,
        "status": "running",
        "created": "2023-11-14T22:13:20.250Z",
        "links": [{"rel": "monitor", "href": HREF}],
    }


@pytest.mark.parametrize("created", [0.0, 1_700_000_000.0, 1_700_000_000.9999, 4e9])
def test_created_is_always_written_in_one_form(created: float) -> None:
    operation = dataclasses.replace(RUNNING, created=created)
    text = json.loads(monitor.accepted(operation, HREF, None).content)["created"]
    assert len(text) == len("2023-11-14T22:13:20.250Z")
    assert text.endswith("Z")


def test_a_dismissed_operation_has_the_same_kind_of_document() -> None:
    reply = monitor.dismissed(RUNNING, HREF)
    running = json.loads(monitor.running(RUNNING, HREF, NOW).content)
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
