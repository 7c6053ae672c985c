"""Reads a YAML file into plain data, remembering where each value stands, with `${NAME}` from the environment.

YAML's guessing of types is not used: scalars are text, or None where nothing (or `null`) is written; whoever knows the
keys knows the types. What comes from the environment is put into that text and never read as YAML.

Whatever the file contains, the outcome is data and a list of problems, or a ConfigError. Aliases are followed, though
not without end; tags are refused.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, NamedTuple

import yaml

from proxy.config.unreadable import unreadable
from proxy.words import escaped

Loc = tuple[str | int, ...]  # keys and indexes, from the top of the file

LEAST: Final = "`origins: {backend: {url: http://127.0.0.1:8000}}` and `routes: [{name: all, origin: backend}]`"
MAX_BYTES: Final = 1 << 20
MAX_VALUES: Final = 100_000  # where aliases of aliases are cut off
MAX_DEPTH: Final = 50

_NULLS: Final = {"", "~", "null", "Null", "NULL"}
_WRITTEN: Final = "written"  # in place of any tag that the file has
_VARIABLE: Final = re.compile(r"(?P<literal>\$\$\{)|\$\{(?P<name>[A-Za-z_][A-Za-z0-9_]*)(:-(?P<default>[^}]*))?\}|\$\{")


class Problem(NamedTuple):
    """One thing that is wrong with a configuration."""

    file: str
    line: int  # from 1
    path: str  # such as `routes[0].match.path`; empty: the file as a whole
    what: str

    def __str__(self) -> str:
        line = ": ".join(filter(None, (f"{self.file}:{self.line}", self.path, self.what)))
        return escaped(line)


class ConfigError(Exception):
    """A configuration that cannot be used, with everything that is wrong with it, by line."""

    def __init__(self, problems: Iterable[Problem]) -> None:
        self.problems = tuple(sorted(problems, key=lambda problem: problem.line))
        super().__init__(self.problems)

    def __str__(self) -> str:
        return "\n".join(map(str, self.problems))


class Mark(NamedTuple):
    """What is remembered of a value."""

    line: int
    interpolated: bool = False  # it may be a secret: no message repeats it
    broken: bool = False  # its problem is known already


@dataclass
class Source:
    """A file's data, and where they stand."""

    file: str
    data: object = None
    problems: list[Problem] = field(default_factory=list)
    marks: dict[Loc, Mark] = field(default_factory=lambda: {(): Mark(1)})

    def mark(self, loc: Loc) -> Mark:
        """Of the value there, or, where the file has none, of the nearest that would contain it."""
        return self.marks[loc] if loc in self.marks else self.mark(loc[:-1])

    def problem(self, loc: Loc, reason: str, hint: str = "", other: Loc = ()) -> Problem:
        """A problem of the value there, or of two. The hint, which may repeat it, is left out for interpolated ones."""
        mark = self.mark(loc)
        reason = f"{reason}, in line {self.mark(other).line}" if other else reason
        what = f"{reason}; {hint}" if hint and not mark.interpolated else reason
        return Problem(self.file, mark.line, self._path(loc), what)

    def _path(self, loc: Loc) -> str:
        if loc and loc not in self.marks and (isinstance(loc[-1], int) or loc[-1] == "[key]"):
            return self._path(loc[:-1])  # the schema's own step: a single value read as a list, or the key itself
        return "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in loc).removeprefix(".")


class _Unusable(Exception):
    """A file without data."""

    def __init__(self, line: int, what: str) -> None:
        super().__init__(what)
        self.line = line


def read(path: Path, environ: Mapping[str, str]) -> Source:
    """The data of a file. Raises ConfigError where there are none: empty, unreadable, not UTF-8, not YAML, or without end."""
    source = Source(str(path))
    try:
        node = _compose(_text(path))
        source.data = None if node is None else _Builder(source, environ).build(node, (), 1)
    except _Unusable as error:
        raise ConfigError([Problem(source.file, error.line, "", str(error))]) from error
    if not source.data and not source.problems:
        raise ConfigError([Problem(source.file, 1, "", f"is empty; the least that it needs is {LEAST}")])
    return source


def _text(path: Path) -> str:
    try:
        with path.open("rb") as file:
            content = file.read(MAX_BYTES + 1)
    except (OSError, ValueError) as error:  # ValueError: a name with a NUL
        raise _Unusable(1, f"cannot be read: {getattr(error, 'strerror', None) or error}") from error
    if len(content) > MAX_BYTES:
        raise _Unusable(1, "is larger than 1 MiB")
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise _Unusable(content.count(b"\n", 0, error.start) + 1, "is not UTF-8 text") from error


def _compose(text: str) -> yaml.Node | None:
    try:
        return yaml.compose(text, Loader=_Loader)
    except yaml.MarkedYAMLError as error:
        line, what = unreadable(error, text)
        raise _Unusable(line, f"is not YAML: {what}") from error
    except yaml.reader.ReaderError as error:
        line = text.count("\n", 0, error.position) + 1
        raise _Unusable(line, f"is not YAML: a character {error.character:#x} must not occur") from error
    except RecursionError as error:
        raise _Unusable(1, "is nested too deeply") from error
    except (ValueError, OverflowError) as error:  # what PyYAML makes of them
        raise _Unusable(1, "is not YAML: an escape or a version number is out of range") from error


class _Loader(yaml.BaseLoader):
    """Tells tags that are written from those that follow from how a value is written."""

    def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:
        event = self.peek_event()  # type: ignore[no-untyped-call]
        node = super().compose_node(parent, index)
        if node is not None and getattr(event, "tag", None) is not None:  # an alias has none
            node.tag = _WRITTEN
        return node


class _Builder:
    """Makes data of nodes."""

    def __init__(self, source: Source, environ: Mapping[str, str]) -> None:
        self._source = source
        self._environ = environ

    def build(self, node: yaml.Node, loc: Loc, line: int) -> object:
        self._source.marks[loc] = Mark(line)
        if len(loc) > MAX_DEPTH or len(self._source.marks) > MAX_VALUES:
            raise _Unusable(line, "is nested too deeply, contains itself, or has too many values")
        if node.tag == _WRITTEN:
            self._broken(loc, line, "has a YAML tag; leave it out, the key determines the type")
        if isinstance(node, yaml.MappingNode):
            return self._mapping(node, loc)
        if isinstance(node, yaml.ScalarNode):
            return self._scalar(node, loc, line)
        return [self.build(item, (*loc, index), item.start_mark.line + 1) for index, item in enumerate(node.value)]

    def _mapping(self, node: yaml.MappingNode, loc: Loc) -> dict[str, object]:
        data: dict[str, object] = {}
        for key, value in node.value:
            line = key.start_mark.line + 1
            if wrong := _wrong_in_key(key):
                self._broken(loc, line, wrong)
            elif key.value in data:
                first = self._source.marks[*loc, key.value].line
                self._problem((*loc, key.value), line, f"is given twice, first in line {first}")
            else:
                data[key.value] = self.build(value, (*loc, key.value), line)
        return data

    def _scalar(self, node: yaml.ScalarNode, loc: Loc, line: int) -> str | None:
        if _is_null(node):
            return None
        try:
            text = _interpolated(node.value, self._environ)
        except LookupError as error:
            self._broken(loc, line, str(error.args[0]))
            return None
        if not _is_utf8(text):
            self._broken(loc, line, "is not UTF-8 text")
            return None
        if text != node.value:
            self._source.marks[loc] = Mark(line, interpolated=True)
        return text if text or node.style else None

    def _broken(self, loc: Loc, line: int, what: str) -> None:
        self._source.marks[loc] = Mark(line, broken=True)
        self._problem(loc, line, what)

    def _problem(self, loc: Loc, line: int, what: str) -> None:
        self._source.problems.append(self._source.problem(loc, what)._replace(line=line))


def _wrong_in_key(key: yaml.Node) -> str | None:
    if not isinstance(key, yaml.ScalarNode) or not _is_utf8(key.value):
        return "has a key that is no text"
    if key.tag == _WRITTEN:
        return "has a key with a YAML tag; leave the tag out"
    if not _is_null(key):
        return None
    return f"has a key `{key.value}`, which is no text; write a name" if key.value else "has a key without a name"


def _is_utf8(text: str) -> bool:
    """Whether it can be written: escapes and the environment may hold halves of characters."""
    return not any("\ud800" <= char <= "\udfff" for char in text)


def _is_null(node: yaml.ScalarNode) -> bool:
    return node.style is None and node.value in _NULLS


def _interpolated(text: str, environ: Mapping[str, str]) -> str:
    """The text with its variables replaced, once: what they contain is not looked into."""
    return _VARIABLE.sub(lambda found: _value(found, environ), text)


def _value(found: re.Match[str], environ: Mapping[str, str]) -> str:
    name, default = found["name"], found["default"]
    if found["literal"]:
        return "${"
    if name is None:
        raise LookupError("has a `${` that is neither `${NAME}` nor `${NAME:-default}`; a literal one is written `$${`")
    if default is not None:
        return environ.get(name) or default
    if name not in environ:
        raise LookupError(f"environment variable {name} is not set")
    return environ[name]
