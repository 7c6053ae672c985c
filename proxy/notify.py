"""What systemd is told (sd_notify(3)): ready, reloading, stopping, alive. Without systemd nobody is told anything."""

import os
import socket
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from functools import partial
from time import CLOCK_MONOTONIC, clock_gettime_ns
from typing import Final

from proxy.crew import Worker
from proxy.reactor import Reactor

MICROSECONDS: Final = 1_000_000


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
        """To be told twice in the watchdog's time."""
        self._tell("WATCHDOG=1")

    def close(self) -> None:
        self._sock.close()

    def _tell(self, *lines: str) -> None:
        if self._address:
            with suppress(OSError):  # it is full, or gone
                self._sock.sendto("\n".join(lines).encode(), self._address)


class Watchdog:
    """Tells systemd that all is well, as long as every worker answers between one time and the next."""

    def __init__(self, reactor: Reactor, notifier: Notifier, workers: Callable[[], Iterable[Worker]]) -> None:
        self._reactor = reactor
        self._notifier = notifier
        self._workers = workers

    def start(self, period: float) -> None:
        """Look now, and each time after so many seconds."""
        if not any(worker.owes_pong for worker in self._workers()):
            self._notifier.alive()
        for worker in self._workers():
            if not worker.owes_pong:
                worker.owes_pong = True
                worker.channel.send({"kind": "ping"})
        self._reactor.later(period, partial(self.start, period))


def _watchdog(environ: Mapping[str, str]) -> float | None:
    meant = environ.get("WATCHDOG_PID", str(os.getpid())) == str(os.getpid())
    period = environ.get("WATCHDOG_USEC", "")
    return int(period) / MICROSECONDS if meant and period.isdecimal() and int(period) else None
