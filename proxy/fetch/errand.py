"""One fetch: the request, the way from its 202 to the outcome, and the outcome's way home."""

import asyncio
import shlex
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path
from ssl import SSLContext
from typing import BinaryIO, Final, TextIO, assert_never

import aiohttp
from yarl import URL

from proxy.clock import Clock
from proxy.fetch.asking import TROUBLE, Asker, asking, ended_by, pauses, unhurried
from proxy.fetch.download import Download
from proxy.fetch.ending import FINE, TOO_LATE, TOO_MANY_REDIRECTS, Ended, code_of
from proxy.fetch.following import Answer, Arrived, Look, Monitor, Step, Stumbled, Wait, monitor_of, next_step
from proxy.fetch.order import Order, same_origin
from proxy.fetch.output import Output, Stream, output_to
from proxy.fetch.progress import Progress, told_by_server

LONG_POLL: Final = 30  # seconds, less than what proxies in between wait for an answer
GRACE: Final = 30.0  # seconds beyond it until a poll counts as lost
GOODBYE: Final = 10.0  # seconds for a DELETE at the end
SHORTEST_PAUSE: Final = 0.5  # seconds from one poll to the next, whatever a server says
MOST_REDIRECTS: Final = 10
GONE: Final = frozenset({404, 410})
LARGEST_DOCUMENT: Final = 1 << 20  # bytes; of what a monitor says only the beginning counts


@dataclass(frozen=True, slots=True)
class Terms:
    """How a fetch goes about it."""

    prefer: str | None = None  # None: the order's own, or none at all
    timeout: float | None = None  # seconds for all of it
    trust: SSLContext | bool = True
    output: Path | None = None  # None: standard output
    include: bool = False  # the head too
    resume: bool = False  # the order's URL is a status URL
    cancel: bool = False  # DELETE the operation when one leaves before its end
    quiet: bool = False
    poll: int = LONG_POLL
    patience: Callable[[], Iterator[float]] = pauses


async def run(order: Order, terms: Terms, stdout: BinaryIO, stderr: TextIO) -> int:
    """The exit code, once everything is written. Raises Ended where there is no outcome, or only part of it."""
    line = stderr.isatty() and not terms.quiet
    with Progress(stderr, line=line, notes=not terms.quiet) as progress:
        async with asking(terms.trust) as asker:
            return await Errand(order, terms, asker, progress, stdout).run()


class Errand:
    """One order, from its request to the exit code."""

    def __init__(self, order: Order, terms: Terms, asker: Asker, progress: Progress, stdout: BinaryIO) -> None:
        self._order = order
        self._terms = terms
        self._asker = asker
        self._progress = progress
        self._stdout = stdout
        self._clock = Clock()
        self._monitor: Monitor | None = None  # of an operation that we know of

    async def run(self) -> int:
        try:
            async with asyncio.timeout(self._terms.timeout):
                return await self._carried_out()
        except TimeoutError as error:
            await self._leave(cancel=self._terms.cancel)
            raise Ended(TOO_LATE, f"no outcome within {self._terms.timeout:g} s") from error
        except asyncio.CancelledError:
            await self._leave(cancel=self._terms.cancel)
            raise
        except Ended:
            await self._leave(cancel=False)
            raise

    async def _carried_out(self) -> int:
        monitor = Monitor(self._order.url)
        if not self._terms.resume:
            first = await self._first()
            promised = monitor_of(self._order.method, self._order.url, Answer(first.status, first.headers))
            if promised is None:
                return await self._bring_home(self._order.url, first, first.status)
            first.release()
            monitor = promised
        self._monitor = monitor
        self._tell_of_the_promise(monitor)
        return await self._bring_home(*await self._outcome(monitor))

    async def _first(self) -> aiohttp.ClientResponse:
        self._progress.tell(lambda: "waiting for an answer")
        try:
            return await self._asker.ask_first(self._order, self._terms.prefer)
        except TROUBLE as trouble:
            raise ended_by(trouble, self._order.url) from trouble

    def _tell_of_the_promise(self, monitor: Monitor) -> None:
        self._progress.tell(lambda: "waiting for the outcome")
        if self._order.has_credentials and not same_origin(self._order.url, monitor.url):
            self._progress.note(f"The status URL is at {monitor.url.host}, which is not given the credentials.")

    async def _outcome(self, monitor: Monitor) -> tuple[URL, aiohttp.ClientResponse, int]:
        """The answer that is the outcome, where it was found, and the status that it tells of."""
        redirects, unasked = 0, unhurried()
        while True:
            asked = self._clock.monotonic()
            response, step = await self._asked(monitor)
            match step:
                case Arrived(status):
                    return monitor.url, response, status
                case Look(url):
                    redirects += 1
                    monitor = Monitor(url)
                case Wait(monitor, pause):
                    self._tell_of(response)
                    pause = next(unasked) if pause is None else max(pause, SHORTEST_PAUSE)
                    await asyncio.sleep(asked + pause - self._clock.monotonic())
                case never:
                    assert_never(never)
            response.release()
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
                if pause is None:
                    raise ended_by(trouble, monitor.url) from trouble
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
        content = await response.content.read(LARGEST_DOCUMENT) if monitor.is_document else b""
        return response, next_step(monitor, Answer(response.status, response.headers, content), self._clock.now())

    def _tell_of(self, response: aiohttp.ClientResponse) -> None:
        progress = told_by_server(response.headers.get("X-Progress", ""))
        if progress:
            self._progress.tell(lambda: progress)

    async def _bring_home(self, url: URL, response: aiohttp.ClientResponse, status: int) -> int:
        with self._output(status) as output:
            download = Download(self._asker, self._order, output, self._progress, self._terms.patience)
            await download.take(url, response, include=self._terms.include)
        if code_of(status) != FINE:
            self._progress.note(self._told(url, response, status))
        return code_of(status)

    def _told(self, url: URL, response: aiohttp.ClientResponse, status: int) -> str:
        lost = status in GONE and "AsyncResult" not in response.headers
        if lost and self._monitor is not None and url == self._monitor.url:
            return f"The status URL answers {status}: the operation has expired, was deleted, or is another's."
        return f"The outcome is {_named(status)}."

    def _output(self, status: int) -> AbstractContextManager[Output]:
        """A file gets what was asked for, and never an error in its place."""
        path = self._terms.output
        return Stream(self._stdout, "standard output") if path is None or code_of(status) != FINE else output_to(path)

    async def _leave(self, *, cancel: bool) -> None:
        """See to the operation, where one goes before its outcome is there."""
        if self._monitor is None:
            return
        url = self._monitor.url
        if not cancel:
            self._progress.say(f"Go on with: respond-async fetch --resume {shlex.quote(str(url))}")
            return
        try:
            async with asyncio.timeout(GOODBYE):
                response = await self._asker.ask(self._order, url, method="DELETE", silence=GOODBYE)
        except TROUBLE as trouble:
            self._progress.say(f"It could not be cancelled: {ended_by(trouble, url)}. It is at {url}")
        else:
            self._progress.say(_cancelled(response.status, url))


def _cancelled(status: int, url: URL) -> str:
    if status < 300 or status in GONE:
        return "Cancelled."
    return f"It could not be cancelled: its status URL answers DELETE with {status}. It is at {url}"


def _named(status: int) -> str:
    try:
        return f"{status} {HTTPStatus(status).phrase}"
    except ValueError:
        return str(status)
