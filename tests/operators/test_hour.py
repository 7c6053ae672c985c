"""The last hour of a route: arithmetic on what was counted."""

from math import inf

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.figures import Figures, Sample
from proxy.operators.hour import LENGTH, QUIET, Counted, Hour, by_route, point, quantile, sent_moment


def figures(requests: float = 0, took: dict[str, float] | None = None, **failures: float) -> Figures:
    """What one route has counted."""
    labels = {"route": "reports"}
    samples: list[Sample] = [("respond_async_requests_total", {**labels, "status": "200"}, requests)]
    samples += [("respond_async_request_seconds_bucket", {**labels, "le": le}, n) for le, n in (took or {}).items()]
    samples += [("respond_async_errors_total", {**labels, "code": code}, n) for code, n in failures.items()]
    return [{"name": "all", "type": "counter", "documentation": "", "samples": samples, "whole": False}]


def test_a_point_is_what_was_counted_since_the_one_before_by_the_second() -> None:
    hour = Hour(begun=100.0)
    hour.take(figures(20, {"1.0": 10, "+Inf": 20}, busy=2), until=110.0, at=1000.0)
    hour.take(figures(30, {"1.0": 20, "+Inf": 30}, busy=2, internal=1), until=120.0, at=1010.0)
    (at, first), (_, second) = hour.of("reports")
    assert at == 1000.0
    assert (first.requests, first.failures) == (2.0, {"busy": 2})
    assert (second.requests, second.failures) == (1.0, {"internal": 1})
    assert (second.p50, second.p95) == (0.5, 0.95)


def test_a_route_of_which_there_is_nothing_is_quiet() -> None:
    hour = Hour(begun=0.0)
    hour.take(figures(5), until=10.0, at=1000.0)
    hour.take(figures(5), until=20.0, at=1010.0)
    assert [one for _, one in hour.of("reports")][1:] == [QUIET]
    assert [one for _, one in hour.of("other")] == [QUIET, QUIET]


def test_a_moment_without_length_makes_no_point() -> None:
    hour = Hour(begun=10.0)
    hour.take(figures(5), until=10.0, at=1000.0)
    assert hour.after(0) == []
    hour.take(figures(5), until=20.0, at=1010.0)
    assert [one.requests for _, one in hour.of("reports")] == [0.5]


def test_it_remembers_an_hour_and_no_more() -> None:
    hour = Hour(begun=0.0)
    for number in range(1, LENGTH + 11):
        hour.take(figures(number), until=number * 10.0, at=number)
    assert [moment.number for moment in hour.after(0)] == list(range(11, LENGTH + 11))
    assert [moment.number for moment in hour.after(LENGTH + 8)] == [LENGTH + 9, LENGTH + 10]
    assert [moment.number for moment in hour.after(0, most=2)] == [11, 12]


def test_another_one_takes_over_what_it_does_not_know() -> None:
    hour, other = Hour(begun=0.0), Hour(begun=0.0)
    for number in range(1, 4):
        hour.take(figures(number), until=number * 10.0, at=number)
        other.add(hour.after(0))
    other.add([sent_moment([4, 7.0, {"reports": list(QUIET)}])])
    assert [(moment.number, moment.at) for moment in other.after(0)] == [(1, 1), (2, 2), (3, 3), (4, 7.0)]
    assert list(other.of("reports"))[-1] == (7.0, QUIET)


def test_the_share_in_time_is_of_those_that_had_a_choice() -> None:
    before, now = Counted(accepted=1, in_time=1), Counted(accepted=2, in_time=4, requests=100)
    assert point(before, now, 10.0).in_time == 0.75
    assert point(before, before, 10.0).in_time is None
    assert point(before, now, 10.0).operations == 0.1


def test_figures_without_a_route_are_nobody_s() -> None:
    samples: list[Sample] = [("respond_async_workers", {}, 2.0)]
    assert by_route([{"name": "w", "type": "gauge", "documentation": "", "samples": samples, "whole": False}]) == {}


BOUNDS = (0.1, 1.0, 10.0, inf)
counts = st.lists(st.integers(0, 1000), min_size=len(BOUNDS), max_size=len(BOUNDS))


def cumulative(in_each: list[int]) -> dict[float, float]:
    return {bound: float(sum(in_each[: index + 1])) for index, bound in enumerate(BOUNDS)}


@given(counts, st.floats(0.01, 1.0))
def test_a_quantile_is_in_the_bucket_where_its_rank_is(in_each: list[int], share: float) -> None:
    buckets, found = cumulative(in_each), quantile(share, cumulative(in_each))
    if found is None:
        assert not any(in_each)
        return
    bound = next(bound for bound in BOUNDS if buckets[bound] >= share * buckets[inf])
    lower = max((other for other in BOUNDS if other < bound), default=0.0)
    assert lower <= found <= min(bound, BOUNDS[-2])


@given(counts)
def test_quantiles_do_not_fall(in_each: list[int]) -> None:
    found = [quantile(share, cumulative(in_each)) for share in (0.5, 0.95, 0.99)]
    assert found == sorted(found, key=lambda value: value or 0.0)


@given(counts, counts, st.floats(0.1, 100.0))
def test_two_steps_count_as_much_as_one_over_both(one: list[int], two: list[int], seconds: float) -> None:
    start, middle = Counted(), Counted(requests=sum(one), failures={"busy": one[0]})
    end = Counted(requests=sum(one) + sum(two), failures={"busy": one[0] + two[0]})
    first, second, both = point(start, middle, seconds), point(middle, end, seconds), point(start, end, 2 * seconds)
    assert first.requests + second.requests == pytest.approx(2 * both.requests, abs=0.003)
    assert first.failures.get("busy", 0) + second.failures.get("busy", 0) == both.failures.get("busy", 0)
