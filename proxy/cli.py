"""The command line. Exit codes: 0 fine, 1 bad configuration, 2 wrong usage, 3 cannot start, 23 not written, 130 Ctrl-C."""

import gc
import json
import os
import sys
import tempfile
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from signal import SIG_DFL, SIGINT, default_int_handler, getsignal, signal
from typing import TYPE_CHECKING, Any, Final

import click
from click.shell_completion import get_completion_class

from proxy import __version__
from proxy.commands import explain, fetch, operations, standard_output
from proxy.commands.options import (
    BAD_CONFIGURATION,
    CANNOT_START,
    DEFAULT_CONFIG,
    FILE,
    INTERRUPTED,
    bad_configuration,
    end,
)

if TYPE_CHECKING:
    from proxy.config import Problem
    from proxy.supervisor import Ready

NAME: Final = "respond-async"
HIGHEST_PORT: Final = 65535
ANOTHER_PORT: Final = "Take another port; 0 is any that is free."
COMPLETE_VARIABLE: Final = "_RESPOND_ASYNC_COMPLETE"  # which click derives from the name

# What serves is imported by the commands that serve: the others answer at once without it.


class Commands(click.Group):
    """Which Ctrl-C ends without a word, wherever they are; and which say if nobody takes what they write."""

    def main(self, *args: Any, **settings: Any) -> Any:  # noqa: ANN401  # as click has it
        try:
            return super().main(*args, **settings)
        except OSError as exc:
            if exc.filename != standard_output.NAME:
                raise
            from proxy.fetch.ending import NOT_WRITTEN

            standard_output.lead_nowhere()
            end(NOT_WRITTEN, f"Cannot write to standard output: {exc.strerror}.")

    def invoke(self, ctx: click.Context) -> object:
        try:
            with _interruptible():
                return super().invoke(ctx)
        except KeyboardInterrupt:
            ctx.exit(INTERRUPTED)


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name=NAME)
def main() -> None:
    """A reverse proxy that gives any slow HTTP backend `Prefer: respond-async`."""


@main.command(short_help="Run the proxy.", context_settings={"allow_extra_args": True})
@click.option("--config", "file", type=FILE, default=DEFAULT_CONFIG, show_default=True, help="A YAML file.")
@click.pass_context
def serve(context: click.Context, file: Path) -> None:
    """Run the proxy. SIGTERM and Ctrl-C drain it, a second one stops it at once; SIGHUP reads the configuration again.

    \b
    In the foreground, with its log on standard error:
        respond-async serve --config /etc/respond-async/proxy.yaml
    """
    if context.args:  # they are allowed to be told what they lack
        raise click.UsageError(f"a configuration has its option: write `{NAME} serve --config {context.args[0]}`")
    _run(file)


@main.command(short_help="Report everything that is wrong or odd in a configuration.")
@click.argument("file", type=FILE)
@click.option("--strict", is_flag=True, help="What is odd is wrong.")
def check(file: Path, *, strict: bool) -> None:
    """Check a configuration FILE: report everything that is wrong with it, and warn of what is hardly meant.

    \b
    Before a reload:
        respond-async check /etc/respond-async/proxy.yaml
    Where nothing odd is to pass:
        respond-async check --strict config/proxy.yaml

    Each line of standard error is a problem, as `FILE:LINE: KEY: what`; warnings have `warning:` before what is odd, and
    `note:` is before what this user could not do with it, which is never wrong: another may be the one that serves.
    """
    from proxy.config.findings import findings

    errors, odd, notes = findings(file, os.environ)
    mark = "" if strict else "warning: "
    for problem in (*errors, *_marked(mark, odd), *_marked("note: ", notes)):
        click.echo(problem, err=True)
    if errors or (strict and odd):
        sys.exit(BAD_CONFIGURATION)
    click.echo(f"{file}: fine")


@main.command(short_help="The configuration's JSON Schema.")
def schema() -> None:
    """Write the JSON Schema of the configuration file, from which editors complete and check.

    \b
    Beside the configuration, for `# yaml-language-server: $schema=schema.json` in its first line:
        respond-async schema > schema.json
    """
    from proxy.config import json_schema

    click.echo(json.dumps(json_schema(), indent=2))


@main.command(short_help="Try it: a slow backend, and what to ask it.")
@click.option(
    "--port",
    type=click.IntRange(0, HIGHEST_PORT - 1),
    default=8080,
    show_default=True,
    help="Where the proxy listens, on 127.0.0.1; 0: at any port that is free.",
)
@click.option(
    "--admin-port",
    type=click.IntRange(0, HIGHEST_PORT),
    show_default="the one after --port",
    help="Where the operator page is.",
)
@click.option("--backend-only", is_flag=True, help="The backend alone, at --port, for a proxy of your own before it.")
def demo(port: int, admin_port: int | None, *, backend_only: bool) -> None:
    """Run a slow, old-fashioned backend with the proxy in front of it, and show what to try.

    \b
    Where 8080 or 8081 is taken:
        respond-async demo --port 0
    A backend for a configuration of your own:
        respond-async demo --backend-only --port 8000
    """
    if backend_only and admin_port is not None:
        raise click.UsageError("`--admin-port` is for the proxy's operator page, and `--backend-only` runs no proxy")
    if port and port == admin_port:
        raise click.UsageError("`--port` and `--admin-port` must be two ports")
    from proxy.demo import LegacyBackend, answer_until_told_to_stop, demo_config, in_its_own_process, tour

    if backend_only:
        try:
            backend = LegacyBackend(say=click.echo, port=port)
        except OSError as exc:
            end(CANNOT_START, f"Cannot listen on 127.0.0.1:{port} (`--port`): {exc.strerror}. {ANOTHER_PORT}")
        answer_until_told_to_stop(backend)
        return
    if admin_port is None:
        admin_port = port and port + 1
    backend = LegacyBackend(say=click.echo)
    with tempfile.TemporaryDirectory(prefix="respond-async-") as folder, in_its_own_process(backend):
        file = Path(folder, "demo.yaml")
        try:
            file.write_text(demo_config(backend.port, port, admin_port, Path(folder, "store")))
        except OSError as exc:
            end(CANNOT_START, f"Cannot write {file}: {exc.strerror}.")
        _run(file, lambda doors: click.echo(tour(*(bound.address.port for bound in doors.all))), _by_options)


@main.command(short_help="What has a shell complete commands and options.")
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
def completion(shell: str) -> None:
    """Write a script that has SHELL complete commands, options and what they take.

    \b
    For bash, in ~/.bashrc:
        eval "$(respond-async completion bash)"
    For zsh, in ~/.zshrc:
        eval "$(respond-async completion zsh)"
    For fish:
        respond-async completion fish > ~/.config/fish/completions/respond-async.fish
    """
    kind = get_completion_class(shell)
    if kind is not None:
        click.echo(kind(main, {}, NAME, COMPLETE_VARIABLE).source())


for command in (explain, fetch, operations):
    main.add_command(command)


@contextmanager
def _interruptible() -> Iterator[None]:
    """Have Ctrl-C raise KeyboardInterrupt meanwhile, where it would end the process."""
    if getsignal(SIGINT) is not SIG_DFL:
        yield
        return
    signal(SIGINT, default_int_handler)
    try:
        yield
    finally:
        if getsignal(SIGINT) is default_int_handler:
            signal(SIGINT, SIG_DFL)


def _marked(mark: str, problems: "Iterable[Problem]") -> "Iterator[Problem]":
    return (one._replace(what=f"{mark}{one.what}") for one in problems)


def _by_options(problem: str) -> str:
    """The same about an address, for who has written no configuration."""
    named = problem.replace("`listen`", "`--port`").replace("`admin`", "`--admin-port`")
    return problem if named == problem else f"{named} {ANOTHER_PORT}"


def _run(file: Path, ready: "Ready" = lambda _: None, told: Callable[[str], str] = str) -> None:
    """Serve; `told` is how it is said why it cannot start."""
    gc.disable()  # imports leave no garbage, but would be searched for it dozens of times: a fifth of their time
    from proxy.config import ConfigError, UnusableFiles, load_to_serve
    from proxy.listeners import CannotListen
    from proxy.supervisor import CannotStart, supervise

    gc.enable()
    try:
        supervise(partial(load_to_serve, file, os.environ), ready)
    except (UnusableFiles, CannotListen, CannotStart) as exc:
        end(CANNOT_START, told(str(exc)))
    except ConfigError as exc:
        bad_configuration(exc)
