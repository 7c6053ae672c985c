"""One large response and one large request: bytes per second, and what memory that takes."""

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Final

from bench.bulk import download, upload
from bench.contenders import PROXIES, contending, nginx_origin, own_origin, serving
from bench.rounds import MIB, Bench, Figures, Rounds, in_turn, joined
from bench.running import Server
from tests.faults import procfs

MB: Final = 1_000_000
NAME: Final = "large"


def measure(bench: Bench) -> Rounds:
    return joined(_down(bench), _up(bench))


def _down(bench: Bench) -> Rounds:
    folder = bench.folder / "down"
    with (
        serving(nginx_origin, folder / "origin", 0, bench.cores.load) as origin,
        contending(PROXIES, folder, origin, bench.cores.proxy) as servers,
    ):
        files = folder / "origin" / "files"
        files.mkdir()
        _sparse(files / NAME, bench.effort.size)
        work = {name: partial(download, server.port, f"/files/{NAME}") for name, server in servers.items()}
        return in_turn(
            bench.effort.rounds, {name: partial(_figures, servers[name], "down", work[name]) for name in servers}
        )


def _up(bench: Bench) -> Rounds:
    folder = bench.folder / "up"
    with (
        serving(own_origin, folder / "origin", 0, bench.cores.load) as origin,
        contending(PROXIES, folder, origin, bench.cores.proxy) as servers,
    ):
        file = _sparse(folder / NAME, bench.effort.size)
        work = {name: partial(upload, server.port, file) for name, server in servers.items()}
        return in_turn(
            bench.effort.rounds, {name: partial(_figures, servers[name], "up", work[name]) for name in servers}
        )


def _figures(server: Server, direction: str, work: Callable[[], float]) -> Figures:
    idle = procfs.forget_the_highest(server.pids)
    rate = work()
    more = procfs.highest(server.pids) - idle
    return {f"{direction}, MB/s": rate / MB, f"{direction}, MiB over idle": more / MIB}


def _sparse(file: Path, size: int) -> Path:
    """A file of zeros, which takes no room on the disk."""
    with file.open("wb") as content:
        content.truncate(size)
    return file
