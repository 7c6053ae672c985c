"""A response on its way to a client: an origin's as it comes, or a stored one."""

from collections.abc import AsyncIterator, Awaitable
from contextlib import aclosing

from proxy.client import ClientRequest
from proxy.errors import ProxyError
from proxy.exchange import Exchange
from proxy.message import ResponseHead


def relay(client: ClientRequest, head: ResponseHead, exchange: Exchange) -> Awaitable[None]:
    """Send the origin's response, whose head has come and is given as the client is to see it.

    A response that is all there goes out in one write. Raises ProxyError where the origin's content does not end as it
    should, with the client's response broken off then; ConnectionError if the client leaves.
    """
    connection = exchange.connection
    response, first = connection.response, connection.arrived()
    client.begin(head, response.length)
    return client.end(first) if response.complete else _go_on(client, first, exchange)


async def _go_on(client: ClientRequest, first: bytes, exchange: Exchange) -> None:
    """Send the head with what is there, and the rest as it comes."""
    await (client.write(first) if first else client.flush())
    async with aclosing(exchange.pieces()) as pieces:
        await stream(client, pieces)


async def stream(client: ClientRequest, pieces: AsyncIterator[bytes]) -> None:
    """Send the content of a response that has begun, to its end or, visibly, not."""
    try:
        async for piece in pieces:
            await client.write(piece)
            if client.is_whole:  # with the last byte the client may go, and nothing that is left concerns it
                return
    except ProxyError:
        client.abort()
        raise
    await client.end()
