"""Clients that ask for all sorts of work, now and later, poll, fetch and delete, while the service dies under them.

What they were promised is in the ledger. They are bounded: a fixed number of clients, a limit of operations, and they
end when they are told to.
"""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from random import Random
from typing import Final

from tests.faults.ledger import Ledger, Promise
from tests.faults.status_url import judge
from tests.faults.work import Work
from tests.process.child import path_of
from tests.raw_client import Field, RawClient, Response, request

CLIENTS: Final = 12
LONGEST_THOUGHT: Final = 0.02  # seconds between two requests of a client
PER_CONNECTION: Final = 5  # requests
LATER: Final[Field] = (b"Prefer", b"respond-async, wait=0")
SOON: Final[Field] = (b"Prefer", b"respond-async, wait=1")
GONE_AWAY: Final = 0.05  # seconds until a client tries again whom nobody answered


class Load:
    """So many clients at this port."""

    def __init__(self, port: int, ledger: Ledger, numbers: Iterator[int], random: Random, most: int = 120) -> None:
        self._port = port
        self._ledger = ledger
        self._numbers = numbers
        self._random = random
        self._most = most  # operations in this load
        self._own: list[Promise] = []
        self._stopping = False
        self._changed = asyncio.Event()

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Meanwhile, there is load; what is under way at the end is finished."""
        async with asyncio.TaskGroup() as tasks:
            for _ in range(CLIENTS):
                tasks.create_task(self._client())
            try:
                yield
            finally:
                self._stopping = True

    async def accepted(self, number: int) -> None:
        """Wait until so many of its requests got a 202."""
        async with asyncio.timeout(20):
            while len(self._own) < number:
                self._changed.clear()
                await self._changed.wait()

    async def _client(self) -> None:
        while not self._stopping:
            try:
                await self._visit()
            except ConnectionRefusedError:
                self._ledger.counts.refused += 1
                await asyncio.sleep(GONE_AWAY)
            except ConnectionError:
                self._ledger.counts.reset += 1
                await asyncio.sleep(GONE_AWAY)

    async def _visit(self) -> None:
        """A few requests on one connection."""
        async with RawClient(port=self._port, limit=15) as client:
            for _ in range(PER_CONNECTION):
                response = await self._do_something(client)
                if not response.complete:
                    raise ConnectionResetError(response.fault)
                if response.field(b"connection") == b"close":
                    break
                await asyncio.sleep(self._random.uniform(0, LONGEST_THOUGHT))

    async def _do_something(self, client: RawClient) -> Response:
        dice = self._random.random()
        if dice < 0.15 and self._own:
            return await self._poll(client, self._random.choice(self._own))
        if dice < 0.25 and self._own:
            return await self._delete(client, self._random.choice(self._own))
        return await self._order(client, Work.any(next(self._numbers), self._random))

    async def _order(self, client: RawClient, work: Work) -> Response:
        """Have something done: mostly later, sometimes now."""
        fields: list[Field] = []
        if len(self._own) < self._most and self._random.random() < 0.9:
            fields = [self._random.choice((LATER, LATER, SOON))]
        self._ledger.sent[work.number] = work
        await client.send(request(work.method, work.target, fields, work.content))
        response = await client.begin(work.method)
        if response.status == 202:  # what counts is that it was sent, not that all of it came
            self._promised(work, response)
        await response.finish()
        if response.status == 200 and response.complete:
            self._ledger.counts.answered += 1
            self._ledger.counts.truncated_as_whole += (response.size, response.sha256) != work.answer
        return response

    def _promised(self, work: Work, response: Response) -> None:
        promise = Promise(work, path_of(response))
        self._ledger.promised(promise)
        self._own.append(promise)
        self._changed.set()

    async def _poll(self, client: RawClient, promise: Promise) -> Response:
        was_deleted = promise.deleted  # another client may do it meanwhile
        await client.send(request("GET", promise.path))
        response = await client.response()
        self._ledger.note(promise, judge(response, promise.work), was_deleted=was_deleted)
        return response

    async def _delete(self, client: RawClient, promise: Promise) -> Response:
        promise.deletions += 1
        response = await client.exchange("DELETE", promise.path)
        promise.deleted = promise.deleted or response.status == 200
        if promise.deletions == 1 and response.status == 404:  # of two at once either may be the first
            self._ledger.lose(promise, "DELETE found none")
        return response
