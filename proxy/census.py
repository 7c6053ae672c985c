"""The figures of the whole service: those of every worker, and of those that are gone."""

from collections.abc import Callable, Iterable
from itertools import count
from typing import Final, NamedTuple

from proxy.crew import Worker
from proxy.figures import Figures, lasting, single, summed
from proxy.reactor import Reactor, Timer

LONGEST: Final = 1.0  # seconds for the workers to send theirs; who does not counts with what is known

Tell = Callable[[Figures], None]


class Census:
    """Asks the workers, and remembers the dead."""

    def __init__(self, reactor: Reactor) -> None:
        self._reactor = reactor
        self._numbers = count()
        self._under_way: dict[int, _Round] = {}
        self._past: Figures = []
        self._deaths = 0

    def take(self, workers: Iterable[Worker], tell: Tell) -> None:
        """Ask them all, and tell the sum when it is there."""
        number, asked = next(self._numbers), set(workers)
        timer = self._reactor.later(LONGEST, lambda: self._close(number))
        self._under_way[number] = _Round(asked, set(asked), tell, timer)
        for worker in asked:
            worker.channel.send({"kind": "count", "id": number})

    def counted(self, worker: Worker, number: int | None, figures: Figures) -> None:
        """It has answered, or says what it came to in the end."""
        worker.figures = figures
        if number in self._under_way:
            self._answered(number, worker)

    def gone(self, worker: Worker, *, died: bool) -> None:
        """It has ended. What it counted stays."""
        self._deaths += died
        self._past = summed([self._past, lasting(worker.figures)])
        worker.figures = []
        for number in list(self._under_way):
            self._answered(number, worker)

    def _answered(self, number: int, worker: Worker) -> None:
        missing = self._under_way[number].missing
        missing.discard(worker)
        if not missing:
            self._close(number)

    def _close(self, number: int) -> None:
        one = self._under_way.pop(number)
        one.timer.cancel()
        living = single("respond_async_workers", "gauge", "Worker processes.", len(one.asked))
        deaths = single("respond_async_worker_deaths", "counter", "Workers that died.", self._deaths)
        one.tell(summed([[living, deaths], self._past, *(worker.figures for worker in one.asked)]))


class _Round(NamedTuple):
    """One question to all."""

    asked: set[Worker]
    missing: set[Worker]
    tell: Tell
    timer: Timer
