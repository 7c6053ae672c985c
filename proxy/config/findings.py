"""All there is to say about a file: what is wrong with it, what is odd, and what this user could not do with it."""

import os
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

from pydantic import ValidationError

from proxy.config.addresses import IN_THE_WAY, Address, in_the_way
from proxy.config.certificates import Unreadable, unusable
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
    notes: tuple[Problem, ...] = ()  # about this user, who need not be the one that is to serve it


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
    wrong, notes = [*_in_the_way(loaded)], [*_notes(loaded)]
    for one in unusable(loaded.config):
        (notes if isinstance(one, Unreadable) else wrong).append(source.problem(one.loc, one.what))
    return Findings(_by_line(wrong), tuple(warnings(loaded)), () if wrong else _by_line(notes))


def _by_line(problems: Iterable[Problem]) -> tuple[Problem, ...]:
    return tuple(sorted(problems, key=lambda problem: problem.line))


def _in_the_way(loaded: Loaded) -> Iterator[Problem]:
    """Files that are where a socket is to be, or the store's folder: nobody can serve, whoever it is."""
    config = loaded.config
    listen: list[tuple[Loc, Address | None]] = [
        (("listen", index), address) for index, address in enumerate(config.listen)
    ]
    for loc, address in [*listen, (("admin",), config.admin)]:
        if address is not None and address.unix_path is not None and in_the_way(address.unix_path):
            yield loaded.source.problem(loc, IN_THE_WAY)
    folder = config.store.url.folder
    if folder is not None and not (there := _nearest(folder)).is_dir():
        yield loaded.source.problem(("store", "url"), f"{there} is no folder; name another place, or move it away")


def _notes(loaded: Loaded) -> Iterator[Problem]:
    folder = loaded.config.store.url.folder
    if folder is not None and not _may_be_made(folder):
        is_set = "url" in loaded.config.store.model_fields_set
        what = "this user cannot write there" if is_set else f"this user cannot write to {folder}, its default"
        advice = "serve as one that can, or name another folder, such as `sqlite:data`, beside this file"
        yield loaded.source.problem(("store", "url"), f"{what}; {advice}")


def _may_be_made(folder: Path) -> bool:
    """Whether this user may write into the folder, or into the nearest there is of those that it is to be in."""
    return os.access(_nearest(folder), os.W_OK | os.X_OK)


def _nearest(folder: Path) -> Path:
    """The folder, or the nearest there is of those that it is to be in."""
    return next(one for one in (folder, *folder.parents) if os.access(one, os.F_OK))


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
