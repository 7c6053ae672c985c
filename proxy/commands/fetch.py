"""`respond-async fetch`."""

import sys
from collections.abc import Coroutine, Iterable
from pathlib import Path
from signal import SIGTERM
from threading import current_thread, main_thread
from typing import TYPE_CHECKING, Any

import click

from proxy.commands import standard_output, values
from proxy.commands.options import FIELD, FILE, TERMINATED, end

if TYPE_CHECKING:
    from proxy.fetch import Order


@click.command(short_help="Ask, follow the 202, and bring the result home.")
@click.argument("url")
@click.option("-X", "--request", "method", metavar="METHOD", help="The method; GET, or POST with content.")
@click.option("-H", "--header", "lines", metavar=FIELD, multiple=True, help="A field; as often as needed.")
@click.option(
    "-d", "--data", metavar="TEXT", multiple=True, help="Content, as a form has it; `@FILE` or `@-`: as it is there."
)
@click.option("--json", "documents", metavar="TEXT", multiple=True, help="The same, as JSON.")
@click.option("-o", "--output", type=FILE, help="Where the result goes, if it is a success; `-`: standard output.")
@click.option("-i", "--include", is_flag=True, help="The result's status line and fields before it.")
@click.option(
    "--wait",
    callback=values.whole_seconds,
    metavar="DURATION",
    help="How long the server should try to answer at once: `20s`, `2m`; or seconds, `20`.",
)
@click.option(
    "--timeout", callback=values.seconds, metavar="DURATION", help="Most time for all of it, written in the same way."
)
@click.option("-u", "--user", metavar="USER:PASSWORD", help="Basic authentication; without password it is asked for.")
@click.option("--cacert", type=FILE, help="Authorities to trust, PEM, in place of the system's.")
@click.option("-k", "--insecure", is_flag=True, help="Trust any certificate.")
@click.option(
    "--cancel", is_flag=True, help="When one leaves early (Ctrl-C, SIGTERM, --timeout), cancel the operation."
)
@click.option("--resume", is_flag=True, help="URL is a status URL that an earlier fetch left.")
@click.option("-q", "--quiet", is_flag=True, help="No progress, and no notes.")
def fetch(**options: Any) -> None:  # noqa: ANN401  # what click makes of the options above
    """Fetch URL: ask with `Prefer: respond-async`, follow the 202 to its outcome, and write that, exactly.

    \b
    A report that takes its time:
        respond-async fetch -o ledger.csv http://127.0.0.1:8080/reports/ledger.csv
    Content from a file, 202 at once, cancelled by Ctrl-C:
        respond-async fetch --json @order.json --wait 0 --cancel http://127.0.0.1:8080/orders
    Go on where another one was ended:
        respond-async fetch --resume http://127.0.0.1:8080/.async/Wz6GBxatz1gygRh_3Dcb7Fbp

    Any server will do that answers 202 and names a status URL in Location. A download that breaks off is continued.
    Credentials are sent to the origin of URL alone.

    \b
    Exit codes: 0 the outcome is a success or a redirect; 22 it is a 4xx or 5xx; 130 Ctrl-C, 143 SIGTERM; and as curl has
    them 6 unknown host, 7 no connection, 8 a 202 without status URL, 18 cut, 23 not written, 28 --timeout, 35 no TLS, 47 redirects without end,
    56 broken off, 60 certificate not trusted.
    """
    import asyncio

    from proxy.fetch import Ended, Terms, run
    from proxy.fetch.asking import trust_in

    try:
        order = _order(options)
        terms = Terms(
            prefer=_prefer(options["lines"], options["wait"]),
            timeout=options["timeout"],
            trust=trust_in(options["cacert"], insecure=options["insecure"]),
            output=None if options["output"] == Path("-") else options["output"],
            **{name: options[name] for name in ("include", "resume", "cancel", "quiet")},
        )
    except UnicodeError as error:
        raise click.UsageError(
            "what is given is not UTF-8; content that is none goes into a file, as `@FILE`"
        ) from error
    except ValueError as error:
        raise click.UsageError(str(error)) from error
    if terms.output is None:
        standard_output.check_open()
    try:
        sys.exit(asyncio.run(_ended_by_sigterm(run(order, terms, sys.stdout.buffer, sys.stderr))))
    except asyncio.CancelledError:
        sys.exit(TERMINATED)
    except Ended as ended:
        end(ended.code, f"respond-async fetch: {ended}")


async def _ended_by_sigterm(fetch: Coroutine[Any, Any, int]) -> int:
    """The fetch's exit code, or CancelledError: SIGTERM ends it as Ctrl-C does, so what came before is seen to, and said."""
    import asyncio

    task = asyncio.current_task()
    if task is not None and current_thread() is main_thread():  # no other may have signal handlers
        asyncio.get_running_loop().add_signal_handler(SIGTERM, task.cancel)
    return await fetch


def _order(options: dict[str, Any]) -> "Order":
    from proxy.fetch import content_of, field, order_for

    data, documents = options["data"], options["documents"]
    if options["resume"] and (data or documents or options["method"]):
        raise ValueError("`--resume` asks a status URL, which takes no method and no content")
    content = content_of(data, documents, sys.stdin.buffer if sys.stdin else None)
    fields = [field(line) for line in options["lines"]]
    return order_for(options["url"], options["method"], fields, _with_password(options["user"]), content)


def _prefer(lines: Iterable[str], wait: int | None) -> str | None:
    """What is preferred, unless one says so oneself."""
    if any(line.lower().startswith("prefer:") for line in lines):
        if wait is not None:
            raise ValueError("`--wait` has no place beside a Prefer of your own")
        return None
    return "respond-async" if wait is None else f"respond-async, wait={wait}"


def _with_password(user: str | None) -> str | None:
    if user is None or ":" in user:
        return user
    from getpass import GetPassWarning
    from warnings import catch_warnings, simplefilter

    try:
        with catch_warnings():
            simplefilter("error", GetPassWarning)  # of a password that would be seen, or of a job that nobody watches
            return f"{user}:{click.prompt(f'Password of {user}', hide_input=True, err=True)}"
    except GetPassWarning as error:
        raise ValueError(f"no terminal to ask for the password at; give `-u {user}:PASSWORD`") from error
    except click.Abort as error:  # what click makes of Ctrl-C at its own prompts
        raise KeyboardInterrupt from error
