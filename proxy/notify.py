"""What systemd is told (sd_notify(3)): ready, reloading, stopping, alive. Without systemd nobody is told anything."""

import os
import socket
from collections.abc import Iterable, Mapping
from contextlib import suppress
from time import CLOCK_MONOTONIC, clock_gettime_ns
from typing import Final

from proxy.crew import Worker
from proxy.reactor import Reactor

MICROSECONDS: Final = 1_000_000
PERIOD: Final = (
    5.0  # seconds between one look at the workers and the next, or less where systemd's watchdog has less time
)
PATIENCE: Final = 6  # such periods without an answer, until a worker hangs


class Notifier:
    """The way to systemd, which never waits: what its socket does not take at once is lost."""

    def __init__(self, environ: Mapping[str, str]) -> None:
        address = environ.get("NOTIFY_SOCKET", "")
        self._address = "\0" + address[1:] if address.startswith("@") else address
        self.watchdog = _watchdog(environ)  # seconds within which it wants to hear of us; None: it does not
        self._sock = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._sock.settimeout(0)

    def ready(self, status: str) -> None:
        self._tell("READY=1", f"STATUS={status}")

    def reloading(self) -> None:
        """Followed by `ready`, whether it goes well or not."""
        now = clock_gettime_ns(CLOCK_MONOTONIC) // 1000
        self._tell("RELOADING=1", f"MONOTONIC_USEC={now}", "STATUS=Reloading.")

    def stopping(self) -> None:
        self._tell("STOPPING=1", "STATUS=Draining.")

    def alive(self) -> None:
        """To be told twice in the watchdog's time, if there is one."""
        if self.watchdog is not None:
            self._tell("WATCHDOG=1")

    def close(self) -> None:
        self._sock.close()

    def _tell(self, *lines: str) -> None:
        if self._address:
            with suppress(OSError):  # it is full, or gone
                self._sock.sendto("\n".join(lines).encode(), self._address)


class Watchdog:
    """Sees to it that no worker hangs, and tells systemd that all is well while each of them answers in time.

    A worker that hangs keeps places and operations that others wait for, so it is killed. What counts are looks, not
    time: when the service as a whole has been stopped and goes on, nobody has missed any.
    """

    def __init__(self, reactor: Reactor, notifier: Notifier, workers: Iterable[Worker]) -> None:
        self._reactor = reactor
        self._notifier = notifier
        self._workers = workers
        self._period = min(PERIOD, notifier.watchdog / 2) if notifier.watchdog is not None else PERIOD
        self._patience = round(PATIENCE * PERIOD / self._period)

    def look(self) -> None:
        """Now, and again and again from now on."""
        if not any(worker.unanswered for worker in self._workers):
            self._notifier.alive()
        for worker in self._workers:
            worker.look(self._patience)
        self._reactor.later(self._period, self.look)


def _watchdog(environ: Mapping[str, str]) -> float | None:
    meant = environ.get("WATCHDOG_PID", str(os.getpid())) == str(os.getpid())
    period = environ.get("WATCHDOG_USEC", "")
    return int(period) / MICROSECONDS if meant and period.isdecimal() and int(period) else None
