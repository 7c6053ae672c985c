"""What every store promises of requests that are kept so that they can be sent, and of its size."""

from collections.abc import Callable
from dataclasses import replace

import pytest

from proxy.errors import StoreUnavailable
from proxy.message import Fields, RequestHead
from proxy.operation import KeptRequest, Operation, State
from proxy.store import Store, Usage
from tests.store.conftest import Open
from tests.store.samples import (
    HEAD,
    KEEPER,
    LARGE,
    MIB,
    NOTHING,
    REQUEST,
    cancelled_at,
    content_of,
    kept,
    queued,
    running,
    stored,
    written,
)

BARE = KeptRequest(RequestHead("GET", b"*", Fields()), b"", "http", b"", "unknown", None)


@pytest.mark.parametrize("request_", [REQUEST, BARE], ids=["with everything", "with nothing"])
async def test_a_request_comes_back_as_it_was(store: Store, request_: KeptRequest) -> None:
    operation = queued()
    await store.create(operation, request_)
    assert await store.request(operation.id) == request_


async def test_an_operation_need_not_have_one(store: Store) -> None:
    operation = queued()
    await store.create(operation)
    for id_ in (operation.id, "A" * 22, "../../../../etc/passwd-and-some"):
        assert await store.request(id_) is None


@pytest.mark.parametrize(
    "content",
    [
        pytest.param(b"", id="empty"),
        pytest.param(b"x", id="small"),
        pytest.param(LARGE[:65_536], id="64 KiB"),
        pytest.param(LARGE[:65_537], id="one byte more"),
        pytest.param(LARGE, id="several pieces"),
    ],
)
async def test_its_content_comes_back_byte_for_byte(store: Store, content: bytes) -> None:
    operation = queued()
    request = await kept(store, operation, content)
    await store.create(operation, request)
    assert await store.request(operation.id) == request
    assert await content_of(store, operation.id) == content
    assert await store.usage() == Usage(1, 0, 0, len(content))


@pytest.mark.parametrize("content", [b"small", LARGE], ids=["small", "large"])
async def test_it_stays_while_its_operation_waits_runs_and_is_taken_over(store: Store, content: bytes) -> None:
    operation = queued()
    await store.create(operation, await kept(store, operation, content))
    started = operation.started(overdue=77.5)
    assert await store.start(started)
    assert await store.take_over(started, started.returned("somebody-else"))
    await store.expire(1e12)
    assert await content_of(store, operation.id) == content
    assert (await store.usage()).bytes == len(content)


@pytest.mark.parametrize("content", [b"small", LARGE], ids=["small", "large"])
@pytest.mark.parametrize(
    "end",
    [
        pytest.param(lambda operation: operation.dismissed(2000.0), id="settled while it waits"),
        pytest.param(lambda operation: operation.started(1.0).dismissed(2000.0), id="settled while it runs"),
        pytest.param(None, id="removed"),
    ],
)
async def test_it_goes_with_the_end_of_its_operation(
    store: Store, content: bytes, end: Callable[[Operation], Operation] | None
) -> None:
    operation = queued()
    await store.create(operation, await kept(store, operation, content))
    request = await store.request(operation.id)
    assert await (store.remove(operation.id) if end is None else store.settle(end(operation)))
    assert await store.request(operation.id) is None
    assert (await store.usage()).bytes == 0
    assert request is not None


async def test_request_and_result_of_an_operation_are_apart(store: Store) -> None:
    operation = running()
    await store.create(operation, await kept(store, operation, LARGE))
    body = await stored(store, operation, LARGE[:100_000])
    assert await content_of(store, operation.id) == LARGE
    assert await store.settle(operation.completed(HEAD, body, 2000.0))
    assert (await store.usage()).bytes == 100_000


async def test_one_whose_settling_failed_stays(store: Store) -> None:
    operation = queued()
    await store.create(operation, REQUEST)
    assert not await store.settle(replace(operation, keeper="somebody-else").dismissed(2000.0))
    assert await store.request(operation.id) == REQUEST


# Size


async def test_what_is_kept_fills_the_store(open_sized: Open) -> None:
    async with open_sized(5) as store:
        operation = queued()
        await store.create(operation, await kept(store, operation, b"12345"))
        with pytest.raises(StoreUnavailable, match="full"):
            await store.create(queued())
        assert await store.settle(operation.dismissed(2000.0))
        await store.create(queued())


async def test_no_body_grows_beyond_the_store(open_sized: Open) -> None:
    async with open_sized(5 * MIB) as store:
        one, two = running(), running()
        await store.create(one)
        await store.create(two)
        await stored(store, one, bytes(3 * MIB))
        with pytest.raises(StoreUnavailable, match="full"):
            await stored(store, two, bytes(4 * MIB))
        assert (await store.usage()).bytes <= 5 * MIB
        assert await store.settle(one.dismissed(2000.0))
        assert (await stored(store, two, bytes(4 * MIB))).size == 4 * MIB


async def test_no_request_grows_beyond_the_store(open_sized: Open) -> None:
    async with open_sized(2 * MIB) as store:
        operation = queued()
        with pytest.raises(StoreUnavailable, match="full"):
            await kept(store, operation, bytes(4 * MIB))
        await store.create(operation, await kept(store, operation, bytes(2 * MIB - 1)))
        assert (await store.usage()).bytes == 2 * MIB - 1


async def test_a_settled_result_is_kept_even_if_it_fills_the_store(open_sized: Open) -> None:
    async with open_sized(MIB // 2) as store:
        operation = running()
        await store.create(operation)
        body = await stored(store, operation, LARGE)
        assert await store.settle(operation.completed(HEAD, body, 2000.0))
        assert (await store.usage()).bytes == len(LARGE)


# Cancellation


async def test_a_life_in_line_cut_short_anywhere_leaves_the_store_sound(store: Store) -> None:
    async def life(operation: Operation) -> None:
        await store.create(operation, await kept(store, operation, LARGE))
        started = operation.started(overdue=77.5)
        await store.start(started)
        await content_of(store, operation.id)
        returned = started.returned(KEEPER)
        await store.take_over(started, returned)
        again = returned.started(overdue=88.5)
        await store.start(again)
        await store.settle(again.completed(HEAD, await written(store.sink(operation.id), LARGE), 2000.0))

    suspension, cut_short = 0, True
    while cut_short:
        suspension += 1
        operation = queued()
        cut_short = await cancelled_at(life(operation), suspension)
        await store.remove("A" * 22)  # what had begun is then done: writes are in order
        left = await store.settled(operation.id, timeout=0)
        if left is not None and not left.is_settled:
            assert await content_of(store, operation.id) == LARGE
        else:
            assert await store.request(operation.id) is None
        if not cut_short:
            assert left is not None
            assert left.state is State.COMPLETED
        await store.remove(operation.id)
    assert await store.usage() == NOTHING
