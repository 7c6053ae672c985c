"""The last requests of a process that are worth to be looked at: answered with 202, gone wrong, or left by their client."""

from collections import OrderedDict
from collections.abc import Hashable, Iterator
from itertools import chain, count
from operator import itemgetter
from typing import Any, Final

from proxy.account import STATUS, Account
from proxy.words import timestamp

MOST: Final = 1000
OF_ONE_URL: Final = 5  # of those for one status URL: whoever asks again and again is told the same
LONGEST: Final = 500  # characters of a path that are kept; all else is short, or of our own making


class Recent:
    """Keeps what there is to show of them, and nothing of what they hold."""

    def __init__(self, most: int = MOST) -> None:
        """The last few for one status URL count as one of the most that there may be."""
        self._most = most
        self._numbers = count()
        self._kept: OrderedDict[Hashable, list[tuple[float, dict[str, Any]]]] = OrderedDict()

    def add(self, account: Account, now: float) -> None:
        """Keep what there is to tell of a request that was over at this time."""
        facts = account.facts()
        if len(facts["path"]) > LONGEST:
            facts["path"] = f"{facts['path'][:LONGEST]}…"
        name = account.operation if account.plan == STATUS else next(self._numbers)
        self._kept[name] = [*self._kept.pop(name, ()), (now, facts)][-OF_ONE_URL:]
        if len(self._kept) > self._most:
            self._kept.popitem(last=False)

    def entries(self) -> Iterator[dict[str, Any]]:
        """What is kept, newest first, with the names of the access line; ready for JSON."""
        in_order = sorted(chain.from_iterable(self._kept.values()), key=itemgetter(0))
        return ({"time": timestamp(at), **facts} for at, facts in reversed(in_order))
