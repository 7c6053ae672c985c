"""All that operators see besides operations: recent requests, routes and their last hour, origins, the store."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Mapping
from hashlib import sha256
from itertools import groupby
from operator import itemgetter
from typing import Final

from proxy import __version__
from proxy.config import Address, Config, Route
from proxy.operators.hour import STEP, Hour, Moment
from proxy.operators.report import Answer, Entry, Question, ServerState
from proxy.operators.shown import Json
from proxy.operators.whole import Whole
from proxy.recent import MOST as MOST_KEPT
from proxy.store import Store
from proxy.words import timestamp

MOST_REQUESTS: Final = 200  # in an answer
AT_ONCE: Final = 10  # moments: of many routes, an hour is more than is to be sent in one piece


class Survey:
    """Looks over the service as a whole. Raises StoreUnavailable."""

    def __init__(
        self,
        config: Config,
        store: Store,
        whole: Whole,
        listen: Iterable[Address],
        not_ready: Callable[[], str | None],
    ) -> None:
        """`listen` is where clients ask."""
        self._config = config
        self._urls = list(urls(config, listen))
        self._store = store
        self._whole = whole
        self.not_ready = not_ready  # why it takes no requests; None if it does
        self._hour = Hour(begun=0)
        self._catching_up = asyncio.Lock()
        routes = json.dumps([_route(route) for route in config.routes])
        self.routes = f'{{"step": {STEP:g}, "routes": {routes}}}'  # which there are, as JSON

    async def ask(self, question: Question) -> Answer:
        return await self._whole.ask(question)

    async def requests(self, like: Mapping[str, str]) -> list[Entry]:
        """The newest first."""
        answer = await self.ask(Question(("requests",), like, MOST_REQUESTS))
        return answer.report.get("requests", [])

    async def origins(self) -> list[Json]:
        return origins((await self.ask(Question(("servers",)))).report.get("servers", []))

    async def service(self) -> Json:
        return self.service_by(await self.ask(Question(())))

    def service_by(self, answer: Answer) -> Json:
        return {
            "version": __version__,
            "workers": answer.workers,
            "since": timestamp(answer.since),
            "draining": self.not_ready() is not None,
            "urls": self._urls,
            "requests_kept": MOST_KEPT,
        }

    async def store(self) -> Json:
        usage, settings = await self._store.usage(), self._config.store
        return {
            "kind": settings.url.kind,
            "bytes": usage.bytes,
            "max_bytes": settings.max_size,
            "queued": usage.queued,
            "running": usage.running,
            "settled": usage.settled,
        }

    async def hour(self) -> bytes:
        """The routes with their last hour, as JSON; put together in pieces, since of many routes that is long."""
        pieces, comma = [self.routes[:-1].encode(), b', "moments": ['], b""
        async for moments in self.moments(0):
            pieces += [comma, moments_text(moments).encode()]
            comma = b", "
            await asyncio.sleep(0)
        return b"".join([*pieces, b"]}"])

    def name_of_hour(self, since: str) -> str:
        """What tells the hour of the service that began then, with these routes, from all others."""
        return sha256(f"{since} {self.routes}".encode()).hexdigest()[:16]

    async def moments(self, after: int) -> AsyncIterator[list[Moment]]:
        """Those of the last hour that are later, the oldest first, some at a time; at least once, if there are none."""
        await self._catch_up()
        while True:
            moments = self._hour.after(after, AT_ONCE)
            yield moments
            after = moments[-1].number if moments else self._hour.latest
            if after >= self._hour.latest:
                return

    async def _catch_up(self) -> None:
        """Know what the service knows. Once for all who want to."""
        async with self._catching_up:
            while moments := await self._whole.moments(self._hour.latest):
                self._hour.add(moments)


def _route(route: Route) -> Json:
    match = route.match
    return {
        "name": route.name,
        "path": None if match.path_regex else match.path or "/",
        "path_regex": match.path_regex.pattern if match.path_regex else None,
        "host": match.host,
        "methods": sorted(match.methods) if match.methods else None,
        "origin": route.origin,
        "asynchronous": route.respond_async is not None,
    }


def moments_text(moments: Iterable[Moment]) -> str:
    """Moments as JSON, with commas between; their points are that already."""
    return ", ".join(f'{{"at": "{timestamp(at)}", "routes": {points}}}' for _, at, points in moments)


def urls(config: Config, listen: Iterable[Address]) -> Iterator[str]:
    """Where clients reach the proxy: at the URL that is given out, or else where it listens, seen from this machine."""
    if config.public_url is not None:
        yield config.public_url
        return
    scheme = "http" if config.tls is None else "https"
    for address in listen:
        yield str(address) if address.unix_path is not None else f"{scheme}://{address.from_here}"


def origins(states: Iterable[ServerState]) -> list[Json]:
    """Their servers, by origin. Processes of several generations may know different ones."""
    return [
        {"name": name, "servers": [_server(state) for state in group]}
        for name, group in groupby(sorted(states, key=itemgetter("origin")), key=itemgetter("origin"))
    ]


def _server(state: ServerState) -> Json:
    shown = {key: value for key, value in state.items() if key != "origin"}
    return {**shown, "up": not state["left_alone_by"]}
