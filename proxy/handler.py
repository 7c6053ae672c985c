"""Every request: checked, sent on its way, and accounted for, whatever becomes of it."""

import asyncio
from collections.abc import Awaitable, Mapping
from time import perf_counter
from typing import Final

import structlog

from proxy.accept import prefers_page
from proxy.access import AccessLog, request_ids
from proxy.client import ClientRequest
from proxy.errors import (
    BadRequest,
    LoopDetected,
    MethodNotAllowed,
    MethodNotImplemented,
    NoRoute,
    ProxyError,
    ShuttingDown,
    Side,
)
from proxy.fields import hop_counted
from proxy.forward import Forwarder, Inbound
from proxy.forwarded import TrustedProxies
from proxy.message import Field, Fields, Reply, RequestHead, ResponseHead
from proxy.monitor import VARY
from proxy.observe import Metrics
from proxy.problem import problem
from proxy.routes import Routes
from proxy.status import StatusMonitor
from proxy.target import Target, target_of

log = structlog.get_logger()

VERSIONS: Final = ((1, 0), (1, 1))
STATUS_URL: Final = "(status)"  # what stands for a route in logs and metrics where there is none
NO_ROUTE: Final = "(none)"
MOST_PASSAGES: Final = 8  # of one request through proxies of this one's name
LONGEST_ID: Final = 128  # bytes of a client's X-Request-Id that are logged; the origin gets it whole
OPERATORS: Final = (Side.ORIGIN, Side.STORE)  # whose errors have causes that name addresses, not what clients sent
NO_ERROR: Final[Mapping[str, str | None]] = {}
CLIENT_LEFT: Final = 499  # what nginx logs for it; nobody is sent it


class Passage:
    """What is known of a request on its way, for errors and the access line."""

    __slots__ = ("began", "client", "error", "request_id", "route", "target", "varies")

    def __init__(self, client: ClientRequest) -> None:
        self.client = client
        self.began = perf_counter()
        self.route = NO_ROUTE
        self.varies = False  # whether the route's responses depend on Prefer
        self.target = b""
        self.request_id = b""
        self.error: Mapping[str, str | None] = NO_ERROR  # what went wrong, if anything did

    @property
    def path(self) -> str:
        """The part of the target that may be shown: without query."""
        return self.target.partition(b"?")[0].decode("utf-8", "replace")


class Handler:
    """Takes each request from `wire` and responds to it."""

    def __init__(
        self,
        routes: Routes,
        forwarders: Mapping[str, Forwarder],
        monitor: StatusMonitor,
        trusted: TrustedProxies,
        metrics: Metrics,
    ) -> None:
        self._routes = routes
        self._forwarders = forwarders
        self._monitor = monitor
        self._trusted = trusted
        self._metrics = metrics
        self._access = AccessLog()
        self._ids = request_ids()
        self._in_via = b" " + monitor.proxy_name.lower().encode()

    async def handle(self, client: ClientRequest) -> None:
        """Respond, in any case."""
        passage = Passage(client)
        try:
            await self._answer(passage)
        except ProxyError as error:
            await self._tell(passage, error)
        except ConnectionError:
            self._client_left(passage)
        except asyncio.CancelledError:
            if client.link.draining:
                await self._tell(passage, ShuttingDown("The proxy stopped before the origin answered."))
            else:
                self._client_left(passage)
            raise
        finally:
            self._account(passage)

    def refusal(self, client: ClientRequest, error: ProxyError) -> Reply:
        """The response to what never became a request, or made the proxy itself fail."""
        log.info("request refused", peer=client.link.peer.address, code=error.code)
        if type(error) is ProxyError:
            log.error("handler failed", exc_info=error.__cause__)
        return problem(error, "/", self._monitor.proxy_name)

    def _answer(self, passage: Passage) -> Awaitable[None]:
        """Find out whose it is to respond, and have that done by awaiting what is returned."""
        head = passage.client.head
        target = _checked(head)
        passage.target = target.origin_form
        passage.request_id = (head.fields.first(b"x-request-id") or next(self._ids))[:LONGEST_ID]
        arrival = self._trusted.arrival(passage.client.link.peer, target.authority, head.fields)
        if (operation_id := self._monitor.urls.id(target.origin_form)) is not None:
            passage.route = STATUS_URL
            return self._monitor.answer(passage.client, operation_id, arrival.client)
        counted = hop_counted(head)
        if counted is None:
            return _answer_here(passage.client)
        if self._has_looped(head):
            raise LoopDetected("Its Via names this proxy too many times: an origin leads back to it.")
        route = self._routes.match(head.method, target.authority, target.origin_form)
        if route is None:
            raise NoRoute
        passage.route, passage.varies = route.name, route.respond_async is not None
        inbound = Inbound(passage.client, _in_origin_form(counted, target), arrival, passage.request_id)
        return self._forwarders[route.name].forward(inbound)

    def _has_looped(self, head: RequestHead) -> bool:
        """Whether forwarding would go in circles (RFC 9110 section 7.6). Some proxies of one name may stand in line."""
        if b"via" not in head.fields.names:
            return False
        passed = head.fields.members(b"via")
        return len(passed) >= MOST_PASSAGES and sum(via.endswith(self._in_via) for via in passed) >= MOST_PASSAGES

    async def _tell(self, passage: Passage, error: ProxyError) -> None:
        """Tell the client of the error, unless it has been sent half a response already."""
        passage.error = {
            "error": error.code,
            "error_type": error.error_type,
            "detail": error.detail or None,
            "cause": error.cause if error.side in OPERATORS else None,
        }
        client = passage.client
        if client.started:
            client.abort()
            return
        client.keep_alive = client.keep_alive and not error.closes
        more: list[Field] = [VARY] if passage.varies else []
        if isinstance(error, MethodNotAllowed):
            more.append((b"Allow", error.allow.encode()))
        try:
            as_page = prefers_page(client.head.fields)
            await client.respond(problem(error, passage.path, self._monitor.proxy_name, *more, as_page=as_page))
        except ConnectionError:
            client.abort()

    def _client_left(self, passage: Passage) -> None:
        """Nobody's error; and none at all where the client had all that it came for."""
        if not (passage.client.started and passage.client.is_whole):
            passage.error = {"error": "client-left"}
        passage.client.abort()

    def _account(self, passage: Passage) -> None:
        client, seconds = passage.client, perf_counter() - passage.began
        status = client.status if client.started else CLIENT_LEFT
        self._metrics.request(passage.route, status, seconds)
        if self._access.enabled:
            self._access.line(
                status=status,
                method=client.head.method,
                path=self._loggable(passage),
                seconds=seconds,
                sent=client.sent,
                received=client.received,
                route=passage.route,
                peer=client.link.peer.address,
                request_id=passage.request_id.decode("latin-1") or None,
                error=passage.error,
            )

    def _loggable(self, passage: Passage) -> str:
        return self._monitor.urls.shortened(passage.path) if passage.route == STATUS_URL else passage.path


def _checked(head: RequestHead) -> Target:
    """What the request is sent to. Raises BadRequest, MethodNotImplemented for what the parser lets through."""
    if head.version not in VERSIONS:
        raise BadRequest("The request is not HTTP/1.1 or HTTP/1.0.")
    if head.method == "CONNECT":
        raise MethodNotImplemented("This is no forward proxy.")
    codings = head.fields.all(b"transfer-encoding")
    if codings and (len(codings) > 1 or codings[0].lower() != b"chunked" or head.version < (1, 1)):
        raise BadRequest("The request has a Transfer-Encoding other than chunked.")
    return target_of(head)


def _in_origin_form(head: RequestHead, target: Target) -> RequestHead:
    return head if head.target == target.origin_form else head._replace(target=target.origin_form)


async def _answer_here(client: ClientRequest) -> None:
    """Be the final recipient of a request that may go no further (RFC 9110 section 7.6.2)."""
    if client.head.method != "OPTIONS":
        raise MethodNotAllowed("OPTIONS")
    await client.respond(Reply(ResponseHead(204, b"No Content", Fields())))
