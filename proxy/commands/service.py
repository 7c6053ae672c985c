"""The service that `operations` asks: the options that say which it is, and its answers."""

import os
from collections.abc import Callable, Coroutine
from typing import TYPE_CHECKING, Any, Final, NoReturn, TypeVar

import click

from proxy.commands.options import BAD_CONFIGURATION, DEFAULT_CONFIG, FILE, complain, end

if TYPE_CHECKING:
    from proxy.remote import Place, Service

T = TypeVar("T")
Command = Callable[..., None]

NAME: Final = "respond-async operations"
ADMIN_VARIABLE: Final = "RESPOND_ASYNC_ADMIN"
TOKEN_VARIABLE: Final = "RESPOND_ASYNC_ADMIN_TOKEN"  # noqa: S105  # a name
UNNAMED: Final = (
    f"{DEFAULT_CONFIG} is the default, and nothing else was named: say which service is meant by `--config FILE`,"
    f" `--admin URL` or {ADMIN_VARIABLE}, with the token by {TOKEN_VARIABLE}."
)
PLACE: Final = "respond-async.place"  # of what click keeps for a command
NOT_DONE: Final = 1


def which_service(command: Command) -> Command:
    """The options that say which service."""
    for option in (
        click.option("--config", "file", type=FILE, help=f"The service's configuration.  [default: {DEFAULT_CONFIG}]"),
        click.option(
            "--admin",
            envvar=ADMIN_VARIABLE,
            metavar="URL",
            show_envvar=True,
            help="Where it is asked, in place of `--config`.",
        ),
        click.option(
            "--token",
            callback=_token,
            envvar=TOKEN_VARIABLE,
            metavar="TOKEN",
            show_envvar=True,
            help="Its `admin_token`; others see what is given as an option.",
        ),
    ):
        command = option(command)
    return command


def _token(_: click.Context, __: click.Parameter, text: str | None) -> str | None:
    """A token that a service can have; what it is instead is never shown."""
    from proxy.config import scalars

    if text is None:
        return None
    try:
        scalars.secret(text)
    except scalars.Refused as refused:
        reason = refused.reason if text == text.strip() else "begins or ends with a space or a line end"
        raise click.UsageError(f"{_token_source()}: {reason}") from refused
    return text


def asked(options: dict[str, Any], question: "Callable[[Service], Coroutine[Any, Any, T]]") -> T:
    """The answer of the service that the options name. Ends where there is none."""
    import asyncio

    from proxy.remote import NoAnswer, TokenMissing, TokenWrong, asking

    async def ask(place: "Place") -> T:
        async with asking(place) as service:
            return await question(service)

    try:
        return asyncio.run(ask(_place(options)))
    except TokenMissing as reason:
        give_up(f"{reason}: give it by {TOKEN_VARIABLE}, `--token` or `--config`")
    except TokenWrong as reason:
        source = _token_source() if options["token"] else f"{options['file'] or DEFAULT_CONFIG}"
        give_up(f"{reason}; the one that was shown is from {source}")
    except NoAnswer as reason:
        give_up(f"{reason}")


def _place(options: dict[str, Any]) -> "Place":
    """Ends where the configuration that is meant is wrong.

    However often a command asks, it reads that once: it may be a pipe.
    """
    from proxy.config import ConfigError

    known: dict[str, Place] = click.get_current_context().meta
    if PLACE not in known:
        try:
            known[PLACE] = place_meant(options)
        except ConfigError as error:
            end(BAD_CONFIGURATION, f"{error}{_unnamed(options)}")
    return known[PLACE]


def place_meant(options: dict[str, Any]) -> "Place":
    """Where the service is that the options name. Raises ConfigError, UsageError."""
    from proxy.config import load
    from proxy.remote import place_at, place_of

    if options["file"] is not None and _is_option("admin"):
        raise click.UsageError("`--config` and `--admin` each say which service is meant: give one of them")
    if options["file"] is None and options["admin"] is not None:
        try:
            return place_at(options["admin"], options["token"])
        except ValueError as error:
            raise click.UsageError(f"`--admin` or {ADMIN_VARIABLE}: {error}") from error
    file = options["file"] or DEFAULT_CONFIG
    try:
        return place_of(load(file, os.environ), options["token"])
    except ValueError as error:
        raise click.UsageError(f"{file}: {error}{_unnamed(options)}") from error


def _unnamed(options: dict[str, Any]) -> str:
    return f"\n{UNNAMED}" if options["file"] is None else ""


def _token_source() -> str:
    """Where the token is from that the command has, as far as it is said here."""
    return "`--token`" if _is_option("token") else TOKEN_VARIABLE


def _is_option(name: str) -> bool:
    """Whether it was given as an option, and not by the environment."""
    from click.core import ParameterSource

    return click.get_current_context().get_parameter_source(name) is ParameterSource.COMMANDLINE


def warn(what: str) -> None:
    """Say what could not be."""
    complain(f"{NAME}: {what}")


def give_up(why: str) -> NoReturn:
    """Say why it cannot be, and end."""
    end(NOT_DONE, f"{NAME}: {why}")
