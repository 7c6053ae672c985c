"""What operators ask, over HTTP on an address of their own: health, metrics, operations, and all else that `operators` shows."""

import asyncio
import json
import logging
import traceback
from collections.abc import Awaitable, Callable
from contextlib import aclosing
from pathlib import Path
from typing import Final

import structlog
from aiohttp import web

from proxy.errors import StoreUnavailable
from proxy.observe import exposition
from proxy.operators.desk import Desk
from proxy.operators.feed import Feed
from proxy.operators.filters import Asked, asked, requests_wanted, states_wanted
from proxy.operators.gate import Gate
from proxy.operators.page import PageFile
from proxy.operators.refusal import Refusal
from proxy.operators.report import FIGURES
from proxy.operators.survey import Survey

EXPOSITION: Final = "text/plain; version=0.0.4; charset=utf-8"  # Prometheus' text format
READS: Final = ("GET", "HEAD")
OPERATION: Final = "/operations/"
ENDING: Final = ("route", "state", "older_than", "younger_than", "settled_by")  # by which operations are ended
PATIENCE: Final = 10.0  # seconds for a page to take an event
HELP: Final = (
    "There are /livez, /readyz, /metrics, /operations, /operations/ID, /requests, /routes, /origins, /store, /service"
    " and /events here, and the page at /."
)
# No page but our own, which loads nothing from elsewhere; and nobody frames it.
GUARDS: Final = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self';"
    " connect-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none';"
    " require-trusted-types-for 'script'",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}
NO_STORE: Final = {"Cache-Control": "no-store"}

log = structlog.get_logger()

Answer = Callable[[web.BaseRequest], Awaitable[web.StreamResponse]]


class Discretion(logging.Handler):
    """Stands before the log of aiohttp, which shows requests that it cannot read, with the credentials in them."""

    @classmethod
    def logger(cls) -> logging.Logger:
        """A logger that goes nowhere else."""
        logger = logging.Logger("admin")  # noqa: LOG001  # no name in the tree of loggers
        logger.addHandler(cls())
        return logger

    def emit(self, record: logging.LogRecord) -> None:
        """Tell that something is wrong, and where that was found out; but not what was sent."""
        error = record.exc_info[1] if record.exc_info else None
        frames = traceback.extract_tb(error.__traceback__) if error is not None else []
        at = f"{Path(frames[-1].filename).name}:{frames[-1].lineno}" if frames else None
        log.warning("request to admin failed", reason=type(error).__name__, at=at)


class Admin:
    """Answers operators."""

    def __init__(self, gate: Gate, desk: Desk, survey: Survey, feed: Feed, files: dict[str, PageFile]) -> None:
        self._gate = gate
        self._desk = desk
        self._survey = survey
        self._feed = feed
        self._files = files
        self._reads: dict[str, Answer] = {
            "/metrics": self._metrics,
            "/operations": self._operations,
            "/requests": self._requests,
            "/routes": self._routes,
            "/origins": self._origins,
            "/store": self._store,
            "/service": self._service,
            "/events": self._events,
        }

    async def handle(self, request: web.BaseRequest) -> web.StreamResponse:
        """Answer once for each connection: the next question is for whichever worker is there then."""
        try:
            response = await self._answer(request)
        except Refusal as refusal:
            response = _problem(refusal)
        except StoreUnavailable as exc:
            response = _problem(Refusal(exc.status, f"{exc.title()}. {exc.detail}", {"Retry-After": "5"}))
        response.force_close()
        return response

    async def _answer(self, request: web.BaseRequest) -> web.StreamResponse:
        if request.path == "/livez":
            return _health(request, None, "alive")
        if request.path == "/readyz":
            return _health(request, self._survey.not_ready(), "ready")
        self._gate.check(request.headers)
        if request.path.startswith(OPERATION):
            return await self._operation(request, request.path.removeprefix(OPERATION))
        if request.path in self._files:
            return _file(request, self._files[request.path])
        if request.path == "/operations" and request.method == "DELETE":
            return _json(await self._desk.end_all(_to_be_ended(request, self._desk.now())))
        if (answer := self._reads.get(request.path)) is None:
            raise Refusal(404, HELP)
        _allow(request, *READS, *(["DELETE"] if request.path == "/operations" else []))
        return await answer(request)

    async def _operation(self, request: web.BaseRequest, short: str) -> web.Response:
        _allow(request, *READS, "DELETE")
        if request.method == "DELETE":
            return _json(await self._desk.end(short, states_wanted(request.query.items())))
        _without_query(request)
        return _json(await self._desk.show(short))

    async def _operations(self, request: web.BaseRequest) -> web.Response:
        return _json(await self._desk.page(asked(request.query.items(), self._desk.now())))

    async def _requests(self, request: web.BaseRequest) -> web.Response:
        return _json({"requests": await self._survey.requests(requests_wanted(request.query.items()))})

    async def _routes(self, request: web.BaseRequest) -> web.Response:
        _without_query(request)
        return _answered(await self._survey.routes())

    async def _origins(self, request: web.BaseRequest) -> web.Response:
        _without_query(request)
        return _json({"origins": await self._survey.origins()})

    async def _store(self, request: web.BaseRequest) -> web.Response:
        _without_query(request)
        return _json(await self._survey.store())

    async def _service(self, request: web.BaseRequest) -> web.Response:
        _without_query(request)
        return _json(await self._survey.service())

    async def _metrics(self, _: web.BaseRequest) -> web.Response:
        """Whatever its query: scrapers may be told to send one."""
        figures = (await self._survey.ask(FIGURES)).report.get("figures", [])
        return _answered(exposition(figures), EXPOSITION)

    async def _events(self, request: web.BaseRequest) -> web.StreamResponse:
        """A stream, whose head is sent when there is something to show. One who does not read it is dropped."""
        fields = {**GUARDS, **NO_STORE, "Content-Type": "text/event-stream", "X-Accel-Buffering": "no"}
        response = web.StreamResponse(headers=fields)
        response.force_close()
        async with aclosing(self._feed.events(request.query.items())) as events:
            try:
                async for event in events:
                    await response.prepare(request)
                    if request.method == "HEAD":
                        break
                    async with asyncio.timeout(PATIENCE):
                        await response.write(event)
            except (StoreUnavailable, ConnectionError):
                if not response.prepared:
                    raise
            except TimeoutError:
                if request.transport is not None:
                    request.transport.abort()
        return response


def _health(request: web.BaseRequest, trouble: str | None, well: str) -> web.Response:
    """For probes, which have no token."""
    _allow(request, *READS)
    return web.Response(text=f"{trouble or well}\n", status=200 if trouble is None else 503, headers=NO_STORE)


def _to_be_ended(request: web.BaseRequest, now: float) -> Asked:
    """Which operations; without a state, nobody can have meant all of them."""
    found = asked(request.query.items(), now, ENDING)
    if "state" not in found.query:
        raise Refusal(400, "Say which `state` they are to have: `unsettled` are cancelled, `settled` are dropped.")
    return found


def _allow(request: web.BaseRequest, *methods: str) -> None:
    if request.method not in methods:
        allowed = ", ".join(methods)
        raise Refusal(405, f"What is allowed here: {allowed}.", {"Allow": allowed})


def _without_query(request: web.BaseRequest) -> None:
    if request.query_string:
        raise Refusal(400, "There are no parameters here.")


def _file(request: web.BaseRequest, file: PageFile) -> web.Response:
    _allow(request, *READS)
    fields = {**GUARDS, "Cache-Control": "no-cache", "ETag": file.etag}
    if file.etag in request.headers.get("If-None-Match", ""):
        return web.Response(status=304, headers=fields)
    return web.Response(body=file.content, headers={**fields, "Content-Type": file.type})


def _json(document: object) -> web.Response:
    return _answered(json.dumps(document).encode())


def _answered(body: bytes, type: str = "application/json") -> web.Response:
    return web.Response(body=body, headers={**GUARDS, **NO_STORE, "Content-Type": type})


def _problem(refusal: Refusal) -> web.Response:
    fields = {**GUARDS, **NO_STORE, **refusal.fields, "Content-Type": "application/problem+json"}
    return web.Response(body=refusal.document(), status=refusal.status, headers=fields)
