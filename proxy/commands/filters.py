"""Filters: the options that say which operations are meant, and how the service is asked for these."""

from collections.abc import Callable, Sequence
from typing import Any, Final

import click

from proxy.commands import completing, values
from proxy.commands.service import Command, asked, give_up

UNSETTLED: Final = ("queued", "running")
SETTLED: Final = ("completed", "failed", "dismissed")


def which_operations(*states: str) -> Callable[[Command], Command]:
    """The options that say which operations, of which these can be meant by their state."""

    def filtered(command: Command) -> Command:
        for option in (
            click.option(
                "--younger-than", callback=values.duration, metavar="DURATION", help="By age: `30s`, `5m`, `24h`."
            ),
            click.option("--older-than", callback=values.duration, metavar="DURATION", help="By age."),
            click.option(
                "--state", "states", type=click.Choice(states), multiple=True, help="Of this state; as often as needed."
            ),
            click.option(
                "--route",
                "routes",
                callback=values.routes,
                shell_complete=completing.routes,
                metavar="NAME",
                multiple=True,
                help="Of this route; as often as needed.",
            ),
        ):
            command = option(command)
        return command

    return filtered


def wanted_by(options: dict[str, Any]) -> dict[str, str]:
    """The filters that are set, as the service takes them. Raises UsageError for ages that none can have."""
    from proxy.config import scalars

    older, younger = options["older_than"], options["younger_than"]
    if older and younger and scalars.duration(older) >= scalars.duration(younger):
        raise click.UsageError("`--older-than` must be less than `--younger-than`: none is older and younger than that")
    found = {
        "state": ",".join(options["states"]),
        "route": ",".join(options["routes"]),
        "older_than": older,
        "younger_than": younger,
    }
    return {name: value for name, value in found.items() if value}


def check_routes(options: dict[str, Any], names: Sequence[str]) -> None:
    """Ends where nothing was found because there is no such route; operations may well be of one that is no more."""
    from proxy.words import none_of

    known = asked(options, lambda service: service.routes()) if names else []
    for name in names:
        if name not in known:
            give_up(f"there is no such route; {none_of(name, known)}")
