"""Health and metrics, on an address of their own."""

from collections.abc import Callable

from aiohttp import web

from proxy.observe import Metrics

EXPOSITION = "text/plain; version=0.0.4; charset=utf-8"  # Prometheus' text format


class Admin:
    """`/livez`: the process answers. `/readyz`: it takes requests. `/metrics`: what it has done."""

    def __init__(self, metrics: Metrics, not_ready: Callable[[], str | None]) -> None:
        self._metrics = metrics
        self._not_ready = not_ready  # why it takes no requests; None if it does

    async def handle(self, request: web.BaseRequest) -> web.StreamResponse:
        if request.method not in ("GET", "HEAD"):
            return web.Response(status=405, headers={"Allow": "GET, HEAD"})
        match request.path:
            case "/livez":
                return web.Response(text="alive\n")
            case "/readyz":
                reason = self._not_ready()
                return web.Response(text=f"{reason or 'ready'}\n", status=200 if reason is None else 503)
            case "/metrics":
                return web.Response(body=self._metrics.exposition(), headers={"Content-Type": EXPOSITION})
            case _:
                return web.Response(text="There are /livez, /readyz and /metrics here.\n", status=404)
