"""Which spans there are, and what they say: of a request, of its exchange with the origin, and of an operation.

The ids are known when something begins, since the origin is sent one of them; the span itself is made when it is over,
and only where its trace is recorded. What outlives its process, and is told by another one, so needs no more than the
request's span in its record: the id of an operation's span is made of the operation's own.

Nothing of a span is secret: no query, no credential, no whole status URL.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import Enum, auto
from hashlib import blake2b
from secrets import token_hex
from typing import Any, Final

from proxy.clock import Clock
from proxy.exchange import Exchange, Outcome
from proxy.forwarded import Client
from proxy.message import Fields, RequestHead
from proxy.operation import Operation
from proxy.reasons import LEAST_SERVER_ERROR
from proxy.target import readable_path
from proxy.tracecontext import TRACEPARENT, Members, TraceParent, parent_of, sent_on, trace_id, trace_state

METHODS: Final = frozenset({"CONNECT", "DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT", "TRACE"})
PORTS: Final = {"http": 80, "https": 443}
OWN_FACTS: Final = ("route", "plan", "operation", "end", "why")
NOBODY_THERE: Final = 499  # what nginx logs where the client has left; nobody is sent it
LEAST_ERROR: Final = 400  # of a response, for who asked

Attributes = Mapping[str, str | int | None]


class Kind(Enum):
    """What a span is of."""

    SERVER = auto()
    CLIENT = auto()
    INTERNAL = auto()


@dataclass(frozen=True, slots=True, kw_only=True)
class Span:
    """One that is over. Times are seconds since the epoch."""

    name: str
    kind: Kind
    context: TraceParent
    parent: TraceParent | None
    began: float
    ended: float
    attributes: Attributes  # those without a value are left out
    state: Members = ()
    links: tuple[TraceParent, ...] = ()
    error: str | None = None  # it went wrong: in a sentence, or empty where there is nothing to add


class ExchangeTrace:
    """An exchange as a part of its trace."""

    def __init__(self, tracing: "Tracing", parent: TraceParent, state: Members = ()) -> None:
        self.span = parent._replace(span_id=_span_id())
        self._parent = parent
        self._state = state
        self._tracing = tracing
        self._shown: bytes | None = None  # in place of its request's target

    def hides(self, shown: bytes) -> None:
        """Of the target only this may be shown."""
        self._shown = shown

    def sent_on(self, head: RequestHead) -> RequestHead:
        """The request with this exchange as where it comes from."""
        return head.with_fields(sent_on(head.fields, self.span))

    def resent(self, head: RequestHead) -> RequestHead:
        """The same for a stored request, which names an exchange that is gone, unless its route keeps that to itself."""
        return self.sent_on(head) if head.fields.has(TRACEPARENT) else head

    def over(self, exchange: Exchange) -> None:
        """It has ended, in whatever way."""
        if self.span.sampled:
            self._tracing.tell(self._told(exchange.outcome(), exchange.request, self._tracing.clock.now()))

    def _told(self, outcome: Outcome, request: RequestHead, now: float) -> Span:
        error = outcome.error or _status_error(outcome.status, LEAST_ERROR)
        host, port = _divided(outcome.authority)
        return Span(
            name=_name(request.method),
            kind=Kind.CLIENT,
            context=self.span,
            parent=self._parent,
            state=self._state,
            began=now - outcome.seconds,
            ended=now,
            attributes={
                **_method(request.method),
                "server.address": host,
                "server.port": port or PORTS[outcome.scheme],
                "url.full": f"{outcome.scheme}://{outcome.authority}{readable_path(self._shown or request.target)}",
                "http.response.status_code": outcome.status,
                "error.type": error,
                "respond_async.origin": outcome.origin,
            },
            error=None if error is None else "",
        )


class RequestTrace:
    """A client's request as a part of its trace."""

    def __init__(self, tracing: "Tracing", fields: Fields) -> None:
        self._tracing = tracing
        self._parent = parent_of(fields)
        self._state = trace_state(fields) if self._parent is not None else ()
        self.span = tracing.begun() if self._parent is None else self._parent._replace(span_id=_span_id())
        self.exchange = ExchangeTrace(tracing, self.span, self._state)  # a request has one at most
        self._client: Client | None = None
        self._links: tuple[TraceParent, ...] = ()

    def came_from(self, client: Client) -> None:
        """Who sent it, and whom it was sent to, is known now."""
        self._client = client

    def concerns(self, operation: Operation) -> None:
        """It has made this operation, asked for it, or ended it."""
        if operation.trace:
            self._links = (span_of(operation),)

    def over(self, facts: Callable[[], Mapping[str, Any]], seconds: float) -> None:
        """It has been answered, or never will be. The facts, those of the access line, are asked for where it is told of."""
        if self.span.sampled:
            self._tracing.tell(self._told(facts(), seconds, self._tracing.clock.now()))

    def _told(self, facts: Mapping[str, Any], seconds: float, now: float) -> Span:
        status = facts["status"] if facts["status"] != NOBODY_THERE else None
        failed = status is None or status >= LEAST_SERVER_ERROR  # what a client did wrong is no error of ours
        return Span(
            name=f"{_name(facts['method'])} {facts['route']}",
            kind=Kind.SERVER,
            context=self.span,
            parent=self._parent,
            state=self._state,
            began=now - seconds,
            ended=now,
            attributes={
                **_method(facts["method"]),
                **_addresses(self._client),
                "url.path": facts["path"],
                "network.peer.address": facts["peer"],
                "http.response.status_code": status,
                "error.type": facts.get("error") or _status_error(status, LEAST_SERVER_ERROR),
                **{f"respond_async.{name}": facts.get(name) for name in OWN_FACTS},
                "respond_async.request_id": facts.get("id"),
            },
            links=self._links,
            error=(facts.get("detail") or "") if failed else None,
        )


class Tracing:
    """Begins the traces of a process, and has its spans told."""

    def __init__(self, sample: float, clock: Clock, tell: Callable[[Span], None]) -> None:
        """Of the traces that begin here the share `sample` is recorded; of the others, those that are already."""
        self.clock = clock
        self.tell = tell
        self._below = int(sample * 2**64)

    def request(self, fields: Fields) -> RequestTrace:
        """A request has come with these fields."""
        return RequestTrace(self, fields)

    def begun(self) -> TraceParent:
        """The first span of a new trace.

        The end of the trace's id decides whether it is recorded, as OpenTelemetry has it: so all come to the same.
        """
        id = token_hex(16)
        return TraceParent(id, _span_id(), sampled=int(id[16:], 16) < self._below)

    def resumed(self, operation: Operation, request: RequestHead) -> ExchangeTrace:
        """An operation that has a trace is sent from the store; whoever began to do so, or was to, is gone."""
        span = span_of(operation)
        goes_on = trace_id(request.fields) == span.trace_id
        trace = ExchangeTrace(self, span, trace_state(request.fields) if goes_on else ())
        if operation.request.shown:
            trace.hides(operation.request.shown.encode())
        return trace

    def settled(self, operation: Operation) -> None:
        """An operation has ended, wherever it was before."""
        if operation.trace and (span := span_of(operation)).sampled:
            self.tell(_of_operation(operation, span))


def span_of(operation: Operation) -> TraceParent:
    """The span of an operation that has a trace, as every process knows it."""
    digest = blake2b(operation.id.encode(), digest_size=8, person=b"span").hexdigest()
    return TraceParent.written(operation.trace)._replace(span_id=digest)


def _of_operation(operation: Operation, span: TraceParent) -> Span:
    failure, request = operation.failure, TraceParent.written(operation.trace)
    return Span(
        name=f"operation {operation.route}",
        kind=Kind.INTERNAL,
        context=span,
        parent=request,
        began=operation.created,
        ended=operation.settled_at or operation.created,
        attributes={
            **_method(operation.request.method),
            "url.path": operation.request.path,
            "http.response.status_code": operation.head.status if operation.head is not None else None,
            "error.type": failure.code if failure is not None else None,
            "respond_async.operation": operation.short_id,
            "respond_async.route": operation.route,
            "respond_async.origin": operation.origin,
            "respond_async.state": operation.state.value,
            "respond_async.attempts": operation.attempts,
            "respond_async.bytes": operation.body.size if operation.body is not None else None,
            "respond_async.why": operation.why or None,
        },
        links=(request,),
        error=failure.detail if failure is not None else None,
    )


def _addresses(client: Client | None) -> Attributes:
    if client is None:
        return {}
    host, port = _divided(client.host.decode("ascii"))
    there: Attributes = {"server.address": host, "server.port": port or PORTS[client.scheme]} if host else {}
    return {"url.scheme": client.scheme, "client.address": client.address, **there}


def _span_id() -> str:
    return token_hex(8)


def _name(method: str) -> str:
    """What a span is called after a method: one that is not well known may be any client's invention."""
    return method if method in METHODS else "HTTP"


def _method(method: str) -> Attributes:
    if method in METHODS:
        return {"http.request.method": method}
    return {"http.request.method": "_OTHER", "http.request.method_original": method}


def _status_error(status: int | None, least: int) -> str | None:
    return str(status) if status is not None and status >= least else None


def _divided(authority: str) -> tuple[str, int | None]:
    """Host and port."""
    host, colon, port = authority.rpartition(":")
    return (host, int(port)) if colon and port.isdecimal() else (authority, None)
