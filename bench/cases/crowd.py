"""Ten thousand operations that run at once: the memory of each, and what a synchronous request takes meanwhile.

`make soak-scale` measures the same, and more, to see that it does not break; this is its first part.
"""

import os
from pathlib import Path

import uvloop

from bench.rounds import Bench, Figures, Rounds, in_turn
from tests.faults.scale import opened, take_all_descriptors


def measure(bench: Bench) -> Rounds:
    take_all_descriptors()
    return in_turn(bench.effort.crowds, {"ours": lambda: uvloop.run(_figures(bench))})


async def _figures(bench: Bench) -> Figures:
    async with opened(bench.effort.running, bench.effort.probes) as scale:
        for pid in scale.service.pids:
            _move(pid, bench.cores.proxy)
        await scale.crowd(bench.effort.running)
        return scale.figures


def _move(pid: int, cores: frozenset[int]) -> None:
    """Have all threads of the process run there from now on."""
    for thread in Path(f"/proc/{pid}/task").iterdir():
        os.sched_setaffinity(int(thread.name), cores)
