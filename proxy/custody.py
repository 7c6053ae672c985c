"""One exchange in the keeper's hands, from the hand-over to the settling of its operation.

An operation that still waits for its turn at the origin is stored as queued, and nothing of it is sent before it is
durably no longer so. Hence what is found queued after a crash was never sent, and may be, whatever its method.
"""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from dataclasses import replace
from typing import Final, NamedTuple

import structlog

from proxy import chronicle, reasons
from proxy.errors import (
    ASK_THE_ORIGIN,
    DEFECT,
    Busy,
    Interrupted,
    OriginBrokeOff,
    OriginTimeout,
    ProxyError,
    ResponseTooLarge,
    StoreUnavailable,
    TooManyOperations,
)
from proxy.exchange import Exchange, pauses
from proxy.ledger import Course, Ledger
from proxy.message import ResponseHead
from proxy.operation import BodyRef, Failure, KeptRequest, Operation, Progress
from proxy.pace import Pace
from proxy.reasons import Reasons
from proxy.store import LONGEST_INLINE, Quotas, inlined
from proxy.words import so_many

log = structlog.get_logger()

GRACE: Final = 5.0  # seconds beyond its timeout in which a keeper settles an operation before others do

NOT_STORED: Final = "The result could not be stored."

NOBODY: Final = "nobody"  # the keeper of what waits for one: never alive

Refused = (StoreUnavailable, Busy, TooManyOperations)  # the store would not have the operation


class Terms(NamedTuple):
    """What was agreed for one operation's exchange."""

    for_client: Callable[[ResponseHead], ResponseHead]  # the origin's head as the client is to see it
    timeout: float  # seconds for the whole exchange, from its turn on
    max_body: int  # bytes
    finish: bool  # whether to go on for the effect at the origin if the client leaves before its 202
    request: KeptRequest  # to send it from, should this process die; its content is filled in when it is kept
    resend: bool  # whether it may be sent again if it was under way then
    quotas: Quotas
    pace: Pace
    reasons: Reasons


class Custody:
    """One exchange and its operation."""

    __slots__ = ("_exchange", "_late", "_ledger", "_stands", "_terms", "operation")  # there may be ten thousands

    def __init__(self, exchange: Exchange, operation: Operation, terms: Terms, ledger: Ledger) -> None:
        self.operation = operation
        self._exchange = exchange
        self._terms = terms
        self._ledger = ledger
        self._late = False  # whether its time was up
        self._stands: asyncio.Future[bool] = asyncio.get_running_loop().create_future()  # whether there is an operation
        if not operation.is_running:
            exchange.hold(self._no_longer_queued)

    async def accept(self, accepted: asyncio.Future[None]) -> None:
        """Create the operation, say so, and see it through. See Keeper.adopt."""
        try:
            await self._ledger.store.create(self.operation, await self._kept_request(), self._terms.quotas)
        except Refused as refusal:
            await self._refused(accepted, refusal)
        else:
            await self._accepted(accepted)
        finally:
            accepted.cancel()  # if it is not done by now, it never will be
            if self._exchange.handed_over:
                self._exchange.close()

    async def resume(self) -> None:
        """See an operation through that is in the store already, waiting for its turn."""
        self._stands.set_result(True)
        try:
            await self._carry_on()
        finally:
            self._exchange.close()

    async def dismiss(self) -> None:
        """Nobody will ask for it."""
        dismissed = self.operation.dismissed(self._ledger.now(), self._terms.reasons.unclaimed)
        await self._settle(dismissed, self._course(dismissed))

    async def release(self) -> None:
        """Leave an operation that waits for its turn to others."""
        if self.operation.is_running:
            return
        with suppress(StoreUnavailable):  # then it is an orphan as soon as this process has ended
            if await self._ledger.store.take_over(self.operation, self.operation.returned(NOBODY)):
                self._exchange.close()

    async def interrupt(self, why: str) -> None:
        """Give up what was sent. If the store cannot be told, it is an orphan as soon as this process has ended."""
        if not self.operation.is_running:
            return
        interrupted = self.operation.failed(Failure.of(Interrupted(ASK_THE_ORIGIN)), self._ledger.now(), why)
        try:
            await self._ledger.settle(interrupted, self._course(interrupted))
        except StoreUnavailable as exc:
            log.warning("operation left to others", operation=self.operation.short_id, reason=exc.detail)

    # Acceptance.

    async def _accepted(self, accepted: asyncio.Future[None]) -> None:
        if accepted.cancelled():
            await self.dismiss()
            await self._client_left()
            return
        accepted.set_result(None)
        self._stands.set_result(True)
        await self._carry_on()

    async def _refused(self, accepted: asyncio.Future[None], refusal: ProxyError) -> None:
        if accepted.cancelled():
            await self._client_left()
            return
        if isinstance(refusal, StoreUnavailable):
            self._stands.set_result(False)
        elif not self.operation.is_running:
            self._exchange.close()  # the client is refused: nothing may be sent, and no place be kept for it
        self._exchange.hand_back()
        accepted.set_exception(refusal)
        accepted.exception()  # the caller may leave before it looks

    async def _client_left(self) -> None:
        if self._terms.finish:
            self._stands.set_result(False)
            await see_out(self._exchange, self._terms.timeout)

    async def _kept_request(self) -> KeptRequest | None:
        """What has to be in the store before the operation is: its request, if it may be sent from there."""
        if self.operation.is_running and not self._terms.resend:
            return None
        content = self._exchange.content
        if not content.present:
            return self._terms.request
        async with self._ledger.store.request_sink(self.operation.id) as sink:
            async for piece in content.pieces():
                await sink.write(piece)
        return replace(self._terms.request, content=sink.ref)

    async def _no_longer_queued(self) -> bool:
        """The gate before the first byte of an operation that waited: whether that is durable."""
        await asyncio.wait({self._stands})  # not the future itself: a cancellation would cancel it too
        if not self._stands.result():
            return True
        by = overdue(self._ledger.monotonic(), self._terms.timeout)
        started = self.operation.started(by, self._ledger.now())
        try:
            stands = await self._ledger.store.start(started)
        except StoreUnavailable as exc:
            _log_waiting(started, exc)
            return False
        if not stands:
            raise OriginBrokeOff("The operation was dismissed while it waited, or is another process's now.")
        self.operation = started
        queued, _ = self._exchange.times(self._ledger.monotonic())
        chronicle.started(started, queued)
        return True

    # Carrying on.

    async def _carry_on(self) -> None:
        with self._ledger.store.when_settled(self.operation.id, self._exchange.close):
            settled = await self._outcome()
        course = self._course(settled)
        self._exchange.close()  # a store in trouble must not keep a place at the origin
        await self._settle(settled, course)

    async def _outcome(self) -> Operation:
        """How it is settled."""
        short_id = self.operation.short_id
        try:
            await self._exchange.turn_within(None)
            head, body = await self._collect_in_time()
        except Busy as exc:  # a failed operation is final: nothing of it says to try again
            error: ProxyError = OriginTimeout(exc.detail, error_type=exc.error_type, why=exc.why)
        except StoreUnavailable as exc:
            log.error("result not stored", operation=short_id, reason=exc.detail, cause=exc.cause)
            error = ProxyError(NOT_STORED, why=f"{NOT_STORED} {reasons.of(exc)}")
        except ProxyError as exc:
            if self._late or not self._exchange.closed:
                chronicle.exchange_failed(self.operation, exc)
            error = exc
        except Exception:
            log.exception("operation failed", operation=short_id)
            error = ProxyError(DEFECT)
        else:
            return self.operation.completed(head, body, self._ledger.now())
        why = self._terms.reasons.failed(error, later=True, may_be_done=self._exchange.may_be_done)
        return self.operation.failed(Failure.of(error), self._ledger.now(), reasons.with_cause(why, error))

    async def _collect_in_time(self) -> tuple[ResponseHead, BodyRef]:
        """The same as `_collect`. Closing the exchange ends that, for less than `asyncio.timeout` costs."""
        timeout = self._terms.timeout
        timer = asyncio.get_running_loop().call_later(timeout - self._exchange.lasted(), self._out_of_time)
        try:
            return await self._collect()
        except OriginBrokeOff:
            if not self._late:
                raise
            why = self._terms.reasons.too_long(timeout)
            late = OriginTimeout(f"The response was not complete within {so_many(timeout, 'second')}.", why=why)
            raise late from None  # that it was closed is our own doing
        finally:
            timer.cancel()

    def _out_of_time(self) -> None:
        self._late = True
        self._exchange.close()

    async def _collect(self) -> tuple[ResponseHead, BodyRef]:
        """The response, its body whole in the store."""
        exchange, terms = self._exchange, self._terms
        await exchange.answered()
        head = terms.for_client(exchange.answer())
        if exchange.length is not None and exchange.length > terms.max_body:
            raise ResponseTooLarge(
                f"The response announces {so_many(exchange.length, 'byte')}, more than {terms.max_body}."
            )
        body = self._small_body() or await self._stored_body()
        terms.pace.observe(exchange.lasted())
        return head, body

    def _small_body(self) -> BodyRef | None:
        """The body, if it has all come with the head, and is small enough to be stored by the settling itself."""
        exchange = self._exchange
        small = exchange.length is not None and exchange.length <= LONGEST_INLINE
        return inlined(exchange.arrived()) if small and exchange.whole else None

    async def _stored_body(self) -> BodyRef:
        coming = Progress(0, self._exchange.length, since=self._ledger.now())
        async with self._ledger.store.sink(self.operation.id, coming) as sink:
            async for piece in _at_most(self._terms.max_body, self._exchange.pieces()):
                await sink.write(piece)
        return sink.ref

    def _course(self, settled: Operation) -> Course:
        exchange, now = self._exchange, self._ledger.monotonic()
        ended = None if settled.body is None else (exchange.ended_at or exchange.answered_at)
        return Course(*exchange.times(now), ended)

    async def _settle(self, operation: Operation, course: Course) -> None:
        """Settle it, or find it settled. While the store is in trouble the operation waits with us."""
        for pause in pauses():
            try:
                await self._ledger.settle(operation, course)
            except StoreUnavailable as exc:
                _log_waiting(operation, exc)
                await asyncio.sleep(pause)
            else:
                return


def overdue(now: float, timeout: float) -> float:
    """By when, on the monotonic clock, an operation whose exchange begins now is settled at the latest, by whoever sees it."""
    return now + timeout + GRACE


async def see_out(exchange: Exchange, timeout: float) -> None:
    """Let the exchange come to its end, for nobody, and close it."""
    try:
        async with asyncio.timeout(timeout):
            await exchange.turn_within(exchange.patience)  # as others whose clients wait: there is no end to who leaves
            if not exchange.is_waiting:
                await exchange.answered_within(None)
                exchange.answer()
                async for _ in exchange.pieces():
                    pass
    except (ProxyError, TimeoutError) as exc:
        log.info("exchange without client failed", reason=str(exc))
    finally:
        exchange.close()


def _log_waiting(operation: Operation, exc: StoreUnavailable) -> None:
    what = {"operation": operation.short_id, "state": operation.state.value}
    log.warning("operation waits for the store", **what, reason=exc.detail, cause=exc.cause)


async def _at_most(limit: int, pieces: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    """The pieces, up to `limit` bytes. Raises ResponseTooLarge if there are more."""
    size = 0
    async for piece in pieces:
        size += len(piece)
        if size > limit:
            raise ResponseTooLarge(f"The response has more than {so_many(limit, 'byte')}.")
        yield piece
