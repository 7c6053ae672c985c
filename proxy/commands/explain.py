"""`respond-async explain`."""

import os
import sys
from ipaddress import ip_address
from typing import TYPE_CHECKING, Any

import click

from proxy.commands.options import DEFAULT_CONFIG, FIELD, FILE, bad_configuration

if TYPE_CHECKING:
    from proxy.message import Field


def _address(_: click.Context, __: click.Parameter, text: str) -> str:
    try:
        return str(ip_address(text))
    except ValueError as error:
        raise click.BadParameter("must be an IP address, such as 192.0.2.7") from error


@click.command(short_help="What would become of a request, and why.")
@click.argument("words", metavar="REQUEST", nargs=-1, required=True)
@click.option("-H", "--header", "lines", metavar=FIELD, multiple=True, help="A field; as often as needed.")
@click.option(
    "-d",
    "--data",
    metavar="TEXT",
    multiple=True,
    help="Content, as a form has it; `@FILE` or `@-`: as it is there. Only its length counts.",
)
@click.option("--length", type=click.IntRange(min=0), metavar="BYTES", help="The length alone of the content.")
@click.option(
    "--config", "file", type=FILE, default=DEFAULT_CONFIG, show_default=True, help="The configuration that decides."
)
@click.option(
    "--peer", callback=_address, default="127.0.0.1", show_default=True, metavar="ADDRESS", help="Who sends it."
)
@click.option("--json", "wants_json", is_flag=True, help="As JSON.")
def explain(**options: Any) -> None:  # noqa: ANN401  # what click makes of the options above
    """Explain what would become of REQUEST, such as POST /reports, without sending anything.

    Which route it takes, and why not one before it; whether it may be answered later, and why; which deadlines and limits it meets, in
    order of time; and what the origin would get. Credentials, queries, and what the configuration has from the environment
    are not shown.

    \b
    Is this one answered later?
        respond-async explain 'POST /reports' -H 'Prefer: respond-async, wait=5' --length 20000
    Another configuration, a host, a client behind a trusted proxy:
        respond-async explain 'GET /x' --config proxy.yaml -H 'Host: a.example.com' --peer 10.0.0.7 -H 'X-Forwarded-For: 192.0.2.1'
    """
    from proxy.config import ConfigError, load_with_source
    from proxy.explain import as_json, as_text, imagine
    from proxy.explain import explain as explained

    try:
        loaded = load_with_source(options["file"], os.environ)
        length = _length(options["data"], options["length"])
        fields = _fields(options["lines"], sends_form=bool(options["data"]))
        imagined = imagine(" ".join(options["words"]), fields, loaded.config, options["peer"], length)
    except ConfigError as error:
        bad_configuration(error)
    except UnicodeError as error:
        raise click.UsageError("what is given is not UTF-8") from error
    except ValueError as error:
        raise click.UsageError(str(error)) from error
    tell = as_json if options["wants_json"] else as_text
    click.echo(tell(loaded, explained(loaded.config, imagined)).rstrip("\n"))


def _length(data: tuple[str, ...], length: int | None) -> int | None:
    """In bytes, of the content that `fetch` would send for the same data. Raises ValueError."""
    from proxy.fetch import content_of

    content = content_of(data, (), sys.stdin.buffer if sys.stdin else None)
    if content is None:
        return length
    if length is not None:
        raise ValueError("`--data` and `--length` do not go together: content has a length of its own")
    return len(content.data) if isinstance(content.data, bytes) else content.data.stat().st_size


def _fields(lines: tuple[str, ...], *, sends_form: bool) -> "list[Field]":
    from proxy.explain.imagined import FORM
    from proxy.fetch.order import field

    given = [(name.encode(), value.encode()) for name, value in map(field, lines) if value is not None]
    has_kind = any(name.lower() == b"content-type" for name, _ in given)
    return [*given, FORM] if sends_form and not has_kind else given
