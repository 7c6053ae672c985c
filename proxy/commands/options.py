"""What several commands take, and their exit codes."""

import sys
from pathlib import Path
from typing import Final, NoReturn

import click
from click.core import ParameterSource

DEFAULT_CONFIG: Final = Path("config/proxy.yaml")
FIELD: Final = "NAME: VALUE"
FILE: Final = click.Path(path_type=Path, readable=False)  # who reads it says why it cannot

BAD_CONFIGURATION: Final = 1
CANNOT_START: Final = 3
INTERRUPTED: Final = 130  # as a shell has it of a program that SIGINT ended
TERMINATED: Final = 143  # the same of SIGTERM


def bad_configuration(error: Exception) -> NoReturn:
    """Say what is wrong with the one that `--config` names, and end; where nobody has named it, also how to do that."""
    source = click.get_current_context().get_parameter_source("file")
    end(BAD_CONFIGURATION, f"{error}{_about_default() if source is ParameterSource.DEFAULT else ''}")


def _about_default() -> str:
    here = DEFAULT_CONFIG.name
    such = f", such as `--config {here}`" if Path(here).exists() else ""
    return f"\n{DEFAULT_CONFIG} is the default: name another by `--config FILE`{such}."


def end(code: int, message: str) -> NoReturn:
    """Say why it ends, and end."""
    complain(message)
    sys.exit(code)


def complain(message: str) -> None:
    """Say what is wrong. A terminal does not obey what of it others have written."""
    from proxy.words import printable

    click.echo("\n".join(map(printable, message.split("\n"))), err=True)
