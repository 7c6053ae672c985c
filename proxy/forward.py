"""A request's way to its origin: now, or, if the clock is faster than the origin, later.

The synchronous way makes no task and touches no store. The race is between the origin's answer and the client's
patience; the loser lives on: when the clock wins, the exchange is handed over to the keeper and the client gets its
202, and if the store will not have the operation, the client simply goes on waiting. Where the origin is full, an
exchange that has not had its turn by then waits on as a queued operation.
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
from proxy.custody import Terms, overdue
from proxy.errors import Busy, OriginTimeout, ProxyError, ShuttingDown, StoreUnavailable, TooManyOperations
from proxy.exchange import Deadlines, Exchange
from proxy.fields import Forwarding
from proxy.forwarded import NOBODY, Arrival, Client, client_digest
from proxy.keeper import Keeper
from proxy.location import with_absolute_references
from proxy.message import RequestHead, ResponseHead
from proxy.operation import KeptRequest, Operation, RequestSummary, State, owner_digest
from proxy.origin import Origin
from proxy.pace import Pace
from proxy.plan import Race, decide
from proxy.pool import Turn
from proxy.prefer import parse
from proxy.relay import relay
from proxy.spool import NO_CONTENT, Content, Remainder, Spool, Stored
from proxy.status import StatusUrls
from proxy.store import Quotas, Store

log = structlog.get_logger()

A_MOMENT = 0.05  # seconds in which a turn comes where there is room


@dataclass(frozen=True, slots=True)
class Context:
    """What all routes share."""

    proxy_name: str
    keeper_id: str
    urls: StatusUrls
    clock: Clock
    store: Store
    max_of_client: int | None  # operations that one client may have under way
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
        self._deadlines = Deadlines(Turn(origin.settings.queue_timeout), route.timeout, route.idle_timeout)
        self._pace = Pace()

    async def forward(self, inbound: Inbound) -> None:
        """Respond to the client. Raises ProxyError where there is nothing to respond with."""
        plan = decide(parse(inbound.head.fields.all(b"prefer")), self._route, inbound.head)
        if isinstance(plan, Race) and self._route.respond_async is not None:
            await self._race(inbound, plan, self._route.respond_async)
        else:
            await self._forward_now(inbound)

    def may_send(self, orphan: Operation) -> bool:
        """Whether an operation whose process is dead may be sent: for the first time, or once more."""
        if self._route.respond_async is None:
            return False
        return not orphan.is_running or (orphan.attempts == 1 and self._resends(orphan.request.method))

    def resume(self, operation: Operation, request: KeptRequest) -> None:
        """Send the stored request of a queued operation that may be sent, and is this process's, when its turn comes."""
        if (asynchronous := self._route.respond_async) is None:
            raise ValueError("the route answers nothing later")
        client = Client(request.scheme, request.host, request.address)
        exchange = self._later(request.head, self._stored(operation, request), asynchronous, operation.created)
        arrival = Arrival(NOBODY, request.authority, client)
        exchange.start()
        self._keeper.resume(exchange, operation, self._terms(exchange, operation, arrival, asynchronous))

    async def _forward_now(self, inbound: Inbound, content: Content | None = None) -> None:
        route = self._route
        content = content or inbound.client.content(route.max_request_body)
        with Exchange(self._origin, self._request(inbound), content, self._deadlines) as exchange:
            if route.on_disconnect == "cancel":
                await self._relay(inbound, exchange, await exchange.head())
                return
            exchange.start()
            with self._seen_out(exchange, route.timeout):
                await exchange.answered_within(None)
                await self._relay(inbound, exchange, exchange.answer())

    async def _race(self, inbound: Inbound, race: Race, asynchronous: RespondAsync) -> None:
        self._origin.check()
        await self._admit(inbound)
        content = await self._received(inbound, asynchronous)
        if isinstance(content, Remainder):
            log.warning("preference ignored", route=self._route.name, reason="the request could not be spooled")
            await self._forward_now(inbound, content)
            return
        with self._later(self._request(inbound), content, asynchronous, self._context.clock.now()) as exchange:
            exchange.start()
            with self._seen_out(exchange, asynchronous.timeout):
                in_time = await exchange.answered_within(race.wait)
                if not in_time and await self._promised(inbound, exchange, race, asynchronous):
                    return
                if not (in_time or await exchange.answered_within(self._route.timeout)):
                    raise _out_of_time(exchange)
                await self._relay(inbound, exchange, exchange.answer())

    async def _admit(self, inbound: Inbound) -> None:
        """Raises TooManyOperations, before anything is sent, for a client that has enough of them under way."""
        limit = self._context.max_of_client
        if limit is None:
            return
        try:
            under_way = await self._context.store.unsettled_of(self._client(inbound))
        except StoreUnavailable:
            return  # then there will be no operation either
        if under_way >= limit:
            raise TooManyOperations(f"It has {under_way}.", retry_after=self._pace.next_end(under_way))

    async def _received(self, inbound: Inbound, asynchronous: RespondAsync) -> Content:
        """The request's content, received whole: the upload belongs to the client's connection, which ends with the 202."""
        content = inbound.client.content(asynchronous.max_request_body)
        return await Spool.receive(content, self._context.spool_folder) if content.present else content

    async def _promised(self, inbound: Inbound, exchange: Exchange, race: Race, asynchronous: RespondAsync) -> bool:
        """Whether the client has its 202, and the keeper the exchange; False if it cannot be and the client waits on."""
        if self._origin.figures.waiting <= 1:  # this one; behind others its turn does not come in a moment
            await exchange.turn_within(A_MOMENT)
        operation = self._operation(inbound, asynchronous)
        if sent := not exchange.is_waiting:
            operation = operation.started(overdue(self._context.clock.monotonic(), asynchronous.timeout))
        terms = self._terms(exchange, operation, inbound.arrival, asynchronous)
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
        except (StoreUnavailable, ShuttingDown, Busy, TooManyOperations) as refusal:
            if not sent and isinstance(refusal, Busy | TooManyOperations):
                raise type(refusal)(refusal.detail, retry_after=self._room_in()) from refusal
            reason = refusal.detail or refusal.title()
            log.warning("preference ignored", route=self._route.name, reason=reason, cause=refusal.cause)
            return False
        except (asyncio.CancelledError, ConnectionError):
            if not (terms.finish or inbound.client.started):
                self._keeper.withdraw(operation)
            raise
        return True

    async def _relay(self, inbound: Inbound, exchange: Exchange, head: ResponseHead) -> None:
        await relay(inbound.client, self._for_client(inbound.arrival, exchange, head), exchange)

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

    def _request(self, inbound: Inbound) -> RequestHead:
        fields = self._forwarding.for_origin(inbound.head, inbound.arrival, inbound.id)
        return RequestHead(inbound.head.method, self._forwarding.target(inbound.head.target), fields)

    def _later(self, request: RequestHead, content: Content, asynchronous: RespondAsync, since: float) -> Exchange:
        """An exchange that may be an operation's."""
        turn = Turn(None, later=True, since=since, route=self._route.name, max_running=asynchronous.max_running)
        deadlines = Deadlines(turn, asynchronous.timeout, self._route.idle_timeout)
        return Exchange(self._origin, request, content, deadlines)

    def _terms(self, exchange: Exchange, operation: Operation, arrival: Arrival, asynchronous: RespondAsync) -> Terms:
        return Terms(
            for_client=partial(self._for_later, arrival, exchange, operation),
            timeout=asynchronous.timeout,
            max_body=asynchronous.max_response_body,
            finish=self._route.on_disconnect == "finish",
            request=KeptRequest(exchange.request, arrival.authority, *arrival.client, content=None),
            resend=self._resends(operation.request.method),
            quotas=Quotas(asynchronous.max_queued, self._context.max_of_client),
            pace=self._pace,
        )

    def _resends(self, method: str) -> bool:
        asynchronous = self._route.respond_async
        if asynchronous is None or asynchronous.on_interrupt is None:
            return method in ("GET", "HEAD")
        return asynchronous.on_interrupt == "resend"

    def _stored(self, operation: Operation, request: KeptRequest) -> Content:
        if request.content is None:
            return NO_CONTENT
        return Stored(request.content.size, partial(self._context.store.request_body, operation.id, request.content))

    def _room_in(self) -> int:
        """In how many seconds the queue may be expected to be shorter by one."""
        return self._pace.next_end(self._origin.settings.max_connections)

    def _for_client(self, arrival: Arrival, exchange: Exchange, head: ResponseHead) -> ResponseHead:
        date = self._context.clock.date()
        return head._replace(fields=self._forwarding.for_client(head, arrival, date, exchange.version))

    def _for_later(
        self, arrival: Arrival, exchange: Exchange, operation: Operation, head: ResponseHead
    ) -> ResponseHead:
        """The head as the status URL will show it: references are relative to another URL there."""
        head = self._for_client(arrival, exchange, head)
        return head._replace(fields=with_absolute_references(head.fields, operation.request.uri))

    def _operation(self, inbound: Inbound, asynchronous: RespondAsync) -> Operation:
        """The operation of an exchange that waits for its turn."""
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
            client=self._client(inbound) if self._context.max_of_client is not None else "",
            state=State.QUEUED,
        )

    def _client(self, inbound: Inbound) -> str:
        return client_digest(inbound.arrival.client, inbound.head.fields.first(b"authorization"))


def _out_of_time(exchange: Exchange) -> ProxyError:
    """What is told a client that no operation could be made for, and whose origin did not answer."""
    if exchange.is_waiting:
        return Busy("All connections to the origin are in use.")
    return OriginTimeout("The origin did not answer in time.")
