"""Active checks: whether a server answers a small request of our own, again and again."""

import asyncio
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from typing import Final

from proxy.config import HealthCheck
from proxy.connection import Connection
from proxy.errors import Busy, OriginError
from proxy.message import Fields, RequestHead
from proxy.servers import Server

SICK: Final = 400  # from this status on

Reach = Callable[[Server], AbstractAsyncContextManager[Connection]]


async def keep_checking(server: Server, settings: HealthCheck, reach: Reach) -> None:
    """Check the server without end, and let its health know. `reach` makes a connection to it, or raises Busy."""
    while True:
        try:
            await _check(server, settings, reach)
        except Busy:
            pass  # all places are taken: an origin that is full is alive
        except OriginError as exc:
            server.health.ill(exc)
        else:
            server.health.well()
        await asyncio.sleep(settings.interval)


async def _check(server: Server, settings: HealthCheck, reach: Reach) -> None:
    async with reach(server) as connection:
        fields = Fields([(b"Host", connection.authority), (b"User-Agent", b"respond-async"), (b"Connection", b"close")])
        connection.begin("GET")
        connection.write(RequestHead("GET", settings.path.encode(), fields).to_wire())
        connection.sent_whole()
        head = await connection.head(settings.timeout)
    if head.status >= SICK:
        raise OriginError(f"A check was answered with {head.status}.")
