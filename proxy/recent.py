"""The last requests of a process that are worth to be looked at: answered with 202, gone wrong, or left by their client."""

from collections import deque
from collections.abc import Iterator
from typing import Any, Final

from proxy.account import Account
from proxy.words import timestamp

MOST: Final = 1000
LONGEST: Final = 500  # characters of a path that are kept; all else is short, or of our own making


class Recent:
    """Keeps what there is to show of them, and nothing of what they hold."""

    def __init__(self, most: int = MOST) -> None:
        self._kept: deque[tuple[float, dict[str, Any]]] = deque(maxlen=most)

    def add(self, account: Account, now: float) -> None:
        """Keep what there is to tell of a request that was over at this time."""
        facts = account.facts()
        if len(facts["path"]) > LONGEST:
            facts["path"] = f"{facts['path'][:LONGEST]}…"
        self._kept.append((now, facts))

    def entries(self) -> Iterator[dict[str, Any]]:
        """What is kept, newest first, with the names of the access line; ready for JSON."""
        return ({"time": timestamp(at), **facts} for at, facts in reversed(self._kept))
