"""What operators see, as it changes: server-sent events, one writer for each page that is open.

A writer looks once a second, and sends a view only if anything in it has changed but the time. So what a page costs does
not depend on how much goes on, and nothing is done where none is open.
"""

import asyncio
import json
from collections.abc import AsyncGenerator, Iterable, Iterator
from contextlib import contextmanager, suppress
from typing import Final

from proxy.operators.desk import Desk
from proxy.operators.filters import Asked, asked
from proxy.operators.hour import STEP
from proxy.operators.refusal import Refusal
from proxy.operators.report import Question
from proxy.operators.shown import Json
from proxy.operators.survey import Survey, origins

TICK: Final = 1.0  # seconds
MOST: Final = 32  # streams in one process
AGAIN: Final = 1000  # milliseconds after which a browser comes back when a stream has ended
QUESTION: Final = Question(("requests", "servers"))
AGING: Final = ("age", "waited", "left")  # what changes with time alone


class Feed:
    """All streams of events of this process. What is read for them raises StoreUnavailable and Refusal."""

    def __init__(self, desk: Desk, survey: Survey) -> None:
        self._desk = desk
        self._survey = survey
        self._open = 0
        self._ended = asyncio.Event()

    def end(self) -> None:
        """End all streams, so that browsers ask again whoever answers then."""
        self._ended.set()
        self._ended = asyncio.Event()

    async def events(self, query: Iterable[tuple[str, str]]) -> AsyncGenerator[bytes, None]:
        """One stream for the operations that the query asks for; the first piece when there is something to show."""
        query, ended = list(query), self._ended
        with self._place():
            seen, look_again = None, 0.0
            pieces = [b"retry: %d\n\n" % AGAIN]
            while not ended.is_set():
                view = await self._view(asked(query, self._desk.now()))
                if (steady := _without_time(view)) != seen:
                    seen = steady
                    pieces.append(_event(b"view", json.dumps(view).encode()))
                if (now := asyncio.get_running_loop().time()) >= look_again:
                    look_again = now + STEP
                    pieces.append(_event(b"routes", await self._survey.routes()))
                if pieces:
                    yield b"".join(pieces)
                    pieces = []
                with suppress(TimeoutError):
                    async with asyncio.timeout(TICK):
                        await ended.wait()

    @contextmanager
    def _place(self) -> Iterator[None]:
        if self._open >= MOST:
            raise Refusal(503, f"As many pages follow this process as may: {MOST}. Close one.", {"Retry-After": "5"})
        self._open += 1
        try:
            yield
        finally:
            self._open -= 1

    async def _view(self, page: Asked) -> Json:
        answer = await self._survey.ask(QUESTION)
        return {
            "operations": await self._desk.page(page),
            "settled": await self._desk.last_settled(page.wanted.routes),
            "store": await self._survey.store(),
            "origins": origins(answer.report.get("servers", [])),
            "service": self._survey.service_by(answer),
            "requests": answer.report.get("requests", []),
        }


def _event(name: bytes, data: bytes) -> bytes:
    return b"event: %b\ndata: %b\n\n" % (name, data)


def _without_time(view: Json) -> Json:
    """The view without what changes as time goes by."""
    listed = view["operations"]
    steady = [{key: value for key, value in one.items() if key not in AGING} for one in listed["operations"]]
    listed = {**listed, "operations": steady, "time": None}
    return {**view, "operations": listed, "settled": [one["id"] for one in view["settled"]]}
