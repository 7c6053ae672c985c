"""What options and arguments of `operations` and `fetch` may say: click's callbacks, which refuse all else and say what is wrong."""

import re
from typing import Final

import click

SECONDS: Final = re.compile(r"[0-9]+(?:\.[0-9]+)?")
STATUS: Final = re.compile("[1-5]([0-9]{2}|xx)")


def duration(_: click.Context, __: click.Parameter, text: str | None) -> str | None:
    """A duration, still as it is written: so the service takes it."""
    from proxy.config import scalars

    try:
        scalars.duration("0s" if text is None else text)
    except scalars.Refused as refused:
        raise click.BadParameter(str(refused)) from refused
    return text


def seconds(_: click.Context, __: click.Parameter, text: str | None) -> float | None:
    """A duration, or a number of seconds as curl has it; more than none."""
    found = _seconds(text)
    if found == 0:
        raise click.BadParameter("must be more than zero")
    return found


def whole_seconds(_: click.Context, __: click.Parameter, text: str | None) -> int | None:
    """The same in whole seconds, of which there may be none."""
    found = _seconds(text)
    if found is None:
        return None
    if not found.is_integer():
        raise click.BadParameter("must be whole seconds: there is nothing less in Prefer")
    return int(found)


def _seconds(text: str | None) -> float | None:
    from proxy.config import scalars

    if text is None or SECONDS.fullmatch(text):
        return None if text is None else float(text)
    try:
        return scalars.duration(text)
    except scalars.Refused as refused:
        raise click.BadParameter("must be seconds, such as `20`, or a duration, such as `20s` or `5m`") from refused


def routes(_: click.Context, __: click.Parameter, names: tuple[str, ...]) -> tuple[str, ...]:
    """Names that routes may have: none of them is empty, and none means several."""
    from proxy.config import scalars

    try:
        for name in given(names):
            scalars.token(name)
    except scalars.Refused as refused:
        raise click.BadParameter(str(refused)) from refused
    return names


def given(texts: tuple[str, ...]) -> tuple[str, ...]:
    """The texts, of which none is empty: it would mean all that there is, and is a variable that was not set."""
    if "" in texts:
        raise click.BadParameter("is empty: is it from a variable that is not set?")
    try:
        "".join(texts).encode()
    except UnicodeError as error:
        raise click.BadParameter("is not UTF-8") from error
    return texts


def value(_: click.Context, __: click.Parameter, text: str | None) -> str | None:
    """One that is given, and not empty."""
    return None if text is None else given((text,))[0]


def status(_: click.Context, __: click.Parameter, text: str | None) -> str | None:
    if text is not None and not STATUS.fullmatch(text):
        raise click.BadParameter("must be a status such as `504`, or a class of them such as `5xx`")
    return text
