"""Operations as they are named on the command line: by ids, their beginnings, or status URLs, which end with an id.

A whole id is a capability: no more of one is shown than its beginning.
"""

import re
import sys
from collections.abc import Callable, Coroutine, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, Final

import click

from proxy.commands.service import NAME, NOT_DONE, asked, warn
from proxy.commands.values import given

if TYPE_CHECKING:
    from proxy.remote import Service

    Ask = Callable[[Service, str], Coroutine[Any, Any, str]]

URL: Final = re.compile("/|https?://", re.IGNORECASE)  # how one begins that is written in full
STATUS_URL: Final = re.compile(r".*/([A-Za-z0-9_-]{8,64})/?(?:[?#].*)?", re.DOTALL)
OPTION: Final = re.compile("--[a-z]+(-[a-z]+)*(=.*)?", re.DOTALL)  # there is hardly an id like that
# Ids may begin with a dash.
IDS: Final = {"ignore_unknown_options": True}
NO_IDS: Final = {"allow_extra_args": True}  # to be told what is meant (see `refuse_ids`)


def read_ids(_: click.Context, __: click.Parameter, names: tuple[str, ...]) -> tuple[str, ...]:
    """Ids, or beginnings of them; of a status URL its id, which the service compares as a whole and nothing shows."""
    return tuple(map(_id, given(names)))


def _id(name: str) -> str:
    from proxy.operation import ID_LENGTH

    if OPTION.fullmatch(name):
        raise _misplaced_option(name.partition("=")[0])
    found = STATUS_URL.fullmatch(name)
    if URL.match(name) is None:  # an X-Request-Id may have slashes, too, but hardly before so much
        return name if found is None or len(found[1]) != ID_LENGTH else found[1]
    if found is None:
        raise click.BadParameter("is a URL, and no status URL: these end with an id of at least 8 characters")
    return found[1]


def _misplaced_option(name: str) -> click.UsageError:
    """What is wrong with an option among ids: it is none, or was given behind `--`."""
    command = click.get_current_context().command
    if any(name in parameter.opts for parameter in command.params):
        return click.UsageError(f"`{name}` has to stand before `--`: all that comes after that are ids")
    return click.NoSuchOption(name)


def names_one(text: str) -> bool:
    """Whether it is as only ids and URLs are, and so no command."""
    return URL.match(text) is not None or bool(_as_long_as_ids(text))


def refuse_ids(texts: Sequence[str]) -> None:
    """Raises UsageError where any are given. Click's own would not say what is meant."""
    if texts:
        shown = _without_ids(texts[0], texts[0])
        raise click.UsageError(
            f"Got unexpected extra argument ({shown}): `{NAME} show` shows one operation or request."
        )


class DiscreetCommand(click.Command):
    """Shows no id whole when it says what is wrong with its arguments, whatever is joined to one."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        given = " ".join(args)  # which are taken away one by one
        try:
            return super().parse_args(ctx, args)
        except click.UsageError as error:
            if not _as_long_as_ids(given):
                raise
            raise click.UsageError(_without_ids(error.format_message(), given), error.ctx) from error


def _without_ids(text: str, given: str) -> str:
    """The text with no more than the beginning of what was given and may be an id, or have one in it."""
    for id in _as_long_as_ids(given):
        text = text.replace(id, _short(id))
    return text


def _as_long_as_ids(text: str) -> list[str]:
    from proxy.operation import ID_LENGTH

    return re.findall(rf"[A-Za-z0-9_-]{{{ID_LENGTH},}}", text)


def each(options: dict[str, Any], ids: Sequence[str], ask: "Ask", between: str = "") -> None:
    """Say of each what is answered. Ends with an exit code if anything could not be."""
    if not asked(options, partial(_one_by_one, ids, ask, between)):
        sys.exit(NOT_DONE)


async def _one_by_one(ids: Sequence[str], ask: "Ask", between: str, service: "Service") -> bool:
    """Whether all could be; what cannot keeps nobody from asking for the others, but the service that is silent does."""
    from proxy.remote import Declined, NoAnswer

    texts, declined = 0, 0
    for id in ids:
        try:
            text = await ask(service, id)
        except Declined as reason:
            declined += 1
            warn(f"{_short(id)}: {reason}")
        except NoAnswer:
            if left := ids[texts + declined + 1 :]:
                warn(f"not asked for any more: {', '.join(map(_short, left))}")
            raise
        else:
            click.echo(f"{between if texts else ''}{text}")
            texts += 1
    return not declined


def _short(id: str) -> str:
    """As much of an id as may be shown: the whole of it is a capability."""
    from proxy.operation import SHORT_ID

    return id if len(id) <= SHORT_ID else f"{id[:SHORT_ID]}…"
