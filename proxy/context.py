"""What all routes of a process share."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from proxy.clock import Clock
from proxy.keeper import Keeper
from proxy.pace import Paces
from proxy.store import Store
from proxy.tracing import Tracing
from proxy.tunnel import Tunnels
from proxy.urls import StatusUrls


@dataclass(frozen=True, slots=True)
class Context:
    """Handed down from the composition of the service."""

    proxy_name: str
    keeper_id: str
    keeper: Keeper
    store: Store
    paces: Paces
    urls: StatusUrls
    clock: Clock
    tunnels: Tunnels
    new_id: Callable[[], str]  # at least 128 random bits, safe in a path
    max_of_client: int | None  # operations that one client may have under way
    spool_folder: Path | None  # None: the system's place for temporary files
    tracing: Tracing | None  # None: nobody wants spans
