"""How a fetch ends. Where curl has an exit code for it, it is that one."""

from typing import Final

FINE: Final = 0
UNKNOWN_HOST: Final = 6
NOT_CONNECTED: Final = 7
NOT_FOLLOWED: Final = 8  # a 202 that names no status URL
INCOMPLETE: Final = 18
FAILED: Final = 22  # the outcome is a 4xx or 5xx
NOT_WRITTEN: Final = 23
TOO_LATE: Final = 28
NO_TLS: Final = 35
TOO_MANY_REDIRECTS: Final = 47
BROKEN_OFF: Final = 56
NOT_TRUSTED: Final = 60

FIRST_FAILURE: Final = 400  # of the status codes


class Ended(Exception):
    """The end of a fetch without an outcome, or without all of it."""

    def __init__(self, code: int, message: str) -> None:
        super().__init__(message)
        self.code = code


def code_of(status: int) -> int:
    """The exit code for an outcome with this status."""
    return FINE if status < FIRST_FAILURE else FAILED
