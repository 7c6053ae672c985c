"""A request's way to its origin: now, or, if the clock is faster than the origin, later.

The synchronous way makes no task and touches no store. The race is between the origin's answer and the client's
patience; the loser lives on: when the clock wins, the exchange is handed over to the keeper and the client gets its
202, and if the store will not have the operation, the client simply goes on waiting.
"""

import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import structlog

from proxy import monitor
from proxy.client import ClientRequest
from proxy.clock import Clock
from proxy.config import RespondAsync, Route
from proxy.errors import OriginTimeout, ShuttingDown, StoreUnavailable
from proxy.exchange import Deadlines, Exchange
from proxy.fields import Forwarding
from proxy.forwarded import Arrival
from proxy.keeper import Keeper, Terms
from proxy.location import with_absolute_references
from proxy.message import RequestHead, ResponseHead
from proxy.operation import Operation, RequestSummary, owner_digest
from proxy.origin import Origin
from proxy.plan import Race, decide
from proxy.pool import Turn
from proxy.prefer import parse
from proxy.relay import relay
from proxy.spool import Content, Remainder, Spool
from proxy.status import StatusUrls

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Context:
    """What all routes share."""

    proxy_name: str
    keeper_id: str
    urls: StatusUrls
    clock: Clock
    new_id: Callable[[], str]  # at least 128 random bits, safe in a path
    spool_folder: Path | None  # None: the system's place for temporary files


@dataclass(frozen=True, slots=True)
class Inbound:
    """A request that may be forwarded."""

    client: ClientRequest
    head: RequestHead  # with its target in origin-form or `*`
    arrival: Arrival
    id: bytes  # X-Request-Id, its own or ours, no longer than may be logged


class Forwarder:
    """Forwards the requests of one route."""

    def __init__(self, route: Route, origin: Origin, keeper: Keeper, context: Context) -> None:
        self._route = route
        self._origin = origin
        self._keeper = keeper
        self._context = context
        self._forwarding = Forwarding(route, origin.settings, context.proxy_name)

    async def forward(self, inbound: Inbound) -> None:
        """Respond to the client. Raises ProxyError where there is nothing to respond with."""
        plan = decide(parse(inbound.head.fields.all(b"prefer")), self._route, inbound.head)
        if isinstance(plan, Race) and self._route.respond_async is not None:
            await self._race(inbound, plan, self._route.respond_async)
        else:
            await self._forward_now(inbound)

    async def _forward_now(self, inbound: Inbound, content: Content | None = None) -> None:
        route = self._route
        content = content or inbound.client.content(route.max_request_body)
        deadlines = Deadlines(Turn(self._origin.settings.queue_timeout), route.timeout, route.idle_timeout)
        with self._exchange(inbound, content, deadlines) as exchange:
            if route.on_disconnect == "cancel":
                await self._relay(inbound, exchange, await exchange.head())
                return
            exchange.start()
            with self._seen_out(exchange, route.timeout):
                await exchange.answered_within(None)
                await self._relay(inbound, exchange, exchange.answer())

    async def _race(self, inbound: Inbound, race: Race, asynchronous: RespondAsync) -> None:
        content = await self._received(inbound, asynchronous)
        if isinstance(content, Remainder):
            log.warning("preference ignored", route=self._route.name, reason="the request could not be spooled")
            await self._forward_now(inbound, content)
            return
        deadlines = Deadlines(Turn(asynchronous.timeout), asynchronous.timeout, self._route.idle_timeout)
        with self._exchange(inbound, content, deadlines) as exchange:
            exchange.start()
            with self._seen_out(exchange, asynchronous.timeout):
                in_time = await exchange.answered_within(race.wait)
                if not in_time and await self._promised(inbound, exchange, race, asynchronous):
                    return
                if not (in_time or await exchange.answered_within(self._route.timeout)):
                    raise OriginTimeout("The origin did not answer in time.")
                await self._relay(inbound, exchange, exchange.answer())

    async def _received(self, inbound: Inbound, asynchronous: RespondAsync) -> Content:
        """The request's content, received whole: the upload belongs to the client's connection, which ends with the 202."""
        content = inbound.client.content(asynchronous.max_request_body)
        return await Spool.receive(content, self._context.spool_folder) if content.present else content

    async def _promised(self, inbound: Inbound, exchange: Exchange, race: Race, asynchronous: RespondAsync) -> bool:
        """Whether the client has its 202, and the keeper the exchange; False if it cannot be and the client waits on."""
        operation = self._operation(inbound, asynchronous)
        terms = Terms(
            for_client=partial(self._for_later, inbound, exchange, operation),
            timeout=asynchronous.timeout,
            max_body=asynchronous.max_response_body,
            finish=self._route.on_disconnect == "finish",
        )
        href = self._context.urls.href(operation.id, inbound.arrival.client, inbound.client.link.local)
        try:
            await self._keeper.adopt(exchange, operation, terms)
            log.info(
                "operation accepted",
                operation=operation.short_id,
                route=self._route.name,
                id=inbound.id.decode("latin-1"),
            )
            await inbound.client.respond(monitor.accepted(operation, href, race.honoured_wait))
        except (StoreUnavailable, ShuttingDown) as refusal:
            reason = refusal.detail or refusal.title()
            log.warning("preference ignored", route=self._route.name, reason=reason, cause=refusal.cause)
            return False
        except (asyncio.CancelledError, ConnectionError):
            if not (terms.finish or inbound.client.started):
                self._keeper.withdraw(operation)
            raise
        return True

    async def _relay(self, inbound: Inbound, exchange: Exchange, head: ResponseHead) -> None:
        await relay(inbound.client, self._for_client(inbound, exchange, head), exchange)

    @contextmanager
    def _seen_out(self, exchange: Exchange, timeout: float) -> Iterator[None]:
        """See to it that a client that leaves does not take the exchange with it, where the route says so."""
        try:
            yield
        except (asyncio.CancelledError, ConnectionError):
            if self._route.on_disconnect == "finish" and not exchange.handed_over:
                self._keeper.see_out(exchange, timeout)
            raise

    # Values.

    def _exchange(self, inbound: Inbound, content: Content, deadlines: Deadlines) -> Exchange:
        fields = self._forwarding.for_origin(inbound.head, inbound.arrival, inbound.id)
        target = self._forwarding.target(inbound.head.target)
        return Exchange(self._origin, RequestHead(inbound.head.method, target, fields), content, deadlines)

    def _for_client(self, inbound: Inbound, exchange: Exchange, head: ResponseHead) -> ResponseHead:
        date = self._context.clock.date()
        return head._replace(fields=self._forwarding.for_client(head, inbound.arrival, date, exchange.version))

    def _for_later(
        self, inbound: Inbound, exchange: Exchange, operation: Operation, head: ResponseHead
    ) -> ResponseHead:
        """The head as the status URL will show it: references are relative to another URL there."""
        head = self._for_client(inbound, exchange, head)
        return head._replace(fields=with_absolute_references(head.fields, operation.request.uri))

    def _operation(self, inbound: Inbound, asynchronous: RespondAsync) -> Operation:
        operation_id, head, client = self._context.new_id(), inbound.head, inbound.arrival.client
        credential = head.fields.first(b"authorization") if asynchronous.owner == "authorization" else None
        authority = client.host or inbound.client.link.local
        target = head.target.decode("utf-8", "surrogateescape")
        return Operation(
            id=operation_id,
            route=self._route.name,
            origin=self._route.origin,
            keeper=self._context.keeper_id,
            request=RequestSummary(head.method, f"{client.scheme}://{authority.decode('ascii')}{target}"),
            created=self._context.clock.now(),
            keep=asynchronous.keep,
            longest_wait=asynchronous.max_wait,
            retry_after=asynchronous.retry_after,
            owner_digest=None if credential is None else owner_digest(operation_id, credential),
        )
