"""`make bench-smoke`: how many instructions a synchronous request and an operation take, beside what they took before.

    python -m bench.smoke            compares with `smoke.json`; more by a tenth is a failure
    python -m bench.smoke --update   writes what it counts there

Instructions are counted by callgrind, which no noise of the machine touches. Requests come one at a time; what starting
costs is counted apart and left out; the rest varies by one or two per cent, and the median of a few portions by less.
The figures hold for one version and build of CPython, and for the pinned versions of the libraries.
"""

import json
import os
import platform
import re
import signal
import sys
import sysconfig
import tempfile
import time
from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from statistics import median
from typing import Final, NamedTuple

import click
import uvloop

from bench.client import Connection, connected
from bench.contenders import Place, nginx_origin, ours, serving
from bench.machine import how_to_install, missing
from bench.running import CannotMeasure, Server, running
from tests.faults.service import unused_ports

FILE: Final = Path(__file__).with_name("smoke.json")
MARGIN: Final = 0.10
PORTIONS: Final = 5
SLOWNESS: Final = 120.0  # seconds that starting may take under callgrind; without it, less than one
LOOK: Final = 0.02  # seconds between two looks for a file

Counts = dict[str, int]  # what was done -> instructions for each
Ask = Callable[[Connection], Awaitable[object]]


class Kind(NamedTuple):
    """Something that is counted."""

    ask: Ask
    times: int  # in a portion


KINDS: Final = {
    "synchronous request": Kind(lambda connection: connection.ask(b"/"), 300),
    "operation": Kind(lambda connection: connection.operate(b"/"), 60),
}


class Counted:
    """The proxy under callgrind."""

    def __init__(self, server: Server, folder: Path) -> None:
        self._server = server
        self._folder = folder
        self._dumps = 0

    def instructions(self, ask: Ask, times: int) -> int:
        """For each of so many."""
        self._since_last()
        uvloop.run(self._ask(ask, times))
        return self._since_last() // times

    async def _ask(self, ask: Ask, times: int) -> None:
        async with connected(self._server.port, 1) as (connection,):
            for _ in range(times):
                await ask(connection)

    def _since_last(self) -> int:
        """Instructions since this was asked before."""
        self._dumps += 1
        os.kill(self._server.pids[0], signal.SIGUSR1)
        file, deadline = self._folder / f"dump.{self._dumps}", time.monotonic() + SLOWNESS
        while not (total := file.exists() and re.search(r"^totals: (\d+)$", file.read_text(), re.MULTILINE)):
            if time.monotonic() > deadline:
                raise CannotMeasure("callgrind wrote no counts")
            time.sleep(LOOK)
        return int(total[1])


def counts() -> Counts:
    """What everything takes now."""
    with tempfile.TemporaryDirectory(prefix="smoke-") as folder, counting(Path(folder)) as counted:
        for kind in KINDS.values():
            counted.instructions(kind.ask, kind.times)  # what is only there from the first on
        return {
            name: int(median(counted.instructions(kind.ask, kind.times) for _ in range(PORTIONS)))
            for name, kind in KINDS.items()
        }


@contextmanager
def counting(folder: Path) -> Iterator[Counted]:
    """The proxy under callgrind, with an origin that is not."""
    cores, place = os.sched_getaffinity(0), folder / "counted"
    place.mkdir()
    (port,) = unused_ports(1)
    with serving(nginx_origin, folder / "origin", 0, cores) as origin:
        ours(Place(place, port, origin.port))
        instrument = ["valgrind", "--tool=callgrind", "--dump-before=getloadavg", f"--callgrind-out-file={place}/dump"]
        command = [sys.executable, "-m", "bench.counted", str(place / "proxy.yaml")]
        # The order of what is hashed is the same each time.
        with running(
            ["env", "PYTHONHASHSEED=0", *instrument, *command], port, cores, place / "log", SLOWNESS
        ) as server:
            yield Counted(server, place)


def this_python() -> str:
    """For which the figures are: another build of the same version takes other instructions."""
    version = ".".join(platform.python_version_tuple()[:2])
    arguments, flags = (str(sysconfig.get_config_var(name)) for name in ("CONFIG_ARGS", "PY_CFLAGS"))
    built = [option for option in ("--enable-optimizations", "--with-lto", "--with-pydebug") if option in arguments]
    level = re.findall(r"-O\w+", flags)[-1:]
    return " ".join(["CPython", version, platform.machine(), platform.python_compiler(), *level, *built])


def compared(counted: Counts, expected: Mapping[str, int]) -> Iterator[tuple[str, bool]]:
    """What there is to say of each, and whether it is a failure."""
    for name, count in counted.items():
        before = expected.get(name)
        if before is None:
            yield f"{name}: {count:,} instructions; there is no figure yet", False
            continue
        change = count / before - 1
        said = f"{name}: {count:,} instructions, {change:+.1%} of {before:,}"
        if count > before * (1 + MARGIN):
            yield f"{said}: more than {MARGIN:.0%} above", True
        elif count < before * (1 - MARGIN):
            yield f"{said}: well done; `make bench-smoke UPDATE=1` notes it", False
        else:
            yield said, False


@click.command()
@click.option("--update", is_flag=True, help="Note what is counted, in place of what was.")
def main(update: bool) -> None:  # noqa: FBT001  # click's way
    """Count instructions."""
    if lacking := missing(("valgrind", "nginx")):
        raise click.ClickException(f"{' '.join(lacking)} is missing: {how_to_install(lacking)}")
    figures, python = json.loads(FILE.read_text()), this_python()
    counted = counts()
    if update:
        FILE.write_text(json.dumps(dict(sorted((figures | {python: counted}).items())), indent=2) + "\n")
    elif python not in figures:
        click.echo(
            f"No figures for {python}: `make bench-smoke UPDATE=1`, on a state that is known to be good, adds them."
        )
    verdicts = list(compared(counted, counted if update else figures.get(python, {})))
    for said, _ in verdicts:
        click.echo(said)
    sys.exit(any(failed for _, failed in verdicts))


if __name__ == "__main__":
    main()
