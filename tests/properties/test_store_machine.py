"""Whatever is done to a store in whatever order, it agrees with a model of a few lines."""

import asyncio
import contextlib
import shutil
import tempfile
from collections.abc import Coroutine
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar, Literal, TypeVar

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, invariant, rule

from proxy.errors import Busy, Interrupted, StoreUnavailable
from proxy.operation import TRANSITIONS, BodyRef, Failure, Operation, State
from proxy.store import Quotas, Store, Usage, Wanted, open_store
from tests.store.samples import AMPLE, HEAD, KEEPER, MIB, body_of, content_of, kept, running, stored

T = TypeVar("T")
ENDS = st.sampled_from([State.COMPLETED, State.FAILED, State.DISMISSED])
BEGINNINGS = st.sampled_from([State.QUEUED, State.RUNNING])
KEEPERS = st.sampled_from([KEEPER, "dead-one", "dead-two"])
# Bytes, on both sides of what is in a row and what in a file, and of what is counted while it is written.
SIZES = st.sampled_from([0, 1, 65_536, 65_537, 300_000, MIB])


@dataclass
class Known:
    """What the model knows of one operation that is neither removed nor forgotten."""

    operation: Operation
    kept: bytes | None = None  # content of its request
    growth: int = 0  # bytes of a body that broke off
    content: bytes = b""
    buried: bool = False

    @property
    def held(self) -> int:
        """The bytes that it occupies."""
        return len(self.content) * (not self.buried) + len(self.kept or b"") + self.growth


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

    @rule(target=operations, keep=st.sampled_from([0.0, 10.0, 100.0]), state=BEGINNINGS, keeper=KEEPERS, kept=SIZES)
    def create(self, keep: float, state: State, keeper: str, kept: int) -> Operation:
        operation = replace(running(keeper, keep), state=state, created=self.now)
        self.run(self.created(operation, bytes(kept)))
        self.known[operation.id] = Known(operation, bytes(kept))
        return operation

    @rule(most=st.integers(0, 3))
    def create_within_a_quota(self, most: int) -> None:
        another = replace(running(), state=State.QUEUED)
        full = self.count(State.QUEUED) >= most
        with pytest.raises(Busy) if full else contextlib.nullcontext():
            self.run(self.store.create(another, None, Quotas(most, None)))
        if not full:
            assert self.run(self.store.remove(another.id))

    @rule(operation=operations)
    def start(self, operation: Operation) -> None:
        current = self.current(operation)
        if current.state is State.QUEUED:
            self.replace(current.started(overdue=5.0), self.store.start(current.started(overdue=5.0)))
        else:
            waiting = replace(operation, state=State.QUEUED)
            assert not self.run(self.store.start(waiting.started(overdue=5.0)))

    @rule(operation=operations, keeper=KEEPERS)
    def take_over(self, operation: Operation, keeper: str) -> None:
        current = self.current(operation)
        if not current.is_settled:
            self.replace(current.returned(keeper), self.store.take_over(current, current.returned(keeper)))

    @rule(operation=operations, keeper=KEEPERS)
    def take_over_what_has_changed(self, operation: Operation, keeper: str) -> None:
        current = self.current(operation)
        if (current.keeper, current.state) != (operation.keeper, operation.state):
            assert not self.run(self.store.take_over(operation, operation.returned(keeper)))

    @rule(operation=operations, end=ENDS, size=SIZES)
    def settle(self, operation: Operation, end: State, size: int) -> None:
        content = bytes(range(256)) * (size // 256) + bytes(size % 256)
        settled = self.run(self.settled_value(self.unsettled_value(operation, end), end, content))
        expected = self.is_under(settled.keeper, operation)
        assert self.run(self.store.settle(settled)) == expected
        if expected:
            self.note(settled, content)

    @rule(operation=operations, one=ENDS, two=ENDS)
    def settle_twice_at_once(self, operation: Operation, one: State, two: State) -> None:
        values = [self.unsettled_value(operation, end) for end in (one, two)]
        ends = [
            self.run(self.settled_value(value, end, b"twice")) for value, end in zip(values, (one, two), strict=True)
        ]
        expected = self.is_under(values[0].keeper, operation)
        won = self.run(self.together(ends))
        assert sum(won) == expected
        for end, first in zip(ends, won, strict=True):
            if first:
                self.note(end, b"twice")

    @rule(operation=operations, size=SIZES)
    def discard_a_body(self, operation: Operation, size: int) -> None:
        known = self.known.get(operation.id)
        # A keeper writes no more once it has settled.
        if known is not None and known.operation.is_running:
            self.run(self.discarded(operation, bytes(size)))
            if known.operation.keeper == KEEPER and size >= MIB:
                known.growth = size

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

    @rule(operation=operations)
    def read_its_request(self, operation: Operation) -> None:
        known = self.known.get(operation.id)
        if known is None or known.kept is None:
            assert self.run(self.store.request(operation.id)) is None
        else:
            assert self.run(content_of(self.store, operation.id)) == known.kept

    @rule()
    def look_for_orphans(self) -> None:
        unsettled = [one.operation for one in self.known.values() if not one.operation.is_settled]
        orphans = [one for one in unsettled if one.keeper != KEEPER]
        found = self.run(self.store.orphans())
        assert sorted(found, key=by_id) == sorted(orphans, key=by_id)
        assert [one.created for one in found] == sorted(one.created for one in orphans)

    @rule(now=st.sampled_from([4.9, 5.0]))
    def look_for_what_is_overdue(self, now: float) -> None:
        late = [one.operation for one in self.known.values() if one.operation.overdue == 5.0 and now >= 5.0]
        assert sorted(self.run(self.store.overdue(now)), key=by_id) == sorted(late, key=by_id)

    @rule()
    def look_along_the_line(self) -> None:
        line = [one.operation for one in self.known.values() if one.operation.state is State.QUEUED]
        places = {one.id: place for place, one in enumerate(line)}
        assert {one.id: self.run(self.store.queued_before(one)) for one in line} == places
        assert self.run(self.store.places_in_line(self.known)) == places

    @invariant()
    def usage_is_exact(self) -> None:
        kept = [one.operation for one in self.known.values() if one.operation.is_settled and not one.buried]
        failed, dismissed = (sum(one.state is state for one in kept) for state in (State.FAILED, State.DISMISSED))
        held = sum(one.held for one in self.known.values())
        queued, running = self.count(State.QUEUED), self.count(State.RUNNING)
        assert self.run(self.store.usage()) == Usage(queued, running, len(kept), held, failed, dismissed)

    @rule(states=st.frozensets(st.sampled_from(State)), limit=st.integers(1, 3))
    def list_some(self, states: frozenset[State], limit: int) -> None:
        wanted = Wanted(states)
        expected = [
            one.operation.id for one in self.known.values() if not one.buried and wanted.includes(one.operation)
        ]
        page = self.run(self.store.page(wanted, limit))
        found = [one.id for one in page.operations]
        while page.next is not None:
            page = self.run(self.store.page(wanted, limit, page.next))
            found += [one.id for one in page.operations]
        assert found == expected[::-1]

    def count(self, state: State) -> int:
        return sum(one.operation.state is state for one in self.known.values())

    def current(self, operation: Operation) -> Operation:
        """As it is now, or was last known."""
        known = self.known.get(operation.id)
        return operation if known is None else known.operation

    def is_under(self, keeper: str, operation: Operation) -> bool:
        """Whether this keeper may settle it."""
        known = self.known.get(operation.id)
        return known is not None and not known.operation.is_settled and known.operation.keeper == keeper

    def unsettled_value(self, operation: Operation, end: State) -> Operation:
        """What somebody who would settle it so takes it for: what it is, or, if that has no such end, what it was."""
        current = self.current(operation)
        return current if end in TRANSITIONS[current.state] else replace(operation, state=State.RUNNING)

    def replace(self, changed: Operation, change: Coroutine[Any, Any, bool]) -> None:
        """Make a change that works if the operation is there."""
        known = self.known.get(changed.id)
        assert self.run(change) == (known is not None)
        if known is not None:
            known.operation, known.growth = changed, 0

    def note(self, settled: Operation, content: bytes) -> None:
        self.known[settled.id] = Known(settled, content=content if settled.state is State.COMPLETED else b"")

    def check_body(self, found: Operation, known: Known, start: int, stop: int) -> None:
        if known.buried:
            with contextlib.suppress(StoreUnavailable):
                raise AssertionError(self.run(body_of(self.store, found)))
        else:
            assert self.run(body_of(self.store, found)) == known.content
            assert self.run(body_of(self.store, found, start, stop)) == known.content[start:stop]

    async def created(self, operation: Operation, content: bytes) -> None:
        await self.store.create(operation, await kept(self.store, operation, content))

    async def settled_value(self, operation: Operation, end: State, content: bytes) -> Operation:
        if end is State.DISMISSED:
            return operation.dismissed(self.now)
        if end is State.FAILED:
            return operation.failed(Failure.of(Interrupted()), self.now)
        # Only the keeper of an unsettled operation writes a body: the file of a settled one is not to be touched.
        writes = self.is_under(operation.keeper, operation)
        ref = await stored(self.store, operation, content) if writes else BodyRef(0, 0, b"")
        return operation.completed(HEAD, ref, self.now)

    async def together(self, ends: list[Operation]) -> list[bool]:
        return await asyncio.gather(*map(self.store.settle, ends))

    async def discarded(self, operation: Operation, content: bytes) -> None:
        with contextlib.suppress(EOFError):
            async with self.store.sink(operation.id) as sink:
                await sink.write(content)
                raise EOFError


def by_id(operation: Operation) -> str:
    return operation.id


class SqliteMachine(StoreMachine):
    kind = "sqlite"


class MemoryMachine(StoreMachine):
    kind = "memory"


BOUNDED = settings(max_examples=40, stateful_step_count=25, deadline=None)

TestSqlite = SqliteMachine.TestCase
TestSqlite.settings = BOUNDED
TestMemory = MemoryMachine.TestCase
TestMemory.settings = BOUNDED
