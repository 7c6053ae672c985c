"""Status URLs: the monitor of an operation while it runs, its result when it is done."""

import asyncio
from contextlib import aclosing
from typing import Final, assert_never

from proxy import monitor, reasons
from proxy.accept import prefers_page
from proxy.account import Account
from proxy.client import ClientRequest
from proxy.errors import ExpiredOperation, MethodNotAllowed, RangeNotSatisfiable, StoreUnavailable, UnknownOperation
from proxy.forwarded import Client
from proxy.ledger import Ledger
from proxy.message import CONTENT_LENGTH, Fields, Reply, RequestHead, ResponseHead, has_body
from proxy.operation import Operation, State, credential_of
from proxy.pace import Paces
from proxy.prefer import parse
from proxy.problem import NO_STORE
from proxy.ranges import Part, Unsatisfiable, Whole, satisfy
from proxy.relay import stream
from proxy.store import LONGEST_INLINE, inline_content
from proxy.urls import StatusUrls

METHODS: Final = "GET, HEAD, DELETE, OPTIONS"
OK: Final = 200
DELETED: Final = "A client cancelled it: DELETE of its status URL."


class StatusMonitor:
    """Answers requests to status URLs."""

    def __init__(self, ledger: Ledger, paces: Paces, urls: StatusUrls, proxy_name: str) -> None:
        self._ledger = ledger
        self._paces = paces
        self._store = ledger.store
        self.urls = urls
        self.proxy_name = proxy_name
        self._polls: set[asyncio.Timeout] = set()
        self._draining = False

    def drain(self) -> None:
        """End the long polls now, with what is known, and begin no more."""
        self._draining = True
        for poll in self._polls:
            if not poll.expired():
                poll.reschedule(0)

    async def answer(self, account: Account, id: str, client: Client) -> None:
        """Respond. Raises UnknownOperation, ExpiredOperation, MethodNotAllowed, RangeNotSatisfiable, StoreUnavailable."""
        request = account.client
        method = request.head.method
        if method == "OPTIONS":
            await request.respond(
                Reply(ResponseHead(204, b"No Content", Fields(((b"Allow", METHODS.encode()), NO_STORE))))
            )
        elif method == "DELETE":
            await request.respond(await self._delete(account, id, client))
        elif method in ("GET", "HEAD"):
            operation = await self._awaited(request, await self._find(request, id))
            account.shows(operation)
            await self._show(account, operation, client)
        else:
            raise MethodNotAllowed(METHODS)

    async def _find(self, request: ClientRequest, id: str) -> Operation:
        return self._visible(request, await self._store.get(id))

    def _visible(self, request: ClientRequest, operation: Operation | None) -> Operation:
        """The operation, if whoever asks may see it. A stranger learns no more than if there were none."""
        credential = credential_of(request.head.fields)
        if operation is None or operation.state is State.DISMISSED or not operation.belongs_to(credential):
            detail = "It never was, was deleted, has been forgotten, or is not yours."
            raise UnknownOperation(detail, why=reasons.unknown(operation))
        if operation.has_expired(self._ledger.now()):
            why = reasons.expired(operation)
            raise ExpiredOperation("Its result was kept for a while and is gone.", why=why)
        return operation

    async def _awaited(self, request: ClientRequest, operation: Operation) -> Operation:
        """The operation, after a long poll if `Prefer: wait` asks for one (RFC 7240 section 4.3)."""
        wait = parse(request.head.fields.all(b"prefer")).wait
        if not wait or operation.is_settled or self._draining:
            return operation
        return self._visible(request, await self._poll(operation.id, min(wait, operation.longest_wait)))

    async def _poll(self, id: str, wait: float) -> Operation | None:
        poll = asyncio.timeout(wait)
        try:
            async with poll:
                self._polls.add(poll)
                try:
                    return await self._store.settled(id)
                finally:
                    self._polls.discard(poll)
        except TimeoutError:
            return await self._store.get(id)

    async def _delete(self, account: Account, id: str, client: Client) -> Reply:
        """Dismiss it while it runs: whoever runs it hears of that from the store. Later, drop what is kept."""
        request = account.client
        operation = await self._find(request, id)
        account.concerns(operation)
        if not await self._dismiss(operation) and not await self._store.remove(id):
            raise UnknownOperation("It was deleted a moment ago.")
        return monitor.dismissed(operation, self.urls.href(id, client, request.link.local))

    async def _dismiss(self, operation: Operation) -> bool:
        return not operation.is_settled and await self._ledger.settle(operation.dismissed(self._ledger.now(), DELETED))

    async def _show(self, account: Account, operation: Operation, client: Client) -> None:
        request = account.client
        match operation.state:
            case State.QUEUED | State.RUNNING:
                await request.respond(await self._unsettled(request, operation, client))
            case State.COMPLETED:
                await self._replay(request, operation)
            case State.FAILED:
                as_page = prefers_page(request.head.fields)
                told = monitor.failed(operation, account.path, self.proxy_name, account.named, as_page=as_page)
                await request.respond(told)
            case State.DISMISSED:
                raise UnknownOperation("It was deleted a moment ago.")
            case never:
                assert_never(never)

    async def _unsettled(self, request: ClientRequest, operation: Operation, client: Client) -> Reply:
        href = self.urls.href(operation.id, client, request.link.local)
        before = 0 if operation.is_running else await self._store.queued_before(operation)
        now = self._ledger.now()
        estimate = self._paces.estimate(operation, now, before)
        status = monitor.unsettled(operation, href, now, estimate)
        as_page = prefers_page(request.head.fields)
        return monitor.for_a_person(status, operation, estimate) if as_page else status

    async def _replay(self, request: ClientRequest, operation: Operation) -> None:
        """The stored response, or the part of it that is asked for."""
        head, size = _framed(monitor.completed(operation), operation, request.head.method)
        match _part_asked_for(request.head, head, size):
            case Whole():
                start, stop = 0, size
            case Part(start, stop):
                head = _partial(head, start, stop, size)
            case Unsatisfiable():
                raise RangeNotSatisfiable(size)
            case never:
                assert_never(never)
        await self._send(request, head, operation, start, stop)

    async def _send(
        self, request: ClientRequest, head: ResponseHead, operation: Operation, start: int, stop: int
    ) -> None:
        if request.head.method == "HEAD" or start == stop:
            request.begin(head, stop - start)
            await request.end()
            return
        if operation.body is not None and operation.body.inline is not None and operation.body.size <= LONGEST_INLINE:
            content = inline_content(operation.body)[start:stop]
            request.begin(head, len(content))
            await request.end(content)
            return
        async with aclosing(self._store.body(operation, start, stop)) as pieces:
            try:
                first = await anext(pieces)  # a body that is gone or torn is found out before a byte is sent
            except StoreUnavailable:
                await self._find(request, operation.id)  # deleted or expired a moment ago: then that is the answer
                raise
            request.begin(head, stop - start)
            await request.write(first)
            await stream(request, pieces)


def _framed(head: ResponseHead, operation: Operation, method: str) -> tuple[ResponseHead, int]:
    """The head with the length that is true of this answer, and the length."""
    size = operation.body.size if operation.body else 0
    if operation.request.method == "HEAD":  # then Content-Length tells of content that was never sent
        return head if method == "HEAD" else head._replace(fields=head.fields.without(CONTENT_LENGTH)), 0
    if head.fields.first(b"content-length") is None and has_body("GET", head.status):
        head = head._replace(fields=head.fields.plus((b"Content-Length", b"%d" % size)))
    return head, size


def _part_asked_for(request: RequestHead, head: ResponseHead, size: int) -> Whole | Part | Unsatisfiable:
    if request.method != "GET" or head.status != OK:
        return Whole()
    asked, stored = request.fields, head.fields.first
    return satisfy(
        _joined(asked, b"range"), _joined(asked, b"if-range"), stored(b"etag"), stored(b"last-modified"), size
    )


def _joined(fields: Fields, name: bytes) -> bytes | None:
    """All lines of a field as one value (RFC 9110 section 5.3): two of a field that has one value make none that holds."""
    lines = fields.all(name)
    return b", ".join(lines) if lines else None


def _partial(head: ResponseHead, start: int, stop: int, size: int) -> ResponseHead:
    """The head of a 206 (RFC 9110 section 15.3.7)."""
    content_range = (b"Content-Range", b"bytes %d-%d/%d" % (start, stop - 1, size))
    return ResponseHead(206, b"Partial Content", head.fields.without(CONTENT_LENGTH).plus(content_range))
