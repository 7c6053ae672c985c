"""A file becomes a configuration, or a list of everything that is wrong with it."""

from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from pydantic import ValidationError

from proxy.config import certificates
from proxy.config.misplaced import hinted
from proxy.config.section import wrongs
from proxy.config.service import Config
from proxy.config.source import ConfigError, Loc, Source, read


class UnusableFiles(ConfigError):
    """A good configuration that names certificates or keys which cannot be used."""


class Loaded(NamedTuple):
    """A configuration, and where in its file everything stands."""

    config: Config
    source: Source


def load(path: Path, environ: Mapping[str, str]) -> Config:
    """The configuration in a file, with `${NAME}` from environ. Raises ConfigError with every problem of the file."""
    return load_with_source(path, environ).config


def load_to_serve(path: Path, environ: Mapping[str, str]) -> Config:
    """The same, for who needs the files that it names. Raises also UnusableFiles."""
    loaded = load_with_source(path, environ)
    if problems := [loaded.source.problem(one.loc, one.what) for one in certificates.unusable(loaded.config)]:
        raise UnusableFiles(problems)
    return loaded.config


def load_with_source(path: Path, environ: Mapping[str, str]) -> Loaded:
    """The same, for those who have something to say about it."""
    source = read(path, environ)
    return Loaded(validated(source, path.parent), source)


def validated(source: Source, folder: Path) -> Config:
    """The configuration of a file that is read, and lies in this folder. Raises ConfigError."""
    try:
        config = Config.model_validate(source.data, context=folder)
    except ValidationError as error:
        raise _all_problems(source, error) from error
    if source.problems:
        raise ConfigError(source.problems)
    return config


def _all_problems(source: Source, error: ValidationError) -> ConfigError:
    wrong = [hinted(one, source.data) for one in wrongs(error) if not _follows(source, one.loc)]
    return ConfigError([*source.problems, *(source.problem(*one) for one in wrong)])


def _follows(source: Source, loc: Loc) -> bool:
    """Whether what is wrong there comes of what is said already: of a key, or of all that it may refer to."""
    refers = loc[:1] == ("routes",) and loc[2:] == ("origin",)
    return source.mark(loc).broken or (refers and source.mark(("origins",)).broken)
