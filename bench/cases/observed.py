"""What it costs to be seen: small answers with everything on, beside the same with everything off.

On are access lines, which go to a file, the address for operators, a page that is open there, and a scrape of the metrics
each second. Traces are measured too, for themselves: their collector is the origin, which takes whatever it is sent.
"""

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, ExitStack, nullcontext
from functools import partial
from typing import Any, Final

from bench.contenders import nginx_origin, ours, serving
from bench.operator import watched
from bench.rounds import Bench, Figures, Rounds, in_turn
from bench.running import Server
from bench.wrk import wrk
from tests.faults.service import unused_ports

CONNECTIONS: Final = 32
OFF: Final = "everything off"
ON: Final = "everything on"
LINES: Final = {"level": "info", "format": "json"}

Settings = Mapping[str, Any]


def measure(bench: Bench) -> Rounds:
    folder, cores = bench.folder / "observed", bench.cores
    (admin,) = unused_ports(1)
    with serving(nginx_origin, folder / "origin", 0, cores.load) as origin, ExitStack() as stack:
        servers = {
            name: stack.enter_context(serving(partial(ours, **settings), folder / name, origin.port, cores.proxy))
            for name, settings in configured(admin, origin.url).items()
        }
        watchers = {name: partial(watched, admin) if name == ON else nullcontext for name in servers}
        measures = {name: partial(_figures, server, bench, watchers[name]) for name, server in servers.items()}
        return in_turn(bench.effort.rounds, measures)


def configured(admin: int, collector: str) -> dict[str, Settings]:
    """What is measured, and the top-level keys that it changes."""
    return {
        OFF: {},
        ON: {"log": LINES, "admin": f"127.0.0.1:{admin}"},
        "1 % of traces": {"tracing": {"otlp": collector, "sample": 0.01}},
        "all traces": {"tracing": {"otlp": collector}},
    }


def _figures(server: Server, bench: Bench, watching: Callable[[], AbstractContextManager[None]]) -> Figures:
    with watching():
        before = server.seconds_of_work()
        load = wrk(server.url, CONNECTIONS, bench.effort.seconds)
        work = server.seconds_of_work() - before
    return {"requests/s": load.rate, "CPU µs/request": work / load.requests * 1e6}
