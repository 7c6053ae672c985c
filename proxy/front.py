"""All connections of clients together, or of operators: how many there may be, and how they end when the service does."""

import asyncio
from typing import Final

from proxy.clock import Clock
from proxy.config import Limits
from proxy.tally import Cell
from proxy.wire import ClientConnection, Handler, PeerOf, Refusal

PATIENCE: Final = 2.0  # seconds for the next request of an open connection, when a stop begins
LAST_WORDS: Final = 1.0  # seconds for a handler that was given up to answer


class Server:
    """Makes a connection's protocol. Its requests go to `handler`, which responds to each.

    `refusal` writes the response to what never becomes a request, or made the handler fail.
    """

    answers_half_closed = False  # what its client has left costs the origin work

    def __init__(
        self, handler: Handler, refusal: Refusal, peer: PeerOf, limits: Limits, clock: Clock, *, admitted: Cell
    ) -> None:
        self.handler = handler
        self.refusal = refusal
        self.peer = peer
        self.limits = limits
        self.clock = clock
        self.admitted = admitted  # connections; limits are for those of all processes together
        self.connections: dict[ClientConnection, None] = {}  # that are open, the oldest first
        self._ending: set[asyncio.Future[None]] = set()  # of those that are not, until all has ended
        self.draining = False
        self.patience = limits.keepalive_timeout  # while it drains: seconds for the next request of a connection

    def __call__(self) -> ClientConnection:
        return ClientConnection(self)

    def admit(self, connection: ClientConnection) -> bool:
        """Count one more connection, unless there are as many as may be."""
        self.connections[connection] = None
        if self.admitted.total() >= self.limits.max_connections:
            return False
        self.admitted.add()
        return True

    def release(self, connection: ClientConnection, *, admitted: bool) -> None:
        """It is closed, though whoever answered on it may not have ended yet. Can be called again."""
        if connection in self.connections:
            del self.connections[connection]
            self._ending.add(connection.closed)
            connection.closed.add_done_callback(self._ending.discard)
            if admitted:
                self.admitted.remove()

    @property
    def answering(self) -> int:
        """How many requests are under way."""
        return sum(connection.answering for connection in self.connections)

    async def retire(self) -> None:
        """Answer what still comes on open connections as the last of each, until all have been closed."""
        self._ask_no_more(self.limits.keepalive_timeout)
        await self._all_closed(None)

    async def drain(self, timeout: float, patience: float = PATIENCE, why: str = "") -> None:
        """The same for `timeout` seconds, closing what is idle for `patience`; then break off what is open, and say why."""
        self._ask_no_more(min(patience, timeout))
        await self._all_closed(timeout)
        for connection in list(self.connections):
            connection.give_up(why)
        await self._all_closed(LAST_WORDS)
        for connection in list(self.connections):
            connection.abort()
        await self._all_closed(None)

    def _ask_no_more(self, patience: float) -> None:
        self.draining, self.patience = True, patience
        for connection in list(self.connections):
            connection.close_when_idle()

    async def _all_closed(self, timeout: float | None) -> None:
        """Wait for it, with those that were accepted a moment ago and are not made yet."""
        loop = asyncio.get_running_loop()
        deadline = None if timeout is None else loop.time() + timeout
        await asyncio.sleep(0)
        while ends := self._ending.union(connection.closed for connection in self.connections):
            left = None if deadline is None else max(deadline - loop.time(), 0)
            _, open_ones = await asyncio.wait(ends, timeout=left)  # who drains is not to cancel itself for that
            if open_ones:
                return


class SmallServer(Server):
    """One with room for few connections: where there is none left, the oldest without a request gives way."""

    answers_half_closed = True

    def admit(self, connection: ClientConnection) -> bool:
        if len(self.connections) >= self.limits.max_connections:
            any(other.gives_way() for other in list(self.connections))
        return super().admit(connection)
