"""How results are told: as tables, on the terminal and in `docs/performance.md`, and as plots beside it."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Final, NamedTuple

from bench.goals import judged, number
from bench.plots import Bar, bars, compared
from bench.results import Results
from bench.rounds import Rounds, Spread, spread

FILE: Final = Path(__file__).parents[1] / "docs" / "performance.md"
PLOTS: Final = FILE.with_suffix("")  # a folder
BEGIN: Final = "<!-- measured: `make bench` writes what follows -->"
END: Final = "<!-- measured: to here -->"
CASES: Final = {
    "small": "Small answers, 32 connections",
    "latency": "Small answers, 1 connection",
    "large": "Large bodies",
    "operations": "Operations",
    "polls": "Status polls of running operations",
    "crowd": "Many running operations",
    "stored": "Many stored operations",
    "workers": "Two workers",
    "observed": "Being seen",
    "start": "The start",
}


class Plot(NamedTuple):
    """A picture, and of which case."""

    case: str
    heading: str
    unit: str
    lines: Callable[[Rounds], Sequence[Bar]]


PLOTTED: Final = {
    "small": Plot("small", "Requests/s, small answers, 32 connections, a core for each proxy", "",
                  lambda rounds: compared("requests/s", rounds)),
    "latency": Plot("latency", "Latency of a small answer, 1 connection", " ms",
                    lambda rounds: _by_percentile(("p50, ms", "p99, ms"), rounds)),
    "down": Plot("large", "Download of a large body", " MB/s", lambda rounds: compared("down, MB/s", rounds)),
    "up": Plot("large", "Upload of a large body", " MB/s", lambda rounds: compared("up, MB/s", rounds)),
    "operations": Plot("operations", "Operations from end to end, beside a naive proxy's requests", "/s",
                       lambda rounds: [*compared("requests/s", rounds), *compared("operations/s", rounds)]),
    "lag": Plot("operations", "From the origin's last byte to the client's, at half load", " ms",
                lambda rounds: _by_percentile(("lag p50, ms", "lag p99, ms"), rounds)),
}  # fmt: skip


def publish(results: Results, document: Path = FILE, folder: Path = PLOTS) -> None:
    """Write the generated part of the document, and the plots that it shows."""
    document.write_text(rewritten(document.read_text(), measured(results)))
    folder.mkdir(exist_ok=True)
    for name, drawn in drawings(results).items():
        (folder / f"{name}.svg").write_text(drawn)


def rewritten(text: str, generated: str) -> str:
    """The document with a new generated part."""
    before, _, rest = text.partition(BEGIN)
    _, _, after = rest.partition(END)
    return f"{before}{BEGIN}\n\n{generated}\n{END}{after}"


def measured(results: Results) -> str:
    """The generated part: goals, plots, and all figures."""
    machine = ", ".join(f"{name} {value}" for name, value in results.machine.items())
    plots = "".join(f"![{plot.heading}]({PLOTS.name}/{name}.svg)\n\n" for name, plot in _plotted(results).items())
    figures = "".join(f"### {CASES[case]}\n\n{figures_table(rounds)}\n" for case, rounds in results.cases.items())
    return f"Measured on: {machine}.\n\n{goals_table(results)}\n{plots}{figures}".rstrip() + "\n"


def drawings(results: Results) -> dict[str, str]:
    """The plots, by name."""
    return {
        name: bars(plot.heading, plot.unit, plot.lines(results.cases[plot.case]))
        for name, plot in _plotted(results).items()
    }


def goals_table(results: Results) -> str:
    """Every goal that could be judged."""
    rows = [
        (CASES[verdict.goal.case], verdict.goal.measured, _shown(verdict.reached, verdict.goal.unit),
         verdict.goal.wanted, "met" if verdict.met else "**missed**")
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


def _plotted(results: Results) -> dict[str, Plot]:
    return {name: plot for name, plot in PLOTTED.items() if plot.case in results.cases}


def _by_percentile(figures: Sequence[str], rounds: Rounds) -> list[Bar]:
    """Bars for all contenders, percentile by percentile."""
    return [
        bar._replace(name=f"{bar.name}, {figure.removesuffix(', ms')}")
        for figure in figures
        for bar in compared(figure, rounds)
    ]


def _cells(rounds: Rounds, figure: str) -> Iterator[str]:
    for measured in rounds.values():
        yield _shown(spread(measured[figure])) if figure in measured else ""


def _shown(reached: Spread, unit: str = "") -> str:
    return f"{number(reached.median)}{unit} ({number(reached.low)} to {number(reached.high)})"
