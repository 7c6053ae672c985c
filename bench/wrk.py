"""wrk as the load: how many requests in a time, and how long they take."""

import re
import subprocess
from pathlib import Path
from typing import Final, NamedTuple

from bench.machine import program
from bench.running import CannotMeasure

UNITS: Final = {"us": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0}
OVERTIME: Final = 20  # seconds after which wrk is given up


class Load(NamedTuple):
    """What one run of wrk has seen."""

    requests: int
    rate: float  # requests/s
    p50: float  # seconds
    p99: float  # seconds


def wrk(url: str, connections: int, seconds: int, script: Path | None = None) -> Load:
    """Ask for this as fast as the answers come, over so many connections. Raises CannotMeasure if any answer is wrong."""
    command = [program("wrk") or "wrk", "-t1", f"-c{connections}", f"-d{seconds}s", "--latency"]
    if script is not None:
        command += ["-s", str(script)]
    run = subprocess.run([*command, url], capture_output=True, text=True, check=False, timeout=seconds + OVERTIME)
    if run.returncode != 0:
        raise CannotMeasure(f"wrk failed: {run.stderr or run.stdout}")
    return parsed(run.stdout)


def parsed(said: str) -> Load:
    """Read wrk's report."""
    if wrong := re.search(r"^\s*(Socket errors: .*|Non-2xx or 3xx responses: .*)$", said, re.MULTILINE):
        raise CannotMeasure(f"wrk had wrong answers: {wrong[1]}")
    return Load(
        requests=int(_found(r"^\s*(\d+) requests in ", said)[1]),
        rate=float(_found(r"^Requests/sec:\s*([\d.]+)", said)[1]),
        p50=_seconds(_found(r"^\s*50%\s+([\d.]+)(us|ms|s|m)$", said)),
        p99=_seconds(_found(r"^\s*99%\s+([\d.]+)(us|ms|s|m)$", said)),
    )


def _found(pattern: str, said: str) -> re.Match[str]:
    found = re.search(pattern, said, re.MULTILINE)
    if found is None:
        raise CannotMeasure(f"wrk did not say {pattern!r}: {said}")
    return found


def _seconds(found: re.Match[str]) -> float:
    return float(found[1]) * UNITS[found[2]]
