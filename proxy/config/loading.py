"""A file becomes a configuration, or a list of everything that is wrong with it."""

from collections.abc import Mapping
from pathlib import Path

from pydantic import ValidationError

from proxy.config.schema import Config
from proxy.config.section import wrongs
from proxy.config.source import ConfigError, Source, read


def load(path: Path, environ: Mapping[str, str]) -> Config:
    """The configuration in a file, with `${NAME}` from environ. Raises ConfigError with every problem of the file."""
    source = read(path, environ)
    try:
        config = Config.model_validate(source.data, context=path.parent)
    except ValidationError as error:
        raise _all_problems(source, error) from error
    if source.problems:
        raise ConfigError(source.problems)
    return config


def _all_problems(source: Source, error: ValidationError) -> ConfigError:
    wrong = [one for one in wrongs(error) if not source.mark(one.loc).broken]
    return ConfigError([*source.problems, *(source.problem(*one) for one in wrong)])
