"""How results are told: as tables, on the terminal and in `docs/performance.md`."""

from collections.abc import Iterable, Iterator, Sequence

from bench.goals import judged, number
from bench.results import Results
from bench.rounds import Rounds, Spread, spread


def goals_table(results: Results) -> str:
    """Every goal that could be judged."""
    rows = [
        (verdict.goal.case, verdict.goal.measured, _shown(verdict.reached, verdict.goal.unit), verdict.goal.wanted,
         "met" if verdict.met else "**missed**")
        for verdict in judged(results.cases)
    ]  # fmt: skip
    return table(("case", "measured", "reached", "goal", ""), rows)


def figures_table(rounds: Rounds) -> str:
    """All figures of a case, a row for each and a column for each contender."""
    figures = list(dict.fromkeys(figure for measured in rounds.values() for figure in measured))
    return table(("", *rounds), [(figure, *_cells(rounds, figure)) for figure in figures])


def table(heading: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """In Markdown."""
    lines = [heading, ["---"] * len(heading), *rows]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def _cells(rounds: Rounds, figure: str) -> Iterator[str]:
    for measured in rounds.values():
        yield _shown(spread(measured[figure])) if figure in measured else ""


def _shown(reached: Spread, unit: str = "") -> str:
    return f"{number(reached.median)}{unit} ({number(reached.low)} to {number(reached.high)})"
