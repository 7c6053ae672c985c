"""A request's way to its origin: now, or, if the clock is faster than the origin, later.

The synchronous way makes no task and touches no store. The race is between the origin's answer and the client's
patience; the loser lives on: when the clock wins, the exchange is handed over to the keeper and the client gets its
202, and if the store will not have the operation, the client simply goes on waiting. Where the origin is full, an
exchange that has not had its turn by then waits on as a queued operation.
"""

import asyncio
from collections.abc import Awaitable, Iterator
from contextlib import contextmanager
from typing import Final

import structlog

from proxy import chronicle, monitor
from proxy.account import RACE, SYNC, UPGRADE, Inbound
from proxy.config import Route
from proxy.context import Context
from proxy.errors import Busy, OriginTimeout, ProxyError, ShuttingDown, StoreUnavailable, TooManyOperations
from proxy.exchange import Deadlines, Exchange
from proxy.fields import Forwarding
from proxy.later import Later, Way
from proxy.message import Fields, RequestHead, ResponseHead
from proxy.origin import Origin
from proxy.plan import Race, Sync, decide
from proxy.pool import Turn
from proxy.prefer import parse
from proxy.reasons import Reasons
from proxy.relay import relay
from proxy.response import SWITCHING_PROTOCOLS
from proxy.spool import Content, Remainder, Spool
from proxy.upgrade import chosen, offered, with_upgrade

log = structlog.get_logger()

AN_ANSWER: Final = 0.25  # seconds in which the broker of places says whether there is room, unless it is in trouble
A_MOMENT: Final = 0.05  # seconds in which a connection is open where there is room


class Forwarder:
    """Forwards the requests of one route."""

    def __init__(self, route: Route, origin: Origin, context: Context) -> None:
        self._route = route
        self._origin = origin
        self._context = context
        self.reasons = Reasons(route, origin.settings)
        self._forwarding = Forwarding(route, origin.settings, context.proxy_name, context.urls.public_url)
        way, settings = Way(route, origin, self._forwarding, self.reasons), route.respond_async
        self.later = Later(way, settings, context) if settings is not None else None
        self._deadlines = Deadlines(
            Turn(origin.settings.queue_timeout, route=route.name), route.timeout, route.idle_timeout
        )

    def forward(self, inbound: Inbound) -> Awaitable[None]:
        """Respond to the client. Raises ProxyError where there is nothing to respond with."""
        account = inbound.account
        if self._route.upgrade and (offers := offered(inbound.head)):
            account.plan = UPGRADE
            return self._forward_upgrade(inbound, offers)
        if preferences := inbound.head.fields.all(b"prefer"):
            plan = decide(parse(preferences), self._route, inbound.head, disguised=account.disguised)
            if isinstance(plan, Race) and self.later is not None:
                account.plan = RACE
                return self._race(inbound, plan, self.later)
            if isinstance(plan, Sync) and plan.why:
                account.note(plan.why)
        account.plan = SYNC
        return self._forward_now(inbound)

    async def _forward_now(self, inbound: Inbound, content: Content | None = None) -> None:
        route = self._route
        content = content or inbound.client.content(route.max_request_body)
        with Exchange(self._origin, self._request(inbound), content, self._deadlines) as exchange:
            inbound.account.follows(exchange)
            if route.on_disconnect == "cancel":
                await self._relay(inbound, exchange, await exchange.head())
                return
            exchange.start()
            with self._seen_out(exchange, route.timeout):
                await exchange.answered_within(None)
                await self._relay(inbound, exchange, exchange.answer())

    async def _forward_upgrade(self, inbound: Inbound, offers: tuple[bytes, ...]) -> None:
        """Ask the origin for another protocol. Whatever it answers but 101 is a response as any other."""
        route, request = self._route, self._request(inbound)
        request = request.with_fields(with_upgrade(request.fields, offers))
        content = inbound.client.content(route.max_request_body)
        with Exchange(self._origin, request, content, self._deadlines, offers) as exchange:
            inbound.account.follows(exchange)
            head = await exchange.head()
            if head.status == SWITCHING_PROTOCOLS:
                fields = with_upgrade(self._for_client(inbound, exchange, head), chosen(head.fields, offers))
                if not await self._context.tunnels.carry(
                    inbound.client, head.with_fields(fields), exchange, route.idle_timeout
                ):
                    inbound.account.fell_silent()
            else:
                await self._relay(inbound, exchange, head)

    async def _race(self, inbound: Inbound, race: Race, later: Later) -> None:
        await later.admit(inbound.head, inbound.arrival.client)
        content = await self._received(inbound, later.settings.max_request_body)
        if isinstance(content, Remainder):
            self._ignore_preference(inbound, "The request's content could not be written to disk (store.url).")
            await self._forward_now(inbound, content)
            return
        with later.exchange(self._request(inbound), content, self._context.clock.now()) as exchange:
            inbound.account.follows(exchange)
            exchange.start()
            with self._seen_out(exchange, later.settings.timeout):
                in_time = await exchange.answered_within(race.wait)
                if not in_time and await self._promised(inbound, exchange, race, later):
                    return
                if not (in_time or await exchange.answered_within(self._route.timeout)):
                    raise self._out_of_time(exchange, race)
                await self._relay(inbound, exchange, exchange.answer())

    async def _received(self, inbound: Inbound, limit: int) -> Content:
        """The request's content, received whole: the upload belongs to the client's connection, which ends with the 202."""
        content = inbound.client.content(limit)
        return await Spool.receive(content, self._context.spool_folder) if content.present else content

    async def _promised(self, inbound: Inbound, exchange: Exchange, race: Race, later: Later) -> bool:
        """Whether the client has its 202, and the keeper the exchange; False if it cannot be and the client waits on."""
        await exchange.line_known_within(AN_ANSWER)
        if exchange.held_by == "connecting":
            await exchange.turn_within(A_MOMENT)
        operation, held_by = later.operation(exchange, inbound, race), exchange.held_by
        terms = later.terms(exchange, operation, inbound.arrival)
        try:
            await self._context.keeper.adopt(exchange, operation, terms)
            inbound.account.promised(operation)
            chronicle.accepted(operation)
            if held_by is not None:
                chronicle.queued(operation, self.reasons.queued(held_by))
            estimate = await later.estimate(operation)
            href = self._context.urls.href(operation.id, inbound.arrival.client, inbound.client.link.local)
            await inbound.client.respond(monitor.accepted(operation, href, race.honoured_wait, estimate))
        except (StoreUnavailable, ShuttingDown, Busy, TooManyOperations) as refusal:
            if isinstance(refusal, Busy | TooManyOperations) and not operation.is_running:
                raise later.refused(refusal, held_by) from refusal
            self._ignore_preference(inbound, refusal.why or refusal.detail or f"{refusal.title()}.", refusal.cause)
            return False
        except (asyncio.CancelledError, ConnectionError):
            if not (terms.finish or inbound.client.started):
                self._context.keeper.withdraw(operation)
            raise
        return True

    def _ignore_preference(self, inbound: Inbound, reason: str, cause: str | None = None) -> None:
        """The client waits for the origin, though it might have had a 202."""
        account = inbound.account
        account.ignored = True
        account.note(self.reasons.ignored(reason))
        log.warning("preference ignored", route=self._route.name, id=account.id, reason=reason, cause=cause)

    def _relay(self, inbound: Inbound, exchange: Exchange, head: ResponseHead) -> Awaitable[None]:
        fields = self._for_client(inbound, exchange, head)
        return relay(inbound.client, ResponseHead(head.status, head.reason, fields), exchange)

    def _for_client(self, inbound: Inbound, exchange: Exchange, head: ResponseHead) -> Fields:
        date = self._context.clock.date()
        return self._forwarding.for_client(head, inbound.arrival, date, exchange.version)

    @contextmanager
    def _seen_out(self, exchange: Exchange, timeout: float) -> Iterator[None]:
        """See to it that a client that leaves does not take the exchange with it, where the route says so."""
        try:
            yield
        except (asyncio.CancelledError, ConnectionError):
            if self._route.on_disconnect == "finish" and not exchange.handed_over:
                self._context.keeper.see_out(exchange, timeout)
            raise

    def _request(self, inbound: Inbound) -> RequestHead:
        fields = self._forwarding.for_origin(inbound.head, inbound.arrival, inbound.account.request_id)
        return RequestHead(inbound.head.method, self._forwarding.target(inbound.head.target), fields)

    def _out_of_time(self, exchange: Exchange, race: Race) -> ProxyError:
        """What is told a client that no operation could be made for, and whose origin did not answer."""
        held_by = exchange.held_by
        why = self.reasons.out_of_time(race, held_by)
        if held_by is None:
            return OriginTimeout("The origin did not answer in time.", why=why)
        if held_by == "connecting":
            return OriginTimeout("No connection to the origin in time.", error_type="connection_timeout", why=why)
        return Busy("The origin had no room for it in time.", why=why)
