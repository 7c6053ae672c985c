"""Where operators are received: their address, the connections to it, and how they are sent on to another process.

Connections are of the kind that clients have, with the same limits, but few, and none is waited for as long: whoever
holds them is to keep out neither operators nor, by the descriptors that they take, clients; and least of all probes,
which decide whether the process lives: some places are for these alone.
"""

from functools import partial
from typing import Final

from proxy.acceptor import Acceptor, most_descriptors
from proxy.admin import PROBES, Admin
from proxy.client import ClientRequest
from proxy.clock import Clock
from proxy.config import Address, Limits
from proxy.errors import Busy
from proxy.forwarded import TrustedProxies
from proxy.front import SmallServer
from proxy.listeners import Bound, Listener
from proxy.tally import Tally

MOST: Final = 64  # connections in one process
FOR_PROBES: Final = 8  # one of so many of these is for probes, and one where they are fewer
SHARE: Final = 12  # one for so many descriptors, where there are few: clients need them more
PATIENCE: Final = 10.0  # seconds for one who takes nothing
LAST_ANSWERS: Final = 1.0  # seconds for those that operators are getting when it leaves them
LAST_QUESTIONS: Final = 0.1  # seconds for operators who have just connected to ask


class Reception:
    """Receives operators at one address."""

    def __init__(self, bound: Bound, admin: Admin, limits: Limits, clock: Clock) -> None:
        """`limits` are those of clients."""
        few = for_operators(limits, most_descriptors())
        peer = partial(TrustedProxies(()).peer, tls=False)
        self._admin = admin
        self._others = _not_for_probes(few.max_connections)  # that may be answered at once
        self._answered = 0  # of these, at this moment
        self._front = SmallServer(self._receive, admin.refusal, peer, few, clock, admitted=Tally(1).cell(0))
        self._listener = Listener(bound, partial(Acceptor, factory=self._front, most_kept_back=0, at_once=1))

    @property
    def address(self) -> Address:
        return self._listener.address

    def open(self) -> None:
        """Accept operators. Can be called again."""
        self._listener.open()

    def leave(self) -> None:
        """Let another process answer them: accept none for now, and end what others follow here."""
        self._listener.pause()
        self._admin.end_streams()

    async def close(self, timeout: float) -> None:
        """Accept no more of them. Those who are connected are answered, but follow somebody else from now on."""
        self._listener.close()
        await self._listener.drain(timeout)
        self._admin.end_streams()

    async def drain(self) -> None:
        """End when those who wait for an answer have it, or should have."""
        await self._front.drain(LAST_ANSWERS, LAST_QUESTIONS)
        self._admin.close()

    async def _receive(self, client: ClientRequest) -> None:
        """Have it answered. A probe is at once: of those that are not, some places are left free."""
        if _is_probe(client):
            await self._admin.handle(client)
        elif self._answered < self._others:
            self._answered += 1
            try:
                await self._admin.handle(client)
            finally:
                self._answered -= 1
        else:
            await self._admin.refuse(client, Busy("Too many requests are being answered."))


def _not_for_probes(most: int) -> int:
    """How many of so many connections may have other requests: there is one at least for each kind, if there are two."""
    return max(most - max(most // FOR_PROBES, 1), 1)


def _is_probe(client: ClientRequest) -> bool:
    path, _, _ = client.head.target.partition(b"?")
    return path.decode("latin-1") in PROBES


def for_operators(limits: Limits, descriptors: int) -> Limits:
    """What operators may take, by what clients may, in a process that may have so many descriptors."""
    most = min(MOST, descriptors // SHARE)
    return limits.model_copy(update={"max_connections": most, "send_timeout": min(limits.send_timeout, PATIENCE)})
