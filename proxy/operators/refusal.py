"""What an operator is told in place of an answer."""

from collections.abc import Mapping
from typing import Final, Self

from proxy.errors import ProxyError

NOTHING: Final[Mapping[str, str]] = {}


class Refusal(Exception):
    """A problem document (RFC 9457) in the making. The detail says what to do."""

    def __init__(self, status: int, detail: str, fields: Mapping[str, str] = NOTHING) -> None:
        super().__init__(detail)
        self.status = status
        self.detail = detail
        self.fields = fields

    @classmethod
    def by(cls, error: ProxyError) -> Self:
        """What an operator is told of an error that clients would be told of in their way."""
        again = NOTHING if error.retry_after is None else {"Retry-After": f"{error.retry_after}"}
        return cls(error.status, f"{error.title()}. {error.detail}", again)
