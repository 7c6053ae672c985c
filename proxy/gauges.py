"""How things stand in a process, as its metrics show it when somebody looks."""

from collections.abc import Callable
from functools import partial
from typing import Final, NamedTuple

from proxy import __version__
from proxy.front import Server
from proxy.keeper import Keeper
from proxy.meters import ByLabels
from proxy.metrics import Metrics
from proxy.origin import Origin, Origins
from proxy.reaper import Reaper
from proxy.store import Usage
from proxy.tunnel import Tunnels

VERSION: Final[ByLabels] = {(__version__,): 1}


class Standing(NamedTuple):
    """Those who know."""

    keeper: Keeper
    front: Server
    tunnels: Tunnels
    origins: Origins
    reaper: Reaper  # how the store was at its last look
    max_bytes: int  # that may be stored


def show(metrics: Metrics, standing: Standing) -> None:
    """Have all of it among the metrics."""
    keeper, tunnels = standing.keeper, standing.tunnels
    metrics.gauge(
        "respond_async_operations_running", "Operations that were sent, and are under way.", lambda: keeper.running
    )
    metrics.gauge("respond_async_operations_queued", "Operations that wait for their turn.", lambda: keeper.queued)
    metrics.gauge(
        "respond_async_client_connections", "Connections of clients.", lambda: len(standing.front.connections)
    )
    metrics.gauge("respond_async_tunnels", "Connections that were switched to another protocol.", lambda: tunnels.open)
    _show_origins(metrics, standing.origins)
    _show_store(metrics, standing.reaper, standing.max_bytes)
    metrics.gauges("respond_async_build_info", "The version that runs.", ("version",), lambda: VERSION, whole=True)


def _show_origins(metrics: Metrics, origins: Origins) -> None:
    metrics.gauges(
        "respond_async_origin_connections",
        "Connections to an origin, used by an exchange or idle.",
        ("origin", "state"),
        partial(_connections, origins),
    )
    metrics.gauges(
        "respond_async_origin_waiting",
        "Requests and operations that wait for a connection to an origin (max_connections), or until it can be reached.",
        ("origin",),
        partial(_by_origin, origins, lambda origin: origin.waiting),
    )
    metrics.gauges(
        "respond_async_origin_held",
        "Operations that wait until fewer of their route run at an origin (max_running).",
        ("origin",),
        partial(_by_origin, origins, lambda origin: origin.held),
    )
    metrics.gauges(
        "respond_async_origin_servers_left_alone",
        "Servers of an origin to which nothing is sent, in the worker that leaves most of them alone.",
        ("origin",),
        partial(_by_origin, origins, lambda origin: origin.servers.left_alone),
        whole=True,
    )


def _show_store(metrics: Metrics, reaper: Reaper, max_bytes: int) -> None:
    metrics.gauge("respond_async_store_bytes", "Bytes that are stored.", lambda: reaper.usage.bytes, whole=True)
    metrics.gauge("respond_async_store_max_bytes", "Bytes that may be stored.", lambda: max_bytes, whole=True)
    metrics.gauges(
        "respond_async_store_operations",
        "Operations in the store, those of all processes on it.",
        ("state",),
        lambda: _by_state(reaper.usage),
        whole=True,
    )


def _connections(origins: Origins) -> ByLabels:
    counted: dict[tuple[str, ...], float] = {}
    for name, origin in origins.items():
        counted[name, "used"], counted[name, "idle"] = origin.used, origin.idle
    return counted


def _by_origin(origins: Origins, figure: Callable[[Origin], int]) -> ByLabels:
    return {(name,): figure(origin) for name, origin in origins.items()}


def _by_state(usage: Usage) -> ByLabels:
    return {("queued",): usage.queued, ("running",): usage.running, ("settled",): usage.settled}
