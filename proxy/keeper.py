"""Who carries on when the client has gone: owns the exchanges that were handed over, and settles their operations.

The hand-over is one synchronous call, so that no cancellation can fall into it. From then on the exchange belongs to a
task of the keeper's until its operation is settled. Whoever settles first wins: that the operation has left `running`
is the keeper's own signal to stop, whether it did that itself, a client dismissed it, or the shutdown gave it up.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from itertools import chain, repeat
from typing import Any, NamedTuple

import structlog

from proxy.errors import Busy, Interrupted, OriginTimeout, ProxyError, ResponseTooLarge, ShuttingDown, StoreUnavailable
from proxy.exchange import Exchange
from proxy.message import ResponseHead
from proxy.operation import BodyRef, Failure, Operation
from proxy.store import Store

log = structlog.get_logger()


class Terms(NamedTuple):
    """What was agreed for one operation's exchange."""

    for_client: Callable[[ResponseHead], ResponseHead]  # the origin's head as the client is to see it
    timeout: float  # seconds for the whole exchange
    max_body: int  # bytes
    finish: bool  # whether to go on for the effect at the origin if the client leaves before its 202


class Keeper:
    """The owner of what was handed over. Whoever opens it drains it."""

    def __init__(self, store: Store, now: Callable[[], float], on_settled: Callable[[Operation], None]) -> None:
        self._store = store
        self._now = now
        self._on_settled = on_settled
        self._tasks: set[asyncio.Task[None]] = set()
        self._running: dict[str, Operation] = {}
        self._draining = False

    def adopt(self, exchange: Exchange, operation: Operation, terms: Terms) -> asyncio.Future[None]:
        """Take over a started exchange. Not a coroutine: between the last await before it and its return nothing fits.

        The future is done when the operation is durable, and only then may its 202 be sent. If it fails with
        StoreUnavailable or ShuttingDown, the exchange is the caller's again. If it is cancelled, the client has left.
        """
        accepted: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        if self._draining:
            accepted.set_exception(ShuttingDown())
            return accepted
        exchange.hand_over()
        self._spawn(self._keep(exchange, operation, terms, accepted))
        return accepted

    def withdraw(self, operation: Operation) -> None:
        """Dismiss an operation that was accepted when its client had just left: nobody will ask for it."""
        if operation.id in self._running:
            self._spawn(self._settle(operation.dismissed(self._now())))

    def see_out(self, exchange: Exchange, timeout: float) -> None:
        """Take over an exchange whose client has left, for its effect at the origin."""
        exchange.hand_over()
        self._spawn(self._discard(exchange, timeout))

    async def drain(self, timeout: float | None) -> None:
        """Take nothing more over, wait for what runs, and after `timeout` seconds, if any, settle it as interrupted."""
        self._draining = True
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=timeout)
        await asyncio.gather(*map(self._interrupt, self._running.values()))  # at once: a store commits them together
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    @property
    def running(self) -> int:
        """How many operations are under way."""
        return len(self._running)

    # One operation.

    async def _keep(
        self, exchange: Exchange, operation: Operation, terms: Terms, accepted: asyncio.Future[None]
    ) -> None:
        try:
            await self._store.create(operation)
            if not accepted.cancelled():
                accepted.set_result(None)
                await self._carry_on(exchange, operation, terms)
            else:
                await self._settle(operation.dismissed(self._now()))
                await self._after_client_left(exchange, terms)
        except StoreUnavailable as refusal:
            if not accepted.cancelled():
                exchange.hand_back()
                accepted.set_exception(refusal)
                accepted.exception()  # the caller may leave before it looks
            else:
                await self._after_client_left(exchange, terms)
        finally:
            accepted.cancel()  # if it is not done by now, it never will be
            if exchange.handed_over:
                exchange.close()

    async def _carry_on(self, exchange: Exchange, operation: Operation, terms: Terms) -> None:
        self._running[operation.id] = operation
        try:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(self._close_when_settled(exchange, operation.id))
                await self._settle(await self._outcome(exchange, operation, terms))
        finally:
            del self._running[operation.id]

    async def _close_when_settled(self, exchange: Exchange, id: str) -> None:
        for pause in _pauses():
            try:
                await self._store.settled(id)
            except StoreUnavailable:
                await asyncio.sleep(pause)
            else:
                break
        exchange.close()

    async def _outcome(self, exchange: Exchange, operation: Operation, terms: Terms) -> Operation:
        try:
            async with asyncio.timeout(terms.timeout):
                head, body = await self._collect(exchange, operation.id, terms)
        except TimeoutError:
            error: ProxyError = OriginTimeout(f"The exchange took more than {terms.timeout:g} seconds.")
        except Busy as exc:  # a failed operation is final: nothing of it says to try again
            error = OriginTimeout(exc.detail, error_type=exc.error_type)
        except StoreUnavailable as exc:
            log.error("result not stored", operation=operation.short_id, reason=exc.detail, cause=exc.cause)
            error = ProxyError("The result could not be stored.")
        except ProxyError as exc:
            log.info("exchange failed", operation=operation.short_id, error=exc.code, cause=exc.cause)
            error = exc
        except Exception:
            log.exception("operation failed", operation=operation.short_id)
            error = ProxyError("An error in the proxy itself, which its log tells more about.")
        else:
            return operation.completed(head, body, self._now())
        return operation.failed(Failure.of(error), self._now())

    async def _collect(self, exchange: Exchange, id: str, terms: Terms) -> tuple[ResponseHead, BodyRef]:
        """The response, its body whole in the store."""
        await exchange.answered_within(None)
        head = terms.for_client(exchange.answer())
        if exchange.length is not None and exchange.length > terms.max_body:
            raise ResponseTooLarge(f"The response announces {exchange.length} bytes, more than {terms.max_body}.")
        async with self._store.sink(id) as sink:
            async for piece in _at_most(terms.max_body, exchange.pieces()):
                await sink.write(piece)
        return head, sink.ref

    async def _settle(self, operation: Operation) -> None:
        """Settle it, or find it settled. While the store is in trouble the operation waits with us."""
        for pause in _pauses():
            try:
                await self._settle_now(operation)
            except StoreUnavailable as exc:
                log.warning(
                    "operation not settled yet", operation=operation.short_id, reason=exc.detail, cause=exc.cause
                )
                await asyncio.sleep(pause)
            else:
                return

    async def _interrupt(self, operation: Operation) -> None:
        """Give it up. If the store cannot be told, the operation is an orphan as soon as this process has ended."""
        try:
            await self._settle_now(operation.failed(Failure.of(Interrupted()), self._now()))
        except StoreUnavailable as exc:
            log.warning("operation left to others", operation=operation.short_id, reason=exc.detail)

    async def _settle_now(self, operation: Operation) -> None:
        if await self._store.settle(operation):
            self._on_settled(operation)

    # No operation.

    async def _after_client_left(self, exchange: Exchange, terms: Terms) -> None:
        if terms.finish:
            await self._discard(exchange, terms.timeout)

    async def _discard(self, exchange: Exchange, timeout: float) -> None:
        """Let the exchange come to its end, for nobody."""
        try:
            async with asyncio.timeout(timeout):
                await exchange.answered_within(None)
                exchange.answer()
                async for _ in exchange.pieces():
                    pass
        except (ProxyError, TimeoutError) as exc:
            log.info("exchange without client failed", reason=str(exc))
        finally:
            exchange.close()

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


def _pauses() -> Iterator[float]:
    """Growing pauses between attempts while the store is in trouble, without end."""
    return chain((0.1, 0.2, 0.5, 1.0, 2.0), repeat(5.0))


async def _at_most(limit: int, pieces: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    """The pieces, up to `limit` bytes. Raises ResponseTooLarge if there are more."""
    size = 0
    async for piece in pieces:
        size += len(piece)
        if size > limit:
            raise ResponseTooLarge(f"The response has more than {limit} bytes.")
        yield piece
