"""Places in a page that are written by a program: between `<!-- generated: NAME -->` and `<!-- generated: to here -->`."""

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Final

_PLACE: Final = re.compile(
    r"<!-- generated: (?P<name>(?!to here)[^>]+?) -->\n.*?<!-- generated: to here -->", re.DOTALL
)
_HEADING: Final = re.compile(r"^#+ (.+)$", re.MULTILINE)


class Misplaced(ValueError):
    """A page and what is to be written into it do not fit together."""


def filled(page: str, contents: Mapping[str, str]) -> str:
    """The page with these contents in the places of their names; every content needs one, and every place has one."""
    found = [place["name"] for place in _PLACE.finditer(page)]
    if wrong := set(found) ^ contents.keys():
        raise Misplaced(f"needs a heading and `<!-- generated: NAME -->`, or has too many: {', '.join(sorted(wrong))}")
    return _PLACE.sub(lambda place: _written(place["name"], contents[place["name"]]), page)


def headings(page: str) -> dict[str, str]:
    """The heading above each place, by the place's name."""
    return {place["name"]: _HEADING.findall(page, 0, place.start())[-1] for place in _PLACE.finditer(page)}


def anchor(heading: str) -> str:
    """What a link to a heading ends with."""
    return re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-")


def table(heading: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """In Markdown."""
    lines = [heading, ["---"] * len(heading), *rows]
    return "".join(f"| {' | '.join(_cell(cell) for cell in line)} |\n" for line in lines)


def _written(name: str, content: str) -> str:
    return f"<!-- generated: {name} -->\n\n{content}\n<!-- generated: to here -->"


def _cell(text: str) -> str:
    return text.replace("|", "\\|")
