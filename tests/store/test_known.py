"""What a process knows of its own operations, and when it knows that it does not."""

from dataclasses import replace

import pytest

from proxy.operation import BodyRef, Failure, Operation
from proxy.store.known import LARGEST, LATELY, MOST, Known
from tests.store.samples import HEAD, running

RUNNING = running()

FAILED = RUNNING.failed(Failure("origin-timeout", "late", None), 1.0)


class Surroundings:
    """A mark that others leave, and a clock."""

    def __init__(self) -> None:
        self.mark, self.now = b"", 0.0
        self.known = Known(lambda: self.mark, lambda: self.now)

    def change(self, operation: Operation) -> None:
        self.known.changed(operation, self.known.moment())

    def find(self, operation: Operation) -> None:
        self.known.found(operation, self.known.moment())


@pytest.fixture
def around() -> Surroundings:
    return Surroundings()


def test_what_was_changed_here_is_known(around: Surroundings) -> None:
    around.change(RUNNING)
    assert around.known.get(RUNNING.id) == RUNNING
    around.change(FAILED)
    assert around.known.get(RUNNING.id) == FAILED


def test_what_was_found_unsettled_is_known_and_what_was_found_settled_is_not(around: Surroundings) -> None:
    around.find(RUNNING)
    assert around.known.get(RUNNING.id) == RUNNING
    around.known.forget(RUNNING.id)
    around.find(FAILED)
    assert around.known.get(RUNNING.id) is None


def test_nothing_is_known_any_more_once_another_process_has_left_its_mark(around: Surroundings) -> None:
    around.change(RUNNING)
    around.change(replace(FAILED, id="B" * 24))
    around.mark = b"1"
    assert around.known.get(RUNNING.id) is None
    assert around.known.get("B" * 24) is None


def test_a_change_that_a_mark_has_overtaken_teaches_nothing(around: Surroundings) -> None:
    since = around.known.moment()
    around.mark = b"1"
    around.known.changed(RUNNING, since)
    assert around.known.get(RUNNING.id) is None


def test_what_was_read_before_a_change_teaches_nothing(around: Surroundings) -> None:
    since = around.known.moment()
    around.change(FAILED)
    around.known.forget(FAILED.id)
    around.known.found(RUNNING, since)
    assert around.known.get(RUNNING.id) is None


def test_a_result_is_known_for_a_moment(around: Surroundings) -> None:
    around.change(FAILED)
    around.now += LATELY
    assert around.known.get(FAILED.id) == FAILED
    around.now += LATELY
    assert around.known.get(FAILED.id) is None


@pytest.mark.parametrize(
    "body",
    [pytest.param(BodyRef(LARGEST + 1, 0, b"x" * (LARGEST + 1)), id="large"), pytest.param(BodyRef(1, 0), id="file")],
)
def test_a_result_that_is_not_small_is_not_kept(around: Surroundings, body: BodyRef) -> None:
    around.change(RUNNING)
    around.change(RUNNING.completed(HEAD, body, 1.0))
    assert around.known.get(RUNNING.id) is None


def test_no_more_than_so_many_results_are_kept(around: Surroundings) -> None:
    for number in range(MOST + 1):
        around.change(replace(FAILED, id=f"{number:024}"))
    assert around.known.get(f"{MOST - 1:024}") is not None
    assert around.known.get(f"{MOST:024}") is None


def test_of_the_unsettled_only_those_stay_known_that_still_are(around: Surroundings) -> None:
    other = replace(RUNNING, id="B" * 24)
    around.change(RUNNING)
    around.change(other)
    around.known.retain({other.id})
    assert around.known.get(RUNNING.id) is None
    assert around.known.get(other.id) == other


def test_while_a_change_is_under_way_only_the_database_knows(around: Surroundings) -> None:
    """Others may see what was committed before the event loop that had it done hears of it."""
    around.change(RUNNING)
    around.known.begin_change(RUNNING.id)
    assert around.known.get(RUNNING.id) is None
    around.find(RUNNING)
    assert around.known.get(RUNNING.id) is None, "that was read before the commit, perhaps"
    around.change(FAILED)
    around.known.end_change(RUNNING.id)
    assert around.known.get(RUNNING.id) == FAILED


def test_of_two_changes_under_way_both_have_to_end(around: Surroundings) -> None:
    for _ in range(2):
        around.known.begin_change(RUNNING.id)
    around.known.end_change(RUNNING.id)
    around.find(RUNNING)
    assert around.known.get(RUNNING.id) is None
    around.known.end_change(RUNNING.id)
    around.find(RUNNING)
    assert around.known.get(RUNNING.id) == RUNNING
