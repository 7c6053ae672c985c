"""How long until it is there: from the start of the command to the first answered request, and `--version`."""

import subprocess
import sys
import time
from itertools import count
from pathlib import Path
from typing import Final

import uvloop

from bench.client import connected
from bench.contenders import Place, nginx_origin, ours, serving
from bench.machine import on
from bench.rounds import Bench, Figures, Rounds, in_turn
from bench.running import Server, started
from tests.faults.service import unused_ports

COMMAND: Final = str(Path(sys.executable).with_name("respond-async"))


def measure(bench: Bench) -> Rounds:
    """The first start, which may compile, is not counted."""
    folder, numbers = bench.folder / "start", count()
    with serving(nginx_origin, folder / "origin", 0, bench.cores.load) as origin:

        def figures() -> Figures:
            place = folder / str(next(numbers))
            return {"first answer, s": _first_answer(origin, place, bench), "--version, s": _version(bench)}

        figures()
        return in_turn(bench.effort.rounds, {"ours": figures})


def _first_answer(origin: Server, folder: Path, bench: Bench) -> float:
    folder.mkdir()
    (port,) = unused_ports(1)
    _, _, _, *arguments = ours(Place(folder, port, origin.port))
    begun = time.monotonic()
    with started([COMMAND, *arguments], port, bench.cores.proxy, folder / "log") as server:
        server.until_listening()
        return uvloop.run(_answered(port)) - begun


async def _answered(port: int) -> float:
    """When a request was."""
    async with connected(port, 1) as (connection,):
        return (await connection.ask(b"/")).require(200).at


def _version(bench: Bench) -> float:
    begun = time.monotonic()
    with on(bench.cores.proxy):
        subprocess.run([COMMAND, "--version"], check=True, capture_output=True, timeout=20)
    return time.monotonic() - begun
