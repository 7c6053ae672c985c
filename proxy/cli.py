"""The command line. Exit codes: 0 fine, 1 bad configuration, 2 wrong usage, 3 cannot start."""

import gc
import os
import sys
import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Final, NoReturn

import click

from proxy import __version__
from proxy.commands import fetch

DEFAULT_CONFIG: Final = Path("config/proxy.yaml")
BAD_CONFIGURATION: Final = 1
CANNOT_START: Final = 3

# What serves is imported by the commands that serve: the others answer at once without it.


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="respond-async")
def main() -> None:
    """A reverse proxy that gives any slow HTTP backend `Prefer: respond-async`."""


@main.command(short_help="Run the proxy.")
@click.option(
    "--config", "file", type=click.Path(path_type=Path), default=DEFAULT_CONFIG, show_default=True, help="A YAML file."
)
def serve(file: Path) -> None:
    """Run the proxy. SIGTERM and Ctrl-C drain it, a second one stops it at once; SIGHUP reads the configuration again."""
    _run(file)


@main.command(short_help="Report everything that is wrong with a configuration.")
@click.argument("file", type=click.Path(path_type=Path))
def check(file: Path) -> None:
    """Check a configuration FILE, and report everything that is wrong with it."""
    from proxy.config import ConfigError, load

    try:
        load(file, os.environ)
    except ConfigError as exc:
        click.echo(str(exc), err=True)
        sys.exit(BAD_CONFIGURATION)
    click.echo(f"{file}: fine")


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


main.add_command(fetch)


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
