"""A bare server on aiohttp's low level, which always says the same. `python -m bench.bare PORT SIZE`."""

import asyncio
import sys

import uvloop
from aiohttp import web


async def main(port: int, size: int) -> None:
    async def handle(request: web.BaseRequest) -> web.StreamResponse:  # noqa: ARG001  # it always says the same
        return web.Response(status=202, body=b"x" * size, content_type="application/json")

    server = web.Server(handle, access_log=None)
    await asyncio.get_running_loop().create_server(server, "127.0.0.1", port, backlog=4096)
    await asyncio.Event().wait()


if __name__ == "__main__":
    uvloop.run(main(*map(int, sys.argv[1:])))
