"""All there is to say about a file: what is wrong with it, and what is odd."""

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

from pydantic import ValidationError

from proxy.config.loading import Loaded, validated
from proxy.config.oddities import warnings, warnings_of_entries
from proxy.config.section import wrongs
from proxy.config.service import Config
from proxy.config.source import ConfigError, Loc, Problem, Source, read

LISTS: frozenset[str | int] = frozenset({"origins", "routes"})  # whose entries stand each for itself


class Findings(NamedTuple):
    """What was found in a file, each by line."""

    errors: tuple[Problem, ...]
    warnings: tuple[Problem, ...]


def findings(path: Path, environ: Mapping[str, str]) -> Findings:
    """What is wrong with a file, and what is odd in it, beside errors only where these cannot have to do with it."""
    try:
        source = read(path, environ)
    except ConfigError as error:
        return Findings(error.problems, ())
    try:
        loaded = Loaded(validated(source, path.parent), source)
    except ConfigError as error:
        places = {_key(source, loc) for loc in _wrong(source, error.__cause__)}
        return Findings(error.problems, tuple(_odd_elsewhere(source, path.parent, places)))
    return Findings((), tuple(warnings(loaded)))


def _wrong(source: Source, cause: BaseException | None) -> Iterator[Loc]:
    yield from (loc for loc, mark in source.marks.items() if mark.broken)
    if isinstance(cause, ValidationError):
        yield from (wrong.loc for wrong in wrongs(cause))


def _key(source: Source, loc: Loc) -> Loc:
    """The key of the file in whose value that is."""
    return loc if not loc or (loc in source.marks and isinstance(loc[-1], str)) else _key(source, loc[:-1])


def _odd_elsewhere(source: Source, folder: Path, places: Iterable[Loc]) -> Iterator[Problem]:
    """What is odd of entries without errors; nothing, if there is no configuration without what is wrong."""
    wrong = set(places)
    try:
        config = Config.model_validate(_without(wrong, source.data, ()), context=folder)
    except ValidationError:
        return
    entries = {_entry(loc) for loc in wrong}
    yield from warnings_of_entries(Loaded(config, source), lambda loc: _entry(loc) not in entries)


def _without(wrong: set[Loc], data: object, at: Loc) -> object:
    if isinstance(data, Mapping):
        return {key: _without(wrong, value, (*at, key)) for key, value in data.items() if (*at, key) not in wrong}
    if isinstance(data, list):
        return [_without(wrong, item, (*at, index)) for index, item in enumerate(data)]
    return data


def _entry(loc: Loc) -> Loc:
    return loc[:2] if loc[:1] and loc[0] in LISTS else loc[:1]
