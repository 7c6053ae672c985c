"""The machine: its processors and who runs on which, the programs that are needed, and what it all is."""

import os
import platform
import re
import shutil
import subprocess
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path
from typing import Final, NamedTuple

PACKAGES: Final = {"nginx": "nginx-light", "haproxy": "haproxy", "wrk": "wrk", "valgrind": "valgrind"}  # Debian's
LIBRARIES: Final = ("uvloop", "httptools", "aiohttp")
SBIN: Final = "/usr/sbin"  # where Debian has servers, and not everybody looks


class Cores(NamedTuple):
    """Which processors the contender has, and which the load and the origin."""

    proxy: frozenset[int]
    load: frozenset[int]

    @property
    def apart(self) -> bool:
        return not self.proxy & self.load


def all_cores() -> Cores:
    """One for the contender, all others for load and origin."""
    first, *others = sorted(os.sched_getaffinity(0))
    return Cores(frozenset({first}), frozenset(others or {first}))


@contextmanager
def on(cores: Iterable[int]) -> Iterator[None]:
    """Meanwhile, this thread is there, and so is for good what it starts."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, cores)
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


def program(name: str) -> str | None:
    """Where it is; None if it is not installed."""
    return shutil.which(name, path=f"{os.environ.get('PATH', '')}:{SBIN}")


def missing(names: Iterable[str]) -> list[str]:
    return [name for name in names if program(name) is None]


def how_to_install(names: Iterable[str]) -> str:
    """For the person who has to."""
    return "apt-get install " + " ".join(sorted(PACKAGES[name] for name in names))


def description() -> dict[str, str]:
    """What the figures depend on."""
    programs = {name: _first_version(name) for name in ("nginx", "haproxy", "wrk") if program(name)}
    return {
        "processor": _processor(),
        "cores": str(len(os.sched_getaffinity(0))),
        "memory": f"{os.sysconf('SC_PAGE_SIZE') * os.sysconf('SC_PHYS_PAGES') / 2**30:.0f} GiB",
        "kernel": f"{platform.system()} {platform.release()}",
        "CPython": platform.python_version(),
        **{name: version(name) for name in LIBRARIES},
        **programs,
    }


def _processor() -> str:
    found = re.search(r"^model name\s*: (.*)$", Path("/proc/cpuinfo").read_text(), re.MULTILINE)
    return found[1] if found else platform.machine()


def _first_version(name: str) -> str:
    """The first thing that looks like a version in what the program says of itself."""
    said = subprocess.run([program(name) or name, "-v"], capture_output=True, text=True, check=False, timeout=10)
    found = re.search(r"\d+\.\d+(\.\d+)?", said.stdout + said.stderr)
    return found[0] if found else "unknown"
