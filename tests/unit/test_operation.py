"""What an operation can be, and what it cannot."""

import dataclasses
from typing import Any

import pytest

from proxy.errors import Interrupted, OriginTimeout, ProxyError, ResponseTooLarge
from proxy.message import Fields, ResponseHead
from proxy.operation import TRANSITIONS, BodyRef, Failure, Operation, RequestSummary, State, credential_of, owner_digest

ID = "A" * 24
RUNNING = Operation(
    id=ID,
    route="reports",
    origin="legacy",
    keeper="keeper",
    request=RequestSummary("POST", "http://example.com/"),
    created=1000.0,
    keep=60.0,
    longest_wait=30.0,
    retry_after=1.0,
)
HEAD = ResponseHead(200, b"OK", Fields())
BODY = BodyRef(0, 0, b"")
FAILURE = Failure("interrupted", "", None)
QUEUED = dataclasses.replace(RUNNING, state=State.QUEUED)
COMPLETED = RUNNING.completed(HEAD, BODY, 1010.0)
FAILED = RUNNING.failed(FAILURE, 1010.0, "It was stopped.")
DISMISSED = RUNNING.dismissed(1010.0, "Nobody wants it.")
settled = pytest.mark.parametrize("operation", [COMPLETED, FAILED, DISMISSED], ids=["completed", "failed", "dismissed"])


def test_it_may_begin_running() -> None:
    assert RUNNING.state is State.RUNNING
    assert RUNNING.is_running
    assert not RUNNING.is_settled
    assert (RUNNING.settled_at, RUNNING.expires, RUNNING.forgotten) == (None, None, None)


def test_it_may_begin_by_waiting_for_its_turn() -> None:
    assert (QUEUED.is_running, QUEUED.is_settled, QUEUED.attempts) == (False, False, 0)
    started = QUEUED.started(overdue=77.5)
    assert (started.state, started.attempts, started.overdue) == (State.RUNNING, 1, 77.5)


@pytest.mark.parametrize("operation", [QUEUED, QUEUED.started(77.5)], ids=["queued", "running"])
def test_another_keeper_has_it_wait_at_the_same_place(operation: Operation) -> None:
    returned = operation.returned("other")
    assert (returned.state, returned.keeper, returned.overdue) == (State.QUEUED, "other", None)
    assert (returned.id, returned.created, returned.attempts) == (ID, operation.created, operation.attempts)


def test_why_it_ended_is_told_where_that_is_not_plain() -> None:
    assert (COMPLETED.why, FAILED.why, DISMISSED.why) == ("", "It was stopped.", "Nobody wants it.")


def test_each_sending_is_counted() -> None:
    assert QUEUED.started(1.0).returned("other").started(2.0).attempts == 2


def test_what_is_settled_is_never_overdue() -> None:
    started = QUEUED.started(77.5)
    ends = [started.completed(HEAD, BODY, 1010.0), started.failed(FAILURE, 1010.0), started.dismissed(1010.0)]
    assert [end.overdue for end in ends] == [None] * 3


def test_what_waits_can_fail_or_be_dismissed_but_not_be_completed() -> None:
    assert QUEUED.failed(FAILURE, 1010.0).state is State.FAILED
    assert QUEUED.dismissed(1010.0).state is State.DISMISSED
    with pytest.raises(ValueError, match="queued cannot become completed"):
        QUEUED.completed(HEAD, BODY, 1010.0)


def test_what_runs_cannot_be_started_again() -> None:
    with pytest.raises(ValueError, match="running cannot become running"):
        RUNNING.started(1.0)


def test_it_is_settled_in_one_of_three_ways() -> None:
    assert (COMPLETED.state, COMPLETED.head, COMPLETED.body) == (State.COMPLETED, HEAD, BODY)
    assert (FAILED.state, FAILED.failure) == (State.FAILED, FAILURE)
    assert DISMISSED.state is State.DISMISSED
    assert {one.settled_at for one in (COMPLETED, FAILED, DISMISSED)} == {1010.0}
    assert not any(one.is_running for one in (COMPLETED, FAILED, DISMISSED))
    assert all(one.is_settled for one in (COMPLETED, FAILED, DISMISSED))


@settled
def test_settled_is_final(operation: Operation) -> None:
    with pytest.raises(ValueError, match="cannot become"):
        operation.completed(HEAD, BODY, 1020.0)
    with pytest.raises(ValueError, match="cannot become"):
        operation.failed(FAILURE, 1020.0)
    with pytest.raises(ValueError, match="cannot become"):
        operation.dismissed(1020.0)
    with pytest.raises(ValueError, match="cannot become"):
        operation.started(1.0)
    with pytest.raises(ValueError, match="cannot become"):
        operation.returned("other")


def test_no_settled_state_leads_anywhere() -> None:
    assert set(TRANSITIONS) == set(State)
    assert [state for state in State if TRANSITIONS[state]] == [State.QUEUED, State.RUNNING]


@pytest.mark.parametrize(
    "values",
    [
        pytest.param({"state": State.COMPLETED, "settled_at": 1.0}, id="completed without a response"),
        pytest.param({"state": State.COMPLETED, "settled_at": 1.0, "head": HEAD}, id="completed without a body"),
        pytest.param({"state": State.COMPLETED, "settled_at": 1.0, "body": BODY}, id="completed without a head"),
        pytest.param({"state": State.COMPLETED, "head": HEAD, "body": BODY}, id="completed at no time"),
        pytest.param({"state": State.FAILED, "settled_at": 1.0}, id="failed for no reason"),
        pytest.param(
            {"state": State.FAILED, "settled_at": 1.0, "failure": FAILURE, "head": HEAD}, id="failed, with head"
        ),
        pytest.param({"state": State.DISMISSED, "settled_at": 1.0, "failure": FAILURE}, id="dismissed, with a failure"),
        pytest.param({"settled_at": 1.0}, id="running, but settled"),
        pytest.param({"head": HEAD}, id="running, with a head"),
        pytest.param({"failure": FAILURE}, id="running, with a failure"),
        pytest.param({"state": State.QUEUED, "settled_at": 1.0}, id="queued, but settled"),
        pytest.param({"state": State.QUEUED, "head": HEAD}, id="queued, with a head"),
        pytest.param({"state": State.QUEUED, "overdue": 1.0}, id="queued, but overdue"),
    ],
)
def test_what_cannot_be_cannot_be_built(values: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"exactly if|only while"):
        dataclasses.replace(RUNNING, **values)


@settled
def test_its_times_count_from_the_settling(operation: Operation) -> None:
    assert (operation.expires, operation.forgotten) == (1070.0, 1130.0)
    assert [operation.has_expired(now) for now in (1069.9, 1070.0)] == [False, True]


def test_a_tombstone_stays_for_a_day_at_most() -> None:
    long = dataclasses.replace(RUNNING, keep=1e6).dismissed(0.0)
    assert (long.expires, long.forgotten) == (1e6, 1e6 + 86_400)


def test_what_runs_does_not_expire() -> None:
    assert not RUNNING.has_expired(1e12)


def test_without_an_owner_it_belongs_to_whoever_asks() -> None:
    assert RUNNING.belongs_to(None)
    assert RUNNING.belongs_to(b"anything")


@pytest.mark.parametrize("credential", [b"Bearer x", b"\xff\x00", b"x" * 100_000])
def test_with_one_it_belongs_to_the_same_credential_alone(credential: bytes) -> None:
    owned = dataclasses.replace(RUNNING, owner_digest=owner_digest(ID, credential))
    assert owned.belongs_to(credential)
    for other in (None, b"", credential + b" ", credential[:-1], credential.lower() + b"!"):
        assert not owned.belongs_to(other)


@pytest.mark.parametrize(
    ("lines", "credential"),
    [
        pytest.param([], None, id="none"),
        pytest.param([b""], b"", id="empty"),
        pytest.param([b"Bearer x"], b"Bearer x", id="as it came"),
        pytest.param(
            [b"Bearer x", b"Bearer y"], b"Bearer x, Bearer y", id="two lines, one value (RFC 9110 section 5.2)"
        ),
    ],
)
def test_the_credential_is_all_that_is_shown(lines: list[bytes], credential: bytes | None) -> None:
    assert credential_of(Fields((b"authorization", line) for line in lines)) == credential


def test_one_credential_has_another_digest_for_each_operation() -> None:
    digests = {owner_digest(id, b"Bearer x") for id in (ID, "B" * 24, "A" * 23 + "B")}
    assert len(digests) == 3
    assert not any(b"Bearer" in digest for digest in digests)


def test_its_short_id_gives_little_away() -> None:
    assert ID.startswith(RUNNING.short_id)
    assert len(RUNNING.short_id) <= 8


@pytest.mark.parametrize(
    "error",
    [
        OriginTimeout("It took too long.", error_type="connection_timeout"),
        ResponseTooLarge("too large"),
        Interrupted(),
        ProxyError("an error"),
    ],
    ids=lambda error: error.code,
)
def test_a_failure_becomes_the_error_again_that_it_was(error: ProxyError) -> None:
    again = Failure.of(error).error()
    assert type(again) is type(error)
    assert (again.status, again.code, again.detail, again.error_type) == (
        error.status,
        error.code,
        error.detail,
        error.error_type,
    )


def test_a_failure_that_a_later_version_wrote_is_an_internal_one() -> None:
    error = Failure("invented-later", "detail", "http_protocol_error").error()
    assert (error.status, error.code, error.detail, error.error_type) == (
        500,
        "internal",
        "detail",
        "http_protocol_error",
    )


def test_of_a_request_no_more_is_shown_than_may_be() -> None:
    whole = RequestSummary("GET", "http://a:80/r1/.async/secret?x")
    assert (whole.url, whole.path) == ("http://a:80/r1/.async/secret", "/r1/.async/secret")
    less = dataclasses.replace(whole, shown="/r1/.async/s")
    assert (less.url, less.path) == ("http://a:80/r1/.async/s", "/r1/.async/s")
