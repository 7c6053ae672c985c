"""The account of a request: what is known of it on its way, and told of it when it is over.

Whoever has a part in answering notes here what it alone knows; the log, the metrics and the recent requests read it. A
plain request costs a few assignments, and sentences are made for the others alone.
"""

from time import monotonic
from typing import Any, Final, NamedTuple

from proxy import reasons
from proxy.client import ClientRequest
from proxy.errors import Busy, ProxyError, TooManyOperations
from proxy.exchange import Exchange
from proxy.forwarded import Arrival
from proxy.message import Field, RequestHead
from proxy.operation import SHORT_ID, Operation
from proxy.request_id import readable
from proxy.response import SWITCHING_PROTOCOLS
from proxy.target import readable_path
from proxy.tracecontext import TRACEPARENT, trace_id
from proxy.tracing import NOBODY_THERE, RequestTrace
from proxy.urls import Likeness
from proxy.wrong import CLIENT_LEFT, NOTHING, SILENCE, Wrong

NO_ROUTE: Final = "(none)"  # what stands for a route where there is none
STATUS_URL: Final = "(status)"

# Plans: what the proxy set out to do.
HERE: Final = "here"  # to answer itself
SYNC: Final = "sync"  # to have the client wait for the origin
RACE: Final = "race"  # the same up to a point, and then to answer 202
UPGRADE: Final = "upgrade"  # to ask the origin for another protocol
STATUS: Final = "status"  # to show, await or dismiss an operation

PLAIN_END: Final = "--"
PROMISED: Final = ("-H", "-Q")  # answered with 202 while it was at the origin, and while it waited for its turn
ACCEPTED: Final = 202

REFUSALS: Final = (Busy.code, TooManyOperations.code)


class Inbound(NamedTuple):
    """A request that may be forwarded."""

    account: "Account"
    head: RequestHead  # with its target in origin-form or `*`
    arrival: Arrival

    @property
    def client(self) -> ClientRequest:
        return self.account.client


class Account:
    """What is known of one request."""

    __slots__ = (
        "_whys", "began", "client", "disguised", "end", "exchange", "ignored", "operation", "origin", "plan", "reasons", "received", "request_id", "route",
        "seconds", "shown", "status", "target", "trace", "varies", "waiting", "wrong",
    )  # fmt: skip

    def __init__(self, client: ClientRequest, trace: RequestTrace | None = None) -> None:
        """`trace` tells a collector of it, if that is wanted."""
        self.client = client
        self.began = monotonic()
        self.request_id = client.id
        self.target = b""
        self.disguised = False  # whether it would be for a status URL if it were written as these are
        self.trace = trace
        self.shown: int | None = None  # how many characters of its path may be; None: all
        self.route = NO_ROUTE
        self.reasons: reasons.Reasons | None = None  # the route's, if there is one
        self.varies = False  # whether the route's responses depend on Prefer
        self.plan = HERE
        self.exchange: Exchange | None = None
        self.operation: str | None = None  # the short id of the one that it made, or asked for
        self.ignored = False  # whether its preference was, though it might have been answered later
        self.wrong: Wrong | None = None
        self.end = PLAIN_END  # who ended it (see `wrong`) and in which phase: two letters
        self._whys: tuple[str, ...] = ()
        # When it is over; times in seconds:
        self.status = NOBODY_THERE
        self.received = 0  # bytes that came after its head
        self.seconds = 0.0  # the whole of it
        self.waiting: float | None = None  # for a turn and a connection; None where it wanted none
        self.origin: float | None = None  # from sending it to the head of the response, or to the end without one

    # What becomes of it.

    def asks_for(self, id: str, shown: int) -> None:
        """It is for a status URL: of its path only so much may be shown."""
        self.route, self.plan, self.shown, self.operation = STATUS_URL, STATUS, shown, id[:SHORT_ID]

    def is_like_status_url(self, likeness: Likeness) -> None:
        """It is for none, but somebody may read one in it: of its target only so much may be shown."""
        self.target = likeness.shown
        if self.trace is not None:
            self.trace.exchange.hides(likeness.shown)
        if likeness.is_disguise:
            self.disguised = True
            self.note(reasons.DISGUISED)

    def follows(self, exchange: Exchange) -> None:
        """It depends on this exchange with an origin from now on."""
        self.exchange = exchange
        if self.trace is not None:
            exchange.when_over = self.trace.exchange.over

    def concerns(self, operation: Operation) -> None:
        """It makes that operation, asks for it, or ends it."""
        if self.trace is not None:
            self.trace.concerns(operation)

    def shows(self, operation: Operation) -> None:
        """It is answered by how that operation stands: with its error, if it failed, which is not the request's own end."""
        self.concerns(operation)
        if operation.failure is not None:
            self.wrong = Wrong.by(operation.failure.error())
        if why := reasons.shown(operation):
            self.note(why)

    def promised(self, operation: Operation) -> None:
        """The client is about to be answered with 202."""
        self.operation = operation.short_id
        self.concerns(operation)
        self.end = PROMISED[not operation.is_running]
        self.note(operation.why)

    def failed(self, error: ProxyError) -> None:
        """There is an error in place of the response, or of its rest."""
        self._went_wrong(Wrong.by(error))
        self._whys = (self._why_failed(error), *self._whys)

    def refused(self, error: ProxyError) -> None:
        """It never was a request, and is about to be answered with the error."""
        self.failed(error)
        self.status = error.status

    def client_left(self) -> None:
        """Nobody's error; and none at all where the client had all that it came for."""
        if self.client.started and self.client.is_whole:
            return
        self._went_wrong(CLIENT_LEFT)
        self.note(reasons.left(monotonic() - self.began, self.phase))

    def fell_silent(self) -> None:
        """It was a tunnel, and nothing came through it any more."""
        self._went_wrong(SILENCE)
        if self.reasons is not None:
            self.note(self.reasons.idle_tunnel())

    def note(self, why: str) -> None:
        """Add a sentence that explains the outcome."""
        self._whys = (*self._whys, why)

    def over(self) -> None:
        """Nothing more will become of it."""
        now, exchange = monotonic(), self.exchange
        self.seconds = now - self.began
        self.received = self.client.received
        if self.client.started:
            self.status = self.client.status
        if exchange is not None:
            self.waiting, self.origin = exchange.times(now)
            if (status := self.client.status) >= ACCEPTED and self.is_plain:
                self._note_own_answer(status)

    def _went_wrong(self, wrong: Wrong) -> None:
        self.wrong, self.end = wrong, f"{wrong.who}{self.phase}"

    def _why_failed(self, error: ProxyError) -> str:
        if self.reasons is None:
            return reasons.of(error)
        may_be_done = self.exchange is not None and self.exchange.may_be_done and not self.client.started
        return self.reasons.failed(error, later=self.plan == RACE, may_be_done=may_be_done)

    def _note_own_answer(self, status: int) -> None:
        """It is the origin's, and may be taken for the proxy's."""
        if status == ACCEPTED or status >= reasons.LEAST_SERVER_ERROR:
            self.note(reasons.OWN_ANSWER.format(status=status))

    # What is shown of it.

    @property
    def path(self) -> str:
        """The target without its query."""
        return readable_path(self.target)

    @property
    def id(self) -> str:
        """X-Request-Id; empty before it has one."""
        return readable(self.request_id)

    @property
    def named(self) -> Field:
        """What an error's response has, so that whoever was told of it can say which request that was."""
        return b"X-Request-Id", self.request_id

    @property
    def trace_id(self) -> str | None:
        """That of the trace that it belongs to, if it does to any."""
        return trace_id(self.client.head.fields) if self.trace is None else self.trace.span.trace_id

    @property
    def span(self) -> str:
        """Its own place in the trace, as a traceparent; empty where no collector is told of it."""
        return "" if self.trace is None else str(self.trace.span)

    @property
    def why(self) -> str | None:
        """What explains the outcome where it is not plain."""
        return " ".join(self._whys) or None

    @property
    def answered(self) -> bool:
        """Whether the head of an origin's response has come."""
        return self.exchange is not None and self.exchange.answered_at > 0

    @property
    def is_plain(self) -> bool:
        """Whether it has nothing to explain, and nothing to do with an operation."""
        return self.wrong is None and not self._whys and self.operation is None

    @property
    def is_ordinary(self) -> bool:
        """The same, and that it belongs to no trace: so are most."""
        return (
            self.wrong is None
            and not self._whys
            and self.operation is None
            and self.trace is None
            and TRACEPARENT not in self.client.head.fields.names
        )

    @property
    def error(self) -> str | None:
        """The code of the proxy's own error, if that was told to anybody, or broke the response off."""
        return None if self.wrong is None or self.wrong == CLIENT_LEFT else self.wrong.code

    @property
    def outcome(self) -> str | None:
        """What became of the wish to be answered later; None without one, or where the client did not wait for it."""
        if self.plan != RACE or self.wrong == CLIENT_LEFT:
            return None
        if self.ignored:
            return "ignored"
        if self.end in PROMISED:
            return "accepted"
        if self.wrong is None:
            return "in_time"
        return "refused" if self.wrong.code in REFUSALS else "failed"

    @property
    def notable(self) -> bool:
        """Whether somebody may ask about it: it went wrong, or has something to explain.

        Of those who poll, so do who are told of an error, but not that the operation still runs.
        """
        if self.plan == STATUS and self.status < reasons.LEAST_SERVER_ERROR:
            return self.wrong is not None and not self._stopped_polling
        return self.wrong is not None or bool(self._whys)

    @property
    def _stopped_polling(self) -> bool:
        """Whether all that happened is that who waited for an operation left, as a page does that is closed."""
        return self.wrong == CLIENT_LEFT and not self.client.started

    @property
    def phase(self) -> str:
        """How far it is: R request, Q queue, H response head, D data, T tunnel, S status of an operation."""
        client, exchange = self.client, self.exchange
        if client.started:
            return "T" if client.status == SWITCHING_PROTOCOLS else "D"
        if exchange is None:
            return "S" if self.plan == STATUS else "R"
        if exchange.answered_at:
            return "D"
        if exchange.sent_at:
            return "H" if client.arrived else "R"
        return "Q"

    def facts(self) -> dict[str, Any]:
        """All that is told of it when it is over, without query, content and credentials."""
        return {
            "status": self.status,
            "method": self.client.head.method,
            "path": self.path[: self.shown],
            "seconds": round(self.seconds, 4),
            "bytes": self.client.sent,
            "received": self.received,
            "route": self.route,
            "peer": self.client.link.peer.address,
            "plan": self.plan,
            "end": self.end,
            **self.rest(),
        }

    def rest(self) -> dict[str, Any]:
        """Of these, the ones that not every request has."""
        wrong = self.wrong or NOTHING
        found = {
            "id": self.id or None,
            "trace": self.trace_id,
            "waiting": None if self.waiting is None else round(self.waiting, 4),
            "origin": None if self.origin is None else round(self.origin, 4),
            "operation": self.operation,
            "why": self.why,
            "error": wrong.code,
            "error_type": wrong.error_type,
            "detail": wrong.detail,
            "cause": wrong.cause,
        }
        return {name: value for name, value in found.items() if value is not None}
