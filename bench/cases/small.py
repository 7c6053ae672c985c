"""Small synchronous answers over 32 kept-alive connections: requests/s, and processor time for each."""

from collections.abc import Iterable
from functools import partial
from pathlib import Path
from typing import Final

from bench.contenders import PROXIES, Contender, contending, nginx_origin, ours_with_access_lines, serving
from bench.rounds import Bench, Figures, Rounds, in_turn, joined
from bench.running import Server
from bench.wrk import wrk

CONNECTIONS: Final = 32
LOGGING: Final = "ours, access lines"


def measure(bench: Bench) -> Rounds:
    """The contender on a core of its own; then all, load and origin too, on one."""
    apart = _rounds(bench, PROXIES | {LOGGING: ours_with_access_lines}, bench.cores.proxy, "")
    together = _rounds(bench, PROXIES, bench.cores.load, ", one core")
    return joined(apart, together)


def _rounds(bench: Bench, contenders: dict[str, Contender], cores: Iterable[int], where: str) -> Rounds:
    folder = Path(bench.folder, f"small{where.replace(' ', '')}")
    with (
        serving(nginx_origin, folder / "origin", 0, bench.cores.load) as origin,
        contending(contenders, folder, origin, cores) as servers,
    ):
        measures = {name: partial(_figures, server, bench, where) for name, server in servers.items()}
        return in_turn(bench.effort.rounds, measures)


def _figures(server: Server, bench: Bench, where: str) -> Figures:
    before = server.seconds_of_work()
    load = wrk(server.url, CONNECTIONS, bench.effort.seconds)
    work = server.seconds_of_work() - before
    return {f"requests/s{where}": load.rate, f"CPU µs/request{where}": work / load.requests * 1e6}
