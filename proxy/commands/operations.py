"""`respond-async operations`: the operations of a service that runs."""

import json
import shutil
import sys
from functools import partial
from typing import TYPE_CHECKING, Any, Final

import click

from proxy.commands import completing, values
from proxy.commands.filters import SETTLED, UNSETTLED, check_routes, wanted_by, which_operations
from proxy.commands.ids import IDS, NO_IDS, DiscreetCommand, each, names_one, read_ids, refuse_ids
from proxy.commands.service import asked, which_service

if TYPE_CHECKING:
    from proxy.remote import Service

MANY: Final = 500  # more are not counted before one is asked whether one means it
OF_STATUS_URLS: Final = "(status)"  # what stands for the route of requests for them
NO_REQUEST: Final = (
    "Nor is it the X-Request-Id of a recent request that was answered with 202, went wrong, or was told of a failure. The"
    """ log has a line for every request, also for those that went well: grep '"event": "request".*"id": "ID"'."""
)

_json = click.option("--json", "wants_json", is_flag=True, help="As JSON.")
_yes = click.option("--yes", is_flag=True, help="Without asking whether one means it.")


class _Operations(DiscreetCommand, click.Group):
    """Who names one, and no command, is told which is meant."""

    command_class = DiscreetCommand

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        if names_one(args[0]):
            refuse_ids(args)
        return super().resolve_command(ctx, args)


@click.group(
    cls=_Operations, short_help="List, show and end the operations of a service that runs; list its recent requests."
)
def operations() -> None:
    """The operations of a service that runs, asked at its `admin` address.

    \b
    What runs for longer than five minutes, and its end:
        respond-async operations list --state running --older-than 5m
        respond-async operations cancel Wz6GBxat
    Why requests were answered with 503:
        respond-async operations requests --status 503
    A service elsewhere:
        respond-async operations list --admin http://10.0.0.5:8081

    Exit codes: 0 done; 1 it cannot be, and standard error says why; 2 wrong usage.
    """


@operations.command("list", short_help="The newest, as a table.", context_settings=NO_IDS)
@which_operations(*UNSETTLED, *SETTLED, "unsettled", "settled")
@click.option("--limit", type=click.IntRange(min=1), default=50, show_default=True, help="So many.")
@_json
@which_service
def list_(*, limit: int, wants_json: bool, **options: Any) -> None:  # noqa: ANN401  # what click makes of the options
    """List operations, the newest first. AGE is the time since the 202, and 202 TO END what it took from there.

    \b
    What failed in the last hour:
        respond-async operations list --state failed --younger-than 1h
    All that wait or run, for another program:
        respond-async operations list --state unsettled --limit 10000 --json
    """
    from proxy.remote import table
    from proxy.words import printable

    refuse_ids(click.get_current_context().args)
    wanted = wanted_by(options)
    listed = asked(options, lambda service: service.operations(wanted, limit))
    if not listed["operations"]:
        check_routes(options, options["routes"])
    if wants_json:
        click.echo(json.dumps(listed, indent=2))
        return
    on_terminal = sys.stdout.isatty()
    click.echo(table(listed["operations"], shutil.get_terminal_size().columns if on_terminal else None))
    if on_terminal:
        counts = ", ".join(f"{number} {state}" for state, number in listed["counts"].items())
        click.echo(f"{printable(counts)}{'; there are more of these: --limit' if listed['more'] else ''}", err=True)


@operations.command(short_help="All that is known of one.", context_settings=IDS)
@click.argument("ids", callback=read_ids, shell_complete=completing.ids(), metavar="ID...", nargs=-1, required=True)
@_json
@which_service
def show(*, ids: tuple[str, ...], wants_json: bool, **options: Any) -> None:  # noqa: ANN401
    """Show operations, each by its status URL or the beginning of its id: the 8 characters that the log has, or more.

    If no operation has it, it may be the X-Request-Id of a recent request: one that was answered with 202, went wrong, or
    was told of a failure. That is shown, and its operation.

    \b
    Why it is as it is:
        respond-async operations show Wz6GBxat
    Why a request was answered with 202, 503 or 504:
        respond-async operations show 4f1d7c1e9b0a4c6f8d2e3b5a7c9d1e0f
    """
    each(options, ids, partial(_shown, wants_json=wants_json), between="" if wants_json else "\n")


@operations.command(short_help="The recent requests, and why they were answered so.", context_settings=NO_IDS)
@click.option(
    "--status", callback=values.status, metavar="STATUS", help="Answered with that: `504`, or `5xx` for a class."
)
@click.option(
    "--route",
    callback=values.value,
    shell_complete=completing.routes,
    metavar="NAME",
    help="Of this route; `(status)` is for status URLs.",
)
@_json
@which_service
def requests(*, status: str | None, route: str | None, wants_json: bool, **options: Any) -> None:  # noqa: ANN401
    """List recent requests, the newest first, each with its time in UTC and why it was answered so.

    They are those that were answered with 202, went wrong, or were told of a failure, and those whose clients left. Others
    are in the log alone, which has a line for every request, with the same END as `end`.

    \b
    Why requests were answered with 503:
        respond-async operations requests --status 503
    What went wrong on a route, for another program:
        respond-async operations requests --status 5xx --route reports --json
    """
    from proxy.remote import requests as table

    refuse_ids(click.get_current_context().args)
    like = {name: value for name, value in {"status": status, "route": route}.items() if value}
    found = asked(options, lambda service: service.recent(like))
    if not found["requests"] and route != OF_STATUS_URLS:
        check_routes(options, (route,) if route else ())
    if wants_json:
        click.echo(json.dumps(found, indent=2))
        return
    click.echo(table(found["requests"], shutil.get_terminal_size().columns if sys.stdout.isatty() else None))


@operations.command(short_help="Cancel some that wait or run.", context_settings=IDS)
@click.argument("ids", callback=read_ids, shell_complete=completing.ids("unsettled"), metavar="[ID...]", nargs=-1)
@which_operations(*UNSETTLED)
@_yes
@which_service
def cancel(*, ids: tuple[str, ...], yes: bool, **options: Any) -> None:  # noqa: ANN401
    """Cancel operations that wait or run, as their clients' DELETE would. Their status URLs then answer 404.

    Who waits there in a long poll is answered so at once; that an operator has done it is not told to clients.
    They are named by their status URLs or the beginnings of their ids, or all are meant that are like that.

    \b
    This one:
        respond-async operations cancel Wz6GBxat
    All of a route that are late:
        respond-async operations cancel --route reports --older-than 1h --yes
    """
    wanted = wanted_by(options)
    if bool(ids) == bool(wanted):
        raise click.UsageError("name operations by their ids, or by what they are like")
    if not ids:
        _end_all(options, {"state": "unsettled", **wanted}, "Cancel", yes=yes)
        return
    each(options, ids, _cancelled)


@operations.command(short_help="Drop results that are kept.", context_settings=IDS)
@click.argument("ids", callback=read_ids, shell_complete=completing.ids("settled"), metavar="[ID...]", nargs=-1)
@which_operations(*SETTLED)
@_yes
@which_service
def purge(*, ids: tuple[str, ...], yes: bool, **options: Any) -> None:  # noqa: ANN401
    """Drop what is kept of operations that are settled, before its time. Their status URLs then answer 404.

    They are named by their status URLs or the beginnings of their ids, or all are meant that are like that.

    \b
    All that are older than a day:
        respond-async operations purge --older-than 24h
    """
    wanted = wanted_by(options)
    if ids and wanted:
        raise click.UsageError("name operations by their ids, or by what they are like")
    if not ids:
        _end_all(options, {"state": "settled", **wanted}, "Drop", yes=yes)
        return
    each(options, ids, _dropped)


async def _shown(service: "Service", id: str, *, wants_json: bool) -> str:
    from proxy.remote import details, lines

    found = await _known(service, id)
    if wants_json:
        return json.dumps(found if "requests" in found else found["operations"][0], indent=2)
    return "\n\n".join([*map(lines, found.get("requests", ())), *map(details, found["operations"])])


async def _cancelled(service: "Service", id: str) -> str:
    from proxy.words import printable

    ended = await service.cancel(id)
    return printable(f"{ended['id']} is {ended['state']}")


async def _dropped(service: "Service", id: str) -> str:
    from proxy.words import printable

    return printable(f"{(await service.drop(id))['id']} is dropped")


async def _known(service: "Service", id: str) -> dict[str, Any]:
    """The `operations` of this id; or, if it is that of `requests`, these with theirs."""
    from proxy.remote import Unknown

    try:
        return {"operations": [await service.operation(id)]}
    except Unknown as unknown:
        found = await service.requests(id)
        if not found["requests"]:
            raise Unknown(f"{unknown} {NO_REQUEST}") from unknown
        return found


def _end_all(options: dict[str, Any], wanted: dict[str, str], verb: str, *, yes: bool) -> None:
    from proxy.words import so_many

    if not yes:
        found = asked(options, lambda service: service.operations(wanted, MANY))
        number = len(found["operations"])
        if not number:
            check_routes(options, options["routes"])
            click.echo("There are none.")
            return
        many = f"more than {MANY} operations" if found["more"] else so_many(number, "operation")
        click.confirm(f"{verb} {many}? Their clients then get 404.", abort=True, err=True)
        wanted = wanted | {"settled_by": found["time"]}  # no result that has come meanwhile
    done = asked(options, lambda service: service.end_all(wanted))
    if done == {"dismissed": 0, "removed": 0}:
        check_routes(options, options["routes"])
    click.echo(f"{done['dismissed']} cancelled, {done['removed']} dropped")
