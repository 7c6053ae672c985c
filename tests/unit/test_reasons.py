"""The sentences that tell why a request ended as it did."""

from typing import Final

import pytest

from proxy import reasons
from proxy.config import OriginSettings, RespondAsync, Route
from proxy.errors import (
    Busy,
    NoRoute,
    OriginBrokeOff,
    OriginTimeout,
    OriginUnreachable,
    ProxyError,
    RequestTooLarge,
    ResponseTooLarge,
)
from proxy.message import Fields, ResponseHead
from proxy.operation import BodyRef, Failure, Operation, RequestSummary, State
from proxy.plan import Race
from proxy.reasons import Hold, Reasons

ROUTE = Route.model_validate(
    {"name": "reports", "origin": "legacy", "timeout": "30s", "idle_timeout": "10s", "respond_async": {"timeout": "5m"}}
)
SYNC_ROUTE = Route.model_validate({"name": "plain", "origin": "legacy"})
ORIGIN = OriginSettings.model_validate({"url": "http://127.0.0.1:1", "connect_timeout": "3s"})
REASONS = Reasons(ROUTE, ORIGIN)

OPERATION = Operation(
    id="abcdefghijklmnopqrstuvwx", route="reports", origin="legacy", keeper="k", request=RequestSummary("GET", "http://a/"),
    created=1, keep=1, longest_wait=1, retry_after=1,
)  # fmt: skip


def late(error_type: str) -> OriginTimeout:
    return OriginTimeout("It was late.", error_type=error_type)


@pytest.mark.parametrize(
    ("error", "why"),
    [
        pytest.param(late("connection_timeout"), "No connection within 3 s (connect_timeout of origin legacy).", id="connect"),
        pytest.param(late("http_response_timeout"), "Origin legacy sent no response head within 30 s (timeout of route reports).", id="head"),
        pytest.param(
            late("connection_read_timeout"), "Origin legacy sent no more of the response for 10 s (idle_timeout of route reports).", id="read"
        ),
        pytest.param(
            late("connection_write_timeout"),
            "Origin legacy took no more of the request for 10 s (idle_timeout of route reports).",
            id="write",
        ),
        pytest.param(
            OriginUnreachable("It was late.", error_type="dns_timeout"),
            "The origin's name was not resolved within 3 s (connect_timeout of origin legacy).",
            id="name",
        ),
        pytest.param(
            OriginUnreachable("It was not accepted.", error_type="tls_certificate_error"),
            "No connection to the origin could be made. It was not accepted (tls of origin legacy).",
            id="certificate",
        ),
        pytest.param(
            RequestTooLarge("It has 9 bytes."), "It has 9 bytes (max_request_body of route reports).", id="too large"
        ),
        pytest.param(late("another"), "The origin took too long. It was late.", id="another timeout"),
        pytest.param(Busy("Full.", why="All 2 of 2."), "All 2 of 2.", id="one that knows itself"),
        pytest.param(NoRoute(), "No route leads from this request to an origin.", id="no detail"),
        pytest.param(
            OriginBrokeOff("The origin closed the connection before its response was complete."),
            "The origin closed the connection before its response was complete.",
            id="a detail that says the same",
        ),
    ],
)  # fmt: skip
def test_an_error_is_told_with_the_key_that_decided_it(error: ProxyError, why: str) -> None:
    assert REASONS.failed(error, later=False) == why


def test_an_operation_has_a_time_of_its_own() -> None:
    why = "The response of origin legacy was not complete 300 s after the request was sent (respond_async.timeout of route reports)."
    assert REASONS.too_long(300) == why


def test_a_request_that_would_be_kept_has_a_limit_of_its_own() -> None:
    why = "It has 9 bytes (respond_async.max_request_body of route reports)."
    assert REASONS.failed(RequestTooLarge("It has 9 bytes."), later=True) == why


def test_a_result_that_is_too_large_names_the_limit() -> None:
    error = ResponseTooLarge("The response has more than 9 bytes.")
    assert REASONS.failed(error, later=True) == (
        "The response has more than 9 bytes (respond_async.max_response_body of route reports)."
    )


def test_one_whose_client_left_before_its_202_was_ended_by_the_routes_settings() -> None:
    assert REASONS.unclaimed == "Its client left before the 202 was sent (on_disconnect of route reports: cancel)."


WAIT: Final = "respond_async.wait of route reports"
FULL: Final = "all its connections were in use (max_connections of origin legacy: 256)"
CLOSING: Final = "all its connections were in use, or still being closed (max_connections of origin legacy: 256)"


@pytest.mark.parametrize(
    ("race", "wait"),
    [
        pytest.param(Race(2.0, None), f"within 2 s ({WAIT})", id="the route's"),
        pytest.param(Race(60.0, None), "within 60 s (respond_async.max_wait of route reports)", id="as much as may be"),
        pytest.param(Race(3.0, 3), "within 3 s (the client's Prefer: wait=3)", id="the client's"),
    ],
)
def test_a_202_tells_whose_patience_was_over(race: Race, wait: str) -> None:
    assert REASONS.accepted(race, None) == f"The origin had not answered {wait}; answered 202."


@pytest.mark.parametrize(
    ("race", "why"),
    [
        pytest.param(Race(0.0, 0), "The client asked not to wait (Prefer: wait=0)", id="the client"),
        pytest.param(
            Race(0.0, None), "Clients are not kept waiting (respond_async.max_wait of route reports)", id="the route"
        ),
    ],
)
def test_a_202_without_a_wait_does_not_blame_the_origin(race: Race, why: str) -> None:
    assert REASONS.accepted(race, None) == f"{why}; answered 202."
    assert REASONS.accepted(race, "max_connections") == (
        f"{why}. The request had no turn at origin legacy yet: {FULL}; answered 202."
    )


def test_a_202_of_one_that_waits_for_its_turn_names_the_bound_and_the_time() -> None:
    assert REASONS.accepted(Race(2.0, None), "max_connections") == (
        f"The request had no turn at origin legacy within 2 s ({WAIT}): {FULL}; answered 202."
    )


def test_a_503_of_one_whose_client_waited_names_the_bound_and_the_time() -> None:
    within = "within 5 s (queue_timeout of origin legacy)"
    assert reasons.no_turn("legacy", ORIGIN, closing=False) == (
        f"The request had no turn at origin legacy {within}: {FULL}."
    )
    assert reasons.no_turn("legacy", ORIGIN, closing=True) == (
        f"The request had no turn at origin legacy {within}: {CLOSING}."
    )


@pytest.mark.parametrize(
    ("held_by", "what"),
    [
        pytest.param(None, "The origin had not answered {}.", id="sent"),
        pytest.param("connecting", "There was no connection to origin legacy {}.", id="connecting"),
        pytest.param("max_connections", f"The request had no turn at origin legacy {{}}: {FULL}.", id="in line"),
        pytest.param("closing", f"The request had no turn at origin legacy {{}}: {CLOSING}.", id="in line, closing"),
    ],
)
def test_one_that_could_be_no_operation_has_both_times(held_by: Hold | None, what: str) -> None:
    within = f"within 32 s ({WAIT}, and then timeout of route reports)"
    assert REASONS.out_of_time(Race(2.0, None), held_by) == what.format(within)


def test_a_limit_of_the_route_is_named_where_it_is_that() -> None:
    limited = ROUTE.model_copy(update={"respond_async": RespondAsync(max_running=3)})
    most = "no more operations of its route may be there (respond_async.max_running of route reports: 3)"
    assert Reasons(limited, ORIGIN).queued("max_running") == f"The request had no turn at origin legacy yet: {most}."


def test_where_there_is_room_an_operation_waits_for_a_connection_alone() -> None:
    assert REASONS.queued("connecting") == "There was no connection to origin legacy yet."


def test_a_route_that_never_answers_later_has_sentences_too() -> None:
    assert Reasons(SYNC_ROUTE, ORIGIN).failed(late("http_response_timeout"), later=False) == (
        "Origin legacy sent no response head within 60 s (timeout of route plain)."
    )


OF_BEFORE = OPERATION.failed(Failure.of(Busy()), now=2)
FAILED = OPERATION.failed(Failure.of(Busy()), now=2, why="No turn (max_connections 1).")
DONE = OPERATION.completed(ResponseHead(200, b"OK", Fields()), BodyRef(0, 0, b""), now=2)
REFUSED = OPERATION.completed(ResponseHead(503, b"", Fields()), BodyRef(0, 0, b""), now=2)
QUEUED = Operation(**{name: getattr(OPERATION, name) for name in OPERATION.__slots__} | {"state": State.QUEUED})


@pytest.mark.parametrize(
    ("operation", "why"),
    [
        pytest.param(QUEUED, "Operation abcdefgh waits for its turn at the origin.", id="queued"),
        pytest.param(OPERATION, "Operation abcdefgh still runs: the origin's response is not complete.", id="running"),
        pytest.param(FAILED, "Operation abcdefgh failed: No turn (max_connections 1).", id="failed"),
        pytest.param(
            OF_BEFORE, "Operation abcdefgh failed: Too much is going on at once.", id="stored before it told why"
        ),
        pytest.param(DONE, None, id="completed"),
        pytest.param(
            REFUSED, "Operation abcdefgh completed. The origin itself answered 503.", id="the origin's own error"
        ),
    ],
)
def test_a_status_url_is_explained_by_its_operation(operation: Operation, why: str | None) -> None:
    assert reasons.shown(operation) == why


@pytest.mark.parametrize(
    ("operation", "why"),
    [
        pytest.param(
            OPERATION.dismissed(now=2, why="A client dismissed it."),
            "Operation abcdefgh is deleted. A client dismissed it.",
            id="deleted",
        ),
        pytest.param(OPERATION.dismissed(now=2), "Operation abcdefgh is deleted.", id="deleted, nobody noted by whom"),
    ],
)
def test_a_status_url_that_shows_nothing_is_explained_to_operators(operation: Operation, why: str) -> None:
    assert reasons.unknown(operation) == why


def test_one_that_has_expired_names_the_key() -> None:
    assert reasons.expired(DONE) == (
        "Operation abcdefgh was settled more than 1 s ago (respond_async.keep of route reports): its result is gone."
    )
