"""What is counted of requests and operations, and what their sums over processes are."""

import json

import pytest
from prometheus_client.parser import text_string_to_metric_families

from proxy.account import RACE, Account
from proxy.errors import Busy, OriginUnreachable, ProxyError, StoreUnavailable, TooManyOperations
from proxy.figures import Family, Figures, summed
from proxy.ledger import Course
from proxy.message import Fields, ResponseHead
from proxy.meters import Gauge
from proxy.metrics import Metrics
from proxy.observe import exposition
from proxy.operation import BodyRef, Failure, Operation, RequestSummary
from tests.unit.accounts import account_of

OPERATION = Operation(
    id="abcdefghijklmnopqrstuvwx", route="reports", origin="legacy", keeper="k", request=RequestSummary("GET", "http://a/"),
    created=1, keep=1, longest_wait=1, retry_after=1,
)  # fmt: skip
DONE = OPERATION.completed(ResponseHead(200, b"OK", Fields()), BodyRef(0, 0, b""), now=4)


def values(metrics: Metrics, name: str) -> dict[tuple[str, ...], float]:
    """The samples of a name, by the values of their labels."""
    text = b"".join(exposition(metrics.figures())).decode()
    return {
        tuple(sample.labels.values()): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
        if sample.name == f"respond_async_{name}"
    }


def raced(error: ProxyError | None = None) -> Account:
    """One of a client that wanted to be answered later."""
    account = account_of()
    account.route, account.plan = "reports", RACE
    if error is not None:
        account.failed(error)
    return account


def promised() -> Account:
    account = raced()
    account.promised(OPERATION)
    return account


def ignored() -> Account:
    account = raced(OriginUnreachable())
    account.ignored = True
    return account


def left() -> Account:
    account = raced()
    account.client.started = False
    account.client_left()
    return account


@pytest.mark.parametrize(
    ("account", "outcome"),
    [
        pytest.param(raced(), "in_time", id="in time"),
        pytest.param(promised(), "accepted", id="202"),
        pytest.param(raced(TooManyOperations()), "refused", id="quota"),
        pytest.param(raced(Busy()), "refused", id="queue full"),
        pytest.param(raced(OriginUnreachable()), "failed", id="no origin"),
        pytest.param(ignored(), "ignored", id="no operation possible, whatever came then"),
        pytest.param(left(), None, id="client left"),
        pytest.param(account_of(), None, id="no preference"),
    ],
)
def test_what_became_of_a_preference_is_counted(account: Account, outcome: str | None) -> None:
    metrics = Metrics()
    account.over()
    metrics.request(account)
    assert values(metrics, "preferences_total") == ({} if outcome is None else {("reports", outcome): 1})


def test_errors_are_counted_by_code_and_clients_that_leave_are_none() -> None:
    metrics = Metrics()
    for account in (raced(Busy()), raced(Busy()), raced(StoreUnavailable()), left()):
        account.over()
        metrics.request(account)
    metrics.refused(Busy())
    counted = {("reports", "busy"): 2, ("reports", "store-unavailable"): 1, ("(none)", "busy"): 1}
    assert values(metrics, "errors_total") == counted
    assert values(metrics, "sent_bytes_total") == {("reports",): 20}
    assert values(metrics, "received_bytes_total") == {}


def test_a_settled_operation_is_counted_with_all_that_is_known_of_its_course() -> None:
    metrics = Metrics()
    metrics.settled(DONE, Course(queued=0.5, origin=2, lag=0.001))
    for name, seconds in (("operation", 3), ("queue", 0.5), ("origin", 2), ("operation_lag", 0.001)):
        assert values(metrics, f"{name}_seconds_sum") == {("reports",): seconds}
    assert values(metrics, "operations_settled_total") == {("reports", "completed"): 1}
    assert values(metrics, "operation_failures_total") == {}


def test_a_failed_operation_is_counted_by_its_code_and_has_no_answer_of_the_origins() -> None:
    metrics = Metrics()
    metrics.settled(OPERATION.failed(Failure.of(OriginUnreachable()), now=2), Course(0.5, 2))
    metrics.settled(OPERATION.dismissed(now=2), Course())
    assert values(metrics, "operation_failures_total") == {("reports", "origin-unreachable"): 1}
    assert values(metrics, "queue_seconds_count") == {("reports",): 1}
    assert values(metrics, "origin_seconds_count") == {}


def test_what_each_process_tells_of_the_whole_is_not_summed() -> None:
    def figures(part: float, whole: float) -> Figures:
        metrics = Metrics()
        metrics.gauge("part", "A part.", lambda: part)
        metrics.gauges("whole", "All.", ("kind",), lambda: {("a",): whole}, whole=True)
        sent: Figures = json.loads(json.dumps(list(metrics.figures())[-2:]))
        return sent

    both: dict[str, Family] = {family["name"]: family for family in summed([figures(1, 5), figures(2, 4)])}
    assert both["part"]["rows"] == [((), [3])]
    assert both["whole"]["rows"] == [(("a",), [5])]


def test_a_gauge_has_a_sample_for_each_of_its_labels_values() -> None:
    gauge = Gauge("things", "Things.", ("kind", "state"), lambda: {("a", "used"): 1, ("a", "idle"): 0})
    [family] = gauge.pieces()
    assert family["labels"] == ("kind", "state")
    assert family["rows"] == [(("a", "used"), (1,)), (("a", "idle"), (0,))]
