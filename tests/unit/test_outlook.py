"""What past durations say of an exchange that runs."""

import pytest

from proxy.outlook import LONGEST, MOST_KEPT, Outlook, by_age
from proxy.picture import MEMORY, Picture


def outlook(*past: float) -> Outlook:
    return Outlook(Picture.of(past))


def asks(outlook: Outlook, until: float) -> list[int]:
    """The ages at which a client asks that does as it is told."""
    ages = [outlook.ask_after(0)]
    while ages[-1] < until:
        ages.append(ages[-1] + outlook.ask_after(ages[-1]))
    return ages


def test_where_nothing_is_known_the_asks_are_a_tenth_of_the_age_apart() -> None:
    assert asks(outlook(), 25) == [*range(1, 21), 22, 24, 26]
    assert [by_age(age) for age in (0, 9.9, 20, 605, 1e9)] == [1, 1, 2, 60, LONGEST]


def test_where_all_take_as_long_one_ask_is_enough() -> None:
    assert asks(outlook(*[60.0] * 5), 60) == [61]
    assert asks(outlook(*[60.0] * 100), 60) == [62]


def test_one_alone_is_not_believed() -> None:
    assert len(asks(outlook(60.0), 60)) > 5


def test_where_there_are_two_kinds_asks_are_at_the_ends_of_both() -> None:
    early, *between, late = asks(outlook(*[5.0] * 30, *[120.0] * 30), 120)
    assert (early, late) == (5, 123)
    assert len(between) <= 2


def test_beyond_all_that_is_known_the_age_counts_again() -> None:
    known = outlook(*[60.0] * 20)
    assert known.ask_after(100) == by_age(100) == 10
    assert known.left(100) is None


def test_nobody_is_sent_away_for_long() -> None:
    assert outlook(*[80_000.0] * 20).ask_after(0) == LONGEST


def test_what_is_left_is_what_half_of_those_of_its_age_took() -> None:
    known = outlook(*[10.0] * 30, *[100.0] * 30)
    assert known.left(0) == pytest.approx(10, rel=0.05)
    assert known.left(50) == pytest.approx(50, rel=0.1)
    assert outlook().left(0) is None


def test_a_second_look_says_the_same() -> None:
    known = outlook(*[60.0] * 20)
    assert known.ask_after(3.2) == known.ask_after(3.9) == known.ask_after(3)


def test_what_it_keeps_is_bounded_and_what_it_forgets_is_found_out_again() -> None:
    known, ages = outlook(*[60.0] * 20, *[5000.0] * 20), range(3 * MOST_KEPT)
    first = [known.ask_after(age) for age in ages]
    assert len(known._asks) <= MOST_KEPT
    assert (
        [known.ask_after(age) for age in ages]
        == first
        == [outlook(*[60.0] * 20, *[5000.0] * 20).ask_after(age) for age in ages]
    )


def test_a_picture_remembers_the_last_best() -> None:
    changed = Picture.of([*[10.0] * 200, *[100.0] * 60])
    assert changed.total == pytest.approx(MEMORY, rel=0.01)
    assert 30 < changed.mean < 60
    assert Picture.of([10.0] * 50).mean == pytest.approx(10, rel=0.05)
    assert Picture({}).mean == 0
