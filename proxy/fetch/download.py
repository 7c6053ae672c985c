"""Content on its way into an output, over as many connections as it takes.

A connection that breaks is followed by a request for the rest, where that is sure to be the rest of the same: with a
strong ETag in If-Range (RFC 9110 section 13.1.5), or where the answer is a stored result (`AsyncResult`), which never
changes. Where the server has something else by now it begins anew, if what was written can be taken back. The length
that was promised counts: content that ends before it, or goes on behind it, is never taken for whole.
"""

import asyncio
import re
from collections.abc import Callable, Iterator
from typing import Final

import aiohttp
from yarl import URL

from proxy.fetch.asking import LONGEST_SILENCE, TROUBLE, Asker, BrokeOff, ended_by
from proxy.fetch.ending import INCOMPLETE, Ended
from proxy.fetch.following import TRANSIENT
from proxy.fetch.order import Order, Pair
from proxy.fetch.output import Output
from proxy.fetch.progress import Display
from proxy.words import amount, so_many

_RANGE: Final = re.compile(r"bytes ([0-9]{1,19})-[0-9]{1,19}/([0-9]{1,19})")

Identity = tuple[Pair, ...]  # the fields that make sure that a part is of the same content


class Download:
    """One answer, from its head to the last byte of its content."""

    def __init__(
        self, asker: Asker, order: Order, output: Output, progress: Display, patience: Callable[[], Iterator[float]]
    ) -> None:
        self._asker = asker
        self._order = order
        self._output = output
        self._progress = progress
        self._patience = patience
        self._done = 0  # bytes of content that the output has
        self._came = False  # whether any of them came with the last answer
        self._size: int | None = None
        self._identity: Identity | None = None

    async def take(self, url: URL, response: aiohttp.ClientResponse, *, include: bool) -> None:
        """Have the output take it, with its head before it if that is to be included. Raises Ended if it stays cut."""
        self._progress.tell(self._state)
        self._begin(response, include=include)
        pauses = self._patience()
        while (trouble := await self._copied(response)) is not None:
            if self._identity is None:
                raise self._cut(url, trouble, "and nothing makes sure that the rest would be of the same")
            if self._came:
                pauses = self._patience()
            response = await self._rest(url, self._identity, pauses, trouble)
            if response.status == 200:
                self._begin_anew(url, response, include=include)

    def _begin(self, response: aiohttp.ClientResponse, *, include: bool) -> None:
        self._size = response.content_length if _has_content(response) else None
        self._identity = identity_of(response)
        if include:
            self._output.write(head_of(response))

    def _begin_anew(self, url: URL, response: aiohttp.ClientResponse, *, include: bool) -> None:
        if not self._output.restart():
            raise Ended(INCOMPLETE, f"{url.host} has something else by now, and half of the old is written")
        self._done = 0
        self._begin(response, include=include)

    async def _copied(self, response: aiohttp.ClientResponse) -> BaseException | None:
        """Copy until the end; what came in between, if that is not the end of the content."""
        self._came = False
        try:
            async for piece in response.content.iter_any():
                self._output.write(piece)
                self._done += len(piece)
                self._came = True
        except TROUBLE as trouble:
            return trouble
        finally:
            response.close()
        if self._size is None or self._done == self._size:
            return None
        if self._done > self._size:
            raise Ended(INCOMPLETE, f"there is more than the promised {so_many(self._size, 'byte')}")
        return BrokeOff()

    async def _rest(
        self, url: URL, identity: Identity, pauses: Iterator[float], trouble: BaseException
    ) -> aiohttp.ClientResponse:
        """An answer with the rest, or with all of something else."""
        for pause in pauses:
            await asyncio.sleep(pause)
            part = ("Range", f"bytes={self._done}-"), *identity
            try:
                response = await self._asker.ask(self._order, url, part, silence=LONGEST_SILENCE)
            except TROUBLE as again:
                trouble = again
                continue
            if response.status == 200 or (response.status == 206 and self._is_the_rest(response)):
                return response
            response.close()
            if response.status not in TRANSIENT:
                raise self._cut(url, trouble, f"and the rest is answered with {response.status}")
        raise self._cut(url, trouble, "again and again")

    def _is_the_rest(self, response: aiohttp.ClientResponse) -> bool:
        found = _RANGE.fullmatch(response.headers.get("Content-Range", ""))
        if found is None or int(found[1]) != self._done or self._size not in (None, int(found[2])):
            return False
        self._size = int(found[2])
        return True

    def _cut(self, url: URL, trouble: BaseException, how: str) -> Ended:
        whole = "" if self._size is None else f" of {self._size}"
        after = f"{self._done}{whole} bytes"
        return Ended(INCOMPLETE, f"the result is cut after {after}: {ended_by(trouble, url)}, {how}")

    def _state(self) -> str:
        whole = "" if self._size is None else f" of {amount(self._size)}"
        return f"received {amount(self._done)}{whole}"


def identity_of(response: aiohttp.ClientResponse) -> Identity | None:
    """What makes sure that a later answer is part of this one; None where nothing does."""
    if response.method != "GET" or response.status != 200:
        return None
    etag = response.headers.get("ETag", "")
    if etag.startswith('"'):
        return (("If-Range", etag),)
    return () if "AsyncResult" in response.headers else None


def head_of(response: aiohttp.ClientResponse) -> bytes:
    """Status line and fields as they came, and the empty line."""
    version = response.version or aiohttp.HttpVersion11
    start = f"HTTP/{version.major}.{version.minor} {response.status} {response.reason or ''}"
    return b"\r\n".join([start.encode("utf-8", "surrogateescape"), *map(b": ".join, response.raw_headers), b"", b""])


def _has_content(response: aiohttp.ClientResponse) -> bool:
    return response.method != "HEAD" and response.status not in (204, 304)
