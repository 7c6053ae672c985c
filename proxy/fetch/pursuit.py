"""The way from a status URL to the outcome: long polls, pauses, redirects, and patience with a monitor in trouble."""

import asyncio
from collections.abc import Iterator
from functools import partial
from itertools import chain, repeat
from typing import Final, NamedTuple, assert_never

import aiohttp
from yarl import URL

from proxy.clock import Clock
from proxy.fetch.asking import HOPELESS, TROUBLE, Asker, ended_by
from proxy.fetch.ending import TOO_MANY_REDIRECTS, Ended
from proxy.fetch.following import Answer, Arrived, Look, Monitor, Step, Stumbled, Wait, next_step
from proxy.fetch.order import Order
from proxy.fetch.progress import Display, told_by_server
from proxy.fetch.terms import Terms

GRACE: Final = 30.0  # seconds beyond the wait of a poll until that counts as lost
HELD: Final = 3.0  # seconds; a poll that took longer was held, and Retry-After is for those that are not
SHORTEST_PAUSE: Final = 0.5  # seconds from one poll to the next, whatever a server says
MOST_REDIRECTS: Final = 10
LARGEST_DOCUMENT: Final = 1 << 20  # bytes; of what a monitor says only the beginning counts


class Outcome(NamedTuple):
    """The answer that is the outcome."""

    url: URL  # where it was found
    response: aiohttp.ClientResponse
    status: int  # that it tells of


class Pursuit:
    """Follows an operation."""

    def __init__(self, asker: Asker, order: Order, terms: Terms, progress: Display) -> None:
        self._asker = asker
        self._order = order
        self._terms = terms
        self._progress = progress
        self._clock = Clock()

    async def outcome(self, monitor: Monitor) -> Outcome:
        """Ask there, and wherever that leads, until there is one. Raises Ended."""
        redirects, unasked = 0, unhurried()
        while True:
            asked = self._clock.monotonic()
            response, step = await self._asked(monitor)
            match step:
                case Arrived(status):
                    return Outcome(monitor.url, response, status)
                case Look(url):
                    response.release()
                    redirects += 1
                    monitor = Monitor(url)
                case Wait(monitor, pause):
                    response.release()
                    self._tell_of(response)
                    pause = next(unasked) if pause is None else max(pause, SHORTEST_PAUSE)
                    took = self._clock.monotonic() - asked
                    if took < min(HELD, self._terms.poll):
                        await asyncio.sleep(pause - took)
                case never:
                    assert_never(never)
            if redirects > MOST_REDIRECTS:
                raise Ended(TOO_MANY_REDIRECTS, f"more than {MOST_REDIRECTS} redirects, and no outcome")

    async def _asked(self, monitor: Monitor) -> tuple[aiohttp.ClientResponse, Wait | Look | Arrived]:
        """An answer that says something; while the monitor is in trouble it is asked again, as long as patience lasts."""
        patience = self._terms.patience()
        while True:
            pause = next(patience, None)
            try:
                response, step = await self._poll(monitor)
            except TROUBLE as trouble:
                end = ended_by(trouble, monitor.url)
                if pause is None or isinstance(trouble, HOPELESS):
                    raise end from trouble
                self._progress.tell(partial("{}; asking again".format, end))
            else:
                if not isinstance(step, Stumbled):
                    return response, step
                if pause is None:
                    return response, Arrived(response.status)
                response.close()
                pause = max(pause, step.pause or 0)
            await asyncio.sleep(pause)

    async def _poll(self, monitor: Monitor) -> tuple[aiohttp.ClientResponse, Step]:
        wait = self._terms.poll
        response = await self._asker.ask(self._order, monitor.url, [("Prefer", f"wait={wait}")], silence=wait + GRACE)
        content = await _beginning(response) if monitor.is_document else b""
        return response, next_step(monitor, Answer(response.status, response.headers, content), self._clock.now())

    def _tell_of(self, response: aiohttp.ClientResponse) -> None:
        progress = told_by_server(response.headers.get("X-Progress", ""))
        if progress:
            self._progress.tell(lambda: progress)


def unhurried() -> Iterator[float]:
    """Pauses for a server that does not say when to ask again."""
    return chain((1.0, 1.0, 2.0, 2.0, 5.0), repeat(10.0))


async def _beginning(response: aiohttp.ClientResponse) -> bytes:
    """As much of its content as a document has."""
    content = b""
    try:
        while len(content) < LARGEST_DOCUMENT and (piece := await response.content.readany()):
            content += piece
    except BaseException:
        response.close()
        raise
    return content
