"""The last requests of a process that somebody may ask about."""

import json
from typing import Any

from proxy.account import Account
from proxy.books import Books
from proxy.clock import Clock
from proxy.errors import OriginTimeout
from proxy.metrics import Metrics
from proxy.recent import LONGEST, Recent
from tests.unit.accounts import account_of


def kept(account: Account) -> list[dict[str, Any]]:
    """What is kept of it when it is over."""
    books = Books(Metrics(), Clock())
    books.enter(account)
    return list(books.recent.entries())


def test_a_plain_request_is_not_kept() -> None:
    assert kept(account_of()) == []


def test_what_is_kept_is_the_newest_first_and_ready_for_json() -> None:
    recent = Recent(most=2)
    for second in range(3):
        account = account_of(b"/\xff?secret", b"id %d" % second)
        account.failed(OriginTimeout("It was late."))
        account.over()
        recent.add(account, second)
    entries = list(recent.entries())
    assert [(entry["time"], entry["id"]) for entry in entries] == [
        ("1970-01-01T00:00:02.000Z", "id 2"),
        ("1970-01-01T00:00:01.000Z", "id 1"),
    ]
    assert (entries[0]["error"], entries[0]["path"]) == ("origin-timeout", "/\ufffd")
    assert json.loads(json.dumps(entries)) == entries


def test_what_is_kept_has_bounds() -> None:
    account = account_of(b"/" + b"a" * 2 * LONGEST)
    account.note("Why.")
    (entry,) = kept(account)
    assert len(entry["path"]) == LONGEST + 1


def poll(status: int, why: str, operation: str = "abcdefghijkl", id: bytes = b"") -> Account:
    """Of a status URL, answered so."""
    account = account_of(b"/.async/" + operation.encode(), id, status=status)
    account.asks_for(operation, 16)
    account.note(why)
    return account


def test_who_polls_pushes_nobody_out() -> None:
    assert kept(poll(202, "It still runs.")) == []


def test_who_is_told_of_a_failure_may_ask_about_it() -> None:
    (entry,) = kept(
        poll(504, "Operation abcdefgh failed: No response head within 2 s (respond_async.timeout).", id=b"x")
    )
    assert (entry["id"], entry["status"], entry["operation"]) == ("x", 504, "abcdefgh")
    assert "(respond_async.timeout)" in entry["why"]


def test_who_asks_for_one_failure_again_and_again_takes_the_place_of_one() -> None:
    recent = Recent(most=3)
    other, another = account_of(id=b"other", status=502), poll(504, "It failed.", "another-one", b"another")
    for second, account in enumerate([other, another]):
        recent.add(account, second)
    for number in range(1000):
        recent.add(poll(504, "It failed.", id=b"%d" % number), 2 + number)
    assert [entry["id"] for entry in recent.entries()] == ["999", "998", "997", "996", "995", "another", "other"]
    recent.add(account_of(id=b"new", status=502), 2000)
    assert [entry["id"] for entry in recent.entries()] == ["new", "999", "998", "997", "996", "995", "another"]


def test_who_closes_a_page_that_polls_pushes_nobody_out() -> None:
    account = account_of(b"/.async/abcdefghijkl", status=0)
    account.asks_for("abcdefghijkl", 16)
    account.client_left()
    assert kept(account) == []


def test_who_leaves_in_the_middle_of_a_result_is_kept() -> None:
    account = account_of(b"/.async/abcdefghijkl")
    account.asks_for("abcdefghijkl", 16)
    account.client_left()
    assert [entry["end"] for entry in kept(account)] == ["CD"]


def test_who_leaves_before_the_origin_answers_is_kept() -> None:
    account = account_of(status=0)
    account.client_left()
    assert [entry["error"] for entry in kept(account)] == ["client-left"]
