"""What an operator is told in place of an answer."""

from collections.abc import Mapping
from typing import Final, Self

from proxy.errors import ProxyError

NOTHING: Final[Mapping[str, str]] = {}


class Refusal(Exception):
    """A problem document (RFC 9457) in the making. The detail says what to do."""

    def __init__(
        self, status: int, detail: str, fields: Mapping[str, str] = NOTHING, *, parameter: str | None = None
    ) -> None:
        """`parameter` is that of the query which cannot be read, or not beside the others."""
        super().__init__(detail)
        self.status = status
        self.detail = detail
        self.fields = fields
        self.parameter = parameter

    @classmethod
    def of(cls, parameter: str, why: str) -> Self:
        """That of a query in which this parameter cannot be read, or not beside the others."""
        return cls(400, f"`{parameter}` {why}", parameter=parameter)

    @classmethod
    def by(cls, error: ProxyError) -> Self:
        """What an operator is told of an error that clients would be told of in their way."""
        again = NOTHING if error.retry_after is None else {"Retry-After": f"{error.retry_after}"}
        return cls(error.status, f"{error.title()}. {error.detail}", again)
