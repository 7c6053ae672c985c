"""What went wrong with a request, as its account has it: whose doing it was, what the client was told, and what not."""

from typing import Final, NamedTuple

from proxy.errors import (
    Busy,
    FieldsTooLarge,
    OriginTimeout,
    ProxyError,
    RequestTimeout,
    RequestTooLarge,
    ResponseTooLarge,
    Side,
    TargetTooLong,
    TooManyOperations,
)

CLIENT: Final = "C"
LIMIT: Final = "L"  # or a timeout: what the configuration says was reached
SIDES: Final = {Side.CLIENT: CLIENT, Side.ORIGIN: "O", Side.STORE: "P", Side.PROXY: "P"}
LIMITS: Final = (
    Busy, FieldsTooLarge, OriginTimeout, RequestTimeout, RequestTooLarge, ResponseTooLarge, TargetTooLong, TooManyOperations,
)  # fmt: skip
OPERATORS: Final = (Side.ORIGIN, Side.STORE)  # whose errors have causes that name addresses, not what clients sent


class Wrong(NamedTuple):
    """What went wrong."""

    who: str  # a letter
    code: str | None
    error_type: str | None = None  # RFC 9209 section 2.3
    detail: str | None = None  # what the client was told of it
    cause: str | None = None  # what it was not

    @classmethod
    def by(cls, error: ProxyError) -> "Wrong":
        who = LIMIT if isinstance(error, LIMITS) else SIDES[error.side]
        cause = error.cause if error.side in OPERATORS else None
        return cls(who, error.code, error.error_type, error.detail or None, cause)


NOTHING: Final = Wrong("-", None)
CLIENT_LEFT: Final = Wrong(CLIENT, "client-left")
SILENCE: Final = Wrong(LIMIT, "idle-timeout")  # in a tunnel
