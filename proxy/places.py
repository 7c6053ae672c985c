"""A worker's end of the way to the broker of places: its pools, by the origin that they are for."""

import asyncio
from collections.abc import Callable, Iterable
from functools import partial
from typing import Self

from proxy.broker import Broker, Message, Reply
from proxy.pool import Pool, Send


class Places:
    """See the module."""

    def __init__(self, send: Send) -> None:
        """What is sent must come to the broker in this order, and its answers to `receive`."""
        self._send = send
        self._pools: dict[str, Pool] = {}

    @classmethod
    def alone(cls) -> Self:
        """With a broker of its own, where there is no other process to share origins with."""
        broker = Broker()
        places = cls(lambda message: places._deliver(broker.receive(1, message)))
        return places

    def pool(self, origin: str, limit: int, keep_idle: float, clock: Callable[[], float]) -> Pool:
        """The pool for an origin, named as all workers name it."""
        pool = self._pools[origin] = Pool(origin, limit, keep_idle, clock, self._send)
        return pool

    def receive(self, message: Message) -> None:
        """Take a message of the broker's."""
        self._pools[message["origin"]].receive(message)

    def _deliver(self, replies: Iterable[Reply]) -> None:
        for _, message in replies:
            asyncio.get_running_loop().call_soon(partial(self.receive, message))
