"""What several commands take, and their exit codes."""

import sys
from pathlib import Path
from typing import Final, NoReturn

import click

DEFAULT_CONFIG: Final = Path("config/proxy.yaml")
FIELD: Final = "NAME: VALUE"
FILE: Final = click.Path(path_type=Path)

BAD_CONFIGURATION: Final = 1
CANNOT_START: Final = 3
INTERRUPTED: Final = 130  # as a shell has it of a program that SIGINT ended


def bad_configuration(error: Exception, file: Path) -> NoReturn:
    """Say what is wrong with it, and end; and what to do instead, where nobody has named the one that is not there."""
    is_missing = file == DEFAULT_CONFIG and not file.exists()
    hint = "\nThis is the default: name another by `--config FILE`." if is_missing else ""
    end(BAD_CONFIGURATION, f"{error}{hint}")


def end(code: int, message: str) -> NoReturn:
    """Say why it ends, and end."""
    complain(message)
    sys.exit(code)


def complain(message: str) -> None:
    """Say what is wrong. A terminal does not obey what of it others have written."""
    from proxy.words import printable

    click.echo("\n".join(map(printable, message.split("\n"))), err=True)
