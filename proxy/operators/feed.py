"""What operators see, as it changes: server-sent events, one writer for each page that is open.

A writer looks once a second, and sends a view only if anything in it has changed but the time. Of the routes it tells the
last hour once, in pieces, and then what is new; to who has some of it from another stream, only the rest. So what a page
costs does not depend on how much goes on, and nothing is done where none is open.
"""

import asyncio
import json
import re
from collections.abc import AsyncGenerator, AsyncIterator, Iterable, Iterator
from contextlib import contextmanager, suppress
from typing import Final

from proxy.operators.desk import Desk
from proxy.operators.filters import KEYS, Asked, asked, single
from proxy.operators.hour import STEP
from proxy.operators.refusal import Refusal
from proxy.operators.report import Question
from proxy.operators.shown import Json
from proxy.operators.survey import Survey, moments_text, origins

TICK: Final = 1.0  # seconds
MOST: Final = 32  # streams in one process
AGAIN: Final = b"retry: 1000\n\n"  # milliseconds after which a browser comes back when a stream has ended
QUESTION: Final = Question(("requests", "servers"))
AFTER: Final = "after"  # what of the last hour is known: so a stream says it, and so the next one is told
KNOWN: Final = re.compile(r"(.+)\.([0-9]{1,18})")
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
        given, ended, clock = single(query, (*KEYS, AFTER)), self._ended, asyncio.get_running_loop().time
        hour = _LastHour(self._survey, given.pop(AFTER, ""))
        with self._place():
            seen: Json | None = None
            look_again = 0.0
            while not ended.is_set():
                view = await self._view(asked(given.items(), self._desk.now()))
                if (steady := _without_time(view)) != seen:
                    yield (AGAIN if seen is None else b"") + _event("view", json.dumps(view))
                    seen = steady
                if clock() >= look_again:
                    look_again = clock() + STEP
                    async for event in hour.events(view["service"]["since"]):
                        yield event
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


class _LastHour:
    """The last hour, as far as it is known to who follows one stream."""

    def __init__(self, survey: Survey, known: str) -> None:
        """`known` is what another stream said, and is believed where it was of this hour."""
        self._survey = survey
        self._known = known

    async def events(self, since: str) -> AsyncIterator[bytes]:
        """What there is to tell: the moments after those that are known; with the routes, where nothing is.

        There is always something, if only that nothing has happened: who hears nothing takes the stream for dead.
        """
        name = self._survey.name_of_hour(since)
        number = self._number(name)
        if number is None:
            number = 0
            yield _event("routes", self._survey.routes)
        async for moments in self._survey.moments(number):
            number = moments[-1].number if moments else number
            self._known = f"{name}.{number}"
            yield _event("moments", f'{{"moments": [{moments_text(moments)}], "{AFTER}": "{self._known}"}}')

    def _number(self, name: str) -> int | None:
        """Up to which moment the hour of this name is known; None: it is another one that is, or none."""
        known = KNOWN.fullmatch(self._known)
        return int(known[2]) if known is not None and known[1] == name else None


def _event(name: str, json: str) -> bytes:
    return f"event: {name}\ndata: {json}\n\n".encode()


def _without_time(view: Json) -> Json:
    """The view without what changes as time goes by."""
    listed = view["operations"]
    steady = [{key: value for key, value in one.items() if key not in AGING} for one in listed["operations"]]
    listed = {**listed, "operations": steady, "time": None}
    return {**view, "operations": listed, "settled": [one["id"] for one in view["settled"]]}
