"""Steady traffic, as many requests a second, unless too many are under way: nobody may notice a reload or a replacement.

Half of the requests come on connections of their own, half on connections that are kept; a kept one that the service
has closed is not used again. Whatever is refused, reset or answered wrongly is counted.
"""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from random import Random
from typing import Final

from tests.faults.ledger import Ledger, Promise
from tests.faults.load import LATER
from tests.faults.work import Work
from tests.process.child import path_of
from tests.raw_client import Field, RawClient, Response, request

RATE: Final = 200  # requests a second
MOST: Final = 100  # under way: twice as many as at that rate; more is a machine that is too slow for it
DELAYS: Final = (0.0, 0.0, 0.02, 0.1, 1.0)  # seconds
SIZES: Final = (0, 100, 1000, 100_000)


class Traffic:
    """Requests at this port."""

    def __init__(self, port: int, ledger: Ledger, numbers: Iterator[int], random: Random) -> None:
        self._port = port
        self._ledger = ledger
        self._numbers = numbers
        self._random = random
        self._kept: list[RawClient] = []
        self._under_way = 0
        self._stopping = False

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Meanwhile, there is traffic; what is under way at the end is finished."""
        async with AsyncExitStack() as self._stack, asyncio.TaskGroup() as tasks:
            tasks.create_task(self._send_steadily(tasks))
            try:
                yield
            finally:
                self._stopping = True

    async def _send_steadily(self, tasks: asyncio.TaskGroup) -> None:
        loop = asyncio.get_running_loop()
        begun, sent = loop.time(), 0
        while not self._stopping:
            due = int((loop.time() - begun) * RATE)
            for _ in range(min(due - sent, MOST - self._under_way)):
                self._under_way += 1
                tasks.create_task(self._request())
            sent = due
            await asyncio.sleep(0.005)

    async def _request(self) -> None:
        work = Work(
            next(self._numbers),
            self._random.choice(("GET", "POST")),
            self._random.choice(SIZES),
            self._random.choice(DELAYS),
            self._random.choice(("length", "chunked")),
        )
        self._ledger.sent[work.number] = work
        try:
            await self._send(work)
        except ConnectionRefusedError:
            self._ledger.counts.refused_by_reload += 1
        except ConnectionError:
            self._ledger.counts.reset_by_reload += 1
        finally:
            self._under_way -= 1

    async def _send(self, work: Work) -> None:
        if self._random.random() < 0.5:
            async with RawClient(port=self._port, limit=20) as client:
                await self._exchange(client, work)
            return
        client = await self._kept_client()
        response = await self._exchange(client, work)
        if response.complete and response.field(b"connection") != b"close":
            self._kept.append(client)

    async def _kept_client(self) -> RawClient:
        """One that was used before and is still open, or a new one."""
        while self._kept:
            if (client := self._kept.pop()).wire.end is None:
                return client
        return await self._stack.enter_async_context(RawClient(port=self._port, limit=20))

    async def _exchange(self, client: RawClient, work: Work) -> Response:
        fields: list[Field] = [LATER] if self._random.random() < 0.3 else []
        await client.send(request(work.method, work.target, fields, work.content))
        response = await client.response(work.method)
        if not response.complete:
            raise ConnectionResetError(response.fault)
        if response.status == 202:
            self._ledger.promised(Promise(work, path_of(response)))
        elif (response.status, response.size, response.sha256) == (200, *work.answer):
            self._ledger.counts.answered += 1
        else:
            self._ledger.counts.failed_by_reload += 1
        return response
