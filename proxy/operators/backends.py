"""The servers of origins, as this process sees them."""

from collections.abc import Iterator

from proxy.operators.report import ServerState
from proxy.origin import Origins


def server_states(origins: Origins) -> Iterator[ServerState]:
    for name, origin in origins.items():
        for server in origin.servers:
            open, idle = origin.connections_to(server)
            yield ServerState(
                origin=name,
                server=str(server.url),
                left_alone_by=int(server.health.left_alone),
                reason=server.health.reason,
                connections=open,
                idle=idle,
                max_connections=origin.settings.max_connections,
                waiting=origin.waiting,
                held=origin.held,
                used_by=origin.used_by,
            )
