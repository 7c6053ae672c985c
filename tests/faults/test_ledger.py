"""The accounts themselves: what counts as a fault of the service, and what does not."""

import pytest

from tests.faults.ledger import Ledger, Promise, Seen
from tests.faults.work import Work


@pytest.fixture
def promise() -> Promise:
    return Promise(Work(1), b"/.async/x")


@pytest.mark.parametrize("seen", [Seen.UNAVAILABLE, Seen.BROKEN_OFF])
def test_who_is_told_nothing_of_a_deleted_operation_is_not_contradicted(promise: Promise, seen: Seen) -> None:
    """A service that ends refuses what it has not answered yet with 503, whatever is asked for."""
    ledger = Ledger()
    promise.deletions, promise.deleted = 1, True
    ledger.note(promise, seen, was_deleted=True)
    assert ledger.counts.faults() == {}


@pytest.mark.parametrize("seen", [Seen.RUNNING, Seen.COMPLETED, Seen.INTERRUPTED])
def test_an_operation_that_was_deleted_and_is_there_again_is_a_contradiction(promise: Promise, seen: Seen) -> None:
    ledger = Ledger()
    promise.deletions, promise.deleted = 1, True
    ledger.note(promise, seen, was_deleted=True)
    assert ledger.counts.faults() == {"contradicted": 1}


def test_an_operation_that_is_settled_twice_is_a_contradiction(promise: Promise) -> None:
    ledger = Ledger()
    ledger.note(promise, Seen.COMPLETED, was_deleted=False)
    ledger.note(promise, Seen.UNAVAILABLE, was_deleted=False)
    ledger.note(promise, Seen.COMPLETED, was_deleted=False)
    assert ledger.counts.faults() == {}
    ledger.note(promise, Seen.INTERRUPTED, was_deleted=False)
    assert ledger.counts.faults() == {"contradicted": 1}
