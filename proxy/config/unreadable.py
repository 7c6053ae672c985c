"""Why a text is not YAML, in words about lines: PyYAML says where it noticed, which may be lines after what is wrong.

The mistakes are guessed from the text, most of them from how it is indented. Nothing of it is repeated but brackets.
"""

import re
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Final, NamedTuple

import yaml

from proxy.words import so_many

_BARE_MEMORY: Final = re.compile(r"""(?<!["'])\bmemory:(?!["'])""")
_INDENT: Final = re.compile(r" *(?:- +)*\S")
_KEY: Final = re.compile(r"\s*(?:- +)*[^\s#][^#]*?:(?:\s|$)")  # at the beginning of a line
KEY_WITHOUT_SPACE: Final = re.compile(r"""\s*(?:- +)*["']?[A-Za-z_][\w.-]*["']?:(?!//)\S""")
_OPENING: Final = {"}": "{", "]": "["}
_BLOCK_BEGINS: Final = re.compile("found '<block (?:mapping|sequence) start>'")
_HINTS: Final = {  # by what PyYAML says
    "mapping values are not allowed here": "a value with a colon needs quotes, and each key a line of its own",
    "'\\t' that cannot start any token": "indent with spaces, not with tabs",
    "that cannot start any token": "a value that begins with it needs quotes",
    "while scanning an alias": "a value that begins with `*` needs quotes",
    "expected the node content, but found ':'": "a value with brackets that is no list, such as `[::1]:8080`, needs quotes",
    "unknown escape character": "write the value in single quotes, or each of its backslashes twice",
    "expected ',' or": "a comma is missing there, or quotes around a value with brackets or a colon",
    "but found '<block": "the line is indented otherwise than those that it belongs to",
    "expected <block end>": "it stands after the end of a value; a value with brackets or quotes within needs quotes around all of it",
}


class Unreadable(NamedTuple):
    """What is wrong."""

    line: int  # from 1
    what: str


@dataclass(frozen=True)
class _Failure:
    """Where PyYAML gave up, by lines from 1."""

    text: str
    lines: Sequence[str]
    line: int
    column: int  # from 0
    began: int  # the line of what it was reading, if it says so
    words: str

    def written(self, line: int) -> str:
        return self.lines[line - 1] if 0 < line <= len(self.lines) else ""

    def indent(self, line: int) -> int:
        written = self.written(line)
        return len(written) - len(written.lstrip(" "))

    def columns(self, line: int) -> tuple[int, ...]:
        """Where the blocks begin that begin in it or go on there, from the left: a `- ` begins two."""
        entry = _INDENT.match(self.written(line))
        return tuple(found.start() for found in re.finditer(r"(?<!\S)\S", entry[0])) if entry else ()

    def before(self, line: int) -> int:
        """The last line above it that has content; 0: there is none."""
        above = range(line - 1, 0, -1)
        return next((one for one in above if (text := self.written(one).strip()) and not text.startswith("#")), 0)


def unreadable(error: yaml.MarkedYAMLError, text: str) -> Unreadable:
    """The line to look at, and what to do there."""
    mark = error.problem_mark or error.context_mark
    words = ", ".join(part for part in (error.context, error.problem) if part)
    line, column = (mark.line + 1, mark.column) if mark else (1, 0)
    began = error.context_mark.line + 1 if error.context_mark else line
    failure = _Failure(text, text.splitlines(), line, column, began, words)
    explained = next((found for explain in _EXPLANATIONS if (found := explain(failure))), None)
    return explained or Unreadable(line, words)


def _memory(failure: _Failure) -> Unreadable | None:
    if _BARE_MEMORY.search(failure.written(failure.line)):
        return Unreadable(failure.line, f'{failure.words}; write "memory:" with its quotes')
    return None


def _open_quote(failure: _Failure) -> Unreadable | None:
    """A quote that ends where another was meant to begin, or nowhere."""
    if "quoted scalar, found unexpected end" in failure.words:
        return Unreadable(failure.began, "a quote begins in this line and is never closed")
    for token in _tokens(failure.text):
        first, last = token.start_mark.line + 1, token.end_mark.line + 1
        if isinstance(token, yaml.ScalarToken) and token.style in ("'", '"') and first < last == failure.line:
            return Unreadable(first, f"a quote begins in this line and is closed only in line {last}; close it here")
    return None


def _tokens(text: str) -> list[yaml.Token]:
    """Those before the first that is none."""
    tokens: list[yaml.Token] = []
    with suppress(yaml.YAMLError, ValueError, OverflowError):
        tokens.extend(yaml.scan(text, Loader=yaml.BaseLoader))
    return tokens


def _open_bracket(failure: _Failure) -> Unreadable | None:
    found = re.search(r"expected ',' or '([\]}])'", failure.words)
    if found is None:
        return None
    closing = found[1]
    if "<stream end>" in failure.words:
        return Unreadable(failure.began, f"`{_OPENING[closing]}` begins in this line and is never closed")
    if failure.began == failure.line:
        return None
    what = f"before line {failure.line} there has to be `{closing}`, or a comma"
    return Unreadable(failure.began, f"`{_OPENING[closing]}` is not closed: {what}")


def _no_colon(failure: _Failure) -> Unreadable | None:
    """A key without its colon, or without the space behind it: it is taken for the beginning of a longer text."""
    if "could not find expected ':'" in failure.words:
        line = failure.began
    elif _has_key_of_its_own(failure):
        line = failure.before(failure.line)
    else:
        return None
    if not line or _KEY.match(failure.written(line)):
        return None
    if KEY_WITHOUT_SPACE.match(failure.written(line)):
        return Unreadable(line, "the space after the colon is missing")
    return Unreadable(line, "there is no colon; a key and its value are written `key: value`")


def _deeper_than_a_value(failure: _Failure) -> Unreadable | None:
    """Also where a comment stands between the two, and the value ends there."""
    line, above = failure.line, failure.before(failure.line)
    if not above or not (_has_key_of_its_own(failure) or _BLOCK_BEGINS.search(failure.words)):
        return None
    own, other = failure.indent(line), max(failure.columns(above), default=0)
    if own <= other:
        return None
    what = f"it is indented by {so_many(own, 'space')}, and line {above} by {other}, though that has a value already"
    return Unreadable(line, f"{what}; indent both alike, or end line {above} with its colon")


def _has_key_of_its_own(failure: _Failure) -> bool:
    """Whether the colon that cannot be there is the first in its line."""
    is_surplus = "mapping values are not allowed here" in failure.words
    return is_surplus and not _KEY.match(failure.written(failure.line)[: failure.column])


def _no_space_after_dash(failure: _Failure) -> Unreadable | None:
    if "found '?'" in failure.words and re.match(r"\s*-\w", failure.written(failure.line)):
        return Unreadable(failure.line, "the space after `-` is missing")
    return None


def _key_among_entries(failure: _Failure) -> Unreadable | None:
    if "found '?'" not in failure.words:
        return None
    what = f"it is a key, indented like line {failure.began}, which begins an entry of a list"
    return Unreadable(failure.line, f"{what}; indent it otherwise, or begin it with `- `")


def _entry_among_keys(failure: _Failure) -> Unreadable | None:
    if "found '-'" not in failure.words:
        return None
    line = next((one for one, column in _open_blocks(failure) if column == failure.column), failure.began)
    what = f"it is an entry of a list, indented like line {line}, which is a key"
    return Unreadable(failure.line, f"{what}; indent it like the entries before it")


def _between_blocks(failure: _Failure) -> Unreadable | None:
    if not _BLOCK_BEGINS.search(failure.words):
        return None
    own, blocks = failure.column, _open_blocks(failure)
    deeper = [block for block in blocks if block[1] > own][-1:]
    shallower = [block for block in blocks if block[1] < own][:1]
    if not deeper or not shallower:
        return None
    fitting = " nor ".join(f"line {line} ({column})" for line, column in (*deeper, *shallower))
    what = f"it is indented by {so_many(own, 'space')}, which fits neither {fitting}"
    return Unreadable(failure.line, f"{what}; indent it like one of them")


def _open_blocks(failure: _Failure) -> Sequence[tuple[int, int]]:
    """Lines above it, and at which columns blocks go on there that had not ended before it, the nearest first."""
    blocks: list[tuple[int, int]] = []
    line = failure.before(failure.line)
    while line:
        for column in reversed(failure.columns(line)):
            if not blocks or column < blocks[-1][1]:
                blocks.append((line, column))
        line = failure.before(line)
    return blocks


def _known(failure: _Failure) -> Unreadable | None:
    hint = next((hint for words, hint in _HINTS.items() if words in failure.words), None)
    return Unreadable(failure.line, f"{failure.words}; {hint}") if hint else None


_EXPLANATIONS: Final[Sequence[Callable[[_Failure], Unreadable | None]]] = (
    _memory,
    _open_quote,
    _open_bracket,
    _no_colon,
    _deeper_than_a_value,
    _no_space_after_dash,
    _key_among_entries,
    _entry_among_keys,
    _between_blocks,
    _known,
)
