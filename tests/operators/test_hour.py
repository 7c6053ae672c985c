"""The last hour of a route: arithmetic on what was counted."""

import json
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.figures import NONE, SECONDS, Counted
from proxy.operators.hour import LENGTH, Hour, Moment, point, quantiles

SECOND = SECONDS.index(1)  # the bucket of those that took more than half a second, and at most one


def counted(requests: int = 0, **failures: int) -> Counted:
    """What one route has counted, all of whose requests take up to a second."""
    return Counted(0, 0, [requests * (bucket == SECOND) for bucket in range(len(SECONDS) + 1)], failures)


def points(hour: Hour, route: str = "reports") -> list[dict[str, Any] | None]:
    """Those of a route; None where it was quiet."""
    return [json.loads(moment.points).get(route) for moment in hour.after(0)]


def test_a_point_is_what_was_counted_since_the_one_before_by_the_second() -> None:
    hour = Hour(begun=100.0)
    hour.take({"reports": counted(20, busy=2)}, until=110.0, at=1000.0)
    hour.take({"reports": counted(30, busy=2, internal=1)}, until=120.0, at=1010.0)
    assert [moment.at for moment in hour.after(0)] == [1000.0, 1010.0]
    assert points(hour) == [
        {"requests": 2.0, "p50": 0.75, "p95": 0.975, "p99": 0.995, "failures": {"busy": 2}},
        {"requests": 1.0, "p50": 0.75, "p95": 0.975, "p99": 0.995, "failures": {"internal": 1}},
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


BOUNDS = (0.1, 1.0, 10.0)
some = st.lists(st.integers(0, 1000), min_size=len(BOUNDS) + 1, max_size=len(BOUNDS) + 1).filter(any)
in_order = st.lists(st.floats(0.01, 1.0), min_size=1, max_size=5).map(sorted)


@given(some, in_order)
def test_a_quantile_is_in_the_bucket_where_its_rank_is(in_each: list[int], shares: list[float]) -> None:
    for share, found in zip(shares, quantiles(shares, in_each, BOUNDS), strict=True):
        rank = share * sum(in_each)
        bucket = next(number for number in range(len(in_each)) if sum(in_each[: number + 1]) >= rank)
        assert (0.0, *BOUNDS)[bucket] <= found <= (*BOUNDS, BOUNDS[-1])[bucket]


@given(some, in_order)
def test_quantiles_do_not_fall(in_each: list[int], shares: list[float]) -> None:
    assert all(one <= other for one, other in pairwise(quantiles(shares, in_each, BOUNDS)))


@given(st.integers(0, 1000), st.integers(0, 1000), st.floats(0.1, 100.0))
def test_two_steps_count_as_much_as_one_over_both(one: int, two: int, seconds: float) -> None:
    middle, end = counted(one, busy=one), counted(one + two, busy=one)
    first, second, both = point(NONE, middle, seconds), point(middle, end, seconds), point(NONE, end, 2 * seconds)
    told = [found.get("requests", 0) for found in (first, second, both)]
    assert told[0] + told[1] == pytest.approx(2 * told[2], abs=0.003)
    assert first.get("failures") == both.get("failures")
