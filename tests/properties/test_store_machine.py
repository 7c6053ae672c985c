"""Whatever is done to a store in whatever order, it agrees with a model of a few lines."""

import asyncio
import contextlib
import shutil
import tempfile
from collections.abc import Coroutine
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Literal, TypeVar

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, invariant, rule

from proxy.errors import Interrupted, StoreUnavailable
from proxy.operation import BodyRef, Failure, Operation, State
from proxy.store import Store, Usage, open_store
from tests.store.samples import AMPLE, HEAD, KEEPER, body_of, running, stored

T = TypeVar("T")
ENDS = st.sampled_from([State.COMPLETED, State.FAILED, State.DISMISSED])
SIZES = st.sampled_from([0, 1, 65_536, 65_537, 300_000])  # bytes, on both sides of what is in a row and what in a file


@dataclass
class Known:
    """What the model knows of one operation that is neither removed nor forgotten."""

    operation: Operation
    content: bytes = b""
    buried: bool = False


class StoreMachine(RuleBasedStateMachine):
    """Both are told the same, and have to answer the same."""

    kind: ClassVar[Literal["sqlite", "memory"]]
    operations = Bundle("operations")

    def __init__(self) -> None:
        super().__init__()
        self.folder = Path(tempfile.mkdtemp())
        self.runner = asyncio.Runner()
        self.opened = contextlib.AsyncExitStack()
        self.store: Store = self.run(self.opened.enter_async_context(open_store(self.kind, self.folder, AMPLE, KEEPER)))
        self.known: dict[str, Known] = {}
        self.now = 1000.0

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        return self.runner.run(work)

    def teardown(self) -> None:
        self.run(self.opened.aclose())
        self.runner.close()
        shutil.rmtree(self.folder)

    @rule(target=operations, keep=st.sampled_from([0.0, 10.0, 100.0]))
    def create(self, keep: float) -> Operation:
        operation = running(keep=keep)
        self.run(self.store.create(operation))
        self.known[operation.id] = Known(operation)
        return operation

    @rule(operation=operations, end=ENDS, size=SIZES)
    def settle(self, operation: Operation, end: State, size: int) -> None:
        content = bytes(range(256)) * (size // 256) + bytes(size % 256)
        settled = self.run(self.settled_value(operation, end, content))
        expected = self.is_running(operation)
        assert self.run(self.store.settle(settled)) == expected
        if expected:
            self.note(settled, content)

    @rule(operation=operations, one=ENDS, two=ENDS)
    def settle_twice_at_once(self, operation: Operation, one: State, two: State) -> None:
        ends = [self.run(self.settled_value(operation, end, b"twice")) for end in (one, two)]
        won = self.run(self.together(ends))
        assert sum(won) == self.is_running(operation)
        for end, first in zip(ends, won, strict=True):
            if first:
                self.note(end, b"twice")

    @rule(operation=operations, size=SIZES)
    def discard_a_body(self, operation: Operation, size: int) -> None:
        if self.is_running(operation):  # a keeper writes no more once it has settled
            self.run(self.discarded(operation, bytes(size)))

    @rule(operation=operations)
    def remove(self, operation: Operation) -> None:
        assert self.run(self.store.remove(operation.id)) == (self.known.pop(operation.id, None) is not None)

    @rule(seconds=st.sampled_from([0.0, 1.0, 10.0, 100.0]))
    def time_passes(self, seconds: float) -> None:
        self.now += seconds

    @rule()
    def expire(self) -> None:
        touched = 0
        for id_, known in list(self.known.items()):
            forgotten = known.operation.forgotten
            if forgotten is not None and forgotten <= self.now:
                del self.known[id_]
                touched += 1
            elif known.operation.has_expired(self.now) and not known.buried:
                known.buried = True
                touched += 1
        assert self.run(self.store.expire(self.now)) == touched

    @rule(operation=operations, bounds=st.tuples(st.integers(0, 300_001), st.integers(0, 300_001)))
    def read(self, operation: Operation, bounds: tuple[int, int]) -> None:
        known = self.known.get(operation.id)
        found = self.run(self.store.get(operation.id))
        if known is None:
            assert found is None
            return
        assert found is not None
        assert (found.state, found.settled_at) == (known.operation.state, known.operation.settled_at)
        if found.state is State.COMPLETED:
            self.check_body(found, known, *sorted(bounds))

    @rule(operation=operations)
    def look_without_waiting(self, operation: Operation) -> None:
        assert self.run(self.store.settled(operation.id, timeout=0)) == self.run(self.store.get(operation.id))

    @invariant()
    def usage_is_exact(self) -> None:
        known = self.known.values()
        settled = [one for one in known if not one.operation.is_running and not one.buried]
        size = sum(len(one.content) for one in settled if one.operation.state is State.COMPLETED)
        running_now = sum(one.operation.is_running for one in known)
        assert self.run(self.store.usage()) == Usage(running_now, len(settled), size)

    def is_running(self, operation: Operation) -> bool:
        known = self.known.get(operation.id)
        return known is not None and known.operation.is_running

    def note(self, settled: Operation, content: bytes) -> None:
        self.known[settled.id] = Known(settled, content)

    def check_body(self, found: Operation, known: Known, start: int, stop: int) -> None:
        if known.buried:
            with contextlib.suppress(StoreUnavailable):
                raise AssertionError(self.run(body_of(self.store, found)))
        else:
            assert self.run(body_of(self.store, found)) == known.content
            assert self.run(body_of(self.store, found, start, stop)) == known.content[start:stop]

    async def settled_value(self, operation: Operation, end: State, content: bytes) -> Operation:
        if end is State.DISMISSED:
            return operation.dismissed(self.now)
        if end is State.FAILED:
            return operation.failed(Failure.of(Interrupted()), self.now)
        # Only the keeper of a running operation writes a body: the file of a settled one is not to be touched.
        ref = await stored(self.store, operation, content) if self.is_running(operation) else BodyRef(0, 0, b"")
        return operation.completed(HEAD, ref, self.now)

    async def together(self, ends: list[Operation]) -> list[bool]:
        return await asyncio.gather(*map(self.store.settle, ends))

    async def discarded(self, operation: Operation, content: bytes) -> None:
        with contextlib.suppress(EOFError):
            async with self.store.sink(operation.id) as sink:
                await sink.write(content)
                raise EOFError


class SqliteMachine(StoreMachine):
    kind = "sqlite"


class MemoryMachine(StoreMachine):
    kind = "memory"


BOUNDED = settings(max_examples=40, stateful_step_count=25, deadline=None)

TestSqlite = SqliteMachine.TestCase
TestSqlite.settings = BOUNDED
TestMemory = MemoryMachine.TestCase
TestMemory.settings = BOUNDED
