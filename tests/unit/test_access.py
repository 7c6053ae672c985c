"""The access line, and the ids of requests."""

import json
from collections.abc import Iterator
from itertools import count, islice
from typing import Any, Final

import pytest
import structlog
import uvloop

from proxy.access import IDS_AT_ONCE, AccessLog, request_ids
from proxy.account import Account
from proxy.books import Books
from proxy.clock import Clock
from proxy.config import LogSettings
from proxy.errors import OriginUnreachable
from proxy.logwriter import LogWriter
from proxy.metrics import Metrics
from proxy.observe import configure_logging
from tests.unit.accounts import account_of, enter

Lines = list[structlog.types.EventDict]

NOW: Final = 1_795_550_400.25


class Restless(Clock):
    """A clock that is a second later whenever somebody looks."""

    def __init__(self) -> None:
        super().__init__()
        self._seconds = count(NOW)

    def now(self) -> float:
        return next(self._seconds)


@pytest.fixture
def json_lines() -> Iterator[list[bytes]]:
    """What is written where JSON is logged."""
    before, written = structlog.get_config(), list[bytes]()
    writer = LogWriter(written.append)
    configure_logging(LogSettings(level="info", format="json"), writer)
    yield written
    writer.close()
    structlog.configure(**before)


def write(*accounts: Account) -> None:
    """Have their lines made in the last turn of an event loop."""

    async def over() -> None:
        log = AccessLog(Clock())
        for account in accounts:
            log.write(account, NOW)

    uvloop.run(over())


def line_of(account: Account, written: list[bytes]) -> dict[str, Any]:
    write(account)
    structlog.get_config()["logger_factory"]().close()
    (line,) = b"".join(written).splitlines()
    found: dict[str, Any] = json.loads(line)
    return found


def test_a_request_has_one_time_in_the_log_and_among_the_recent_ones(json_lines: list[bytes]) -> None:
    books = Books(Metrics(), Restless())
    enter(books, failed())
    structlog.get_config()["logger_factory"]().close()
    (entry,) = books.recent.entries()
    assert json.loads(b"".join(json_lines))["timestamp"] == entry["time"]


def failed() -> Account:
    """One with everything that a line can have, and characters that JSON has to escape."""
    account = account_of(b'/a "quoted" \xff path?secret=1', id=b'i"d\\')
    error = OriginUnreachable("Refused.", error_type="connection_refused")
    error.__cause__ = OSError('it said "no"')
    account.failed(error)
    account.over()
    return account


def test_a_request_is_one_line(quiet_log: Lines) -> None:
    account = account_of(b"/a?query=1", id=b"id")
    account.over()
    write(account)
    facts = {"status": 200, "method": "GET", "path": "/a", "bytes": 5, "received": 0, "route": "(none)"}
    rest = {"peer": "192.0.2.1", "id": "id", "plan": "here", "end": "--", "seconds": round(account.seconds, 4)}
    assert quiet_log == [{"event": "request", "log_level": "info", **facts, **rest}]


def test_requests_that_are_over_in_one_turn_have_their_lines_in_that_order(quiet_log: Lines) -> None:
    write(account_of(b"/1"), account_of(b"/2"), failed(), account_of(b"/4"))
    assert [line["path"] for line in quiet_log] == ["/1", "/2", '/a "quoted" \ufffd path', "/4"]


def test_a_line_that_cannot_be_made_takes_no_other_with_it(json_lines: list[bytes]) -> None:
    odd, plain = account_of(b"/odd", b"odd"), account_of(b"/plain")
    odd.waiting, odd.origin = 1000.0, 0.0  # longer than the whole request took: none is like that
    write(odd, plain)
    structlog.get_config()["logger_factory"]().close()
    first, second = (json.loads(line) for line in b"".join(json_lines).splitlines())
    assert (first["event"], first["id"], "IndexError" in first["exception"]) == ("line not written", "odd", True)
    assert (second["event"], second["path"]) == ("request", "/plain")


TRACED: Final = account_of(b"/", b"", (b"traceparent", b"00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"))
ACCOUNTS: Final = [
    pytest.param(account_of(b"/"), id="plain"),
    pytest.param(failed(), id="failed"),
    pytest.param(TRACED, id="traced"),
]


def test_a_request_of_a_trace_tells_which(quiet_log: Lines) -> None:
    write(TRACED)
    assert quiet_log[0]["trace"] == "4bf92f3577b34da6a3ce929d0e0e4736"


@pytest.mark.parametrize("account", ACCOUNTS)
def test_lines_of_json_say_what_others_say(account: Account, json_lines: list[bytes]) -> None:
    account.over()
    line = line_of(account, json_lines)
    assert list(line)[:3] == ["timestamp", "level", "event"]
    assert {name: fact for name, fact in line.items() if name not in ("timestamp", "level", "event")} == account.facts()


@pytest.mark.parametrize(
    ("id", "shown"),
    [
        pytest.param("uniücode-✓".encode(), "uniücode-✓", id="UTF-8"),
        pytest.param(b"latin-\xfc-1", r"latin-\xfc-1", id="not UTF-8"),
        pytest.param(b"\xed\xa0\x80", r"\xed\xa0\x80", id="half a character of UTF-16"),
    ],
)
@pytest.mark.parametrize("waiting", [None, 0.01], ids=["any line", "the line of most"])
def test_an_id_is_read_as_utf_8(json_lines: list[bytes], id: bytes, shown: str, waiting: float | None) -> None:
    account = account_of(b"/", id)
    account.over()
    account.waiting = account.origin = waiting
    assert line_of(account, json_lines)["id"] == account.facts()["id"] == shown


def test_the_time_of_a_line_is_written_as_in_all_others(json_lines: list[bytes]) -> None:
    structlog.get_logger().info("another")
    account = account_of(b"/")
    account.over()
    write(account)
    structlog.get_config()["logger_factory"]().close()
    lines = [json.loads(line) for line in b"".join(json_lines).splitlines()]
    assert [len(line["timestamp"]) for line in lines] == [len("2026-11-24T19:00:00.000Z")] * 2
    assert [line["timestamp"][-1] for line in lines] == ["Z", "Z"]


@pytest.mark.parametrize(("level", "enabled"), [("debug", True), ("info", True), ("warning", False)])
def test_it_knows_whether_anybody_wants_its_lines(level: str, *, enabled: bool) -> None:
    before = structlog.get_config()
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(level))
    try:
        assert AccessLog(Clock()).enabled is enabled
    finally:
        structlog.configure(**before)


def test_ids_are_all_different_over_several_blocks() -> None:
    ids = list(islice(request_ids(), 3 * IDS_AT_ONCE))
    assert len(set(ids)) == len(ids)
    assert {len(bytes.fromhex(id.decode())) for id in ids} == {16}
