"""Processes that are started for a measurement, and end with it."""

import os
import signal
import socket
import subprocess
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

from bench.machine import on
from tests.faults import procfs

ROOT: Final = Path(__file__).parents[1]
PATIENCE: Final = 20.0  # seconds that starting or ending may take
LOOK: Final = 0.001  # seconds between two looks whether it listens


class CannotMeasure(Exception):
    """Why a case has no figures."""


class Server:
    """A process that listens on a port, with those that it has forked."""

    def __init__(self, process: "subprocess.Popen[bytes]", port: int, log: Path) -> None:
        self._process = process
        self._log = log
        self.port = port

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def pids(self) -> list[int]:
        return [self._process.pid, *procfs.children(self._process.pid)]

    def seconds_of_work(self) -> float:
        """Processor time of all its processes so far."""
        return sum(map(procfs.seconds_of_work, self.pids))

    def memory(self) -> int:
        """Bytes of all its processes, where what they share is counted once."""
        return sum(map(procfs.proportional, self.pids))

    def until_listening(self, patience: float = PATIENCE) -> None:
        """Wait until somebody accepts on its port."""
        deadline = time.monotonic() + patience
        while not _accepts(self.port):
            if self._process.poll() is not None:
                raise CannotMeasure(f"{self._process.args!r} ended: {self._log.read_text()[-1000:]}")
            if time.monotonic() > deadline:
                raise CannotMeasure(f"{self._process.args!r} does not listen on {self.port}")
            time.sleep(LOOK)


@contextmanager
def running(
    command: Sequence[str], port: int, cores: Iterable[int], log: Path, patience: float = PATIENCE
) -> Iterator[Server]:
    """Run a server on these processors, from when it listens; what it says goes into the file."""
    with started(command, port, cores, log) as server:
        server.until_listening(patience)
        yield server


@contextmanager
def started(command: Sequence[str], port: int, cores: Iterable[int], log: Path) -> Iterator[Server]:
    """Only start it; it may not listen yet."""
    with log.open("ab") as said, on(cores):
        process = subprocess.Popen(command, cwd=ROOT, stdin=subprocess.DEVNULL, stdout=said, stderr=said)
    try:
        yield Server(process, port, log)
    finally:
        _end(process)


def _accepts(port: int) -> bool:
    with socket.socket() as sock:
        sock.settimeout(1)
        return sock.connect_ex(("127.0.0.1", port)) == 0


def _end(process: "subprocess.Popen[bytes]") -> None:
    """SIGTERM; SIGKILL, to what it has forked too, if that does not help."""
    process.terminate()
    try:
        process.wait(PATIENCE)
    except subprocess.TimeoutExpired:
        for pid in procfs.children(process.pid):
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        process.kill()
        process.wait()
