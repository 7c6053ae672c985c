"""What the tests of stores store, and ways to disturb them."""

import asyncio
import resource
import secrets
from collections.abc import Callable, Coroutine, Generator, Iterator
from contextlib import AbstractAsyncContextManager, contextmanager
from dataclasses import replace
from functools import partial
from itertools import count
from typing import Any

from proxy.message import Fields, RequestHead, ResponseHead
from proxy.operation import BodyRef, KeptRequest, Operation, RequestSummary, State
from proxy.store import Sink, Store, Usage

KEEPER = "keeper-one"
AMPLE = 1 << 40  # bytes
NOTHING = Usage(0, 0, 0, 0)
HEAD = ResponseHead(
    200,
    b"",
    Fields([(b"Set-Cookie", b"a=1"), (b"set-cookie", b"b=\xff\x80"), (b"X-Empty", b"")]),
)
LARGE = bytes(range(256)) * 2500  # 640,000 bytes: a file, read in three pieces
MIB = 1 << 20
REQUEST = KeptRequest(
    head=RequestHead(
        "POST", b"/reports?q=\xff", Fields([(b"Authorization", b"Bearer secret"), (b"x", b"\x80")]), (1, 0)
    ),
    authority=b"example.com",
    scheme="https",
    host=b"example.com:8443",
    address="192.0.2.7",
    content=None,
)


def running(keeper: str = KEEPER, keep: float = 100.0) -> Operation:
    """A new operation, created at 1000."""
    return Operation(
        id=secrets.token_urlsafe(16),
        route="reports",
        origin="legacy",
        keeper=keeper,
        request=RequestSummary("POST", "http://example.com/reports?q=%C3%A9", "request-1", "/rep"),
        created=1000.0,
        keep=keep,
        longest_wait=60.0,
        retry_after=2.5,
        owner_digest=bytes(range(224, 256)),
    )


def queued(keeper: str = KEEPER, created: float = 1000.0, origin: str = "legacy", client: str = "") -> Operation:
    """A new operation that waits for its turn."""
    return replace(running(keeper), state=State.QUEUED, created=created, origin=origin, client=client)


async def stored(store: Store, operation: Operation, content: bytes) -> BodyRef:
    """Write a body for the operation, in pieces of uneven length."""
    return await written(store.sink(operation.id), content)


async def kept(store: Store, operation: Operation, content: bytes) -> KeptRequest:
    """A request with this content, which is written."""
    return replace(REQUEST, content=await written(store.request_sink(operation.id), content))


async def written(opening: AbstractAsyncContextManager[Sink], content: bytes) -> BodyRef:
    async with opening as sink:
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


async def content_of(store: Store, id_: str) -> bytes:
    """The content of the operation's kept request, which has some."""
    request = await store.request(id_)
    assert request is not None
    assert request.content is not None
    return b"".join([piece async for piece in store.request_body(id_, request.content)])


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
