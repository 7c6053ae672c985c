"""How often clients ask that follow Retry-After, and how late they see the end: simulated with the code of the product."""

from pathlib import Path

import pytest

from bench import asking
from bench.asking import BEGIN, END, FILE, KINDS, LATE, Comparison, publish, simulated, table

SHORT = {"always 5 s", "exponential, mean 3 s"}  # a tenth of them is less than a second

# How many times as often the best regular interval asks that is as timely.
WORTH = {
    "always 60 s": 0.9,  # as often, but for the first few: of these that interval knows already
    "60 s, give or take 2 s": 5,
    "uniform, 30 to 90 s": 1.7,
    "log-normal, median 60 s, sigma 0.5": 1.2,
    "log-normal, median 60 s, sigma 1": 1.8,
    "exponential, mean 60 s": 2,
    "half 5 s, half 120 s": 15,
    "Pareto, from 20 s on, alpha 1.5": 3,
    "drifting from 30 s to 120 s": 1.2,
    "always 5 s": 0.9,
    "exponential, mean 3 s": 1,
}


@pytest.fixture(scope="module")
def comparisons() -> dict[str, Comparison]:
    return simulated()


@pytest.mark.parametrize("kind", KINDS)
def test_clients_are_hardly_ever_late(comparisons: dict[str, Comparison], kind: str) -> None:
    ours = comparisons[kind].ours
    assert ours.late <= LATE
    assert ours.lag <= asking.LAG or kind in SHORT


@pytest.mark.parametrize("kind", KINDS)
def test_clients_ask_less_than_every_second(comparisons: dict[str, Comparison], kind: str) -> None:
    ours, each_second, *_ = comparisons[kind]
    assert ours.asks <= each_second.asks / (1 if kind in SHORT else 2)


@pytest.mark.parametrize("kind", KINDS)
def test_no_regular_interval_is_as_timely_with_less(comparisons: dict[str, Comparison], kind: str) -> None:
    ours, _, as_timely, _ = comparisons[kind]
    assert as_timely.course.asks >= WORTH[kind] * ours.asks


@pytest.mark.parametrize("kind", KINDS.keys() - SHORT - {name for name in KINDS if "normal" in name or "exp" in name})
def test_where_an_end_is_in_sight_none_is_as_near_with_less(comparisons: dict[str, Comparison], kind: str) -> None:
    ours, _, _, as_near = comparisons[kind]
    assert as_near.course.asks >= 0.9 * ours.asks


def test_the_document_shows_these_figures(comparisons: dict[str, Comparison], tmp_path: Path) -> None:
    shown = FILE.read_text()
    copy = tmp_path / "asking.md"
    copy.write_text(shown.partition(BEGIN)[0] + BEGIN + "old" + END + shown.partition(END)[2])
    publish(table(comparisons), copy)
    assert copy.read_text() == shown, "run `make asking`"
