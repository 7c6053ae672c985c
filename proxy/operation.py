"""What a 202 promises: an exchange with an origin that has a status URL, and the ways in which it can end.

An operation is queued until its request is sent, runs from then on, and is settled once, for good. Who takes over what
a dead process left may have it wait in line again. Settled values are made only by `completed`, `failed` and
`dismissed`, so that one that is settled twice, or completed without a body, cannot be built.
"""

from dataclasses import dataclass, replace
from enum import Enum
from hashlib import blake2b
from hmac import compare_digest
from typing import Final, Self

from proxy.errors import ProxyError
from proxy.message import Fields, RequestHead, ResponseHead

LONGEST_TOMBSTONE: Final = 86_400.0  # seconds
ID_BYTES: Final = 18  # random ones: 144 bits, in the alphabet of base64url
ID_LENGTH: Final = ID_BYTES * 4 // 3  # characters
SHORT_ID: Final = 8  # characters


class State(Enum):
    """Where an operation stands."""

    QUEUED = "queued"  # no byte of its request is under way to the origin
    RUNNING = "running"
    COMPLETED = "completed"
    FAILED = "failed"
    DISMISSED = "dismissed"


TRANSITIONS: Final = {
    State.QUEUED: frozenset({State.RUNNING, State.FAILED, State.DISMISSED}),
    State.RUNNING: frozenset({State.QUEUED, State.COMPLETED, State.FAILED, State.DISMISSED}),
    State.COMPLETED: frozenset[State](),
    State.FAILED: frozenset[State](),
    State.DISMISSED: frozenset[State](),
}


@dataclass(frozen=True, slots=True)
class RequestSummary:
    """What of the request is still needed once it has been sent."""

    method: str
    uri: str  # absolute, as the client saw it, for relative references to resolve against; surrogates where not UTF-8
    id: str = ""  # X-Request-Id; empty of one that an earlier version has stored
    shown: str = ""  # in place of its path, of which not all may be shown; empty: all may

    @property
    def url(self) -> str:
        """The URI to be shown: without its query, where secrets may be."""
        url = self.uri.partition("?")[0]
        if not self.shown:
            return url
        scheme, _, rest = url.partition("://")
        return f"{scheme}://{rest.partition('/')[0]}{self.shown}"

    @property
    def path(self) -> str:
        """That of the URI, to be shown."""
        _, slash, path = self.url.partition("://")[2].partition("/")
        return (slash + path).encode("utf-8", "surrogateescape").decode("utf-8", "replace")


@dataclass(frozen=True, slots=True)
class BodyRef:
    """A stored body: its length and checksum, and the bytes themselves if they are few."""

    size: int  # bytes
    checksum: int  # CRC-32 of the whole
    inline: bytes | None = None  # None: the store keeps them under the operation's id


@dataclass(frozen=True, slots=True)
class Progress:
    """How far the content of a response has come."""

    received: int  # bytes
    size: int | None  # bytes that it will have; None: its length is not known in advance
    since: float  # when it began to come; seconds since the epoch


@dataclass(frozen=True, slots=True)
class KeptRequest:
    """A request that is kept so that it can be sent, or sent again, when its client's connection is long gone."""

    head: RequestHead  # as for the origin, without framing
    authority: bytes  # of the request as it arrived; empty if it named none
    scheme: str  # the client's, as far as trusted proxies know: "http" or "https"
    host: bytes  # the client's, with the port if it named one; empty if it named no host
    address: str  # the client's
    content: BodyRef | None  # None: the request has no content at all, which is not the same as an empty one


@dataclass(frozen=True, slots=True)
class Failure:
    """Why there is no response to show."""

    code: str  # of a ProxyError
    detail: str
    error_type: str | None  # RFC 9209 section 2.3

    @classmethod
    def of(cls, error: ProxyError) -> Self:
        return cls(error.code, error.detail, error.error_type)

    def error(self) -> ProxyError:
        """The error that this was made of."""
        return ProxyError.by_code(self.code)(self.detail, error_type=self.error_type)


def credential_of(fields: Fields) -> bytes | None:
    """All that a request shows of who asks: its Authorization, of several lines all (RFC 9110 section 5.2)."""
    lines = fields.all(b"authorization")
    return b", ".join(lines) if lines else None


def owner_digest(id: str, credential: bytes) -> bytes:
    """What is kept of the credential that the status URL needs: keyed by the id, so that none equals another's."""
    return blake2b(credential, key=id.encode()[:64], digest_size=32).digest()


@dataclass(frozen=True, slots=True)
class Operation:
    """One exchange that was answered 202. Times are seconds since the epoch, lengths of time are seconds."""

    id: str  # unguessable, at least 128 random bits: whoever knows it may ask, unless there is an owner too
    route: str
    origin: str  # its name
    keeper: str  # the process that runs it, or will
    request: RequestSummary
    created: float
    keep: float  # how long the settled operation stays
    longest_wait: float  # ceiling of a long poll
    retry_after: float  # what a client that asks early is told to wait
    owner_digest: bytes | None = None  # of the credential that the status URL needs
    client: str = ""  # digest of who asked, for quotas; empty: not counted
    trace: str = ""  # traceparent of the request's span; empty: nobody traced it
    attempts: int = 0  # how often it was or is being sent
    overdue: float | None = (
        None  # by when anybody may settle it, while running; seconds of the machine's CLOCK_MONOTONIC
    )
    began: float | None = None  # when it was sent for the last time; None: not yet, or nobody noted it
    progress: Progress | None = None  # of its response while that comes in; as of when the store was asked
    state: State = State.RUNNING
    settled_at: float | None = None
    head: ResponseHead | None = None  # as the client is to see it
    body: BodyRef | None = None
    failure: Failure | None = None
    why: str = ""  # its client got a 202, or it failed or was dismissed, for operators; an earlier version stored none

    def __post_init__(self) -> None:
        if self.is_settled != (self.settled_at is not None):
            raise ValueError("an operation has a time of settling exactly if it is settled")
        for part in (self.head, self.body):
            if (self.state is State.COMPLETED) != (part is not None):
                raise ValueError("an operation has a response exactly if it is completed")
        if (self.state is State.FAILED) != (self.failure is not None):
            raise ValueError("an operation has a failure exactly if it failed")
        if self.overdue is not None and not self.is_running:
            raise ValueError("an operation becomes overdue only while it is running")
        if self.progress is not None and not self.is_running:
            raise ValueError("a response comes in only while its operation is running")

    def started(self, overdue: float, began: float | None = None) -> Self:
        """Its turn has come: it is sent to the origin."""
        self._require(State.RUNNING)
        return replace(self, state=State.RUNNING, attempts=self.attempts + 1, overdue=overdue, began=began)

    def returned(self, keeper: str) -> Self:
        """In line under another keeper, at the same place, because its own is dead."""
        if self.state is not State.QUEUED:
            self._require(State.QUEUED)
        return replace(self, state=State.QUEUED, keeper=keeper, overdue=None, began=None, progress=None)

    def completed(self, head: ResponseHead, body: BodyRef, now: float) -> Self:
        """The origin's response is there, whatever its status."""
        return self._settled(State.COMPLETED, now, head=head, body=body)

    def failed(self, failure: Failure, now: float, why: str = "") -> Self:
        """There will be no usable response."""
        return self._settled(State.FAILED, now, failure=failure, why=why)

    def dismissed(self, now: float, why: str = "") -> Self:
        """Nobody wants it any longer."""
        return self._settled(State.DISMISSED, now, why=why)

    @property
    def short_id(self) -> str:
        """Enough of the id to find the operation in a log, too little to ask for it."""
        return self.id[:SHORT_ID]

    def age(self, now: float) -> float:
        """Seconds for which it has been running, or waiting for its turn."""
        return max(now - (self.created if self.began is None else self.began), 0.0)

    @property
    def seconds(self) -> float:
        """How long it has taken; 0 before it is settled."""
        return (self.settled_at or self.created) - self.created

    @property
    def is_running(self) -> bool:
        return self.state is State.RUNNING

    @property
    def is_settled(self) -> bool:
        return not TRANSITIONS[self.state]

    @property
    def expires(self) -> float | None:
        """When the result is dropped; None before it is settled, because until then it does not expire."""
        return None if self.settled_at is None else self.settled_at + self.keep

    @property
    def forgotten(self) -> float | None:
        """When the tombstone that is left of it goes too."""
        return None if self.expires is None else self.expires + min(self.keep, LONGEST_TOMBSTONE)

    def belongs_to(self, credential: bytes | None) -> bool:
        """Whether whoever shows this credential may see it."""
        if self.owner_digest is None:
            return True
        return compare_digest(self.owner_digest, owner_digest(self.id, credential or b""))

    def has_expired(self, now: float) -> bool:
        return self.expires is not None and self.expires <= now

    def _settled(
        self,
        state: State,
        now: float,
        *,
        head: ResponseHead | None = None,
        body: BodyRef | None = None,
        failure: Failure | None = None,
        why: str = "",
    ) -> Self:
        self._require(state)
        return replace(
            self, state=state, settled_at=now, why=why, overdue=None, progress=None,
            head=head, body=body, failure=failure,
        )  # fmt: skip

    def _require(self, state: State) -> None:
        """Raise ValueError unless it may become that."""
        if state not in TRANSITIONS[self.state]:
            raise ValueError(f"an operation that is {self.state.value} cannot become {state.value}")
