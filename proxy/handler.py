"""Every request: checked, sent on its way, and accounted for, whatever becomes of it."""

import asyncio
from collections.abc import Awaitable, Mapping
from typing import Final

import structlog

from proxy import request_id
from proxy.accept import prefers_page
from proxy.access import request_ids
from proxy.account import Account, Inbound
from proxy.books import Books
from proxy.client import ClientRequest
from proxy.errors import (
    DEFECT,
    MethodNotAllowed,
    NoRoute,
    ProxyError,
    ShuttingDown,
    UnknownOperation,
)
from proxy.fields import check_passages, hop_counted
from proxy.forward import Forwarder
from proxy.forwarded import TrustedProxies
from proxy.message import Fields, Reply, RequestHead, ResponseHead
from proxy.monitor import VARY
from proxy.problem import problem
from proxy.routes import Routes
from proxy.status import StatusMonitor
from proxy.target import Target, checked
from proxy.tracing import Tracing

log = structlog.get_logger()

STOPPED: Final = "The proxy stopped before the origin answered."


class Handler:
    """Takes each request from `wire` and responds to it."""

    def __init__(
        self,
        routes: Routes,
        forwarders: Mapping[str, Forwarder],
        monitor: StatusMonitor,
        trusted: TrustedProxies,
        books: Books,
        *,
        tracing: Tracing | None = None,
    ) -> None:
        """`tracing` is for who wants spans."""
        self._routes = routes
        self._forwarders = forwarders
        self._monitor = monitor
        self._trusted = trusted
        self._books = books
        self._tracing = tracing
        self._ids = request_ids()

    async def handle(self, client: ClientRequest) -> None:
        """Respond, in any case."""
        id = client.head.fields.first(b"x-request-id") or next(self._ids)
        client.id = id if len(id) <= request_id.LONGEST else request_id.cut(id)
        account = Account(client, None if self._tracing is None else self._tracing.request(client.head.fields))
        try:
            await self._answer(account)
        except ProxyError as error:
            await self._tell(account, error)
        except ConnectionError:
            _leave(account)
        except asyncio.CancelledError:
            if (why := client.link.why_given_up) is None:
                _leave(account)
            else:
                await self._tell(account, ShuttingDown(STOPPED, why=why))
            raise
        except Exception as exc:  # one request's defect is no other's
            log.exception("handler failed", id=account.id, exc_info=exc)
            client.keep_alive = False
            await self._tell(account, ProxyError(DEFECT))
        finally:
            self._books.enter(account)

    def refusal(self, client: ClientRequest, error: ProxyError) -> Reply:
        """The response to what never became a request, or whose account made the proxy fail.

        It has the id by which it is found in the log: whoever asked may have none of its own, or none that was read.
        """
        client.id = client.id or next(self._ids)
        account = Account(client)
        if type(error) is ProxyError:
            log.error("handler failed", id=account.id, exc_info=error.__cause__)
        else:
            account.refused(error)
            self._books.refuse(account, error)
        return problem(error, "/", self._monitor.proxy_name, account.named)

    def _answer(self, account: Account) -> Awaitable[None]:
        """Find out whose it is to respond, and have that done by awaiting what is returned."""
        client = account.client
        head = client.head
        target = checked(head)
        account.target = target.origin_form
        arrival = self._trusted.arrival(client.link.peer, target.authority, head.fields)
        if account.trace is not None:
            account.trace.came_from(arrival.client)
        if (operation_id := self._monitor.urls.id(target.origin_form)) is not None:
            account.asks_for(operation_id, self._monitor.urls.shown)
            return self._monitor.answer(account, operation_id, arrival.client)
        if (likeness := self._monitor.urls.likeness(target.origin_form)) is not None:
            account.is_like_status_url(likeness)
        route = self._routes.match(head.method, target.authority, target.origin_form)
        account.varies = route is not None and route.respond_async is not None  # whatever is answered from here on
        counted = hop_counted(head)
        if counted is None:
            return _answer_here(account)
        check_passages(head, self._monitor.proxy_name)
        if route is None:
            raise NoRoute
        forwarder = self._forwarders[route.name]
        account.route, account.reasons = route.name, forwarder.reasons
        sent = _in_origin_form(counted, target)
        if account.trace is not None:
            sent = account.trace.exchange.sent_on(sent)
        return forwarder.forward(Inbound(account, sent, arrival))

    async def _tell(self, account: Account, error: ProxyError) -> None:
        """Tell the client of the error, unless it has been sent half a response already."""
        account.failed(error)
        client = account.client
        if client.started:
            client.abort()
            return
        client.keep_alive = client.keep_alive and not error.closes
        # Strangers to an operation get the very bytes that they would get if there were none.
        named = () if isinstance(error, UnknownOperation) else (account.named,)
        more = (*named, VARY) if account.varies else named
        try:
            as_page = prefers_page(client.head.fields)
            await client.respond(problem(error, account.path or "/", self._monitor.proxy_name, *more, as_page=as_page))
        except ConnectionError:
            client.abort()


def _leave(account: Account) -> None:
    """The client has."""
    account.client_left()
    account.client.abort()


def _in_origin_form(head: RequestHead, target: Target) -> RequestHead:
    return head if head.target == target.origin_form else head._replace(target=target.origin_form)


async def _answer_here(account: Account) -> None:
    """Be the final recipient of a request that may go no further (RFC 9110 section 7.6.2)."""
    if account.client.head.method != "OPTIONS":
        raise MethodNotAllowed("OPTIONS")
    fields = Fields((VARY,) if account.varies else ())
    await account.client.respond(Reply(ResponseHead(204, b"No Content", fields)))
