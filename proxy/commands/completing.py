"""What a shell completes of what only a service knows: the names of its routes, and ids of operations.

It is asked for a moment, at the address that the options say which stand there already. Where it does not answer, or wants
another token, there is nothing to complete, and nothing is said of that: the command itself will say it.
"""

from collections.abc import Callable, Coroutine
from typing import TYPE_CHECKING, Any, Final

import click
from click.shell_completion import CompletionItem

from proxy.commands.service import place_meant

if TYPE_CHECKING:
    from proxy.remote import Service

Complete = Callable[[click.Context, click.Parameter, str], list[CompletionItem]]
Question = Callable[["Service"], Coroutine[Any, Any, list[CompletionItem]]]

ANSWERED_WITHIN: Final = 2.0  # seconds; who presses a key waits for it
MANY: Final = 50  # operations, the newest


def routes(context: click.Context, _: click.Parameter, begun: str) -> list[CompletionItem]:
    async def ask(service: "Service") -> list[CompletionItem]:
        return [CompletionItem(name) for name in await service.routes()]

    return _beginning(begun, _answer(context, ask))


def ids(state: str = "") -> Complete:
    """Of operations of this state, or of any."""

    async def ask(service: "Service") -> list[CompletionItem]:
        found = await service.operations({"state": state} if state else {}, MANY)
        return [CompletionItem(one["id"], help=f"{one['state']}, {one['route']}") for one in found["operations"]]

    def complete(context: click.Context, _: click.Parameter, begun: str) -> list[CompletionItem]:
        return _beginning(begun, _answer(context, ask))

    return complete


def _beginning(begun: str, items: list[CompletionItem]) -> list[CompletionItem]:
    return [item for item in items if item.value.startswith(begun) and item.value.isprintable()]


def _answer(context: click.Context, question: Question) -> list[CompletionItem]:
    import asyncio

    from proxy.config import ConfigError
    from proxy.remote import NoAnswer, asking

    async def ask() -> list[CompletionItem]:
        async with asyncio.timeout(ANSWERED_WITHIN), asking(place_meant(context.params)) as service:
            return await question(service)

    try:
        with context.scope(cleanup=False):
            return asyncio.run(ask())
    except (ConfigError, NoAnswer, TimeoutError, click.UsageError):
        return []
