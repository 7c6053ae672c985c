"""What comes on a client's connection, as requests that wait for their turn: as many as there is room for.

While too much waits here, requests or their content, nothing more is read.
"""

import asyncio
from collections import deque
from typing import Final

from proxy.client import ClientRequest, Link
from proxy.errors import ProxyError
from proxy.inflow import HIGH_WATER, Inflow
from proxy.message import RequestHead, persists
from proxy.parser import RequestParser

MOST_WAITING: Final = 16  # requests of one connection that wait for their turn, above which nothing more is read
AT_ONCE: Final = 16 * 1024  # bytes that are parsed before it is seen whether there is room for more


class Intake:
    """The requests of one connection, in the order in which they came; errors stand for what never became one."""

    transport: asyncio.Transport  # that is read from

    def __init__(self, link: Link, loop: asyncio.AbstractEventLoop) -> None:
        self._link = link
        self._loop = loop
        self._parser = RequestParser(link.limits.max_fields, self._take, self._read_on)
        self._waiting: deque[ClientRequest | ProxyError] = deque()
        self._arrival: asyncio.Future[None] | None = None  # there while nothing is under way
        self._reading_paused = False
        self._unfed = b""  # what has come and found no room

    # What comes.

    def feed(self, data: bytes) -> None:
        """Take what has come, and read no more if that is too much."""
        if self._unfed or len(data) > AT_ONCE:
            self._unfed += data
            self._feed_on()
        else:
            self._feed(data)
        if self._unfed or self._is_full:
            self._reading_paused = True
            self.transport.pause_reading()

    def put(self, request: ClientRequest | ProxyError) -> None:
        """Have it wait for its turn."""
        self._waiting.append(request)
        if self._arrival is not None and not self._arrival.done():
            self._arrival.set_result(None)

    def fail(self, error: Exception) -> None:
        """Nothing more will come."""
        self._parser.content.fail(error)

    def _feed(self, data: bytes) -> None:
        try:
            self._parser.feed(data)
        except ProxyError as error:
            self.put(error)

    def _feed_on(self) -> None:
        """Take of what has come as much as there is room for: a segment may hold ten thousand requests."""
        while self._unfed and not self._is_full:
            data, self._unfed = self._unfed[:AT_ONCE], self._unfed[AT_ONCE:]
            self._feed(data)

    @property
    def _is_full(self) -> bool:
        """Whether so much waits here for its turn that nothing more is taken."""
        if not self._waiting:
            return self._parser.buffered > HIGH_WATER
        waiting = sum(request.buffered for request in self._waiting if isinstance(request, ClientRequest))
        return len(self._waiting) > MOST_WAITING or waiting > HIGH_WATER

    def _take(self, head: RequestHead, inflow: Inflow) -> None:
        keep_alive = persists(head.fields, head.version) and not self._parser.in_last
        self.put(ClientRequest(head, inflow, self._link, keep_alive=keep_alive))

    def _read_on(self) -> None:
        """Read on once what has come is taken."""
        if self._reading_paused:
            self._feed_on()
            if not (self._unfed or self._is_full):
                self._reading_paused = False
                self.transport.resume_reading()

    # What is taken.

    @property
    def first(self) -> ClientRequest | ProxyError | None:
        """What is next, if something waits."""
        return self._waiting[0] if self._waiting else None

    @property
    def in_head(self) -> bool:
        """Whether a head has begun and not ended."""
        return self._parser.in_head

    @property
    def is_awaited(self) -> bool:
        """Whether somebody waits for a request, and none is about to begin."""
        return self._arrival is not None and not self._arrival.done()

    async def next(self) -> ClientRequest | ProxyError:
        """The next one, as soon as it is there."""
        if not self._waiting:
            self._arrival = self._loop.create_future()
            await self._arrival
        self._arrival = None
        request = self._waiting.popleft()
        self._read_on()
        return request

    def go_on(self) -> None:
        """Take as requests what came behind one for an upgrade, which was not granted."""
        if self._waiting:  # the last of these asks for it
            return
        try:
            self._parser.resume()
        except ProxyError as error:
            self.put(error)

    def release(self) -> bytes:
        """Give out what came behind a request for an upgrade, since the protocol changes. Nothing more is taken here."""
        return self._parser.release() + self._unfed

    def drop(self) -> None:
        """Let go of what has come, and of what comes: nobody will take it."""
        self._parser.release()
        self._waiting.clear()
        self._unfed = b""
        self._parser.content.take()
