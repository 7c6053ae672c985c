"""One request at a time over one connection: how much later the answer is there than without a proxy."""

from functools import partial
from typing import Final

from bench.contenders import PROXIES, contending, nginx_origin, serving
from bench.rounds import Bench, Figures, Rounds, in_turn
from bench.running import Server
from bench.wrk import wrk

DIRECT: Final = "direct"


def measure(bench: Bench) -> Rounds:
    folder = bench.folder / "latency"
    with (
        serving(nginx_origin, folder / "origin", 0, bench.cores.load) as origin,
        contending(PROXIES, folder, origin, bench.cores.proxy) as servers,
    ):
        measures = {name: partial(_figures, server, bench) for name, server in ({DIRECT: origin} | servers).items()}
        return in_turn(bench.effort.rounds, measures)


def _figures(server: Server, bench: Bench) -> Figures:
    load = wrk(server.url, 1, bench.effort.seconds)
    return {"p50, ms": load.p50 * 1e3, "p99, ms": load.p99 * 1e3}
