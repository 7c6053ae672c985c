"""The proxy that one would write in an afternoon: aiohttp on both sides. `python -m bench.naive PORT ORIGIN_PORT`."""

import asyncio
import sys

import uvloop
from aiohttp import ClientSession, DummyCookieJar, TCPConnector, web

HOP_BY_HOP = {"connection", "keep-alive", "proxy-connection", "te", "trailer", "transfer-encoding", "upgrade"}


async def main(port: int, origin: str) -> None:
    async def handle(request: web.BaseRequest) -> web.StreamResponse:
        headers = [(name, value) for name, value in request.headers.items() if name.lower() not in HOP_BY_HOP]
        headers.append(("X-Forwarded-For", request.remote or ""))
        content = request.content if request.can_read_body else None
        target = origin + request.path_qs
        async with session.request(
            request.method, target, headers=headers, data=content, allow_redirects=False
        ) as answer:
            response = web.StreamResponse(status=answer.status, reason=answer.reason)
            for name, value in answer.headers.items():
                if name.lower() not in HOP_BY_HOP:
                    response.headers.add(name, value)
            await response.prepare(request)
            async for piece in answer.content.iter_any():
                await response.write(piece)
            await response.write_eof()
            return response

    connector = TCPConnector(limit=0)
    async with ClientSession(connector=connector, auto_decompress=False, cookie_jar=DummyCookieJar()) as session:
        server = web.Server(handle, access_log=None)
        await asyncio.get_running_loop().create_server(server, "127.0.0.1", port, backlog=4096)
        await asyncio.Event().wait()


if __name__ == "__main__":
    uvloop.run(main(int(sys.argv[1]), f"http://127.0.0.1:{sys.argv[2]}"))
