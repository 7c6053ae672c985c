"""The last requests of a process that are worth to be looked at: answered with 202, gone wrong, or left by their client."""

from collections import OrderedDict
from collections.abc import Hashable, Iterator
from itertools import chain, count
from operator import itemgetter
from typing import Any, Final

from proxy.account import STATUS, Account
from proxy.words import timestamp

MOST: Final = 1000
OF_ONE_URL: Final = 5  # of one kind for one status URL: whoever asks again and again is told the same
LONGEST: Final = 500  # characters of a path that are kept; all else is short, or of our own making

Kind = tuple[str, int, str | None]  # route, status, the code of the error
Group = OrderedDict[Hashable, list[tuple[float, dict[str, Any]]]]  # those of one kind, the oldest first


class Recent:
    """Keeps what there is to show of them, and nothing of what they hold.

    What there is much of gives way first: no kind of them, however frequent, drives another one out.
    """

    def __init__(self, most: int = MOST) -> None:
        """The last few of one kind for one status URL count as one of the most that there may be."""
        self._most = most
        self._size = 0
        self._numbers = count()
        self._groups: dict[Kind, Group] = {}

    def add(self, account: Account, now: float) -> None:
        """Keep what there is to tell of a request that was over at this time."""
        facts = account.facts()
        if len(facts["path"]) > LONGEST:
            facts["path"] = f"{facts['path'][:LONGEST]}…"
        kind = account.route, account.status, account.error
        name = account.operation if account.plan == STATUS else next(self._numbers)
        group = self._groups.setdefault(kind, OrderedDict())
        self._size += name not in group
        group[name] = [*group.pop(name, ()), (now, facts)][-OF_ONE_URL:]
        if self._size > self._most:
            self._make_room(kind)

    def entries(self) -> Iterator[dict[str, Any]]:
        """What is kept, newest first, with the names of the access line; ready for JSON."""
        kept = chain.from_iterable(group.values() for group in self._groups.values())
        in_order = sorted(chain.from_iterable(kept), key=itemgetter(0))
        return ({"time": timestamp(at), **facts} for at, facts in reversed(in_order))

    def _make_room(self, kind: Kind) -> None:
        """Drop the oldest of this kind, if there is more than its share of it, or else of the one of which there is most."""
        groups = self._groups
        if len(groups[kind]) <= max(self._most / len(groups), 1):
            kind = max(groups, key=lambda other: len(groups[other]))
        groups[kind].popitem(last=False)
        if not groups[kind]:
            del groups[kind]
        self._size -= 1
