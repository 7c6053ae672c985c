"""What lives long, opened from the ground up and closed from the top down: store, origins, reaper, keeper, listeners.

A stop drains: listeners close, open requests end, then the keeper waits for its operations and settles the late ones.
"""

import asyncio
import secrets
from collections.abc import AsyncIterator, Callable, Coroutine, Iterable, Iterator, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager, nullcontext, suppress
from functools import partial
from typing import Any, Final, TypeVar

import structlog

from proxy import chronicle, gauges, reasons
from proxy.acceptor import Acceptor
from proxy.admin import Admin
from proxy.books import Books
from proxy.clock import Clock
from proxy.config import Config
from proxy.context import Context
from proxy.errors import ShuttingDown, StoreUnavailable
from proxy.figures import Figures, packed
from proxy.forward import Forwarder
from proxy.forwarded import TrustedProxies
from proxy.front import PATIENCE, Server
from proxy.gauges import Standing
from proxy.handler import Handler
from proxy.keeper import Keeper
from proxy.ledger import Course, Ledger
from proxy.listeners import Bound, Doors, Listener, open_doors
from proxy.metrics import Metrics
from proxy.operation import ID_BYTES, Operation
from proxy.operators.backends import server_states
from proxy.operators.desk import Desk
from proxy.operators.feed import Feed
from proxy.operators.gate import Gate
from proxy.operators.page import page_files
from proxy.operators.report import Question, Report
from proxy.operators.survey import Survey
from proxy.operators.whole import Alone, Whole
from proxy.origin import Origins
from proxy.pace import Paces
from proxy.places import Places
from proxy.reaper import Reaper
from proxy.reception import Reception
from proxy.recovery import Recovery
from proxy.routes import Routes
from proxy.status import StatusMonitor
from proxy.store import Store, open_store
from proxy.tally import Cell, Tally
from proxy.tracing import Span, Tracing
from proxy.tunnel import Tunnels
from proxy.urls import StatusUrls

log = structlog.get_logger()

T = TypeVar("T")

LAST_HANDSHAKES: Final = 2.0  # seconds for those of TLS that are under way when it stops


class Service:
    """The proxy of one configuration, over a store and origins that others open and close."""

    def __init__(
        self,
        config: Config,
        store: Store,
        origins: Origins,
        keeper_id: str,
        clock: Clock,
        *,
        admitted: Cell | None = None,
        tell: Callable[[Span], None] | None = None,
    ) -> None:
        """`admitted` counts connections together with the other processes; without, there are none.

        `tell` takes the spans of traces, if anybody wants them.
        """
        self._config, self._store, self._origins, self._clock = config, store, origins, clock
        self.listeners: list[Listener] = []
        self.admin: Reception | None = None
        self.draining = False
        self.tell_settled: Callable[[str], None] = lambda _: None  # the service's other processes, of an operation's id
        self.metrics = Metrics()
        self.books = Books(self.metrics, clock)
        self._tracing = _tracing(config, clock, tell)
        self._ledger = Ledger(store, clock, self._settled)
        self._keeper = Keeper(self._ledger)
        self._paces = Paces(store)
        context = self._context(keeper_id)
        self._monitor = StatusMonitor(self._ledger, self._paces, context.urls, config.name)
        forwarders = {route.name: Forwarder(route, origins[route.origin], context) for route in config.routes}
        laters = {name: forwarder.later for name, forwarder in forwarders.items() if forwarder.later is not None}
        self.recovery = Recovery(self._ledger, keeper_id, laters)
        self.reaper = Reaper(self._ledger, self.recovery.take_over, self._paces.share)
        self._front = self._server(forwarders, admitted or Tally(1).cell(0))
        standing = Standing(self._keeper, self._front, context.tunnels, origins, self.reaper, config.store.max_size)
        gauges.show(self.metrics, standing)

    def _context(self, keeper_id: str) -> Context:
        config = self._config
        return Context(
            proxy_name=config.name,
            keeper_id=keeper_id,
            keeper=self._keeper,
            store=self._store,
            paces=self._paces,
            urls=StatusUrls(config.status_path, config.public_url),
            clock=self._clock,
            tunnels=Tunnels(),
            new_id=_new_id,
            max_of_client=config.limits.max_operations_per_client,
            spool_folder=config.store.url.folder,
            tracing=self._tracing,
        )

    def _server(self, forwarders: Mapping[str, Forwarder], admitted: Cell) -> Server:
        """For clients."""
        config, trusted = self._config, TrustedProxies(self._config.trusted_proxies)
        routes = Routes(config.routes)
        handler = Handler(routes, forwarders, self._monitor, trusted, self.books, tracing=self._tracing)
        peer = partial(trusted.peer, tls=config.tls is not None)
        return Server(handler.handle, handler.refusal, peer, config.limits, self._clock, admitted=admitted)

    def _reception(self, bound: Bound, whole: Whole) -> Reception:
        """For operators, who are shown the service as a whole."""
        config, desk = self._config, Desk(self._ledger, self._paces)
        listen = [listener.address for listener in self.listeners]
        survey = Survey(config, self._store, whole, listen, self.not_ready)
        token = config.admin_token.get_secret_value() if config.admin_token is not None else None
        admin = Admin(Gate(token, config.admin), desk, survey, Feed(desk, survey), page_files())
        return Reception(bound, admin, config.limits, self._clock)

    def listen(self, doors: Doors, whole: Whole) -> None:
        """Accept on the doors, that for operators last; these are shown the service as a whole."""
        patience = self._config.limits.header_timeout
        clients = self._front.connections
        accepting = partial(Acceptor, factory=self._front, tls=doors.tls, handshake_timeout=patience, clients=clients)
        self.listeners = [Listener(bound, accepting) for bound in doors.listen]
        if doors.admin is not None:
            self.admin = self._reception(doors.admin, whole)
        for listener in self.listeners:
            listener.open()
        self.answer_operators()

    def leave_operators(self) -> None:
        """Let another service answer at their address."""
        if self.admin is not None:
            self.admin.leave()

    def answer_operators(self) -> None:
        if self.admin is not None:
            self.admin.open()

    def not_ready(self) -> str | None:
        """Why it takes no requests; None if it does."""
        return ShuttingDown.title() if self.draining else None

    async def retire(self) -> None:
        """Accept nothing more, since a successor does, and let all that is under way come to its own end.

        Can be cancelled, and followed by a drain.
        """
        self._front.draining = True
        self.recovery.end()
        await asyncio.gather(self._close_to_clients(LAST_HANDSHAKES), self._close_to_operators(LAST_HANDSHAKES))
        await self._front.retire()
        await self._keeper.drain(None)

    async def drain(self, timeout: float, patience: float = PATIENCE, why: str = reasons.STOPPED) -> None:
        """Accept nothing more, and give what is under way `timeout` seconds, open connections `patience` for a request.

        Then it is given up, and `why` said of it.

        Can be cancelled, and called again.
        """
        loop = asyncio.get_running_loop()
        deadline = loop.time() + timeout
        self.draining = self._front.draining = True
        self.recovery.end()
        self._monitor.drain()
        if timeout:
            self._tell_what_is_under_way()
        await self._close_to_clients(min(timeout, LAST_HANDSHAKES))
        await self._front.drain(max(deadline - loop.time(), 0), patience, why)
        await self._keeper.drain(max(deadline - loop.time(), 0), why)
        with suppress(StoreUnavailable):  # then the last seconds are not learned
            await self._paces.share()

    def _tell_what_is_under_way(self) -> None:
        requests, operations = self._front.answering, self._keeper.running
        if requests or operations:
            log.info("under way", requests=requests, operations=operations)

    async def close(self) -> None:
        """Leave operators too."""
        await self._close_to_operators(0)
        if self.admin is not None:
            await self.admin.drain()

    async def _close_to_operators(self, timeout: float) -> None:
        if self.admin is not None:
            await self.admin.close(timeout)

    async def _close_to_clients(self, timeout: float) -> None:
        for listener in self.listeners:
            listener.close()
        await asyncio.gather(*(listener.drain(timeout) for listener in self.listeners))

    def hear_settled(self, ids: Iterable[str]) -> None:
        """Another process has settled these operations."""
        for id in ids:
            self._store.wake(id)

    def _settled(self, operation: Operation, course: Course) -> None:
        self.metrics.settled(operation, course)
        chronicle.settled(operation, course)
        if self._tracing is not None:
            self._tracing.settled(operation)
        self.tell_settled(operation.id)

    def report(self, question: Question) -> tuple[Report, Iterator[Figures]]:
        """What this process knows of itself; its figures apart, some at a time, as they are when they are taken."""
        found = Report()
        if "requests" in question.parts:
            found["requests"] = question.chosen(self.books.recent.entries())
        if "servers" in question.parts:
            found["servers"] = list(server_states(self._origins))
        return found, packed(self.metrics.figures() if "figures" in question.parts else ())


@asynccontextmanager
async def opened(config: Config, places: Places, admitted: Cell | None = None) -> AsyncIterator[Service]:
    """The proxy, which has yet to listen. Leaving stops it at once: to stop gracefully, drain it first.

    Raises StoreUnavailable.
    """
    keeper_id, url = _new_id(), config.store.url
    async with (
        open_store(url.kind, url.folder, config.store.max_size, keeper_id) as store,
        Origins.opened(config.origins, config.limits.max_fields, places) as origins,
        _exporting(config) as tell,
    ):
        service = Service(config, store, origins, keeper_id, Clock(), admitted=admitted, tell=tell)
        await service.recovery.take_over()
        async with in_background(service.reaper.run()):
            try:
                yield service
            finally:
                await service.drain(0)
                await service.close()


def _tracing(config: Config, clock: Clock, tell: Callable[[Span], None] | None) -> Tracing | None:
    return None if config.tracing is None or tell is None else Tracing(config.tracing.sample, clock, tell)


def _exporting(config: Config) -> AbstractAsyncContextManager[Callable[[Span], None] | None]:
    """What takes spans, where they are wanted."""
    if config.tracing is None:
        return nullcontext()
    from proxy.spans import exporting

    return exporting(config.tracing.otlp, config.name)


def _new_id() -> str:
    return secrets.token_urlsafe(ID_BYTES)


@asynccontextmanager
async def serving(config: Config) -> AsyncIterator[Service]:
    """The proxy in this process alone, ready for requests. Raises CannotListen, StoreUnavailable."""
    async with opened(config, Places.alone()) as service:
        whole = Alone(service.report, Clock())
        service.listen(open_doors(config), whole)
        async with in_background(whole.keep_looking()):
            yield service


@asynccontextmanager
async def in_background(work: Coroutine[Any, Any, T]) -> AsyncIterator[asyncio.Task[T]]:
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
