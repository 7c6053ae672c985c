"""What operators ask, over HTTP on an address of their own: health, metrics, operations, and all else that `operators` shows.

Each connection gets one answer: the next request is for whichever worker is there then.
"""

import asyncio
import traceback
from collections.abc import AsyncGenerator, Iterable, Mapping
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Final

import structlog

from proxy.client import ClientRequest
from proxy.complaints import Complaint, Complaints
from proxy.errors import BadRequest, ProxyError, StoreUnavailable
from proxy.figures import Family
from proxy.message import Reply
from proxy.observe import exposition
from proxy.operators.desk import Desk
from proxy.operators.feed import Feed
from proxy.operators.filters import Asked, asked, requests_wanted, states_wanted
from proxy.operators.gate import Gate
from proxy.operators.page import PageFile
from proxy.operators.refusal import Refusal
from proxy.operators.report import FIGURES
from proxy.operators.resources import Handler, Request, Resources, read_by, request_of
from proxy.operators.responses import (
    Response,
    Stream,
    content,
    document,
    file,
    health,
    in_pieces,
    problem,
    send,
    stream,
    unless_known,
)
from proxy.operators.survey import Survey
from proxy.words import ALIVE

EXPOSITION: Final = b"text/plain; version=0.0.4; charset=utf-8"  # Prometheus' text format
READING: Final = ("GET", "HEAD")
PROBES: Final = ("/livez", "/readyz")  # ask without a token, by any name
ENDING: Final = ("route", "state", "older_than", "younger_than", "settled_by")  # by which operations are ended
TOGETHER: Final = frozenset({"id", "operation"})  # who asks for requests by one of these is told of their operations
HELP: Final = (
    "There are /livez, /readyz, /metrics, /operations, /operations/ID, /requests, /routes, /origins, /store, /service"
    " and /events here, and the page at /."
)

log = structlog.get_logger()


class Admin:
    """Answers operators."""

    def __init__(self, gate: Gate, desk: Desk, survey: Survey, feed: Feed, files: Mapping[str, PageFile]) -> None:
        self._gate = gate
        self._desk = desk
        self._survey = survey
        self._feed = feed
        self._complaints = Complaints(_complain)
        self._resources = Resources(
            {
                "/livez": read_by(self._livez),
                "/readyz": read_by(self._readyz),
                "/metrics": read_by(self._metrics),
                "/operations": {**read_by(self._operations), "DELETE": self._end_operations},
                "/operations/*": {**read_by(self._operation), "DELETE": self._end_operation},
                "/requests": read_by(self._requests),
                "/routes": read_by(self._routes),
                "/origins": read_by(self._origins),
                "/store": read_by(self._store),
                "/service": read_by(self._service),
                "/events": read_by(self._events),
                **{path: read_by(partial(_file, found)) for path, found in files.items()},
            },
            HELP,
        )

    async def handle(self, client: ClientRequest) -> None:
        """Respond, in any case, and have the connection closed."""
        client.keep_alive = False
        try:
            await send(client, await self._response(client))
        except ConnectionError:
            client.abort()

    async def refuse(self, client: ClientRequest, error: ProxyError) -> None:
        """Respond with an error, and have the connection closed."""
        client.keep_alive = False
        with suppress(ConnectionError):
            await client.respond(self.refusal(client, error))

    def close(self) -> None:
        """Tell the log what it has yet to be told."""
        self._complaints.close()

    def end_streams(self) -> None:
        """Have whoever follows what changes ask again, elsewhere."""
        self._feed.end()

    def refusal(self, _: ClientRequest, error: ProxyError) -> Reply:
        """The response to what never became a request, or made this fail.

        The log has the kind of error, and where that was found out; but not what was sent, with the credentials in it.
        """
        cause = (type(error) is ProxyError and error.__cause__) or error
        self._complaints.tell(Complaint(type(cause).__name__, _place(cause)))
        return problem(Refusal.by(error))

    async def _response(self, client: ClientRequest) -> Response:
        try:
            request = request_of(client.head)
            response = await self._handler(request)(request)
            return unless_known(response, request.fields) if request.method in READING else response
        except Refusal as refusal:
            return problem(refusal)
        except StoreUnavailable as error:
            return problem(Refusal.by(error))
        except BadRequest as error:
            return self.refusal(client, error)

    def _handler(self, request: Request) -> Handler:
        if request.path not in PROBES:
            self._gate.check(request.fields, request.authority)
        return self._resources.handler(request)

    async def _livez(self, _: Request) -> Reply:
        return health(None, ALIVE)

    async def _readyz(self, _: Request) -> Reply:
        return health(self._survey.not_ready(), "ready")

    async def _metrics(self, _: Request) -> Stream:
        """Whatever its query: scrapers may be told to send one."""
        answer = await self._survey.ask(FIGURES)
        return await in_pieces(_shown(answer.report.get("figures", ())), EXPOSITION)

    async def _operations(self, request: Request) -> Reply:
        return document(await self._desk.page(asked(request.query, self._desk.now())))

    async def _end_operations(self, request: Request) -> Reply:
        _without_content(request)
        return document(await self._desk.end_all(_to_be_ended(request, self._desk.now())))

    async def _operation(self, request: Request) -> Reply:
        _without_query(request)
        return document(await self._desk.show(request.name))

    async def _end_operation(self, request: Request) -> Reply:
        _without_content(request)
        return document(await self._desk.end(request.name, states_wanted(request.query)))

    async def _requests(self, request: Request) -> Reply:
        wanted = requests_wanted(request.query)
        requests = await self._survey.requests(wanted)
        operations = {} if TOGETHER.isdisjoint(wanted) else {"operations": await self._desk.concerned(requests)}
        return document({"requests": requests, **operations})

    async def _routes(self, request: Request) -> Reply:
        _without_query(request)
        return content(await self._survey.hour())

    async def _origins(self, request: Request) -> Reply:
        _without_query(request)
        return document({"origins": await self._survey.origins()})

    async def _store(self, request: Request) -> Reply:
        _without_query(request)
        return document(await self._survey.store())

    async def _service(self, request: Request) -> Reply:
        _without_query(request)
        return document(await self._survey.service())

    async def _events(self, request: Request) -> Stream:
        return await stream(self._feed.events(request.query))


async def _shown(figures: Iterable[Family]) -> AsyncGenerator[bytes, None]:
    for piece in exposition(figures):
        yield piece
        await asyncio.sleep(0)  # of many routes that is long


async def _file(found: PageFile, _: Request) -> Reply:
    return file(found)


def _to_be_ended(request: Request, now: float) -> Asked:
    """Which operations; without a state, nobody can have meant all of them."""
    found = asked(request.query, now, ENDING)
    if "state" not in found.query:
        raise Refusal(400, "Say which `state` they are to have: `unsettled` are cancelled, `settled` are dropped.")
    return found


def _without_content(request: Request) -> None:
    """What is asked for in a form would not be read, and more be ended than was meant."""
    length = request.fields.first(b"content-length") or b""
    if length.strip(b"0") or request.fields.first(b"transfer-encoding"):
        raise Refusal(400, "Content is not read here: what is to be ended is said in the query.")


def _without_query(request: Request) -> None:
    if request.query:
        raise Refusal(400, "There are no parameters here.")


def _complain(complaint: Complaint, **more: int) -> None:
    log.warning("request to admin failed", **complaint._asdict(), **more)


def _place(error: BaseException) -> str | None:
    """The line of code that raised it."""
    frames = list(traceback.walk_tb(error.__traceback__))
    return f"{Path(frames[-1][0].f_code.co_filename).name}:{frames[-1][1]}" if frames else None
