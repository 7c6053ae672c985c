"""Clients that keep asking, as those of a busy service do: some on connections that they keep, some on new ones.

    async with Load(lambda: RawClient(port=port)) as load:
        await load.answered(100)
        ...
        await load.answered(100)    # 100 more

`end`, or leaving, ends them, each after its answer, and fails with every request that was not answered with 200.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TYPE_CHECKING, Final, Self

from tests.raw_client import RawClient, Signal

if TYPE_CHECKING:
    from types import TracebackType

PAUSE: Final = 0.02  # seconds between two requests of a client: ten of them make up to 500 a second
LIMIT: Final = 20.0  # seconds for one wait

Connect = Callable[[], RawClient]


class Load:
    """Ten clients, half of which keep their connection."""

    def __init__(self, connect: Connect, clients: int = 10) -> None:
        self.count = 0  # of good answers
        self.failures: list[BaseException] = []
        self._connect = connect
        self._clients = clients
        self._ending = False
        self._changed = Signal()

    async def answered(self, more: int) -> None:
        """Wait until so many more requests have been answered, or one has failed."""
        goal = self.count + more
        await self._changed.until(
            lambda: self.count >= goal or bool(self.failures), LIMIT, f"{more} answers", lambda: str(self.count)
        )
        assert not self.failures, self.failures

    async def end(self) -> None:
        self._ending = True
        await asyncio.gather(*self._tasks)
        assert not self.failures, self.failures

    async def __aenter__(self) -> Self:
        asking = [self._keep_asking(keep=number % 2 == 0) for number in range(self._clients)]
        self._tasks = [asyncio.create_task(one) for one in asking]
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is None:
            await self.end()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _keep_asking(self, *, keep: bool) -> None:
        while not self._ending:
            try:
                async with self._connect() as client:
                    while await self._ask(client) and keep and not self._ending:  # noqa: ASYNC110  # a pause is no wait
                        await asyncio.sleep(PAUSE)
            except (OSError, AssertionError, TimeoutError) as exc:
                self.failures.append(exc)
                self._changed.notify()
                return
            await asyncio.sleep(PAUSE)

    async def _ask(self, client: RawClient) -> bool:
        """Whether the connection may be used again."""
        response = await client.exchange("GET", b"/load")
        assert response.status == 200, (response.status, response.body)
        assert response.complete
        self.count += 1
        self._changed.notify()
        return response.field(b"connection") != b"close"
