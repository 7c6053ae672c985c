"""The sentences that tell why a request ended as it did."""

from dataclasses import replace

import pytest

from proxy import reasons
from proxy.config import OriginSettings, RespondAsync, Route
from proxy.errors import Busy, NoRoute, OriginBrokeOff, OriginTimeout, ProxyError, ResponseTooLarge
from proxy.message import Fields, ResponseHead
from proxy.operation import BodyRef, Failure, Operation, RequestSummary, State
from proxy.plan import Race
from proxy.reasons import Reasons

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
        pytest.param(late("http_response_timeout"), "No response head within 30 s (timeout of route reports).", id="head"),
        pytest.param(
            late("connection_read_timeout"), "No more of the response for 10 s (idle_timeout of route reports).", id="read"
        ),
        pytest.param(
            late("connection_write_timeout"),
            "The origin took no more of the request for 10 s (idle_timeout of route reports).",
            id="write",
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
    why = "The origin's response was not complete within 300 s (respond_async.timeout of route reports)."
    assert REASONS.too_long(300) == why


def test_a_result_that_is_too_large_names_the_limit() -> None:
    error = ResponseTooLarge("The response has more than 9 bytes.")
    assert REASONS.failed(error, later=True) == (
        "The response has more than 9 bytes (respond_async.max_response_body of route reports)."
    )


def test_one_whose_client_left_before_its_202_was_ended_by_the_routes_settings() -> None:
    assert REASONS.unclaimed == "Its client left before the 202 was sent (on_disconnect of route reports: cancel)."


@pytest.mark.parametrize(
    ("race", "wait"),
    [
        pytest.param(Race(2.0, None), "after 2 s (wait of route reports)", id="the route's"),
        pytest.param(Race(60.0, None), "after 60 s (max_wait of route reports)", id="as much as the route gives"),
        pytest.param(Race(3.0, 3), "after 3 s (the client's wait)", id="the client's"),
    ],
)
def test_a_202_tells_whose_patience_was_over(race: Race, wait: str) -> None:
    why = f"The origin had not answered {wait}; answered 202 with operation abcdefgh."
    assert REASONS.accepted(race, OPERATION, full=False) == why


@pytest.mark.parametrize(
    ("race", "why"),
    [
        pytest.param(Race(0.0, 0), "The client asked not to wait (wait=0)", id="the client"),
        pytest.param(Race(0.0, None), "Clients are not kept waiting (max_wait of route reports)", id="the route"),
    ],
)
def test_a_202_without_a_wait_does_not_blame_the_origin(race: Race, why: str) -> None:
    assert REASONS.accepted(race, OPERATION, full=False) == f"{why}; answered 202 with operation abcdefgh."
    queued = REASONS.accepted(race, replace(OPERATION, state=State.QUEUED), full=True)
    no_turn = "The request had no turn at origin legacy (max_connections 256) yet"
    assert queued == f"{why}. {no_turn}; answered 202 with operation abcdefgh."


def test_one_that_could_be_no_operation_has_both_times() -> None:
    assert REASONS.out_of_time(Race(2.0, None)) == "No response head within 32 s (wait and timeout of route reports)."
    assert REASONS.never_had_its_turn(32.0) == (
        "The request had no turn at origin legacy (max_connections 256) within 32 s."
    )


def test_a_limit_of_the_route_is_named_where_there_is_one() -> None:
    limited = ROUTE.model_copy(update={"respond_async": RespondAsync(max_running=3)})
    assert Reasons(limited, ORIGIN).queued(full=True) == (
        "The request had no turn at origin legacy (max_connections 256, max_running 3) yet."
    )


def test_the_limit_of_a_route_is_named_though_the_origin_has_room() -> None:
    limited = ROUTE.model_copy(update={"respond_async": RespondAsync(max_running=3)})
    assert "max_running 3" in Reasons(limited, ORIGIN).queued(full=False)


def test_where_there_is_room_an_operation_waits_for_a_connection_alone() -> None:
    assert REASONS.queued(full=False) == "There was no connection to origin legacy yet."


def test_a_route_that_never_answers_later_has_sentences_too() -> None:
    assert Reasons(SYNC_ROUTE, ORIGIN).failed(late("http_response_timeout"), later=False) == (
        "No response head within 60 s (timeout of route plain)."
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
