"""The last hour of a route: arithmetic on what was counted."""

import json
from bisect import bisect_left
from itertools import pairwise
from math import ceil
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.figures import NONE, SECONDS, Counted, Took
from proxy.operators.hour import LENGTH, Hour, Moment, at_most, point

SECOND = SECONDS.index(1)  # the bucket of those that took more than half a second, and at most one


def counted(requests: int = 0, **failures: int) -> Counted:
    """What one route has counted, each of whose requests takes 0.75 s."""
    return NONE._replace(requests=took(requests), failures=failures)


def took(number: int) -> Took:
    """So many, each of which takes 0.75 s."""
    return Took([number * (bucket == SECOND) for bucket in range(len(SECONDS) + 1)], number * 0.75)


def points(hour: Hour, route: str = "reports") -> list[dict[str, Any] | None]:
    """Those of a route; None where it was quiet."""
    return [json.loads(moment.points).get(route) for moment in hour.after(0)]


def test_a_point_is_what_was_counted_since_the_one_before_by_the_second() -> None:
    hour = Hour(begun=100.0)
    hour.take({"reports": counted(20, busy=2)}, until=110.0, at=1000.0)
    hour.take({"reports": counted(30, busy=2, internal=1)}, until=120.0, at=1010.0)
    assert [moment.at for moment in hour.after(0)] == [1000.0, 1010.0]
    assert points(hour) == [
        {"requests": 2.0, "p50": 1.0, "p95": 1.0, "p99": 1.0, "failures": {"busy": 2}},
        {"requests": 1.0, "p50": 1.0, "p95": 1.0, "p99": 1.0, "failures": {"internal": 1}},
    ]


def test_of_a_route_that_is_quiet_nothing_is_told() -> None:
    hour = Hour(begun=0.0)
    hour.take({"reports": counted(5), "other": NONE}, until=10.0, at=1000.0)
    hour.take({"reports": counted(5), "other": NONE}, until=20.0, at=1010.0)
    assert [list(json.loads(moment.points)) for moment in hour.after(0)] == [["reports"], []]


def test_a_moment_without_length_makes_no_point() -> None:
    hour = Hour(begun=10.0)
    hour.take({"reports": counted(5)}, until=10.0, at=1000.0)
    assert hour.after(0) == []
    hour.take({"reports": counted(5)}, until=20.0, at=1010.0)
    assert [one and one["requests"] for one in points(hour)] == [0.5]


def test_what_is_counted_anew_is_not_taken_for_less_than_nothing() -> None:
    assert point(counted(5, busy=3), counted(2, busy=1), 10.0) == {}


def test_it_remembers_an_hour_and_no_more() -> None:
    hour = Hour(begun=0.0)
    for number in range(1, LENGTH + 11):
        hour.take({}, until=number * 10.0, at=number)
    assert [moment.number for moment in hour.after(0)] == list(range(11, LENGTH + 11))
    assert [moment.number for moment in hour.after(LENGTH + 8)] == [LENGTH + 9, LENGTH + 10]
    assert [moment.number for moment in hour.after(0, most=2)] == [11, 12]


def test_another_one_takes_over_what_it_does_not_know() -> None:
    hour, other = Hour(begun=0.0), Hour(begun=0.0)
    for number in range(1, 4):
        hour.take({}, until=number * 10.0, at=number)
        other.add(hour.after(0))
    other.add([Moment(4, 7.0, "{}")])
    assert [(moment.number, moment.at) for moment in other.after(0)] == [(1, 1), (2, 2), (3, 3), (4, 7.0)]


def test_the_share_in_time_is_of_those_that_had_a_choice() -> None:
    before, now = NONE._replace(accepted=1, in_time=1), NONE._replace(accepted=2, in_time=4)
    assert point(before, now, 10.0) == {"operations": 0.1, "in_time": 0.75}


def test_how_long_operations_took_is_told_beside_how_long_their_202_did() -> None:
    before = NONE._replace(operations=took(1))
    now = NONE._replace(operations=took(3))
    assert point(before, now, 10.0) == {"operation_p50": 1.0, "operation_p95": 1.0, "operation_p99": 1.0}


BOUNDS = (0.1, 1.0, 10.0)
durations = st.lists(st.floats(0.0, 100.0), min_size=1, max_size=30).map(sorted)
in_order = st.lists(st.floats(0.01, 1.0), min_size=1, max_size=5).map(sorted)


def told(shares: list[float], took: list[float]) -> list[float]:
    """What is told of requests that took so many seconds each."""
    buckets = [bisect_left(BOUNDS, seconds) for seconds in took]
    return list(at_most(shares, [buckets.count(one) for one in range(len(BOUNDS) + 1)], sum(took), BOUNDS))


@given(durations, in_order)
def test_a_share_took_no_longer_than_is_told(took: list[float], shares: list[float]) -> None:
    for share, found in zip(shares, told(shares, took), strict=True):
        assert took[max(ceil(share * len(took) - 1e-9), 1) - 1] <= found + 1e-6


@given(durations, in_order)
def test_larger_shares_took_no_less(took: list[float], shares: list[float]) -> None:
    assert all(one <= other for one, other in pairwise(told(shares, took)))


@given(st.floats(0.0, 100.0))
def test_of_a_single_request_its_own_duration_is_told(seconds: float) -> None:
    assert told([0.5, 0.99], [seconds]) == pytest.approx([seconds, seconds], abs=1e-6)


def test_the_slowest_of_a_few_took_no_more_than_the_others_leave() -> None:
    assert told([0.5, 1.0], [0.05, 0.05, 1.2]) == pytest.approx([0.1, 1.3])


@given(st.integers(0, 1000), st.integers(0, 1000), st.floats(0.1, 100.0))
def test_two_steps_count_as_much_as_one_over_both(one: int, two: int, seconds: float) -> None:
    middle, end = counted(one, busy=one), counted(one + two, busy=one)
    first, second, both = point(NONE, middle, seconds), point(middle, end, seconds), point(NONE, end, 2 * seconds)
    rates = [found.get("requests", 0) for found in (first, second, both)]
    assert rates[0] + rates[1] == pytest.approx(2 * rates[2], abs=0.003)
    assert first.get("failures") == both.get("failures")
