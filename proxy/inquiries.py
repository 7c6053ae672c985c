"""What workers ask about the whole service, for operators: put to all workers, and answered between all else.

What all have counted is asked for every few seconds besides, for the last hour, and so that it is known of whoever dies.
"""

from collections.abc import Iterable, Iterator
from functools import partial
from itertools import chain
from typing import Final

from proxy.census import Census
from proxy.channel import Message, in_turns
from proxy.clock import Clock
from proxy.crew import Worker
from proxy.figures import packed, pieces
from proxy.metrics import by_route
from proxy.operators.hour import STEP, Hour
from proxy.operators.report import FIGURES, Answer, Question
from proxy.reactor import Reactor

MOMENTS_AT_ONCE: Final = 10  # of the last hour, in a message


class Inquiries:
    """Puts them to the workers, and tells who asked."""

    def __init__(self, reactor: Reactor, clock: Clock, crew: Iterable[Worker]) -> None:
        self._reactor = reactor
        self._clock = clock
        self._crew = crew
        self._census = Census(reactor, clock.now())
        self._hour = Hour(clock.monotonic())

    def begin(self) -> None:
        """Look at what is counted, from now on."""
        self._reactor.later(STEP, self._look_at_counts)

    def heard(self, worker: Worker, message: Message) -> None:
        """The worker asks, or tells what it was asked for."""
        match message["kind"]:
            case "figures":
                self._census.figures(worker, message["id"], message["figures"])
            case "counted":
                self._census.counted(worker, message["id"], message["report"])
            case "ask":
                self._census.take(
                    self._serving(), Question(*message["question"]), partial(self._answer, worker, message["id"])
                )
            case "moments":
                moments = self._hour.after(message["after"], MOMENTS_AT_ONCE)
                worker.channel.send({"kind": "moments", "id": message["id"], "moments": moments})
            case unknown:
                raise ValueError(unknown)

    def gone(self, worker: Worker, *, died: bool) -> None:
        """It asks no more and is not asked; what it told counts on."""
        self._census.gone(worker, died=died)

    def _look_at_counts(self) -> None:
        """Make the next points of the last hour, and know what is counted of whoever may die."""
        self._reactor.later(STEP, self._look_at_counts)
        self._census.take(self._serving(), FIGURES, self._note_routes)

    def _note_routes(self, answer: Answer) -> None:
        counted = by_route(answer.report.get("figures", ()))
        self._hour.take(counted, self._clock.monotonic(), self._clock.now())

    def _serving(self) -> Iterator[Worker]:
        return (worker for worker in self._crew if worker.ready)

    def _answer(self, worker: Worker, number: int, answer: Answer) -> None:
        figures = packed(pieces(answer.report.pop("figures", [])))
        some = ({"kind": "figures", "id": number, "figures": one} for one in figures)
        answered = {"kind": "ask", "id": number, "answer": answer}
        in_turns(chain(some, [answered]), worker.channel.send, partial(self._reactor.later, 0))
