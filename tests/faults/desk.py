"""One client with a few orders: what a fault test asks of the service, with the answer it has to be."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import partial
from itertools import count
from typing import Literal

from tests.faults.counting_origin import CountingOrigin
from tests.faults.ledger import Promise, Seen
from tests.faults.load import LATER
from tests.faults.service import Service
from tests.faults.status_url import look, outcome
from tests.faults.work import Work
from tests.process.child import path_of
from tests.raw_client import Field


@dataclass
class Desk:
    """Where orders are placed and asked for."""

    service: Service
    origin: CountingOrigin
    _numbers: Iterator[int] = field(default_factory=partial(count, 1))

    async def now(self, method: str = "POST", size: int = 1, *fields: Field) -> Work | Promise:
        """Order something: the promise, if it was answered with 202, else the work, answered as it has to be."""
        work = Work(next(self._numbers), method, size)
        response = await self.service.ask(method, work.target, *fields, body=work.content)
        if response.status == 202:
            return Promise(work, path_of(response))
        assert (response.status, response.complete) == (200, True), response.body[:500]
        assert (response.size, response.sha256) == work.answer
        assert response.field(b"preference-applied") is None
        return work

    async def later(self, method: str = "POST", size: int = 1, *, arrives: bool = True) -> Promise:
        """Order something for later, and wait until it has arrived at the origin."""
        promise = await self.now(method, size, LATER)
        assert isinstance(promise, Promise)
        if arrives:
            await self.origin.arrived(promise.work.number)
        return promise

    async def done(self, method: str = "POST", size: int = 1) -> Promise:
        """Something that was ordered for later and is completed."""
        promise = await self.later(method, size)
        assert await self.outcome(promise) is Seen.COMPLETED
        return promise

    async def look(self, promise: Promise) -> Seen:
        return await look(self.service.port, promise)

    async def outcome(self, promise: Promise, seconds: float = 15) -> Seen:
        return await outcome(self.service.port, promise, seconds)

    async def until_told(self, way: Literal["now", "later"], most: int = 2000) -> list[Promise]:
        """Order until that is how it is answered; what was promised on the way, the last one included."""
        promises: list[Promise] = []
        for _ in range(most):
            answer = await self.now("POST", 1, LATER)
            if isinstance(answer, Promise):
                promises.append(answer)
            if isinstance(answer, Promise) == (way == "later"):
                return promises
        raise AssertionError(f"{most} requests, and none was answered {way}")
