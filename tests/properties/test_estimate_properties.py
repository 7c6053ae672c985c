"""What routes learn, and what clients are told of it, whatever the durations, ages and sizes are."""

from collections import Counter
from dataclasses import replace
from functools import reduce
from math import isfinite
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.estimate import Estimate, of_queued, of_running, span
from proxy.operation import Operation, Progress, State
from proxy.outlook import LONGEST, Outlook
from proxy.picture import BINS, EDGES, FORGOTTEN, MEMORY, Picture, bin_of
from proxy.words import amount
from tests.store.samples import running

DURATIONS = st.floats(0, 1e9)
PASTS = st.lists(DURATIONS, max_size=60)
AGES = st.floats(0, 1e9)
NOW = st.floats(0, 4e9)
SIZES = st.integers(0, 1 << 70)


def picture(past: list[float]) -> Picture:
    return Picture.of(past)


@given(DURATIONS)
def test_every_duration_has_a_bin_around_it(seconds: float) -> None:
    number = bin_of(seconds)
    assert 0 <= number < BINS
    assert EDGES[number] <= seconds * 1.0001
    assert seconds <= EDGES[number + 1] * 1.0001 or number == BINS - 1


@given(st.lists(st.dictionaries(st.integers(0, BINS - 1), st.floats(0, 1e6), max_size=20), max_size=20))
def test_a_picture_is_bounded_whatever_is_joined_to_it(parts: list[dict[int, float]]) -> None:
    joined = reduce(Picture.joined, parts, Picture({}))
    assert joined.total <= MEMORY * 1.0001
    assert len(joined.encode()) <= 4 * BINS
    assert all(weight >= FORGOTTEN for weight in joined.weights.values())


@given(st.lists(st.lists(DURATIONS, max_size=10), max_size=8), st.randoms(use_true_random=False))
def test_pictures_can_be_joined_in_any_order(parts: list[list[float]], random: Random) -> None:
    counts = [Counter(map(bin_of, part)) for part in parts]
    one = reduce(Picture.joined, counts, Picture({}))
    random.shuffle(counts)
    other = reduce(Picture.joined, counts, Picture({}))
    assert one.weights == other.weights
    assert one.weights == Counter(bin_of(seconds) for part in parts for seconds in part)


@given(PASTS, DURATIONS)
def test_what_does_not_come_again_is_forgotten(past: list[float], seconds: float) -> None:
    later = Picture({**picture(past).weights})
    for _ in range(int(8 * MEMORY)):
        later = later.joined({bin_of(seconds): 1})
    assert set(later.weights) == {bin_of(seconds)}


@given(PASTS)
def test_a_picture_comes_back_as_it_was_stored(past: list[float]) -> None:
    stored = picture(past).encode()
    assert Picture.decode(stored).encode() == stored
    assert Picture.decode(stored).weights == pytest.approx(picture(past).weights, abs=1 / 256)


@given(st.binary(max_size=2000))
def test_no_stored_bytes_are_too_strange(stored: bytes) -> None:
    assert Picture.decode(stored).total <= MEMORY * 1.0001


@given(PASTS, AGES, AGES)
def test_who_has_run_longer_is_expected_to_end_no_earlier(past: list[float], one: float, other: float) -> None:
    outlook = Outlook(picture(past))
    young, old = sorted((one, other))
    ends = [None if (left := outlook.left(age)) is None else age + left for age in (young, old)]
    if ends[1] is not None:
        assert ends[0] is not None
        assert ends[0] <= ends[1] * 1.0001


@given(PASTS, AGES)
def test_there_is_always_a_time_to_ask_again(past: list[float], age: float) -> None:
    assert 1 <= Outlook(picture(past)).ask_after(age) <= LONGEST


def assert_sound(estimate: Estimate, operation: Operation) -> None:
    assert estimate.retry_after >= max(1, operation.retry_after)
    assert len(estimate.words.encode("ascii")) < 100
    assert estimate.progress in (estimate.words, None)
    assert not set(estimate.words) & set('"\\\r\n')
    assert estimate.left is None or (isfinite(estimate.left) and estimate.left >= 0)


@given(PASTS, NOW, NOW, st.builds(Progress, SIZES, st.none() | SIZES, NOW), st.floats(0.001, 1e6))
def test_what_is_told_of_a_running_operation_is_sound(
    past: list[float], now: float, began: float, progress: Progress, least: float
) -> None:
    operation = replace(running(), began=began, retry_after=least, progress=progress)
    estimate = of_running(operation, now, Outlook(picture(past)))
    assert_sound(estimate, operation)
    assert (estimate.done, estimate.size) == (progress.received, progress.size)


@given(PASTS, NOW, NOW, st.integers(0, 10**9), st.integers(1, 10**6))
def test_what_is_told_of_a_queued_operation_is_sound(
    past: list[float], now: float, created: float, before: int, at_once: int
) -> None:
    operation = replace(running(), state=State.QUEUED, created=created)
    assert_sound(of_queued(operation, now, Outlook(picture(past)), before, at_once), operation)


@given(st.floats(0, 1e9))
def test_a_span_is_short(seconds: float) -> None:
    assert len(span(seconds)) <= 8


@given(SIZES)
def test_an_amount_is_short(size: int) -> None:
    assert len(amount(size)) <= 16


@given(PASTS, AGES)
def test_longer_than_usual_is_longer_than_nearly_all(past: list[float], age: float) -> None:
    estimate = of_running(replace(running(), began=0.0), age, Outlook(picture(past)))
    if estimate.words.endswith("longer than usual"):
        longer = sum(seconds > int(age) for seconds in past)
        assert longer <= 0.05 * len(past)
