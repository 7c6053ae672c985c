"""What the workers tell together, with what those told that are gone."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from itertools import count
from typing import Final

from proxy.crew import Worker
from proxy.figures import Figures, single
from proxy.operators.report import Answer, Question, Report, lasting, merged, renewed
from proxy.reactor import Reactor, Timer

LONGEST: Final = 1.0  # seconds for the workers to tell; who does not counts with what is known
MOST_REQUESTS: Final = 1000  # of the past

Tell = Callable[[Answer], None]


class Census:
    """Asks the workers, and remembers the dead."""

    def __init__(self, reactor: Reactor, since: float) -> None:
        """`since` is when the service was started."""
        self._reactor = reactor
        self._since = since
        self._numbers = count()
        self._under_way: dict[int, _Round] = {}
        self._past = Report()
        self._deaths = 0

    def take(self, workers: Iterable[Worker], question: Question, tell: Tell) -> None:
        """Ask them all, and tell what they come to when it is there."""
        number, asked = next(self._numbers), set(workers)
        timer = self._reactor.later(LONGEST, lambda: self._close(number))
        self._under_way[number] = _Round(question, asked, tell, timer)
        for worker in asked:
            worker.channel.send({"kind": "count", "id": number, "question": question})

    def counted(self, worker: Worker, number: int | None, report: Report) -> None:
        """It has answered, or says what it came to in the end."""
        if number is None:
            worker.report = report
        else:
            worker.report = renewed(worker.report, report)
        if number in self._under_way:
            self._under_way[number].reports[worker] = report
            self._answered(number, worker)

    def gone(self, worker: Worker, *, died: bool) -> None:
        """It has ended. What has happened to it stays."""
        self._deaths += died
        self._past = merged([self._past, lasting(worker.report)], MOST_REQUESTS)
        worker.report = Report()
        for number in list(self._under_way):
            self._under_way[number].reports.pop(worker, None)
            self._answered(number, worker)

    def _answered(self, number: int, worker: Worker) -> None:
        missing = self._under_way[number].missing
        missing.discard(worker)
        if not missing:
            self._close(number)

    def _close(self, number: int) -> None:
        one = self._under_way.pop(number)
        one.timer.cancel()
        known = (one.reports.get(worker) or one.question.of(worker.report) for worker in one.asked)
        here = Report(figures=self._figures(len(one.asked)))
        report = merged([one.question.of(here), one.question.of(self._past), *known], one.question.most)
        one.tell(Answer(report, len(one.asked), self._since))

    def _figures(self, workers: int) -> Figures:
        return [
            single("respond_async_workers", "gauge", "Worker processes.", workers),
            single("respond_async_worker_deaths", "counter", "Workers that died.", self._deaths),
        ]


@dataclass
class _Round:
    """One question to all."""

    question: Question
    asked: set[Worker]
    tell: Tell
    timer: Timer
    reports: dict[Worker, Report] = field(default_factory=dict)
    missing: set[Worker] = field(init=False)

    def __post_init__(self) -> None:
        self.missing = set(self.asked)
