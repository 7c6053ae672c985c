"""The blocks of code in the documents: where they stand, what they are, what is said of them.

    <!-- part of deploy/front/nginx.conf -->
    ```nginx title="default.conf"
    …
    ```

A block says its language. A title is the name of a file that the page's commands find. The comment before a block says
which file of the repository it is taken from.
"""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Final, NamedTuple

ROOT: Final = Path(__file__).parents[2]
PAGES: Final = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), *ROOT.glob("deploy/**/*.md")])

_FENCE: Final = re.compile(
    r"""(?:^[ ]*<!--[ ]part[ ]of[ ](?P<origin>\S+)[ ]-->\n)?
        ^(?P<indent>[ ]*)```(?P<language>\w*)(?:[ ]title="(?P<title>[^"]+)")?(?P<rest>[^\n]*)\n
        (?P<text>.*?)
        ^(?P=indent)```$""",
    re.MULTILINE | re.DOTALL | re.VERBOSE,
)
_INDENTED: Final = re.compile(r"(?:^|(?<=\n\n))(?: {4}|\t)(?! *(?:[-*]|\d+\.) )\S.*", re.MULTILINE)


class Block(NamedTuple):
    """A block of code."""

    page: Path
    line: int  # of its fence
    language: str
    title: str
    origin: str  # the file of the repository that it is part of
    text: str

    def __str__(self) -> str:
        return f"{self.page.relative_to(ROOT)}:{self.line}"


def blocks(page: Path) -> Iterator[Block]:
    text = page.read_text()
    for found in _FENCE.finditer(text):
        assert not found["rest"], f"{page}: after a block's language stands a title or nothing: {found['rest']!r}"
        line = text.count("\n", 0, found.start("indent")) + 1
        yield Block(
            page,
            line,
            found["language"],
            found["title"] or "",
            found["origin"] or "",
            _dedented(found["text"], found["indent"]),
        )


def indented(page: Path) -> list[str]:
    """The first lines of what Markdown takes for code because it is indented, and which says nothing of its language."""
    return _INDENTED.findall(_FENCE.sub("", page.read_text()))


def _dedented(text: str, indent: str) -> str:
    return "".join(line.removeprefix(indent) for line in text.splitlines(keepends=True))
