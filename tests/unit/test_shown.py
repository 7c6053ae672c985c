"""How an operation looks to operators: what is said of one that is not settled."""

from dataclasses import replace

import pytest

from proxy.operation import Operation, RequestSummary, State
from proxy.operators.shown import why

ACCEPTED = "The origin had not answered within 2 s (respond_async.wait of route reports); answered 202."
WAITS, RUNS = "It waits for its turn at the origin.", "It still runs: the origin's response is not complete."

RUNNING = Operation(
    id="abcdefghijklmnopqrstuvwx", route="reports", origin="legacy", keeper="k", request=RequestSummary("GET", "http://a/"),
    created=1, keep=1, longest_wait=1, retry_after=1, attempts=1, why=ACCEPTED,
)  # fmt: skip
QUEUED = replace(RUNNING, state=State.QUEUED, attempts=0)


@pytest.mark.parametrize(
    ("operation", "said"),
    [
        pytest.param(RUNNING, f"{ACCEPTED} {RUNS}", id="running"),
        pytest.param(QUEUED, f"{ACCEPTED} {WAITS}", id="queued"),
        pytest.param(
            RUNNING.returned("another"), f"{ACCEPTED} Its process died, and it is to be sent again. {WAITS}", id="orphaned"
        ),
        pytest.param(
            RUNNING.returned("another").started(2),
            f"{ACCEPTED} Its process died, and it was sent again. {RUNS}",
            id="sent again",
        ),
        pytest.param(replace(RUNNING, why=""), RUNS, id="stored before it told why"),
    ],
)  # fmt: skip
def test_one_that_is_not_settled_says_why_its_client_was_answered_202_and_how_it_stands(
    operation: Operation, said: str
) -> None:
    assert why(operation) == said


def test_one_that_waits_for_an_origin_that_is_left_alone_says_so() -> None:
    assert why(QUEUED, stranded=True) == (
        f"{ACCEPTED} It waits until origin legacy can be reached. Each server of origin legacy has failed, several times or"
        " in its check, and is left alone for a while (unhealthy_after, unhealthy_for, health_check of origin legacy)."
    )
