"""What lives long, opened from the ground up and closed from the top down: store, origins, reaper, keeper, listeners.

A stop drains: listeners close, open requests end, then the keeper waits for its operations and settles the late ones.
"""

import asyncio
import secrets
import signal
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from functools import partial
from typing import Any, Final

import structlog
from aiohttp import web

from proxy.admin import Admin
from proxy.clock import Clock
from proxy.config import Config
from proxy.errors import ShuttingDown
from proxy.forward import Context, Forwarder
from proxy.forwarded import TrustedProxies
from proxy.handler import Handler
from proxy.keeper import Keeper
from proxy.ledger import Ledger
from proxy.listeners import Listener, listen, tls_context
from proxy.observe import Metrics
from proxy.origin import Origins
from proxy.pool import Places
from proxy.reaper import Reaper
from proxy.recovery import Recovery
from proxy.routes import Routes
from proxy.status import StatusMonitor, StatusUrls
from proxy.store import Store, open_store
from proxy.tally import Tally
from proxy.wire import Server

log = structlog.get_logger()

ID_BYTES: Final = 18  # random ones: 144 bits, 24 characters
LAST_HANDSHAKES: Final = 2.0  # seconds for those of TLS that are under way when it stops


class Service:
    """The proxy of one configuration, over a store and origins that others open and close."""

    def __init__(self, config: Config, store: Store, origins: Origins, keeper_id: str, clock: Clock) -> None:
        trusted = TrustedProxies(config.trusted_proxies)
        self.metrics = Metrics()
        ledger = Ledger(store, clock, self.metrics.settled)
        self._keeper = Keeper(ledger)
        urls = StatusUrls(config.status_path, config.public_url)
        self._monitor = StatusMonitor(ledger, urls, config.name)
        new_id = partial(secrets.token_urlsafe, ID_BYTES)
        most = config.limits.max_operations_per_client
        context = Context(config.name, keeper_id, urls, clock, store, most, new_id, config.store.url.folder)
        forwarders = {
            route.name: Forwarder(route, origins[route.origin], self._keeper, context) for route in config.routes
        }
        self.recovery = Recovery(ledger, keeper_id, forwarders)
        self.reaper = Reaper(ledger, self.recovery.take_over)
        handler = Handler(Routes(config.routes), forwarders, self._monitor, trusted, self.metrics)
        peer = partial(trusted.peer, tls=config.tls is not None)
        self._front = Server(handler.handle, handler.refusal, peer, config.limits, clock, admitted=Tally(1).cell(0))
        self._config = config
        self.listeners: list[Listener] = []
        self.admin: Listener | None = None
        self.draining = False
        self.metrics.gauge("respond_async_operations_running", "Operations under way.", lambda: self._keeper.running)
        self.metrics.gauge(
            "respond_async_operations_queued", "Operations that wait for their turn.", lambda: self._keeper.queued
        )

    async def listen(self) -> None:
        """Open the configuration's addresses, that for operators last. Raises CannotListen."""
        config = self._config
        tls = tls_context(config.tls) if config.tls is not None else None
        for address in config.listen:
            patience = config.limits.header_timeout
            self.listeners.append(await listen("listen", address, self._front, tls, patience))
        if config.admin is not None:
            admin = Admin(self.metrics, self.not_ready)
            self.admin = await listen("admin", config.admin, web.Server(admin.handle, access_log=None))

    def not_ready(self) -> str | None:
        """Why it takes no requests; None if it does."""
        return ShuttingDown.title() if self.draining else None

    async def drain(self, timeout: float) -> None:
        """Accept nothing more, and give what is under way `timeout` seconds. Can be cancelled, and called again."""
        loop = asyncio.get_running_loop()
        deadline = loop.time() + timeout
        self.draining = self._front.draining = True
        for listener in self.listeners:
            listener.close()
        self.recovery.end()
        self._monitor.drain()
        await asyncio.gather(*(listener.drain(min(timeout, LAST_HANDSHAKES)) for listener in self.listeners))
        await self._front.drain(max(deadline - loop.time(), 0))
        await self._keeper.drain(max(deadline - loop.time(), 0))


@asynccontextmanager
async def serving(config: Config) -> AsyncIterator[Service]:
    """The proxy, ready for requests. Leaving stops it at once: to stop gracefully, drain it first.

    Raises CannotListen, StoreUnavailable.
    """
    keeper_id, url = secrets.token_urlsafe(ID_BYTES), config.store.url
    async with (
        open_store(url.kind, url.folder, config.store.max_size, keeper_id) as store,
        Origins.opened(config.origins, config.limits.max_fields, Places.alone()) as origins,
    ):
        service = Service(config, store, origins, keeper_id, Clock())
        await service.recovery.take_over()
        async with _in_background(service.reaper.run()):
            try:
                await service.listen()
                yield service
            finally:
                await service.drain(0)
                if service.admin is not None:
                    service.admin.close()
                    await service.admin.drain(0)


async def serve(config: Config, ready: Callable[[], None] = lambda: None) -> None:
    """Run the proxy until SIGTERM or SIGINT, then drain; a second signal stops at once. `ready` is called when it listens.

    Raises CannotListen, StoreUnavailable.
    """
    stop = _StopSignals()
    async with serving(config) as service:
        admin = str(service.admin.address) if service.admin else "off"
        ready()
        log.info("serving", listen=[str(listener.address) for listener in service.listeners], admin=admin)
        await stop.wait()
        log.info("draining", seconds=config.drain_timeout)
        async with _in_background(service.drain(config.drain_timeout)) as drained, _in_background(stop.wait()) as again:
            await asyncio.wait({drained, again}, return_when=asyncio.FIRST_COMPLETED)
    log.info("stopped")


class _StopSignals:
    """SIGTERM and SIGINT, one by one."""

    def __init__(self) -> None:
        self._came: asyncio.Queue[None] = asyncio.Queue()
        for number in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().add_signal_handler(number, self._came.put_nowait, None)

    async def wait(self) -> None:
        """Wait for the next."""
        await self._came.get()


@asynccontextmanager
async def _in_background(work: Coroutine[Any, Any, None]) -> AsyncIterator[asyncio.Task[None]]:
    """Run it beside the block, and cancel it when the block ends. If it failed meanwhile, that is raised then."""
    # Not a TaskGroup: that would wrap what the block raises, and the command line wants to know it by its name.
    task = asyncio.get_running_loop().create_task(work)
    try:
        yield task
    finally:
        task.cancel()
        await asyncio.wait({task})
    if not task.cancelled():
        task.result()
