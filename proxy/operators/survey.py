"""All that operators see besides operations: recent requests, routes and their last hour, origins, the store."""

import asyncio
import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import groupby
from operator import itemgetter
from typing import Final

from proxy import __version__
from proxy.config import Address, Config, Route
from proxy.operators.hour import QUIET, STEP, Hour
from proxy.operators.report import Answer, Entry, Question, ServerState
from proxy.operators.shown import Json
from proxy.operators.whole import Whole
from proxy.recent import MOST as MOST_KEPT
from proxy.store import Store
from proxy.words import timestamp

MOST_REQUESTS: Final = 200  # in an answer


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

    async def routes(self) -> bytes:
        """As JSON, made route by route: of many, an hour is more than the event loop should be kept from."""
        while moments := await self._whole.moments(self._hour.latest):
            self._hour.add(moments)
        routes = []
        for route in self._config.routes:
            routes.append(json.dumps(self._route(route)))
            await asyncio.sleep(0)
        return b'{"step": %d, "routes": [%b]}' % (STEP, ", ".join(routes).encode())

    def _route(self, route: Route) -> Json:
        points, match = list(self._hour.of(route.name)), route.match
        return {
            "name": route.name,
            "path": None if match.path_regex else match.path or "/",
            "path_regex": match.path_regex.pattern if match.path_regex else None,
            "host": match.host,
            "methods": sorted(match.methods) if match.methods else None,
            "origin": route.origin,
            "asynchronous": route.respond_async is not None,
            "now": points[-1][1]._asdict() if points else QUIET._asdict(),
            "points": [{"at": timestamp(at), **point._asdict()} for at, point in points],
        }


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
