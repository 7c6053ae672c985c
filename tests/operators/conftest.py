"""What tests of operators share."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest

from tests.conftest import Proxy, StartProxy, settings_for
from tests.raw_client import Field, RawClient, Response, request
from tests.scripted_origin import ScriptedOrigin

LOCAL: tuple[Field, ...] = ((b"Host", b"localhost"),)
LATER: tuple[Field, ...] = ((b"Prefer", b"respond-async, wait=0"),)


class Events:
    """A stream of events."""

    def __init__(self, response: Response) -> None:
        self.response = response
        self._seen = 0  # bytes of it that were taken

    async def next(self, name: str) -> Any:  # noqa: ANN401  # what JSON can hold
        """The data of the next event of this name; others are passed over."""
        while True:
            kind, data = await self._event()
            if kind == name:
                return json.loads(data)

    async def view(self, condition: Callable[[Any], object]) -> Any:  # noqa: ANN401
        """The first view that is like that."""
        while not condition(view := await self.next("view")):
            pass
        return view

    async def ends(self) -> bool:
        """Whether it comes to a clean end, after whatever comes."""
        return (await self.response.finish()).complete

    async def _event(self) -> tuple[str, str]:
        while (end := self.response.body.find(b"\n\n", self._seen)) < 0:
            assert await self.response.read(), "the stream has ended"
        lines = self.response.body[self._seen : end].decode().split("\n")
        self._seen = end + 2
        found = dict(line.split(": ", 1) for line in lines)
        return found.get("event", ""), found.get("data", "")


class Operator:
    """Somebody who asks at the `admin` address."""

    def __init__(self, port: int) -> None:
        self._port = port

    async def asks(self, target: str, *fields: Field, method: str = "GET") -> Response:
        """One exchange; as a local one, if no Host is given."""
        given = fields if any(name == b"Host" for name, _ in fields) else (*LOCAL, *fields)
        async with RawClient(port=self._port) as client:
            return await client.exchange(method, target.encode(), given)

    async def sees(self, target: str) -> Any:  # noqa: ANN401  # what JSON can hold
        """What is answered with 200."""
        return content(await self.asks(target))

    async def ends(self, target: str) -> Any:  # noqa: ANN401
        return content(await self.asks(target, method="DELETE"))

    async def is_refused(self, status: int, target: str, *fields: Field, method: str = "GET") -> str:
        """What the problem document has to say."""
        response = await self.asks(target, *fields, method=method)
        document = json.loads(response.body)
        assert (response.status, document["status"]) == (status, status)
        assert response.field(b"content-type") == b"application/problem+json"
        detail: str = document["detail"]
        return detail

    async def is_refused_for(self, target: str) -> str | None:
        """What of the query is named as that which cannot be read."""
        named: str | None = json.loads((await self.asks(target)).body).get("parameter")
        return named

    @asynccontextmanager
    async def follows(self, target: str = "/events", *fields: Field) -> AsyncIterator[Events]:
        """What is streamed from there."""
        async with RawClient(port=self._port) as client:
            await client.send(request("GET", target.encode(), [*LOCAL, *fields]))
            yield Events(await client.begin())


def content(response: Response) -> Any:  # noqa: ANN401
    assert response.status == 200, response.body
    return json.loads(response.body)


class Desk:
    """The product with its origin and somebody who operates it."""

    def __init__(self, proxy: Proxy, origin: ScriptedOrigin) -> None:
        self.proxy = proxy
        self.origin = origin
        self.operator = Operator(proxy.admin_port)
        assert proxy.service.admin is not None
        self._reception = proxy.service.admin

    @property
    def connections(self) -> int:
        """How many operators have, all together."""
        return len(self._reception._front.connections)

    @property
    def streams(self) -> int:
        """How many of events there are."""
        return self._reception._admin._feed._open

    async def runs(self, target: bytes = b"/slow", *fields: Field) -> str:
        """The id of a new operation whose request has been sent."""
        id_ = await self.accepts(target, *fields)
        async with asyncio.timeout(5):
            while (await self.operator.sees(f"/operations/{id_[:8]}"))["state"] == "queued":  # noqa: ASYNC110  # as a person would
                await asyncio.sleep(0.002)
        return id_

    async def accepts(self, target: bytes = b"/slow", *fields: Field) -> str:
        """The id of a new operation, which may wait for its turn or a connection."""
        async with RawClient(port=self.proxy.port) as client:
            response = await client.exchange("GET", target, [*LATER, *fields])
        assert response.status == 202, response.body
        found: str = json.loads(response.body)["id"]
        return found


@pytest.fixture
async def desk(start_proxy: StartProxy, origin: ScriptedOrigin) -> Desk:
    return Desk(await start_proxy(settings_for(origin.url), admin="127.0.0.1:0"), origin)
