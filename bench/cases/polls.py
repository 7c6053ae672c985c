"""Status polls of running operations, many of them in turn, beside a bare server on aiohttp that answers as much."""

from functools import partial
from pathlib import Path
from typing import Final

import uvloop

from bench.client import LATER, connected
from bench.contenders import bare, ours, own_origin, serving
from bench.rounds import Bench, Figures, Rounds, in_turn
from bench.running import Server
from bench.wrk import wrk

CONNECTIONS: Final = 32
OPERATIONS: Final = 200
SCRIPT: Final = """
local targets, turn = {{ {targets} }}, 0
request = function()
    turn = turn % #targets + 1
    return wrk.format("GET", targets[turn])
end
"""


def measure(bench: Bench) -> Rounds:
    folder, cores = bench.folder / "polls", bench.cores
    with (
        serving(own_origin, folder / "origin", 0, cores.load) as origin,
        serving(ours, folder / "ours", origin.port, cores.proxy) as proxy,
    ):
        targets, size = uvloop.run(_order(proxy.port))
        script = folder / "polls.lua"
        script.write_text(SCRIPT.format(targets=", ".join(f'"{target}"' for target in targets)))
        with serving(partial(bare, size=size), folder / "bare", 0, cores.proxy) as other:
            servers = {"bare aiohttp": other, "ours": proxy}
            measures = {name: partial(_figures, server, bench, script) for name, server in servers.items()}
            return in_turn(bench.effort.rounds, measures)


def _figures(server: Server, bench: Bench, script: Path) -> Figures:
    before = server.seconds_of_work()
    load = wrk(server.url, CONNECTIONS, bench.effort.seconds, script)
    return {"polls/s": load.rate, "CPU µs/poll": (server.seconds_of_work() - before) / load.requests * 1e6}


async def _order(port: int) -> tuple[list[str], int]:
    """The status URLs of operations that do not end, and the size of what they say."""
    async with connected(port, 1) as (connection,):
        targets = [(await connection.ask(b"/never", LATER)).monitor for _ in range(OPERATIONS)]
        state = (await connection.ask(targets[0])).require(202)
        return [target.decode() for target in targets], len(state.content)
