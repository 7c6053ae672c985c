"""A proxy whose clock, store and ids a test holds in its hands, and the questions that tests of operations ask of it."""

import asyncio
import json
from collections import Counter
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterable
from contextlib import AbstractAsyncContextManager, AbstractContextManager, AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import Any, Literal
from urllib.parse import urlsplit

import pytest

from proxy.clock import Clock
from proxy.config import Config
from proxy.errors import StoreUnavailable
from proxy.listeners import open_doors
from proxy.operation import BodyRef, KeptRequest, Operation, Progress, State
from proxy.operators.whole import Alone
from proxy.origin import Origins
from proxy.places import Places
from proxy.server import Service
from proxy.store import UNKNOWN, UNLIMITED, UNSETTLED, Page, Quotas, Sink, Store, Usage, Wanted, open_store
from tests.raw_client import Field, RawClient, Response, request

Call = Literal[
    "create",
    "get",
    "start",
    "take_over",
    "settle",
    "settled",
    "sink",
    "write",
    "complete",
    "body",
    "remove",
    "orphans",
    "learn",
]

AT_ONCE: Field = (b"Prefer", b"respond-async, wait=0")
LONG_POLL: Field = (b"Prefer", b"wait=30")

both_stores = pytest.mark.parametrize("kind", ["memory", "sqlite"])


class TestClock(Clock):
    """Clocks that a test sets forward."""

    __test__ = False

    def __init__(self) -> None:
        super().__init__()
        self.ahead = 0.0  # seconds of the wall clock
        self.on = 0.0  # seconds of the monotonic one

    def now(self) -> float:
        return super().now() + self.ahead

    def monotonic(self) -> float:
        return super().monotonic() + self.on


class Flaky:
    """A store that refuses calls, or holds them up, as a test tells it to."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._failures: Counter[Call] = Counter()
        self._gates: dict[Call, asyncio.Event] = {}
        self.calls: Counter[Call] = Counter()
        self.created: list[str] = []  # ids

    def fail(self, on: Call, times: int = 1) -> None:
        """Refuse the next so many calls."""
        self._failures[on] = times

    def hold(self, on: Call) -> asyncio.Event:
        """Keep calls waiting until the event is set."""
        return self._gates.setdefault(on, asyncio.Event())

    async def create(
        self, operation: Operation, request: KeptRequest | None = None, quotas: Quotas = UNLIMITED
    ) -> None:
        await self._pass("create")
        await self._store.create(operation, request, quotas)
        self.created.append(operation.id)

    async def get(self, id_: str) -> Operation | None:
        await self._pass("get")
        return await self._store.get(id_)

    async def request(self, id_: str) -> KeptRequest | None:
        return await self._store.request(id_)

    async def start(self, operation: Operation) -> bool:
        await self._pass("start")
        return await self._store.start(operation)

    async def take_over(self, orphan: Operation, operation: Operation) -> bool:
        await self._pass("take_over")
        return await self._store.take_over(orphan, operation)

    async def settle(self, operation: Operation, states: frozenset[State] = UNSETTLED) -> bool:
        await self._pass("settle")
        return await self._store.settle(operation, states)

    async def settled(self, id_: str, timeout: float | None = None) -> Operation | None:
        await self._pass("settled")
        return await self._store.settled(id_, timeout)

    @asynccontextmanager
    async def sink(self, id_: str, coming: Progress = UNKNOWN) -> AsyncIterator[Sink]:
        await self._pass("sink")
        async with self._store.sink(id_, coming) as sink:
            yield _FlakySink(sink, self._pass)
            await self._pass("complete")

    def when_settled(self, id_: str, call: Callable[[], object]) -> AbstractContextManager[None]:
        return self._store.when_settled(id_, call)

    def wake(self, id_: str) -> None:
        self._store.wake(id_)

    def request_sink(self, id_: str) -> AbstractAsyncContextManager[Sink]:
        return self._store.request_sink(id_)

    def request_body(self, id_: str, ref: BodyRef) -> AsyncGenerator[bytes, None]:
        return self._store.request_body(id_, ref)

    async def body(self, operation: Operation, start: int = 0, stop: int | None = None) -> AsyncGenerator[bytes, None]:
        await self._pass("body")
        async for piece in self._store.body(operation, start, stop):
            yield piece

    async def remove(self, id_: str) -> bool:
        await self._pass("remove")
        return await self._store.remove(id_)

    def taking_over(self) -> AbstractAsyncContextManager[bool]:
        return self._store.taking_over()

    async def orphans(self) -> list[Operation]:
        await self._pass("orphans")
        return await self._store.orphans()

    async def overdue(self, now: float) -> list[Operation]:
        return await self._store.overdue(now)

    async def page(self, wanted: Wanted, limit: int, before: int | None = None) -> Page:
        return await self._store.page(wanted, limit, before)

    async def last_settled(self, routes: frozenset[str], limit: int) -> list[Operation]:
        return await self._store.last_settled(routes, limit)

    async def beginning(self, prefix: str) -> list[Operation]:
        return await self._store.beginning(prefix)

    async def queued_before(self, operation: Operation) -> int:
        return await self._store.queued_before(operation)

    async def places_in_line(self, ids: Iterable[str]) -> dict[str, int]:
        return await self._store.places_in_line(ids)

    async def unsettled_of(self, client: str) -> int:
        return await self._store.unsettled_of(client)

    async def expire(self, now: float) -> int:
        return await self._store.expire(now)

    async def learned(self) -> dict[str, bytes]:
        return await self._store.learned()

    async def learn(self, route: str, before: bytes | None, after: bytes) -> bool:
        await self._pass("learn")
        return await self._store.learn(route, before, after)

    async def usage(self) -> Usage:
        return await self._store.usage()

    async def _pass(self, call: Call) -> None:
        self.calls[call] += 1
        if gate := self._gates.get(call):
            await gate.wait()
        if self._failures[call] > 0:
            self._failures[call] -= 1
            raise StoreUnavailable("The store is in trouble.")


class _FlakySink:
    def __init__(self, sink: Sink, may: Callable[[Call], Any]) -> None:
        self._sink = sink
        self._may = may

    async def write(self, piece: bytes) -> None:
        await self._may("write")
        await self._sink.write(piece)

    @property
    def ref(self) -> Any:  # noqa: ANN401  # a BodyRef, whatever that is
        return self._sink.ref


@dataclass
class House:
    """A running proxy."""

    service: Service
    store: Flaky
    clock: TestClock
    origins: Origins
    _stack: AsyncExitStack

    async def close(self) -> None:
        """End it as a process ends: whatever it still had to do is left."""
        await self._stack.aclose()

    @property
    def port(self) -> int:
        return self.service.listeners[0].address.port

    @property
    def running(self) -> int:
        """Operations that the keeper carries."""
        return self.service._keeper.running

    @property
    def has_work(self) -> bool:
        """Whether the keeper owns any exchange."""
        return bool(self.service._keeper._tasks)

    @property
    def in_use(self) -> int:
        """Connections to the origin that an exchange has."""
        return len(self.origins["legacy"]._used)

    @property
    def waiting(self) -> int:
        """Exchanges that wait for their turn at the origin."""
        return self.origins["legacy"].figures.waiting

    async def client(self) -> RawClient:
        """A new connection, closed at the end of the test."""
        return await self._stack.enter_async_context(RawClient(port=self.port, limit=10))

    async def ask(
        self,
        method: str,
        target: bytes,
        *fields: Field,
        body: bytes | None = None,
        keep: bool = True,
    ) -> Response:
        """One request on a connection of its own."""
        async with RawClient(port=self.port, limit=10) as client:
            await client.send(request(method, target, fields, body))
            return await client.response(method, keep=keep)

    async def accepted(
        self, method: str = "POST", target: bytes = b"/slow", *fields: Field, body: bytes | None = None
    ) -> bytes:
        """The path of the status URL of a new operation."""
        response = await self.ask(method, target, AT_ONCE, *fields, body=body)
        assert response.status == 202, response.body
        return status_path(response)

    async def outcome(self, path: bytes, *fields: Field, keep: bool = True) -> Response:
        """What the status URL says when the operation has left `running`."""
        return await self.ask("GET", path, LONG_POLL, *fields, keep=keep)

    async def quiet(self) -> None:
        """Wait until the keeper has nothing more to do."""
        await eventually(lambda: not self.has_work)

    async def operation(self, path: bytes) -> Operation | None:
        """The operation as it is stored."""
        return await self.store._store.get(id_of(path))


@asynccontextmanager
async def open_house(config: Config, keeper_id: str) -> AsyncIterator[House]:
    """The composition of `proxy.server.serving`, with a flaky store and a clock that can be set, and no reaper's loop."""
    url, clock = config.store.url, TestClock()
    async with AsyncExitStack() as stack:
        store = open_store(url.kind, url.folder, config.store.max_size, keeper_id)
        flaky = Flaky(await stack.enter_async_context(store))
        places = Places.alone()
        origins = await stack.enter_async_context(Origins.opened(config.origins, config.limits.max_fields, places))
        service = Service(config, flaky, origins, keeper_id, clock)
        stack.push_async_callback(service.drain, 0)
        service.listen(open_doors(config), Alone(service.report, clock))
        yield House(service, flaky, clock, origins, stack)


async def eventually(condition: Callable[[], bool]) -> None:
    """Wait until it holds, at most five seconds."""
    async with asyncio.timeout(5):
        while not condition():  # noqa: ASYNC110  # nobody sets an event for what goes on inside the product
            await asyncio.sleep(0.002)


def status_path(response: Response) -> bytes:
    location = response.field(b"location")
    assert location is not None
    return urlsplit(location).path


def id_of(path: bytes) -> str:
    return path.rpartition(b"/")[2].decode()


def document(response: Response) -> dict[str, Any]:
    decoded: dict[str, Any] = json.loads(response.body)
    return decoded


def names(response: Response) -> list[bytes]:
    """The names of its fields but Date, in the order of the wire and in lower case."""
    return [name.lower() for name, _ in response.fields if name.lower() != b"date"]
