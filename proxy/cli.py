"""The command line. Exit codes: 0 fine, 1 bad configuration, 2 wrong usage, 3 cannot start."""

import gc
import json
import os
import sys
import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import NoReturn

import click

from proxy import __version__
from proxy.commands import explain, fetch
from proxy.commands.options import BAD_CONFIGURATION, CANNOT_START, DEFAULT_CONFIG, FILE

# What serves is imported by the commands that serve: the others answer at once without it.


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="respond-async")
def main() -> None:
    """A reverse proxy that gives any slow HTTP backend `Prefer: respond-async`."""


@main.command(short_help="Run the proxy.")
@click.option("--config", "file", type=FILE, default=DEFAULT_CONFIG, show_default=True, help="A YAML file.")
def serve(file: Path) -> None:
    """Run the proxy. SIGTERM and Ctrl-C drain it, a second one stops it at once; SIGHUP reads the configuration again."""
    _run(file)


@main.command(short_help="Report everything that is wrong or odd in a configuration.")
@click.argument("file", type=FILE)
@click.option("--strict", is_flag=True, help="What is odd is wrong.")
def check(file: Path, *, strict: bool) -> None:
    r"""Check a configuration FILE: report everything that is wrong with it, and warn of what is hardly meant.

    \b
    Before a reload:
        respond-async check /etc/respond-async/proxy.yaml
    Where nothing odd is to pass:
        respond-async check --strict config/proxy.yaml

    Each line of standard error is a problem, as `FILE:LINE: KEY: what`; warnings have `warning:` before what is odd.
    """
    from proxy.config import ConfigError, load_with_source
    from proxy.config.oddities import warnings

    try:
        odd = warnings(load_with_source(file, os.environ))
    except ConfigError as exc:
        _end(BAD_CONFIGURATION, str(exc))
    if strict and odd:
        _end(BAD_CONFIGURATION, str(ConfigError(odd)))
    for problem in odd:
        click.echo(problem._replace(what=f"warning: {problem.what}"), err=True)
    click.echo(f"{file}: fine")


@main.command(short_help="The configuration's JSON Schema.")
def schema() -> None:
    r"""Write the JSON Schema of the configuration file, from which editors complete and check.

    \b
    Beside the configuration, for `# yaml-language-server: $schema=schema.json` in its first line:
        respond-async schema > schema.json
    """
    from proxy.config import json_schema

    click.echo(json.dumps(json_schema(), indent=2))


@main.command(short_help="Try it: a slow backend, and what to ask it.")
@click.option(
    "--port",
    type=click.IntRange(1, 65535),
    default=8080,
    show_default=True,
    help="Where the proxy listens, on 127.0.0.1.",
)
def demo(port: int) -> None:
    """Run a slow, old-fashioned backend with the proxy in front of it, and show what to try."""
    from proxy.demo import LegacyBackend, demo_config, in_its_own_process, tour

    backend = LegacyBackend(say=click.echo)
    with tempfile.TemporaryDirectory(prefix="respond-async-") as folder, in_its_own_process(backend):
        file = Path(folder, "demo.yaml")
        file.write_text(demo_config(backend.port, port, Path(folder, "store")))
        _run(file, ready=partial(click.echo, tour(port)))


for command in (explain, fetch):
    main.add_command(command)


def _run(file: Path, ready: Callable[[], None] = lambda: None) -> None:
    gc.disable()  # imports leave no garbage, but would be searched for it dozens of times: a fifth of their time
    from proxy.config import ConfigError, load
    from proxy.listeners import CannotListen
    from proxy.supervisor import CannotStart, supervise

    gc.enable()
    try:
        supervise(partial(load, file, os.environ), ready)
    except ConfigError as exc:
        _end(BAD_CONFIGURATION, str(exc))
    except (CannotListen, CannotStart) as exc:
        _end(CANNOT_START, str(exc))


def _end(code: int, message: str) -> NoReturn:
    click.echo(message, err=True)
    sys.exit(code)
