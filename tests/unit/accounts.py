"""Accounts of requests that no connection has brought."""

import asyncio

import uvloop

from proxy.account import Account
from proxy.books import Books
from proxy.client import ClientRequest
from proxy.clock import Clock
from proxy.config import Limits
from proxy.forwarded import Peer
from proxy.inflow import NOTHING
from proxy.message import Field, Fields, RequestHead


class NoLink:
    """The end of a connection at which nobody is."""

    limits = Limits()
    peer = Peer("192.0.2.1", b"192.0.2.1", "http", trusted=False)
    clock = Clock()
    writing_paused = False
    half_closed = False
    local = b"proxy.test"
    draining = False
    why_given_up: str | None = None

    def send(self, data: bytes) -> None:
        pass

    async def drain(self) -> None:
        pass

    def abort(self, *, reset: bool = False) -> None:
        pass

    def take_over(self) -> tuple[asyncio.Transport, bytes]:
        raise NotImplementedError


def account_of(target: bytes = b"/", id: bytes = b"", *fields: Field, status: int = 200) -> Account:
    """That of a request which was answered with a few bytes; with status 0 it was not."""
    client = ClientRequest(RequestHead("GET", target, Fields(fields)), NOTHING, NoLink(), keep_alive=True)
    client.status, client.started, client.sent = status, status > 0, 5
    account = Account(client)
    account.target, account.request_id = target, id
    return account


def ended(route: str, status: int, seconds: float) -> Account:
    """That of a request to a route, which is over."""
    account = account_of(status=status)
    account.route, account.status, account.seconds = route, status, seconds
    return account


def enter(books: Books, account: Account) -> None:
    """Have the books take it in the last turn of an event loop."""

    async def over() -> None:
        books.enter(account)

    uvloop.run(over())
