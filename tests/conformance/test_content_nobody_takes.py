"""Content that has come whole and that nobody takes is dropped with its request: the connection goes on behind it."""

import asyncio
from functools import partial

from proxy.client import ClientRequest
from proxy.clock import Clock
from proxy.config import Limits
from proxy.errors import ProxyError
from proxy.forwarded import TrustedProxies
from proxy.front import Server
from proxy.inflow import HIGH_WATER
from proxy.message import Fields, Reply, ResponseHead
from proxy.tally import Tally
from tests.raw_client import LIMIT, RawClient, request

DONE = Reply(ResponseHead(204, b"No Content", Fields()))


async def answer_once_all_is_here(client: ClientRequest) -> None:
    async with asyncio.timeout(LIMIT):
        while not client.arrived:  # noqa: ASYNC110  # nobody is told of it
            await asyncio.sleep(0.001)
    await client.respond(DONE)


def refuse(_: ClientRequest, error: ProxyError) -> Reply:
    raise error


async def test_more_content_than_is_read_ahead_does_not_hold_up_the_next_request() -> None:
    peer = partial(TrustedProxies(()).peer, tls=False)
    server = Server(answer_once_all_is_here, refuse, peer, Limits(), Clock(), admitted=Tally(1).cell(0))
    listener = await asyncio.get_running_loop().create_server(server, "127.0.0.1", 0)
    async with listener, RawClient(port=listener.sockets[0].getsockname()[1]) as client:
        for _ in range(3):
            await client.send(request("POST", b"/", (), b"x" * (HIGH_WATER + 1)))
            assert (await client.response()).status == 204
            await client.send(request("GET", b"/"))
            assert (await client.response()).status == 204
        await client.send(request("GET", b"/", [(b"Connection", b"close")]))
        assert (await client.response()).status == 204
        await server.drain(LIMIT)
