"""How a fetch goes about it, beside what it asks for."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from ssl import SSLContext
from typing import Final

LONG_POLL: Final = 30  # seconds, less than what proxies in between wait for an answer


def pauses() -> Iterator[float]:
    """Growing pauses in seconds, a minute together, after which one gives up."""
    return iter((0.5, 1.0, 2.0, 4.0, 8.0, 15.0, 30.0))


@dataclass(frozen=True, slots=True)
class Terms:
    """How a fetch goes about it."""

    prefer: str | None = None  # None: the order's own, or none at all
    timeout: float | None = None  # seconds for all of it
    trust: SSLContext | bool = True
    output: Path | None = None  # None: standard output
    include: bool = False  # the head too
    resume: bool = False  # the order's URL is a status URL
    cancel: bool = False  # DELETE the operation when one leaves before its end
    quiet: bool = False
    poll: int = LONG_POLL
    patience: Callable[[], Iterator[float]] = pauses
