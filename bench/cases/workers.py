"""Two workers against one.

Where there are cores left for the load, what both can do in a second; everywhere, the processor time that a request and
an operation cost: whatever workers have to tell each other shows there.
"""

from functools import partial
from typing import Final

import uvloop

from bench.cases.operations import throughput
from bench.contenders import nginx_origin, ours, serving
from bench.machine import Cores
from bench.rounds import Bench, Figures, Rounds, in_turn
from bench.running import Server
from bench.wrk import wrk

CONNECTIONS: Final = 64
ENOUGH: Final = 4  # cores: two for the workers, two for load and origin


def measure(bench: Bench) -> Rounds:
    folder, cores = bench.folder / "workers", divided(bench.cores)
    with (
        serving(nginx_origin, folder / "origin", 0, cores.load) as origin,
        serving(ours, folder / "one", origin.port, cores.proxy) as one,
        serving(partial(ours, workers=2), folder / "two", origin.port, cores.proxy) as two,
    ):
        servers = {"1 worker": one, "2 workers": two}
        measures = {name: partial(_figures, server, bench, cores) for name, server in servers.items()}
        return in_turn(bench.effort.rounds, measures)


def divided(cores: Cores) -> Cores:
    """Two for the workers; where that would leave too few for the load, all for all."""
    every = sorted(cores.proxy | cores.load)
    if len(every) < ENOUGH:
        return Cores(frozenset(every), frozenset(every))
    return Cores(frozenset(every[:2]), frozenset(every[2:]))


def _figures(server: Server, bench: Bench, cores: Cores) -> Figures:
    before = server.seconds_of_work()
    load = wrk(server.url, CONNECTIONS, bench.effort.seconds)
    work = server.seconds_of_work() - before
    operations = uvloop.run(throughput(server, bench.effort.seconds))
    figures = {"CPU µs/request": work / load.requests * 1e6, "CPU µs/operation": operations["CPU µs/operation"]}
    if cores.apart:
        figures |= {"requests/s": load.rate, "operations/s": operations["operations/s"]}
    return figures
