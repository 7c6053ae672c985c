"""`make bench`: its statistics, its judgement, and that what it publishes says what it measured."""

import asyncio
import os
import socket
import sys
import threading
from collections.abc import Iterator
from contextlib import closing
from functools import partial
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest
from click.testing import CliRunner

from bench import __main__, bulk, machine, smoke
from bench.cases import CASES
from bench.cases.stored import Shelf
from bench.cases.workers import divided
from bench.client import Connection, connected
from bench.document import CASES as TITLES
from bench.document import FILE as DOCUMENT
from bench.document import PLOTS, drawings, figures_table, measured, publish, rewritten
from bench.goals import GOALS, judged, number
from bench.machine import Cores, all_cores, how_to_install
from bench.plots import Bar, bars, compared
from bench.results import FILE, Results
from bench.rounds import QUICK, Bench, Rounds, Spread, differences, in_turn, joined, percentile, ratios, spread
from bench.running import CannotMeasure, running, started
from bench.wrk import Load, parsed
from tests.faults.service import unused_ports

SMALL: Rounds = {
    "nginx": {"requests/s": [100.0, 200.0, 300.0]},
    "naive": {"requests/s": [20.0, 20.0, 20.0]},
    "ours": {"requests/s": [50.0, 120.0, 90.0]},
}
RESULTS = Results({"CPython": "3.11"}, {"rounds": 3}, {"small": SMALL})


# Statistics.


@pytest.mark.parametrize(
    ("percent", "value"),
    [
        pytest.param(0, 1, id="none"),
        pytest.param(50, 5, id="half"),
        pytest.param(51, 6, id="just above half"),
        pytest.param(99, 10, id="nearly all"),
        pytest.param(100, 10, id="all"),
    ],
)
def test_a_percentile_is_the_nearest_rank(percent: float, value: float) -> None:
    assert percentile([10, 9, 8, 7, 6, 5, 4, 3, 2, 1], percent) == value


def test_the_percentile_of_one_value_is_that_value() -> None:
    assert percentile([7], 99) == 7


def test_a_series_is_told_by_its_lowest_its_median_and_its_highest() -> None:
    assert spread([3, 1, 2, 9]) == Spread(1, 2.5, 9)


def test_rounds_are_compared_one_by_one() -> None:
    assert ratios([2, 3], [4, 2]) == [0.5, 1.5]
    assert differences([2, 3], [4, 2]) == [-2, 1]


def test_contenders_are_measured_in_turn() -> None:
    order: list[str] = []

    def measure(name: str) -> dict[str, float]:
        order.append(name)
        return {"place": len(order)}

    rounds = in_turn(2, {name: partial(measure, name) for name in "AB"})
    assert order == ["A", "B", "A", "B"]
    assert rounds == {"A": {"place": [1, 3]}, "B": {"place": [2, 4]}}


def test_measurements_of_the_same_contenders_are_joined() -> None:
    assert joined({"a": {"x": [1]}}, {"a": {"y": [2]}, "b": {"y": [3]}}) == {
        "a": {"x": [1], "y": [2]},
        "b": {"y": [3]},
    }


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (12345.6, "12,346"),
        (100, "100"),
        (99.96, "100"),
        (1.2345, "1.23"),
        (0.0127, "0.0127"),
        (0.00001, "0.000"),
        (-3, "-3"),
    ],
)
def test_numbers_are_shown_with_three_digits_and_no_exponent(value: float, shown: str) -> None:
    assert number(value) == shown


# Goals.


def test_a_goal_is_judged_by_the_median_of_what_was_measured_in_the_same_round() -> None:
    to_nginx, to_naive = judged({"small": SMALL})
    assert (to_nginx.reached, to_nginx.met) == (Spread(0.3, 0.5, 0.6), True)
    assert (to_naive.reached, to_naive.met) == (Spread(2.5, 4.5, 6.0), True)


def test_a_goal_that_is_missed_is_told_so() -> None:
    slow = SMALL | {"ours": {"requests/s": [1.0, 2.0, 3.0]}}
    assert [verdict.met for verdict in judged({"small": slow})] == [False, False]


def test_what_is_to_be_small_is_judged_the_other_way() -> None:
    started_late, version = judged({"start": {"ours": {"first answer, s": [0.6], "--version, s": [0.1]}}})
    assert (started_late.met, version.met) == (False, True)
    assert started_late.goal.wanted == "≤ 0.5 s"


def test_a_contender_that_is_missing_leaves_its_goals_out() -> None:
    assert [verdict.goal.limit for verdict in judged({"small": {name: SMALL[name] for name in ("naive", "ours")}})] == [
        2.5
    ]


def test_every_case_has_a_goal_and_a_title() -> None:
    assert set(CASES) == set(TITLES) == {goal.case for goal in GOALS}


# What is published.


def test_the_document_shows_the_results_that_are_checked_in() -> None:
    results = Results.read(FILE)
    text = DOCUMENT.read_text()
    assert text == rewritten(text, measured(results))
    assert {file.stem: file.read_text() for file in PLOTS.glob("*.svg")} == drawings(results)


def test_the_results_that_are_checked_in_are_of_a_whole_run() -> None:
    results = Results.read(FILE)
    assert set(results.cases) == set(CASES)
    assert results.effort["rounds"] >= 5
    assert {verdict.goal.case for verdict in judged(results.cases)} == set(CASES)


def test_publishing_replaces_what_is_between_the_marks(tmp_path: Path) -> None:
    document = tmp_path / "page.md"
    document.write_text(rewritten("before <!-- none --> after", "old"))
    publish(RESULTS, document, tmp_path / "plots")
    publish(RESULTS, document, tmp_path / "plots")
    text = document.read_text()
    assert text.startswith("before ")
    assert (
        text.count("| Small answers, 32 connections | requests/s against nginx | 0.5 (0.3 to 0.6) | ≥ 0.5 | met |") == 1
    )
    assert [file.name for file in (tmp_path / "plots").iterdir()] == ["small.svg"]


def test_results_come_back_as_they_were_written(tmp_path: Path) -> None:
    RESULTS.write(tmp_path / "results.json")
    assert Results.read(tmp_path / "results.json") == RESULTS


def test_a_figure_that_one_contender_lacks_leaves_its_cell_empty() -> None:
    rows = figures_table({"nginx": {}, "ours": {"lag, ms": [1.0]}}).splitlines()
    assert rows[-1] == "| lag, ms |  | 1 (1 to 1) |"


def test_a_plot_is_well_formed_and_has_a_bar_for_everybody() -> None:
    lines = [Bar("a & <b>", Spread(1, 2, 3), ours=True), Bar("nothing", Spread(-1, 0, 0), ours=False)]
    root = ET.fromstring(bars("x < y & z", " ms", lines))  # noqa: S314  # our own
    space = "{http://www.w3.org/2000/svg}"
    drawn = root.findall(f"{space}rect")
    assert [bar.get("class") for bar in drawn] == ["ours", "bar"]
    assert [float(bar.get("width") or -1) for bar in drawn] == [pytest.approx((720 - 200 - 150) * 2 / 3, abs=0.1), 0]
    assert "prefers-color-scheme: dark" in (root.findtext(f"{space}style") or "")
    assert "2 ms" in [text.text for text in root.iter(f"{space}text")]


def test_a_plot_without_bars_is_well_formed() -> None:
    ET.fromstring(bars("nothing", "", []))  # noqa: S314  # our own


def test_a_plot_shows_those_that_have_the_figure() -> None:
    lines = compared("requests/s", SMALL | {"direct": {"p50, ms": [1.0]}})
    assert [(line.name, line.spread.median, line.ours) for line in lines] == [
        ("nginx", 200, False),
        ("naive", 20, False),
        ("ours", 90, True),
    ]


# The command.


def test_a_case_that_is_not_there_is_named() -> None:
    result = CliRunner().invoke(__main__.main, ["--only", "small medium"])
    assert result.exit_code == 2
    assert "no such case: medium" in result.output


def test_what_lacks_its_programs_or_fails_is_said_and_skipped(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def fails(_: Bench) -> Rounds:
        raise CannotMeasure("the weather is bad")

    monkeypatch.setitem(CASES, "small", CASES["small"]._replace(measure=lambda _: SMALL, needs=()))
    monkeypatch.setitem(CASES, "large", CASES["large"]._replace(measure=fails, needs=()))
    monkeypatch.setattr(machine, "SBIN", "/nowhere")
    monkeypatch.setenv("PATH", "/nowhere")
    result = CliRunner().invoke(
        __main__.main, ["--quick", "--only", "small large polls", "--output", str(tmp_path / "results.json")]
    )
    assert result.exit_code == 0, result.output
    assert "Not here: nginx haproxy wrk. To measure with them: apt-get install haproxy nginx-light wrk" in result.output
    assert "polls: skipped without wrk" in result.output
    assert "large: the weather is bad" in result.output
    assert Results.read(tmp_path / "results.json").cases == {"small": SMALL}


def test_what_is_missing_is_named_by_its_package() -> None:
    assert how_to_install(["wrk", "nginx"]) == "apt-get install nginx-light wrk"


# Instructions.


@pytest.mark.parametrize(
    ("count", "said", "failed"),
    [
        pytest.param(110, "+10.0% of 100", False, id="at the margin"),
        pytest.param(111, "more than 10% above", True, id="above it"),
        pytest.param(89, "UPDATE=1", False, id="much less"),
        pytest.param(100, "+0.0% of 100", False, id="the same"),
    ],
)
def test_instructions_are_compared_with_a_margin(count: int, said: str, failed: bool) -> None:  # noqa: FBT001
    ((text, failure),) = smoke.compared({"request": count}, {"request": 100})
    assert said in text
    assert failure is failed


def test_instructions_of_what_has_no_figure_are_no_failure() -> None:
    ((text, failure),) = smoke.compared({"request": 5}, {})
    assert "no figure" in text
    assert not failure


def test_a_python_without_figures_is_told_how_to_get_them(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    figures = tmp_path / "smoke.json"
    figures.write_text("{}")
    monkeypatch.setattr(smoke, "FILE", figures)
    monkeypatch.setattr(smoke, "missing", lambda _: [])
    monkeypatch.setattr(smoke, "counts", lambda: {"request": 1000})
    first = CliRunner().invoke(smoke.main)
    assert "UPDATE=1" in first.output
    assert first.exit_code == 0
    assert CliRunner().invoke(smoke.main, ["--update"]).exit_code == 0
    monkeypatch.setattr(smoke, "counts", lambda: {"request": 1200})
    assert CliRunner().invoke(smoke.main).exit_code == 1


def test_counting_without_valgrind_says_how_to_install_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(smoke, "missing", lambda _: ["valgrind"])
    result = CliRunner().invoke(smoke.main)
    assert result.exit_code == 1
    assert "apt-get install valgrind" in result.output


# The instruments.

REPORT = """Running 1s test @ http://127.0.0.1:1/
  Thread Stats   Avg      Stdev     Max   +/- Stdev
    Latency     1.00ms  100.00us  22.00ms   98.55%
  Latency Distribution
     50%  950.00us
     75%    0.99ms
     90%    1.02ms
     99%    1.50ms
  16789 requests in 1.00s, 2.98MB read
Requests/sec:  16789.25
Transfer/sec:      2.98MB
"""


def test_the_report_of_wrk_is_read() -> None:
    assert parsed(REPORT) == pytest.approx(Load(requests=16789, rate=16789.25, p50=0.00095, p99=0.0015))


@pytest.mark.parametrize(
    "report",
    [
        pytest.param(REPORT + "  Non-2xx or 3xx responses: 3\n", id="wrong answers"),
        pytest.param(REPORT + "  Socket errors: connect 0, read 1, write 0, timeout 0\n", id="broken connections"),
        pytest.param("nothing", id="no report"),
    ],
)
def test_a_load_with_wrong_answers_is_no_measurement(report: str) -> None:
    with pytest.raises(CannotMeasure):
        parsed(report)


@pytest.mark.parametrize(
    ("cores", "expected"),
    [
        pytest.param(
            Cores(frozenset({0}), frozenset({1})), Cores(frozenset({0, 1}), frozenset({0, 1})), id="two cores"
        ),
        pytest.param(
            Cores(frozenset({0}), frozenset({1, 2, 3})), Cores(frozenset({0, 1}), frozenset({2, 3})), id="four cores"
        ),
    ],
)
def test_two_workers_have_cores_of_their_own_where_enough_are_left(cores: Cores, expected: Cores) -> None:
    assert divided(cores) == expected
    assert divided(cores).apart is (len(cores.load) > 1)


def test_what_is_started_meanwhile_stays_on_its_processors(tmp_path: Path) -> None:
    before = os.sched_getaffinity(0)
    command = [sys.executable, "-c", "import time; time.sleep(60)"]
    with started(command, 1, all_cores().proxy, tmp_path / "log") as server:
        assert os.sched_getaffinity(server.pids[0]) == all_cores().proxy
    assert os.sched_getaffinity(0) == before


def test_a_server_that_does_not_come_up_says_why(tmp_path: Path) -> None:
    command = [sys.executable, "-c", "raise SystemExit('no such thing')"]
    with (
        pytest.raises(CannotMeasure, match="no such thing"),
        running(command, unused_ports(1)[0], all_cores().load, tmp_path / "log"),
    ):
        pass


@pytest.fixture
def origin(tmp_path: Path) -> Iterator[int]:
    """The port of the benchmark's own origin."""
    (port,) = unused_ports(1)
    with running([sys.executable, "-m", "bench.origin", str(port)], port, all_cores().load, tmp_path / "log"):
        yield port


async def test_the_slow_origin_says_when_it_answered(origin: int) -> None:
    async with connected(origin, 1) as (connection,):
        begun = asyncio.get_running_loop().time()
        answer = (await connection.ask(b"/slow/20")).require(200)
        assert begun + 0.02 <= float(answer.content) + 0.005
        assert float(answer.content) <= answer.at


async def test_the_silent_origin_says_nothing(origin: int) -> None:
    async with connected(origin, 2) as (silent, other):
        asking = asyncio.create_task(silent.ask(b"/never"))
        (await other.ask(b"/")).require(200)
        assert not asking.done()
        asking.cancel()


def test_large_bodies_go_both_ways(origin: int, tmp_path: Path) -> None:
    file = tmp_path / "large"
    file.write_bytes(bytes(3_000_000))
    assert bulk.upload(origin, file) > 0
    assert bulk.download(origin, "/") > 0


@pytest.fixture
def answering() -> Iterator["Answering"]:
    with closing(Answering()) as server:
        yield server


class Answering:
    """Says one thing to whoever connects, and closes."""

    def __init__(self) -> None:
        self.says = b""
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._socket.getsockname()[1]
        self._thread = threading.Thread(target=self._serve)
        self._thread.start()

    def close(self) -> None:
        self._socket.shutdown(socket.SHUT_RDWR)
        self._thread.join(5)
        self._socket.close()

    def _serve(self) -> None:
        try:
            while True:
                peer, _ = self._socket.accept()
                with peer:
                    peer.recv(10_000)
                    peer.sendall(self.says)
        except OSError:  # closed
            return


@pytest.mark.parametrize(
    "says",
    [
        pytest.param(b"", id="nothing"),
        pytest.param(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf", id="half of it"),
        pytest.param(b"HTTP/1.1 502 Bad Gateway\r\nContent-Length: 0\r\n\r\n", id="an error"),
        pytest.param(b"HTTP/1.1 202 Accepted\r\nContent-Length: 0\r\n\r\n", id="no location"),
    ],
)
async def test_a_client_takes_no_wrong_answer(answering: Answering, says: bytes) -> None:
    answering.says = says
    async with connected(answering.port, 1) as (connection,):
        with pytest.raises(CannotMeasure):
            await connection.operate(b"/")
    with pytest.raises(CannotMeasure):
        await asyncio.to_thread(bulk.download, answering.port, "/")


def test_a_client_needs_to_know_the_length() -> None:
    connection = Connection()
    with pytest.raises(CannotMeasure, match="no Content-Length"):
        connection.data_received(b"HTTP/1.1 200 OK\r\n\r\n")


def test_a_shelf_holds_results_that_can_be_made_to_expire(tmp_path: Path) -> None:
    shelf = Shelf(tmp_path / "shelf", 50)
    assert (shelf.settled(), shelf.let_expire(20), shelf.settled()) == (50, 30, 50)
    assert {shelf.random_id() for _ in range(500)} <= set(shelf.ids[20:])
    assert shelf.bytes > 0


@pytest.mark.skipif(machine.program("nginx") is None, reason="needs nginx")
def test_the_proxy_is_measured_from_its_start(capsys: pytest.CaptureFixture[str]) -> None:
    cases = __main__.measured(["start"], QUICK._replace(rounds=1))
    assert {figure: len(series) for figure, series in cases["start"]["ours"].items()} == {
        "first answer, s": 1,
        "--version, s": 1,
    }
    assert "| first answer, s |" in capsys.readouterr().out
