"""Who carries on when the client has gone: owns the exchanges that were handed over, and settles their operations.

The hand-over is one synchronous call, so that no cancellation can fall into it. From then on the exchange belongs to a
task of the keeper's until its operation is settled. Whoever settles first wins: that the operation is settled is the
keeper's own signal to stop, whether it did that itself, a client dismissed it, or the shutdown gave it up.
"""

import asyncio
from collections.abc import Coroutine
from typing import Any

from proxy.custody import Custody, Terms, see_out
from proxy.errors import ShuttingDown
from proxy.exchange import Exchange
from proxy.ledger import Ledger
from proxy.operation import Operation


class Keeper:
    """The owner of what was handed over. Whoever opens it drains it."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self._tasks: set[asyncio.Task[None]] = set()
        self._custodies: dict[str, Custody] = {}  # by the operation's id
        self.draining = False

    def adopt(self, exchange: Exchange, operation: Operation, terms: Terms) -> asyncio.Future[None]:
        """Take over a started exchange. Not a coroutine: between the last await before it and its return nothing fits.

        The future is done when the operation is durable, and only then may its 202 be sent. If it fails, with
        StoreUnavailable, Busy, TooManyOperations or ShuttingDown, the exchange is the caller's again. If it is
        cancelled, the client has left.
        """
        accepted: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        if self.draining:
            accepted.set_exception(ShuttingDown())
            return accepted
        exchange.hand_over()
        custody = Custody(exchange, operation, terms, self._ledger)
        self._spawn(self._having(custody, custody.accept(accepted)))
        return accepted

    def resume(self, exchange: Exchange, operation: Operation, terms: Terms) -> None:
        """Start an exchange for an operation that is stored as queued, and this keeper's."""
        exchange.hand_over()
        custody = Custody(exchange, operation, terms, self._ledger)
        exchange.start()  # held by now: with a connection at hand it would not wait for leave
        self._spawn(self._having(custody, custody.resume()))

    def withdraw(self, operation: Operation) -> None:
        """Dismiss an operation that was accepted when its client had just left: nobody will ask for it."""
        if custody := self._custodies.get(operation.id):
            self._spawn(custody.dismiss())

    def see_out(self, exchange: Exchange, timeout: float) -> None:
        """Take over an exchange whose client has left, for its effect at the origin."""
        exchange.hand_over()
        self._spawn(see_out(exchange, timeout))

    async def drain(self, timeout: float | None, why: str = "") -> None:
        """Take nothing more over, wait `timeout` seconds for what is here, and give up the rest.

        What waits for its turn is left to others at once. What was sent and has no response when the time is over is settled
        as interrupted; the log says `why`. None: the time has no end, and all of it is waited for.
        """
        self.draining = True
        if timeout is not None:
            await asyncio.gather(*[custody.release() for custody in self._custodies.values()])
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=timeout)
        # At once: a store commits them together.
        await asyncio.gather(*[custody.interrupt(why) for custody in self._custodies.values()])
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    @property
    def running(self) -> int:
        """How many operations have been sent, and are under way."""
        return sum(custody.operation.is_running for custody in self._custodies.values())

    @property
    def queued(self) -> int:
        """How many operations wait for their turn."""
        return len(self._custodies) - self.running

    async def _having(self, custody: Custody, work: Coroutine[Any, Any, None]) -> None:
        id = custody.operation.id
        self._custodies[id] = custody
        try:
            await work
        finally:
            del self._custodies[id]

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
