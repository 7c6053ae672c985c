"""The figures of several processes, summed."""

import json

from prometheus_client import CollectorRegistry, Counter, Histogram, generate_latest

from proxy.figures import MOST, SECONDS, Family, Figures, lasting, packed, pieces, single, summed
from proxy.metrics import Metrics
from proxy.observe import exposition
from tests.unit.accounts import ended


def counted(**values: float) -> Family:
    return Family(
        name="things",
        type="counter",
        whole=False,
        documentation="Things.",
        labels=["kind"],
        bounds=[],
        rows=[((kind,), [value]) for kind, value in values.items()],
    )


def test_samples_of_the_same_labels_are_added_and_others_stand_beside_them() -> None:
    assert summed([[counted(a=1, b=2)], [counted(b=3, c=4)]]) == [counted(a=1, b=5, c=4)]


def test_the_sum_of_nothing_is_nothing() -> None:
    assert summed([]) == []


def test_many_rows_come_in_pieces_of_some_and_are_together_what_they_were() -> None:
    many, few = counted(**{f"k{number}": number for number in range(2 * MOST + 1)}), counted(a=1)
    assert [len(family["rows"]) for family in pieces([many, few])] == [MOST, MOST, 1, 1]
    assert [[len(family["rows"]) for family in some] for some in packed(pieces([few, many, few]))] == [
        [1, MOST],
        [MOST],
        [1, 1],
    ]
    assert summed([pieces([many])]) == [many]
    assert list(packed([])) == []


def test_pieces_of_a_metric_are_shown_as_one_metric() -> None:
    many = counted(**{f"k{number}": number for number in range(2 * MOST + 1)})
    shown = [text.count(b"# HELP things_total Things.\n# TYPE things_total counter\n") for text in exposition([many])]
    assert shown == [1, 0, 0]
    assert b"".join(exposition(pieces([many]))) == b"".join(exposition([many]))


def test_what_was_counted_lasts_and_how_things_stood_does_not() -> None:
    figures = [counted(a=1), single("running", "gauge", "Running.", 3)]
    assert lasting(figures) == [counted(a=1)]


def test_a_single_counter_is_named_as_counters_are() -> None:
    assert b"".join(exposition([single("deaths", "counter", "Deaths.", 2)])).endswith(b"\ndeaths_total 2.0\n")


def test_metrics_are_the_same_after_a_way_through_json_and_a_sum() -> None:
    first, second = Metrics(), Metrics()
    first.request(ended("reports", 200, 0.01))
    second.request(ended("reports", 200, 700))
    sent: list[Figures] = [json.loads(json.dumps(list(metrics.figures()))) for metrics in (first, second)]
    text = b"".join(exposition(summed(sent))).decode().splitlines()
    assert 'respond_async_requests_total{route="reports",status="200"} 2.0' in text
    assert 'respond_async_request_seconds_bucket{le="0.025",route="reports"} 1.0' in text
    assert 'respond_async_request_seconds_bucket{le="+Inf",route="reports"} 2.0' in text
    assert 'respond_async_request_seconds_sum{route="reports"} 700.01' in text
    assert "# TYPE respond_async_requests_total counter" in text
    assert not [line for line in text if "_created" in line]


def test_what_is_counted_is_shown_as_prometheus_own_client_shows_it() -> None:
    ours, registry = Metrics(), CollectorRegistry()
    requests = Counter(
        "respond_async_requests",
        "Requests that have ended, by the status that was sent.",
        ["route", "status"],
        registry=registry,
    )
    seconds = Histogram(
        "respond_async_request_seconds",
        "Time from a request's head to the end of its response.",
        ["route"],
        buckets=SECONDS,
        registry=registry,
    )
    for route, status, took in (
        ("a", 200, 0.005),
        ('"b"\\\n', 404, 0),
        ("a", 200, 9999),
        ("a", 502, 0.0051),
        ("a", 200, 1),
    ):
        ours.request(ended(route, status, took))
        requests.labels(route, status).inc()
        seconds.labels(route).observe(took)
    lines = generate_latest(registry).decode().splitlines()
    expected = [line for line in lines if "_created" not in line]
    assert b"".join(exposition(ours.figures())).decode().splitlines()[: len(expected)] == expected
