"""Health and metrics, on an address of their own."""

from collections.abc import Awaitable, Callable

from aiohttp import web

from proxy.figures import Figures
from proxy.observe import exposition

EXPOSITION = "text/plain; version=0.0.4; charset=utf-8"  # Prometheus' text format


class Admin:
    """`/livez`: the service answers. `/readyz`: it takes requests. `/metrics`: what it has done."""

    def __init__(self, figures: Callable[[], Awaitable[Figures]], not_ready: Callable[[], str | None]) -> None:
        self._figures = figures
        self._not_ready = not_ready  # why it takes no requests; None if it does

    async def handle(self, request: web.BaseRequest) -> web.StreamResponse:
        """Answer once for each connection: the next question is for whichever worker is there then."""
        response = await self._answer(request)
        response.force_close()
        return response

    async def _answer(self, request: web.BaseRequest) -> web.StreamResponse:
        if request.method not in ("GET", "HEAD"):
            return web.Response(status=405, headers={"Allow": "GET, HEAD"})
        match request.path:
            case "/livez":
                return web.Response(text="alive\n")
            case "/readyz":
                reason = self._not_ready()
                return web.Response(text=f"{reason or 'ready'}\n", status=200 if reason is None else 503)
            case "/metrics":
                return web.Response(body=exposition(await self._figures()), headers={"Content-Type": EXPOSITION})
            case _:
                return web.Response(text="There are /livez, /readyz and /metrics here.\n", status=404)
