"""The commands as they tell of themselves: what `--help` prints, one after the other."""

from collections.abc import Iterator, Mapping
from typing import Final

import click

from proxy.cli import main

NAME: Final = "respond-async"
WIDTH: Final = 100  # of lines; a terminal's does not count here


def commands(_: str) -> Mapping[str, str]:
    """What is to be written into the page of the command line."""
    return {"commands": "\n".join(map(_section, _all(_context(main, NAME))))}


def _context(command: click.Command, name: str, parent: click.Context | None = None) -> click.Context:
    return click.Context(command, parent, name, terminal_width=WIDTH, **command.context_settings)


def _all(context: click.Context) -> Iterator[click.Context]:
    """A command and all below it, in the order of its help."""
    yield context
    if isinstance(group := context.command, click.Group):
        for name in group.list_commands(context):
            below = group.get_command(context, name)
            if below and not below.hidden:
                yield from _all(_context(below, name, context))


def _section(context: click.Context) -> str:
    return f"### {context.command_path}\n\n```text\n{context.get_help().rstrip()}\n```\n"
