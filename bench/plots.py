"""Plots as SVG, drawn with as little as they need, for pages that are light or dark."""

from collections.abc import Sequence
from html import escape
from typing import Final, NamedTuple

from bench.goals import number
from bench.rounds import Rounds, Spread, spread

WIDTH: Final = 720
LABEL: Final = 200  # pixels for names, on the left
VALUE: Final = 150  # for values, on the right
LINE: Final = 26  # height of a bar with its gap
TOP: Final = 34  # for the heading
STYLE: Final = """
text { font: 13px system-ui, sans-serif; fill: #24292f }
.heading { font-weight: 600 }
.bar { fill: #8c959f } .ours { fill: #0969da }
.spread { stroke: #24292f; stroke-width: 1 }
@media (prefers-color-scheme: dark) {
  text { fill: #e6edf3 } .bar { fill: #6e7681 } .ours { fill: #4493f8 } .spread { stroke: #e6edf3 }
}
"""


class Bar(NamedTuple):
    """One line of a plot."""

    name: str
    spread: Spread
    ours: bool


def bars(heading: str, unit: str, lines: Sequence[Bar]) -> str:
    """A plot with a bar for each median, and a thin line from the lowest to the highest round."""
    most = max((bar.spread.high for bar in lines), default=0) or 1
    scale = (WIDTH - LABEL - VALUE) / most
    drawn = "".join(_bar(place, bar, scale, unit) for place, bar in enumerate(lines))
    height = TOP + LINE * len(lines) + 8
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" width="{WIDTH}" height="{height}"'
        f' role="img" aria-label="{escape(heading)}">\n<style>{STYLE}</style>\n'
        f'<text class="heading" x="8" y="20">{escape(heading)}</text>\n{drawn}</svg>\n'
    )


def compared(figure: str, rounds: Rounds, ours: str = "ours") -> list[Bar]:
    """A bar for each contender that has this figure."""
    found = {name: figures[figure] for name, figures in rounds.items() if figure in figures}
    return [Bar(name, spread(series), ours=name.startswith(ours)) for name, series in found.items()]


def _bar(place: int, bar: Bar, scale: float, unit: str) -> str:
    top, middle = TOP + LINE * place, TOP + LINE * place + 9
    low, median, high = (LABEL + max(value, 0) * scale for value in bar.spread)
    return (
        f'<text x="8" y="{middle + 5}">{escape(bar.name)}</text>'
        f'<rect class="{"ours" if bar.ours else "bar"}" x="{LABEL}" y="{top}" width="{median - LABEL:.1f}" height="18"/>'
        f'<line class="spread" x1="{low:.1f}" x2="{high:.1f}" y1="{middle}" y2="{middle}"/>'
        f'<text x="{high + 8:.1f}" y="{middle + 5}">{escape(number(bar.spread.median) + unit)}</text>\n'
    )
