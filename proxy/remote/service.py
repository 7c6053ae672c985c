"""What a service can be asked by an operator. What goes wrong is said in plain words, with what to do."""

import json
from collections.abc import AsyncIterator, Mapping
from collections.abc import Set as AbstractSet
from contextlib import asynccontextmanager
from typing import Any, Final
from urllib.parse import quote

import aiohttp

from proxy.remote.place import Place

Json = dict[str, Any]

PATIENCE: Final = aiohttp.ClientTimeout(total=120, sock_connect=10)
LARGEST_PAGE: Final = 500
# What is read of each kind of answer.
PAGE: Final = frozenset({"operations", "counts", "next", "time"})
OPERATION: Final = frozenset(
    {
        "id",
        "state",
        "route",
        "method",
        "target",
        "age",
        "duration",
        "bytes",
        "size",
        "status",
        "progress",
        "error",
        "why",
    }
)
ENDED: Final = frozenset({"dismissed", "removed"})
REQUESTS: Final = frozenset({"requests", "operations"})
ROUTES: Final = frozenset({"routes"})
PROBLEM: Final = frozenset({"title", "status", "detail"})


class NoAnswer(Exception):
    """There is nothing to show; the message says why, and what to do."""


class TokenMissing(NoAnswer):
    """It wants a token, and was shown none."""


class Unknown(NoAnswer):
    """It knows of no such thing."""


class Service:
    """A service that runs. Raises NoAnswer."""

    def __init__(self, session: aiohttp.ClientSession, place: Place) -> None:
        self._session = session
        self._place = place

    async def operations(self, wanted: Mapping[str, str], most: int) -> Json:
        """The newest operations that are like that, up to so many, the counts of all, and when it was begun to list them."""
        found: list[Json] = []
        time = ""
        target: str | None = "/operations"
        query: Mapping[str, str] = {**wanted, "limit": str(min(most, LARGEST_PAGE))}
        page: Json = {}
        while target is not None and len(found) < most:
            page = await self._ask("GET", target, PAGE, query)
            found += self._each(page["operations"], OPERATION)
            time = time or page["time"]
            target, query = page["next"], {}
        more = target is not None or len(found) > most
        return {"operations": found[:most], "counts": page["counts"], "more": more, "time": time}

    async def operation(self, short: str) -> Json:
        return await self._ask("GET", f"/operations/{quote(short, safe='')}", OPERATION)

    async def requests(self, id: str) -> Json:
        """The recent requests of this id, and the operations that they made or asked for."""
        found = await self._ask("GET", "/requests", REQUESTS, {"id": id})
        return {
            "requests": self._each(found["requests"], {"id"}),
            "operations": self._each(found["operations"], OPERATION),
        }

    async def cancel(self, short: str) -> Json:
        """Cancel it if it is under way; how it stands then."""
        return await self._ask("DELETE", f"/operations/{quote(short, safe='')}", OPERATION, {"state": "unsettled"})

    async def end_all(self, wanted: Mapping[str, str]) -> Json:
        """Do that with all that are like that: how many were `dismissed`, and how many `removed`."""
        return await self._ask("DELETE", "/operations", ENDED, wanted)

    async def routes(self) -> list[str]:
        """The names of its routes."""
        document = await self._ask("GET", "/routes", ROUTES)
        return [str(route["name"]) for route in self._each(document["routes"], {"name"})]

    async def _ask(
        self, method: str, target: str, members: AbstractSet[str], query: Mapping[str, str] | None = None
    ) -> Json:
        """The document that is answered, which has these members."""
        fields = {} if self._place.token is None else {"Authorization": f"Bearer {self._place.token}"}
        try:
            async with self._session.request(
                method, f"{self._place.url}{target}", params=query or None, headers=fields, allow_redirects=False
            ) as response:
                document = self._read(response.status, await response.read())
        except aiohttp.ClientConnectorError as error:
            reason = error.os_error.strerror or error.os_error
            what = f"nobody answers at {self._place} ({reason}); is the service running, and is that its `admin`?"
            raise NoAnswer(what) from error
        except (aiohttp.ClientError, TimeoutError, ConnectionError) as error:
            raise NoAnswer(f"{self._place} does not answer as it should: {str(error) or 'it is silent'}") from error
        return self._each([document], members)[0]

    def _read(self, status: int, content: bytes) -> Json:
        document = _document(content)
        if status == 401:
            raise self._locked()
        if status != 200:
            if not (document.keys() >= PROBLEM and document["status"] == status):
                raise NoAnswer(f"{self._place} answers {status}; is that a service's `admin`?")
            kind = Unknown if status == 404 else NoAnswer
            raise kind(str(document["detail"]))
        return document

    def _each(self, documents: object, members: AbstractSet[str]) -> list[Json]:
        """A list of documents with these members, as it is: whatever listens there may have answered something else."""
        if isinstance(documents, list) and all(isinstance(one, dict) and one.keys() >= members for one in documents):
            return documents
        raise NoAnswer(f"what {self._place} answers is not from respond-async; is that a service's `admin`?")

    def _locked(self) -> NoAnswer:
        if self._place.token is None:
            return TokenMissing(f"{self._place} wants its `admin_token`")
        return NoAnswer(f"the token is not the one of {self._place}: it is the service's `admin_token`")


@asynccontextmanager
async def asking(place: Place) -> AsyncIterator[Service]:
    """A service that can be asked, until the end of the context."""
    connector = aiohttp.TCPConnector() if place.socket is None else aiohttp.UnixConnector(place.socket)
    async with aiohttp.ClientSession(
        connector=connector, cookie_jar=aiohttp.DummyCookieJar(), timeout=PATIENCE
    ) as session:
        yield Service(session, place)


def _document(content: bytes) -> Json:
    try:
        document = json.loads(content)
    except (ValueError, RecursionError):
        return {}
    return document if isinstance(document, dict) else {}
