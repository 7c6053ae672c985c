"""What options and arguments of `operations` may say: click's callbacks, which refuse all else and say what is wrong."""

import re
from typing import Final

import click

URL: Final = re.compile("/|https?://", re.IGNORECASE)  # how one begins that is written in full
STATUS_URL: Final = re.compile(r".*/([A-Za-z0-9_-]{8,64})/?(?:[?#].*)?", re.DOTALL)
STATUS: Final = re.compile("[1-5]([0-9]{2}|xx)")
OPTION: Final = re.compile("--[a-z]+(-[a-z]+)*(=.*)?", re.DOTALL)  # there is hardly an id like that


def duration(_: click.Context, __: click.Parameter, text: str | None) -> str | None:
    """A duration, still as it is written: so the service takes it."""
    from proxy.config import scalars

    try:
        scalars.duration("0s" if text is None else text)
    except scalars.Refused as refused:
        raise click.BadParameter(str(refused)) from refused
    return text


def routes(_: click.Context, __: click.Parameter, names: tuple[str, ...]) -> tuple[str, ...]:
    """Names that routes may have: none of them is empty, and none means several."""
    from proxy.config import scalars

    try:
        for name in _given(names):
            scalars.token(name)
    except scalars.Refused as refused:
        raise click.BadParameter(str(refused)) from refused
    return names


def ids(_: click.Context, __: click.Parameter, names: tuple[str, ...]) -> tuple[str, ...]:
    """Ids, or beginnings of them; of a status URL its id, which the service compares as a whole and nothing shows."""
    return tuple(map(_id, _given(names)))


def _id(name: str) -> str:
    from proxy.operation import ID_LENGTH

    if OPTION.fullmatch(name):
        raise click.NoSuchOption(name)
    found = STATUS_URL.fullmatch(name)
    if URL.match(name) is None:  # an X-Request-Id may have slashes, too, but hardly before so much
        return name if found is None or len(found[1]) != ID_LENGTH else found[1]
    if found is None:
        raise click.BadParameter("is a URL, and no status URL: these end with an id of at least 8 characters")
    return found[1]


def whole_id(text: str) -> str | None:
    """What is as long as an id, where a text is that or a URL that ends so; None: it gives no operation away."""
    from proxy.operation import ID_LENGTH

    found = STATUS_URL.fullmatch(f"/{text}")
    return None if found is None or len(found[1]) < ID_LENGTH else found[1]


def _given(texts: tuple[str, ...]) -> tuple[str, ...]:
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
    return None if text is None else _given((text,))[0]


def status(_: click.Context, __: click.Parameter, text: str | None) -> str | None:
    if text is not None and not STATUS.fullmatch(text):
        raise click.BadParameter("must be a status such as `504`, or a class of them such as `5xx`")
    return text
