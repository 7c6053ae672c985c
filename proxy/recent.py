"""The last requests of a process that are worth to be looked at: answered with 202, gone wrong, or left by their client."""

from collections import deque
from datetime import UTC, datetime
from typing import Any, Final

from proxy.account import Account

MOST: Final = 1000
LONGEST: Final = 500  # characters of a value that is kept


class Recent:
    """Keeps what there is to show of them, and nothing of what they hold."""

    def __init__(self, most: int = MOST) -> None:
        self._entries: deque[dict[str, Any]] = deque(maxlen=most)

    def add(self, account: Account, now: float) -> None:
        """Keep what there is to tell of a request that was over at this time."""
        at = datetime.fromtimestamp(now, UTC).isoformat(timespec="milliseconds").removesuffix("+00:00")
        self._entries.append({"time": f"{at}Z", **{name: _cut(fact) for name, fact in account.facts().items()}})

    def entries(self) -> list[dict[str, Any]]:
        """What is kept, newest first, with the names of the access line; ready for JSON, and not to be changed."""
        return list(reversed(self._entries))


def _cut(fact: object) -> object:
    return f"{fact[:LONGEST]}…" if isinstance(fact, str) and len(fact) > LONGEST else fact
