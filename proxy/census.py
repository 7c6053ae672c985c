"""What the workers tell together, with what those told that are gone."""

from collections import defaultdict
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from functools import partial
from itertools import count
from typing import Final

from proxy.crew import Worker
from proxy.figures import Figures, single
from proxy.operators.report import Answer, Question, Report, lasting, merged, renewed, with_figures
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
        one = self._under_way[number] = _Round(question, asked, tell)
        one.timer = self._reactor.later(LONGEST, partial(self._tell, one))
        for worker in asked:
            worker.channel.send({"kind": "count", "id": number, "question": question})
        self._look_whether_all(number)

    def figures(self, worker: Worker, number: int, some: Figures) -> None:
        """Some that belong to its answer."""
        self._under_way[number].figures[worker].append(some)

    def counted(self, worker: Worker, number: int, report: Report) -> None:
        """It has answered."""
        one = self._under_way[number]
        one.reports[worker] = with_figures(report, one.figures.pop(worker, ()))
        worker.report = renewed(worker.report, one.reports[worker])
        one.missing.discard(worker)
        self._look_whether_all(number)

    def gone(self, worker: Worker, *, died: bool) -> None:
        """It has ended. What has happened to it stays."""
        self._deaths += died
        self._past = merged([self._past, lasting(worker.report)], MOST_REQUESTS)
        worker.report = Report()
        for number, one in list(self._under_way.items()):
            one.reports.pop(worker, None)
            one.missing.discard(worker)
            self._look_whether_all(number)

    def _look_whether_all(self, number: int) -> None:
        """Who is late is heard all the same: what it tells is known when it dies."""
        one = self._under_way[number]
        if not one.missing:
            del self._under_way[number]
            self._tell(one)

    def _tell(self, one: "_Round") -> None:
        """When all have answered, or it is time."""
        if one.told:
            return
        one.told = True
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
    told: bool = False
    timer: Timer = field(init=False)
    figures: defaultdict[Worker, list[Figures]] = field(default_factory=lambda: defaultdict(list))  # as they come
    reports: dict[Worker, Report] = field(default_factory=dict)
    missing: set[Worker] = field(init=False)

    def __post_init__(self) -> None:
        self.missing = set(self.asked)
