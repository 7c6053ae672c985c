"""A loop for a process that must have no threads because it forks: sockets, signals and timers, one callback at a time."""

import heapq
import signal
import socket
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from itertools import count
from selectors import EVENT_READ, DefaultSelector
from signal import Signals
from time import monotonic
from typing import Final, Protocol

LONGEST_SLEEP: Final = 3600.0  # seconds; selectors take no endless ones together with timers


class HasFileno(Protocol):
    """What can be watched."""

    def fileno(self) -> int: ...


class Timer:
    """Something that is to be called at a time, unless it is cancelled."""

    def __init__(self, call: Callable[[], None]) -> None:
        self.call: Callable[[], None] | None = call

    def cancel(self) -> None:
        self.call = None


class Reactor:
    """Calls back when a socket is ready, or a time has come. What a callback raises is raised by `turn`."""

    def __init__(self) -> None:
        self._selector = DefaultSelector()
        self._timers: list[tuple[float, int, Timer]] = []
        self._numbers = count()  # timers of one moment are called in their order

    def watch(self, file: HasFileno, call: Callable[[int], None], events: int = EVENT_READ) -> None:
        """Call with what it is ready for, each time. A second call replaces the first."""
        if file in self._selector.get_map():
            self._selector.modify(file, events, call)
        else:
            self._selector.register(file, events, call)

    def forget(self, file: HasFileno) -> None:
        """Watch it no longer; before it is closed."""
        if file in self._selector.get_map():
            self._selector.unregister(file)

    def later(self, seconds: float, call: Callable[[], None]) -> Timer:
        timer = Timer(call)
        heapq.heappush(self._timers, (monotonic() + seconds, next(self._numbers), timer))
        return timer

    def turn(self) -> None:
        """Wait for something to happen, and call whom it concerns. What they want called later has another turn."""
        for key, events in self._selector.select(self._pause()):
            now = self._selector.get_map().get(key.fd)
            if now is not None and now.fileobj is key.fileobj:  # else an earlier callback has closed it
                key.data(events)
        for timer in list(self._due()):
            if timer.call is not None:
                timer.call()

    def close(self) -> None:
        """Forget everything. In a forked child it leaves the parent's loop as it is."""
        self._selector.close()
        self._timers.clear()

    def _due(self) -> Iterator[Timer]:
        now = monotonic()
        while self._timers and self._timers[0][0] <= now:
            yield heapq.heappop(self._timers)[2]

    def _pause(self) -> float:
        return max(self._timers[0][0] - monotonic(), 0) if self._timers else LONGEST_SLEEP


class SignalWatch:
    """Signals as events of a reactor's."""

    def __init__(self, reactor: Reactor, calls: Mapping[Signals, Callable[[], None]]) -> None:
        self._calls = calls
        self._reading, self._writing = socket.socketpair()
        self._reading.settimeout(0)
        self._writing.settimeout(0)
        reactor.watch(self._reading, self._came)
        signal.set_wakeup_fd(self._writing.fileno(), warn_on_full_buffer=False)
        for number in calls:
            signal.signal(number, _noted)

    def close(self) -> None:
        """Ignore them from now on. In a forked child it leaves the parent's as they are."""
        signal.set_wakeup_fd(-1)
        for number in self._calls:
            signal.signal(number, signal.SIG_DFL if number == signal.SIGCHLD else signal.SIG_IGN)
        self._reading.close()
        self._writing.close()

    @contextmanager
    def held_back(self) -> Iterator[None]:
        """None comes within: a child that has just been forked would still report its own to its parent."""
        signal.pthread_sigmask(signal.SIG_BLOCK, self._calls)
        try:
            yield
        finally:
            signal.pthread_sigmask(signal.SIG_UNBLOCK, self._calls)

    def _came(self, _: int) -> None:
        for number in self._reading.recv(4096):
            self._calls[Signals(number)]()


def _noted(*_: object) -> None:
    """Python calls it after it has written the signal's number to the wake-up socket, which is what counts."""
