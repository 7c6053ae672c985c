"""What a service can be asked by an operator. What goes wrong is said in plain words, with what to do.

Nothing is asked, and no token shown, before whatever listens there has shown by its `/livez` that it is a service.
"""

import json
import re
from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from contextlib import aclosing, asynccontextmanager
from typing import Final
from urllib.parse import quote, urlencode

import aiohttp
from yarl import URL

from proxy.remote import answers
from proxy.remote.answers import Json, Shape
from proxy.remote.place import Place
from proxy.trouble import reason
from proxy.words import ALIVE

PATIENCE: Final = aiohttp.ClientTimeout(total=120, sock_connect=10)
LARGEST_PAGE: Final = 500
LARGEST_ANSWER: Final = 1 << 26  # bytes
MOST_EMPTY: Final = 20_000  # pages one after the other in which nothing is: a store of ten million operations
LOCKED: Final = (401, 403)
NEXT: Final = re.compile("/operations[?][!-~]+")  # the token goes where it leads, so nowhere else


class NoAnswer(Exception):
    """There is nothing to show; the message says why, and what to do."""


class TokenMissing(NoAnswer):
    """It wants a token, and was shown none."""


class TokenWrong(NoAnswer):
    """It was shown a token that is not its own."""


class Declined(NoAnswer):
    """It answers, and says why it cannot be."""


class Unknown(Declined):
    """It knows of no such thing."""


class Service:
    """A service that runs. Raises NoAnswer."""

    def __init__(self, session: aiohttp.ClientSession, place: Place) -> None:
        self._session = session
        self._place = place

    async def recognise(self) -> None:
        """See that it is one: a backend that gets a DELETE by mistake may do it."""
        status, content = await self._exchange("GET", "/livez", {})
        if status in LOCKED:
            raise NoAnswer(
                f"{self._other(status)} If so, what stands before it has to answer `/livez` without a token."
            )
        if status != 200:
            raise self._other(status)
        if content.strip() != ALIVE.encode():
            raise self._stranger()

    async def operations(self, wanted: Mapping[str, str], most: int) -> Json:
        """The newest operations that are like that, up to so many, the counts of all, and when it was begun to list them."""
        found: list[Json] = []
        time = ""
        query = {**wanted, "limit": str(min(most, LARGEST_PAGE))}
        page: Json = {}
        async with aclosing(self._pages(f"/operations?{urlencode(query)}")) as pages:
            async for page in pages:
                found += page["operations"]
                time = time or page["time"]
                if len(found) >= most:
                    break
        more = page["next"] is not None or len(found) > most
        return {"operations": found[:most], "counts": page["counts"], "more": more, "time": time}

    async def _pages(self, target: str | None) -> AsyncGenerator[Json, None]:
        """This page of the list and those that follow; whoever makes up pages is not followed for ever."""
        seen, empty = set(), 0
        while target is not None:
            seen.add(target)
            page = await self._ask("GET", target, answers.PAGE)
            target, empty = page["next"], 0 if page["operations"] else empty + 1
            if target is not None and (not NEXT.fullmatch(target) or target in seen or empty > MOST_EMPTY):
                raise self._stranger()
            yield page

    async def operation(self, short: str) -> Json:
        return await self._ask("GET", _one(short), answers.OPERATION)

    async def requests(self, id: str) -> Json:
        """The recent requests of this id, and the operations that they made or asked for."""
        return await self._ask("GET", f"/requests?{urlencode({'id': id})}", answers.REQUESTS)

    async def recent(self, like: Mapping[str, str]) -> Json:
        """The recent requests that are like that, the newest first."""
        return await self._ask("GET", f"/requests?{urlencode(like)}", answers.RECENT)

    async def cancel(self, short: str) -> Json:
        """Cancel it if it is under way; how it stands then."""
        return await self._ask("DELETE", f"{_one(short)}?state=unsettled", answers.OPERATION)

    async def drop(self, short: str) -> Json:
        """Drop what is kept of it if it is settled; how it stood last."""
        return await self._ask("DELETE", f"{_one(short)}?state=settled", answers.OPERATION)

    async def end_all(self, wanted: Mapping[str, str]) -> Json:
        """Do that with all that are like that: how many were `dismissed`, and how many `removed`."""
        return await self._ask("DELETE", f"/operations?{urlencode(wanted)}", answers.ENDED)

    async def routes(self) -> list[str]:
        """The names of its routes."""
        document = await self._ask("GET", "/routes", answers.ROUTES)
        return [route["name"] for route in document["routes"]]

    async def _ask(self, method: str, target: str, shape: Shape) -> Json:
        """The document that is answered, which is like that."""
        fields = {} if self._place.token is None else {"Authorization": f"Bearer {self._place.token}"}
        document = self._read(*await self._exchange(method, target, fields))
        if not answers.is_like(document, shape):
            raise self._stranger()
        return document

    async def _exchange(self, method: str, target: str, fields: Mapping[str, str]) -> tuple[int, bytes]:
        """The status and the content that are answered."""
        url = URL(f"{self._place.url}{target}", encoded=True)  # an id such as `..` stays what it is
        try:
            async with self._session.request(method, url, headers=fields, allow_redirects=False) as response:
                return response.status, await self._content(response)
        except aiohttp.ClientConnectorCertificateError as error:
            raise NoAnswer(f"the certificate of {self._place} is not trusted: {_reason(error)}") from error
        except aiohttp.ClientSSLError as error:
            raise NoAnswer(f"no TLS with {self._place}: {_reason(error)}") from error
        except (aiohttp.ClientConnectorError, UnicodeError) as error:
            what = (
                f"nobody answers at {self._place} ({_reason(error)}); is the service running, and is that its `admin`?"
            )
            raise NoAnswer(what) from error
        except (aiohttp.ClientError, TimeoutError, ConnectionError) as error:
            raise NoAnswer(f"{self._place} does not answer as it should: {_reason(error)}") from error

    async def _content(self, response: aiohttp.ClientResponse) -> bytes:
        pieces, size = [], 0
        async for piece in response.content.iter_any():
            pieces.append(piece)
            size += len(piece)
            if size > LARGEST_ANSWER:
                raise self._stranger()
        return b"".join(pieces)

    def _read(self, status: int, content: bytes) -> object:
        """Raises NoAnswer for an error: what the service says of it."""
        document = _document(content)
        if status == 200:
            return document
        if not answers.is_like(document, answers.PROBLEM) or document["status"] != status:
            raise self._other(status)
        if status == 401:
            raise self._locked()
        kind = Unknown if status == 404 else Declined
        raise kind(document["detail"])

    def _other(self, status: int) -> NoAnswer:
        return NoAnswer(f"{self._place} answers {status}; is that a service's `admin`?")

    def _stranger(self) -> NoAnswer:
        return NoAnswer(f"what {self._place} answers is not from respond-async; is that a service's `admin`?")

    def _locked(self) -> NoAnswer:
        if self._place.token is None:
            return TokenMissing(f"{self._place} wants its `admin_token`")
        return TokenWrong(f"the token is not the one of {self._place}, which is the service's `admin_token`")


@asynccontextmanager
async def asking(place: Place) -> AsyncIterator[Service]:
    """A service that can be asked, until the end of the context. Raises NoAnswer."""
    connector = aiohttp.TCPConnector() if place.socket is None else aiohttp.UnixConnector(place.socket)
    async with aiohttp.ClientSession(
        connector=connector, cookie_jar=aiohttp.DummyCookieJar(), timeout=PATIENCE
    ) as session:
        service = Service(session, place)
        await service.recognise()
        yield service


def _one(short: str) -> str:
    return f"/operations/{quote(short, safe='')}"


def _document(content: bytes) -> object:
    """What it is as JSON; None where it is none, or is nested too deeply."""
    try:
        return json.loads(content)
    except (ValueError, RecursionError):
        return None


def _reason(error: BaseException) -> str:
    return reason(error.os_error if isinstance(error, aiohttp.ClientConnectorError) else error) or "it is silent"
