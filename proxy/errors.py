"""Everything that goes wrong, with what the client is told about it.

A class says the status, the stable code and the RFC 9209 error type; its docstring is the title that clients read; an
instance adds the detail. Details are for clients too: no addresses, paths or tracebacks of ours in them. What the
operator needs beyond that travels as `__cause__`.
"""

from enum import Enum
from typing import ClassVar, Final, Self

from proxy.words import so_many

DEFECT: Final = "An error in the proxy itself, which its log tells more about."  # detail of a plain ProxyError
ASK_THE_ORIGIN: Final = (
    "Find out at the origin whether it took effect before the request is sent again."  # of Interrupted
)


class Side(Enum):
    """Whose doing an error is."""

    CLIENT = "client"
    ORIGIN = "origin"
    STORE = "store"
    PROXY = "proxy"


class ProxyError(Exception):
    """The proxy failed to handle the request."""

    status: ClassVar[int] = 500
    code: ClassVar[str] = "internal"  # stable: clients and dashboards depend on it
    side: ClassVar[Side] = Side.PROXY
    retry_after: int | None = None  # seconds; an instance may know better
    closes: ClassVar[bool] = False  # whether the client's connection can no longer be relied upon
    error_type: str | None = "proxy_internal_error"  # RFC 9209 section 2.3; an instance may name a finer one
    fields: tuple[tuple[bytes, bytes], ...] = ()  # that its response has beside those of every problem

    def __init__(
        self, detail: str = "", *, error_type: str | None = None, retry_after: int | None = None, why: str = ""
    ) -> None:
        """`why` is for operators: a sentence with the figures that decided it."""
        super().__init__(detail)
        self.detail = detail
        self.why = why
        if error_type is not None:
            self.error_type = error_type
        if retry_after is not None:
            self.retry_after = retry_after

    @classmethod
    def title(cls) -> str:
        """What happened, in one sentence, the same for every instance (RFC 9457 section 3.1.3)."""
        return (cls.__doc__ or "").partition("\n")[0].rstrip(".")

    @property
    def cause(self) -> str | None:
        """What lies behind it, for operators: it may name addresses and paths."""
        return None if self.__cause__ is None else str(self.__cause__)

    @classmethod
    def by_code(cls, code: str) -> type["ProxyError"]:
        """The class with this code; the plain one for a code that a later version may have written."""
        return _BY_CODE.get(code, ProxyError)


class BadRequest(ProxyError):
    """The request is malformed or ambiguous."""

    status, code, side, closes = 400, "bad-request", Side.CLIENT, True
    error_type: str | None = "http_request_error"


class MethodNotAllowed(BadRequest):
    """The method is not allowed here."""

    status, code, closes = 405, "method-not-allowed", False

    def __init__(self, allow: str) -> None:
        super().__init__(f"What is allowed: {allow}.")
        self.fields = ((b"Allow", allow.encode()),)


class RequestTimeout(BadRequest):
    """The request did not arrive in time."""

    status, code = 408, "request-timeout"


class RequestTooLarge(BadRequest):
    """The request's content is too large."""

    status, code = 413, "request-too-large"

    @classmethod
    def announced(cls, size: int, most: int) -> Self:
        """That of a request whose head tells how many bytes of content it has."""
        return cls(f"The request has {so_many(size, 'byte')} of content; at most {most} are taken here.")


class TargetTooLong(BadRequest):
    """The request target is too long."""

    status, code = 414, "target-too-long"


class RangeNotSatisfiable(BadRequest):
    """The range lies outside of the stored result."""

    status, code, error_type, closes = 416, "range-not-satisfiable", None, False

    def __init__(self, size: int) -> None:
        super().__init__(f"The size of the result is {size}.")
        self.fields = ((b"Content-Range", f"bytes */{size}".encode()),)  # RFC 9110 section 14.4


class FieldsTooLarge(BadRequest):
    """The request's header section is too large."""

    status, code = 431, "fields-too-large"


class MethodNotImplemented(BadRequest):
    """The proxy does not do what the method asks."""

    status, code = 501, "method-not-implemented"


class NoRoute(ProxyError):
    """No route leads from this request to an origin."""

    status, code, side = 404, "no-route", Side.CLIENT
    error_type = "destination_not_found"


class TooManyOperations(ProxyError):
    """The client has too many operations under way."""

    status, code, side, retry_after = 429, "too-many-operations", Side.CLIENT, 1
    error_type = "http_request_denied"


class UnknownOperation(ProxyError):
    """There is no such operation."""

    status, code, side = 404, "unknown-operation", Side.CLIENT
    error_type = None


class ExpiredOperation(UnknownOperation):
    """The operation's result is no longer kept."""

    status, code = 410, "expired-operation"


class OriginError(ProxyError):
    """The origin gave no usable response."""

    status, side = 502, Side.ORIGIN
    error_type = "destination_unavailable"


class OriginUnreachable(OriginError):
    """No connection to the origin could be made."""

    code = "origin-unreachable"


class OriginBrokeOff(OriginError):
    """The origin closed the connection before its response was complete."""

    code, error_type = "origin-broke-off", "http_response_incomplete"


class LoopDetected(ProxyError):
    """The request has come through this proxy too often."""

    status, code, error_type = 502, "loop-detected", "proxy_loop_detected"


class OriginMalformed(OriginError):
    """The origin's response is not valid HTTP."""

    code, error_type = "origin-malformed", "http_protocol_error"


class ResponseTooLarge(OriginError):
    """The origin's response is larger than the route allows."""

    code, error_type = "response-too-large", "http_response_body_size"


class OriginTimeout(OriginError):
    """The origin took too long."""

    status, code, error_type = 504, "origin-timeout", "http_response_timeout"


class Interrupted(ProxyError):
    """The proxy stopped while the operation ran; whether it took effect at the origin is unknown."""

    status, code = 502, "interrupted"


class Busy(ProxyError):
    """Too much is going on at once."""

    status, code, error_type, retry_after = 503, "busy", "connection_limit_reached", 1


class ShuttingDown(ProxyError):
    """The proxy is shutting down."""

    status, code, error_type, retry_after = 503, "shutting-down", "destination_unavailable", 1


class StoreUnavailable(ProxyError):
    """The store of operations cannot be used."""

    status, code, side, retry_after = 503, "store-unavailable", Side.STORE, 5


_BY_CODE = {
    kind.code: kind
    for kind in (OriginUnreachable, OriginBrokeOff, OriginMalformed, ResponseTooLarge, OriginTimeout, Interrupted, Busy,
                 ShuttingDown, StoreUnavailable, ProxyError)
}  # fmt: skip
