"""The last requests of a process that somebody may ask about."""

import json
from collections import Counter
from typing import Any

from proxy.account import Account
from proxy.books import Books
from proxy.clock import Clock
from proxy.errors import OriginTimeout
from proxy.metrics import Metrics
from proxy.recent import LONGEST, Recent
from tests.unit.accounts import account_of, enter


def kept(account: Account) -> list[dict[str, Any]]:
    """What is kept of it when it is over."""
    books = Books(Metrics(), Clock())
    enter(books, account)
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


def of_route(route: str, status: int, id: bytes = b"") -> Account:
    account = account_of(id=id, status=status)
    account.route = route
    account.over()
    return account


def test_what_is_frequent_drives_nothing_rare_out() -> None:
    recent = Recent(most=10)
    rare = [of_route("reports", 504), of_route("orders", 502), of_route("reports", 202)]
    for second, account in enumerate(rare):
        recent.add(account, second)
    for second in range(3, 1000):
        recent.add(of_route("reports", 502, b"%d" % second), second)
    kept = [(entry["route"], entry["status"], entry.get("id")) for entry in recent.entries()]
    assert kept == [
        *(("reports", 502, str(second)) for second in range(999, 992, -1)),
        ("reports", 202, None), ("orders", 502, None), ("reports", 504, None),
    ]  # fmt: skip


def test_kinds_that_are_all_frequent_share_what_there_is() -> None:
    recent = Recent(most=9)
    for second in range(300):
        recent.add(of_route("reports", 502 + second % 3), second)
    statuses = [entry["status"] for entry in recent.entries()]
    assert Counter(statuses) == {502: 3, 503: 3, 504: 3}


def test_however_many_kinds_there_are_no_more_are_kept_than_may_be() -> None:
    recent = Recent(most=9)
    for second in range(300):
        recent.add(of_route(f"route {second}", 502), second)
    assert [entry["route"] for entry in recent.entries()] == [f"route {second}" for second in range(299, 290, -1)]
    assert len(recent._groups) == 9


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
