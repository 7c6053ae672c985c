"""Which pages of the documentation have generated places, and what goes there."""

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Final

from reference.commands import commands
from reference.configuration import sections
from reference.places import Misplaced, filled

ROOT: Final = Path(__file__).parents[1]
GENERATED: Final[Mapping[str, Callable[[str], Mapping[str, str]]]] = {
    "docs/command-line.md": commands,
    "docs/configuration.md": sections,
}


def pages() -> Iterator[tuple[Path, str]]:
    """Every page with generated places, as it has to be."""
    for name, contents in GENERATED.items():
        file = ROOT / name
        page = file.read_text()
        try:
            yield file, filled(page, contents(page))
        except Misplaced as exc:
            raise Misplaced(f"{name}: {exc}") from exc


def write() -> None:
    for file, page in pages():
        file.write_text(page)
