"""One fetch: the request, the way from its 202 to the outcome, and the outcome's way home."""

import asyncio
import shlex
from contextlib import AbstractContextManager, closing
from dataclasses import replace
from typing import BinaryIO, Final, TextIO

import aiohttp
from yarl import URL

from proxy.fetch.asking import TROUBLE, Asker, asking, ended_by
from proxy.fetch.download import Download
from proxy.fetch.ending import FINE, NOT_FOLLOWED, TOO_LATE, Ended, code_of
from proxy.fetch.following import Answer, Monitor, monitor_of
from proxy.fetch.order import Order, same_origin
from proxy.fetch.output import Output, Stream, check_place, output_to
from proxy.fetch.progress import Display, can_be_drawn_on
from proxy.fetch.pursuit import Outcome, Pursuit
from proxy.fetch.terms import WATCHED_POLL, Terms

GOODBYE: Final = 10.0  # seconds for a DELETE at the end
GONE: Final = {
    404: "the operation was deleted, has expired, or is another's, whose credentials it takes.",
    410: "the operation has expired, and its result with it. Only the request brings another, where it may be sent twice.",
}


async def run(order: Order, terms: Terms, stdout: BinaryIO, stderr: TextIO) -> int:
    """The exit code, once everything is written. Raises Ended where there is no outcome, or only part of it."""
    if terms.output is not None:
        check_place(terms.output)
    line = can_be_drawn_on(stderr) and not terms.quiet
    if line:
        terms = replace(terms, poll=min(terms.poll, WATCHED_POLL))
    async with asking(terms.trust) as asker:
        # Within: the line is not drawn again after the last words, while connections are being closed.
        with Display(stderr, line=line, notes=not terms.quiet) as progress:
            return await Errand(order, terms, asker, progress, stdout).run()


class Errand:
    """One order, from its request to the exit code."""

    def __init__(self, order: Order, terms: Terms, asker: Asker, progress: Display, stdout: BinaryIO) -> None:
        self._order = order
        self._terms = terms
        self._asker = asker
        self._progress = progress
        self._stdout = stdout
        self._monitor: Monitor | None = None  # of an operation that we know of
        self._answered = False  # the first request

    async def run(self) -> int:
        try:
            async with asyncio.timeout(self._terms.timeout):
                return await self._carried_out()
        except TimeoutError as error:
            await self._leave()
            raise Ended(TOO_LATE, f"no outcome within {self._terms.timeout:g} s") from error
        except asyncio.CancelledError:
            await self._leave()
            raise
        except Ended:
            self._tell_where_it_is()
            raise

    async def _carried_out(self) -> int:
        monitor = Monitor(self._order.url)
        if not self._terms.resume:
            first = await self._first()
            promised = monitor_of(self._order.method, self._order.url, Answer(first.status, first.headers))
            if promised is None:
                self._check_that_it_is_an_outcome(first)
                return await self._bring_home(Outcome(self._order.url, first, first.status))
            first.release()
            monitor = promised
        self._monitor = monitor
        self._tell_of_the_promise(monitor)
        pursuit = Pursuit(self._asker, self._order, self._terms, self._progress)
        return await self._bring_home(await pursuit.outcome(monitor))

    async def _first(self) -> aiohttp.ClientResponse:
        self._progress.tell(lambda: "waiting for an answer")
        try:
            first = await self._asker.ask_first(self._order, self._terms.prefer)
        except TROUBLE as trouble:
            raise ended_by(trouble, self._order.url) from trouble
        self._answered = True
        return first

    def _check_that_it_is_an_outcome(self, first: aiohttp.ClientResponse) -> None:
        """Raises Ended for a 202 that promises one, and does not say where."""
        if first.status != 202 or "AsyncResult" in first.headers:
            return
        first.close()
        location = first.headers.get("Location")
        lacks = "has no Location" if location is None else f"has a Location that cannot be asked, `{location}`"
        raise Ended(
            NOT_FOLLOWED, f"{self._order.url.host} answers 202, which {lacks}: there is no status URL to follow"
        )

    def _tell_of_the_promise(self, monitor: Monitor) -> None:
        self._progress.tell(lambda: "waiting for the outcome")
        if self._order.has_credentials and not same_origin(self._order.url, monitor.url):
            self._progress.note(f"The status URL is at {monitor.url.host}, which is not given the credentials.")

    async def _bring_home(self, outcome: Outcome) -> int:
        url, response, status = outcome
        if self._takes_stdout(status) and self._stdout.isatty():
            self._progress.hide()  # it would be drawn into what is written
        with closing(response), self._output(status) as output:
            download = Download(self._asker, self._order, output, self._progress, self._terms.patience)
            await download.take(url, response, include=self._terms.include)
        if code_of(status) != FINE:
            self._progress.note(self._told(outcome))
        return code_of(status)

    def _told(self, outcome: Outcome) -> str:
        url, response, status = outcome
        lost = status in GONE and "AsyncResult" not in response.headers
        if lost and self._monitor is not None and url == self._monitor.url:
            return f"The status URL answers {status}: {GONE[status]}"
        reason = response.reason if status == response.status else None
        return f"The outcome is {status} {reason or ''}".rstrip() + "."

    def _takes_stdout(self, status: int) -> bool:
        """A file gets what was asked for, and never an error in its place."""
        return self._terms.output is None or code_of(status) != FINE

    def _output(self, status: int) -> AbstractContextManager[Output]:
        if self._terms.output is None or self._takes_stdout(status):
            return Stream(self._stdout, "standard output")
        return output_to(self._terms.output)

    async def _leave(self) -> None:
        """See to the operation, where one goes before its outcome is there."""
        if not self._answered and self._monitor is None:
            self._progress.say("There was no 202 yet, and so there is no status URL to come back to.")
        elif self._monitor is not None and self._terms.cancel:
            await self._cancel(self._monitor.url)
        else:
            self._tell_where_it_is()

    def _tell_where_it_is(self) -> None:
        if self._monitor is not None:
            self._progress.say(f"Go on with: respond-async fetch --resume {shlex.quote(str(self._monitor.url))}")

    async def _cancel(self, url: URL) -> None:
        try:
            async with asyncio.timeout(GOODBYE):
                response = await self._asker.ask(self._order, url, method="DELETE", silence=GOODBYE)
        except TROUBLE as trouble:
            self._progress.say(f"It could not be cancelled: {ended_by(trouble, url)}. It is at {url}")
        else:
            response.close()
            self._progress.say(_cancelled(response.status, url))


def _cancelled(status: int, url: URL) -> str:
    if status < 300 or status in GONE:
        return "Cancelled."
    return f"It could not be cancelled: its status URL answers DELETE with {status}. It is at {url}"
