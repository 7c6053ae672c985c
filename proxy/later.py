"""The asynchronous side of a route: the exchanges, operations and terms that it makes, from a request or from the store.

An operation keeps the request as the origin gets it, so that it can be sent from the store, by another process too.
"""

from contextlib import suppress
from functools import partial
from math import inf
from typing import NamedTuple

from proxy.account import Inbound
from proxy.config import RespondAsync, Route
from proxy.context import Context
from proxy.custody import Terms, overdue
from proxy.errors import Busy, ProxyError, StoreUnavailable, TooManyOperations
from proxy.estimate import Estimate
from proxy.exchange import Deadlines, Exchange
from proxy.fields import Forwarding
from proxy.forwarded import NOBODY, Arrival, Client, client_digest
from proxy.location import with_absolute_references
from proxy.message import RequestHead, ResponseHead
from proxy.operation import KeptRequest, Operation, RequestSummary, State, credential_of, owner_digest
from proxy.origin import Origin
from proxy.plan import Race
from proxy.pool import Turn
from proxy.reasons import Hold, Reasons
from proxy.spool import NO_CONTENT, Content, Stored
from proxy.store import Quotas
from proxy.tracing import ExchangeTrace

SAFE = frozenset({"GET", "HEAD"})  # of the methods that can become operations (RFC 9110 section 9.2.1)


class Way(NamedTuple):
    """That of one route's requests to their origin, whenever they are sent."""

    route: Route
    origin: Origin
    forwarding: Forwarding
    reasons: Reasons


class Later:
    """How one route answers later."""

    def __init__(self, way: Way, settings: RespondAsync, context: Context) -> None:
        self.settings = settings
        self._route = way.route
        self._origin = way.origin
        self._forwarding = way.forwarding
        self._reasons = way.reasons
        self._context = context
        most = way.origin.settings.max_connections
        self._at_once = min(most, settings.max_running or most)
        self._pace = context.paces.of(way.route.name, self._at_once, lambda: way.origin.left_alone)

    async def admit(self, head: RequestHead, client: Client) -> None:
        """Raises OriginUnreachable or TooManyOperations, before anything is sent, where there is no point in more."""
        self._origin.check()
        limit = self._context.max_of_client
        if limit is None:
            return
        try:
            under_way = await self._context.store.unsettled_of(self._digest(head, client))
        except StoreUnavailable:
            return  # then there will be no operation either
        if under_way >= limit:
            why = f"The client had as many operations under way as it may: {under_way} (limits.max_operations_per_client)."
            raise TooManyOperations(f"It has {under_way}.", why=why, retry_after=self._pace.next_end(under_way))

    def exchange(self, request: RequestHead, content: Content, since: float) -> Exchange:
        """An exchange that may be an operation's, and waits for its turn behind those whose clients wait."""
        name, settings = self._route.name, self.settings
        turn = Turn(None, later=True, since=since, route=name, max_running=settings.max_running)
        return Exchange(self._origin, request, content, Deadlines(turn, inf, self._route.idle_timeout))

    def operation(self, exchange: Exchange, inbound: Inbound, race: Race) -> Operation:
        """The operation of an exchange, running if that is sent."""
        held_by = exchange.held_by
        why = self._reasons.accepted(race, held_by)
        if held_by is not None:
            return self._operation(inbound, why)
        by = overdue(self._context.clock.monotonic(), self.settings.timeout)
        return self._operation(inbound, why, by, exchange.lasted())

    def terms(self, exchange: Exchange, operation: Operation, arrival: Arrival) -> Terms:
        """What is agreed for the operation's exchange."""
        settings = self.settings
        return Terms(
            for_client=partial(self._for_client, exchange, operation, arrival),
            timeout=settings.timeout,
            max_body=settings.max_response_body,
            finish=self._route.on_disconnect == "finish",
            request=KeptRequest(exchange.request, arrival.authority, *arrival.client, content=None),
            resend=self._resends(operation.request.method),
            quotas=Quotas(settings.max_queued, self._context.max_of_client),
            pace=self._pace,
            reasons=self._reasons,
        )

    def refused(self, refusal: ProxyError, held_by: Hold | None) -> ProxyError:
        """The refusal of an operation that would have been queued, with when the queue is expected to be shorter.

        Of a queue that is full, it tells what its operations wait for, too.
        """
        why = refusal.why
        if isinstance(refusal, Busy) and held_by is not None:
            why = f"{why} {self._reasons.queued(held_by)}"
        return type(refusal)(refusal.detail, why=why, retry_after=self._pace.next_end(self._at_once))

    async def estimate(self, operation: Operation) -> Estimate:
        """What can be told of a new operation."""
        before = 0
        if not operation.is_running:
            with suppress(StoreUnavailable):  # it is promised already
                before = await self._context.store.queued_before(operation)
        return self._context.paces.estimate(operation, operation.created, before)

    # What a dead process left.

    def may_send(self, orphan: Operation) -> bool:
        """Whether an operation whose process is dead may be sent: for the first time, or once more."""
        return not orphan.is_running or (orphan.attempts == 1 and self._resends(orphan.request.method))

    def resume(self, operation: Operation, request: KeptRequest) -> None:
        """Send the stored request of a queued operation that is this process's now, when its turn comes."""
        arrival = Arrival(NOBODY, request.authority, Client(request.scheme, request.host, request.address))
        trace = self._trace(operation, request.head)
        head = request.head if trace is None else trace.resent(request.head)
        exchange = self.exchange(head, self._stored(operation, request), operation.created)
        exchange.when_over = None if trace is None else trace.over
        self._context.keeper.resume(exchange, operation, self.terms(exchange, operation, arrival))

    def _trace(self, operation: Operation, request: RequestHead) -> ExchangeTrace | None:
        """The part of its trace that is another attempt to send it."""
        tracing = self._context.tracing
        return tracing.resumed(operation, request) if tracing is not None and operation.trace else None

    def _resends(self, method: str) -> bool:
        choice = self.settings.on_interrupt
        return method in SAFE if choice is None else choice == "resend"

    def _stored(self, operation: Operation, request: KeptRequest) -> Content:
        if request.content is None:
            return NO_CONTENT
        return Stored(request.content.size, partial(self._context.store.request_body, operation.id, request.content))

    # Values.

    def _operation(self, inbound: Inbound, why: str, by: float | None = None, age: float = 0.0) -> Operation:
        """One that has been running for so long, and is overdue by then; without, one that is queued."""
        context, settings, head, client = self._context, self.settings, inbound.head, inbound.arrival.client
        id, now, credential = context.new_id(), context.clock.now(), credential_of(head.fields)
        owner = credential if settings.owner == "authorization" else None
        return Operation(
            id=id,
            route=self._route.name,
            origin=self._route.origin,
            keeper=context.keeper_id,
            request=self._summary(inbound),
            created=now,
            keep=settings.keep,
            longest_wait=settings.max_wait,
            retry_after=settings.retry_after,
            owner_digest=None if owner is None else owner_digest(id, owner),
            client=self._digest(head, client) if context.max_of_client is not None else "",
            trace=inbound.account.span,
            attempts=0 if by is None else 1,
            overdue=by,
            began=None if by is None else now - age,
            state=State.QUEUED if by is None else State.RUNNING,
            why=why,
        )

    def _summary(self, inbound: Inbound) -> RequestSummary:
        head, account = inbound.head, inbound.account
        root = self._forwarding.client_view(inbound.arrival.client).root(inbound.client.link.local)
        target = head.target.decode("utf-8", "surrogateescape")
        shown = "" if account.target == head.target else account.path
        return RequestSummary(head.method, root + target, account.id, shown)

    def _digest(self, head: RequestHead, client: Client) -> str:
        return client_digest(client, credential_of(head.fields))

    def _for_client(
        self, exchange: Exchange, operation: Operation, arrival: Arrival, head: ResponseHead
    ) -> ResponseHead:
        """The origin's head as the status URL will show it: references are relative to another URL there."""
        date = self._context.clock.date()
        fields = self._forwarding.for_client(head, arrival, date, exchange.version)
        return head._replace(fields=with_absolute_references(fields, operation.request.uri))
