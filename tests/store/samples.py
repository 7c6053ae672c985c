"""What the tests of stores store, and ways to disturb them."""

import asyncio
import resource
import secrets
from collections.abc import Callable, Coroutine, Generator, Iterator
from contextlib import contextmanager
from functools import partial
from itertools import count
from typing import Any

from proxy.message import Fields, ResponseHead
from proxy.operation import BodyRef, Operation, RequestSummary
from proxy.store import Store

KEEPER = "keeper-one"
AMPLE = 1 << 40  # bytes
HEAD = ResponseHead(
    200,
    b"",
    Fields([(b"Set-Cookie", b"a=1"), (b"set-cookie", b"b=\xff\x80"), (b"X-Empty", b"")]),
)


def running(keeper: str = KEEPER, keep: float = 100.0) -> Operation:
    """A new operation, created at 1000."""
    return Operation(
        id=secrets.token_urlsafe(16),
        route="reports",
        keeper=keeper,
        request=RequestSummary("POST", "http://example.com/reports?q=%C3%A9"),
        created=1000.0,
        keep=keep,
        longest_wait=60.0,
        retry_after=2.5,
        owner_digest=bytes(range(224, 256)),
    )


async def stored(store: Store, operation: Operation, content: bytes) -> BodyRef:
    """Write a body for the operation, in pieces of uneven length."""
    async with store.sink(operation.id) as sink:
        for start in range(0, len(content), 70_001):
            await sink.write(content[start : start + 70_001])
    return sink.ref


async def completed(
    store: Store, content: bytes, now: float = 2000.0, keep: float = 100.0, keeper: str = KEEPER
) -> Operation:
    """An operation with this body, created and settled."""
    operation = running(keeper, keep)
    await store.create(operation)
    done = operation.completed(HEAD, await stored(store, operation, content), now)
    assert await store.settle(done)
    return done


async def body_of(store: Store, operation: Operation, start: int = 0, stop: int | None = None) -> bytes:
    return b"".join([piece async for piece in store.body(operation, start, stop)])


class CancelledAt:
    """Awaits the work, and cancels the task at the work's n-th suspension, counted from 1."""

    def __init__(self, work: Coroutine[Any, Any, object], suspension: int) -> None:
        self._work = work
        self._suspension = suspension

    def __await__(self) -> Generator[Any, None, object]:
        steps = self._work.__await__()
        advance: Callable[[], Any] = partial(next, steps)
        for suspension in count(1):
            try:
                awaited = advance()
            except StopIteration as end:
                return end.value
            if suspension == self._suspension:
                task = asyncio.current_task()
                assert task is not None
                task.cancel()
            try:
                yield awaited
                advance = partial(next, steps)
            except asyncio.CancelledError as exc:
                advance = partial(steps.throw, exc)
        raise AssertionError


async def cancelled_at(work: Coroutine[Any, Any, object], suspension: int) -> bool:
    """Whether the work was so long that it was cancelled there."""

    async def disturbed() -> object:
        return await CancelledAt(work, suspension)

    try:
        async with asyncio.TaskGroup() as group:
            task = group.create_task(disturbed())
    finally:
        assert task.done()
    return task.cancelled()


@contextmanager
def full_disk(limit: int) -> Iterator[None]:
    """No file of this process grows beyond the limit in bytes."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
