"""The workers as the supervisor sees them: processes, in generations of one configuration, always as many as they should be."""

import errno
import os
import signal
import socket
from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from functools import partial
from itertools import count
from time import monotonic
from typing import Final, NoReturn, Protocol

import structlog

from proxy import worker as program
from proxy.channel import Channel, Message, Nonsense
from proxy.config import Config
from proxy.listeners import Doors
from proxy.operators.report import Report
from proxy.reactor import Reactor
from proxy.tally import Tally

log = structlog.get_logger()

MOST: Final = 2_000  # workers of all generations; each connection that is accepted looks at the cells of all
SHORT_LIFE: Final = 10.0  # seconds; the place of one that lived longer is filled at once
PAUSES: Final = (0, 0.1, 0.2, 0.4, 0.8, 1.6, 2.0)  # seconds before its replacement, by those who died there before


@dataclass(eq=False)
class Worker:
    """A worker process, from its fork until it has been reaped."""

    number: int
    generation: "Generation"
    deaths: int  # in a row, of those whom it replaces
    slot: int  # its cell in what all count together; free again when it has been reaped
    pid: int = 0
    begun: float = field(default_factory=monotonic)
    ready: bool = False
    unanswered: int = 0  # times in a row that it was asked whether it is alive
    killed: bool = False  # by us
    why: str | None = None  # it could not start
    report: Report = field(default_factory=Report)  # what is last known of it
    channel: Channel = field(init=False)

    def ended(self) -> int | None:
        """How it ended: its exit code, or minus the signal; None if it runs."""
        pid, status = os.waitpid(self.pid, os.WNOHANG)
        return os.waitstatus_to_exitcode(status) if pid else None

    def kill(self) -> None:
        self.killed = True
        os.kill(self.pid, signal.SIGKILL)

    def look(self, patience: int) -> None:
        """Ask whether it is alive; kill one that hangs: that has not answered so many times in a row."""
        if not self.unanswered:
            self.channel.send({"kind": "ping"})
        elif self.unanswered == patience:
            log.warning("worker hangs", pid=self.pid)
            os.kill(self.pid, signal.SIGKILL)  # and it has died, as if somebody else had done it
        self.unanswered += 1

    def pause(self) -> float:
        """Seconds until its replacement, now that it has died."""
        if monotonic() - self.begun >= SHORT_LIFE:
            self.deaths = 0
        return PAUSES[min(self.deaths, len(PAUSES) - 1)]


class Generation:
    """The workers of one configuration, and the doors that they share."""

    def __init__(self, config: Config, doors: Doors) -> None:
        self.config = config
        self.doors = doors
        self.workers: set[Worker] = set()
        self.begun = False  # it has been complete
        self.ending = False  # who ends is not replaced

    @property
    def complete(self) -> bool:
        """Whether there are as many as there should be, and each of them serves."""
        return len(self.workers) == self.config.workers and all(worker.ready for worker in self.workers)


class Employer(Protocol):
    """Who is told how the crew fares, and what its members say."""

    def complete(self, generation: Generation) -> None:
        """For the first time, all of it serve."""
        ...

    def began(self, worker: Worker) -> None:
        """A worker serves, one that replaces another as well."""
        ...

    def failed(self, generation: Generation, why: str) -> None:
        """One of it has ended before all of them could serve."""
        ...

    def heard(self, worker: Worker, message: Message) -> None:
        """A worker says something that is not about itself."""
        ...

    def gone(self, worker: Worker, *, died: bool) -> None:
        """A worker has been reaped: all that was its, is free."""
        ...

    def forking(self) -> AbstractContextManager[None]:
        """What has to be so while a worker is forked."""
        ...

    def leave(self, doors: Doors) -> None:
        """In a process that has just been forked: close what is the supervisor's, all but these doors."""
        ...


class Crew:
    """All workers of all generations."""

    def __init__(self, reactor: Reactor, employer: Employer) -> None:
        self._reactor = reactor
        self._employer = employer
        self._numbers = count(1)
        self._admitted = Tally(MOST)
        self.generations: list[Generation] = []

    def __iter__(self) -> Iterator[Worker]:
        return (worker for generation in self.generations for worker in generation.workers)

    def start(self, generation: Generation) -> None:
        """Fork a generation. Raises OSError."""
        self.generations.append(generation)
        for _ in range(generation.config.workers):
            self._hire(generation, deaths=0)

    def end(self, generation: Generation, message: Message) -> None:
        """Tell a generation to end. It is one of the crew's until all of it have."""
        generation.ending = True
        tell(generation.workers, message)
        self._strike(generation)

    def kill(self, generation: Generation) -> None:
        """End a generation by force."""
        generation.ending = True
        for worker in generation.workers:
            worker.kill()
        self._strike(generation)

    def reap(self) -> None:
        """Find out who has ended, and see to it that there are enough."""
        for worker in list(self):
            code = worker.ended()
            if code is not None:
                self._gone(worker, code)

    def close(self) -> None:
        """Kill who is left, and wait for their end."""
        for worker in self:
            worker.kill()
            os.waitpid(worker.pid, 0)
            worker.channel.close()
        self.generations.clear()

    def _hire(self, generation: Generation, deaths: int) -> None:
        worker = Worker(next(self._numbers), generation, deaths, self._free_slot())
        ours, theirs = socket.socketpair()
        with theirs, self._employer.forking():
            try:
                worker.pid = os.fork()
            except OSError:
                ours.close()
                raise
            if not worker.pid:
                self._become(worker, ours, theirs)
        worker.channel = Channel(ours, self._reactor, partial(self._heard, worker), partial(self._lost, worker))
        generation.workers.add(worker)
        log.info("worker started", pid=worker.pid)

    def _become(self, worker: Worker, ours: socket.socket, theirs: socket.socket) -> NoReturn:
        ours.close()
        for other in self:
            other.channel.abandon()
        config, doors = worker.generation.config, worker.generation.doors
        self._employer.leave(doors)
        program.run(program.Equipment(config, doors, theirs, self._admitted.cell(worker.slot)))

    def _free_slot(self) -> int:
        """Raises OSError."""
        taken = {worker.slot for worker in self}
        for slot in range(MOST):
            if slot not in taken:
                return slot
        raise OSError(errno.EAGAIN, "Too many workers")

    def _heard(self, worker: Worker, message: Message) -> None:
        """Raises Nonsense, and nothing else for what a worker says: the service must not die of a defect of one of it."""
        try:
            self._hear(worker, message)
        except (LookupError, TypeError, ValueError) as exc:
            raise Nonsense(f"{type(exc).__name__}: {exc}") from exc

    def _lost(self, worker: Worker, nonsense: Nonsense | None) -> None:
        """Kill one that cannot be understood. Of one that is gone it is heard when it can be reaped."""
        if nonsense is not None:
            _complain(worker, nonsense)
            worker.channel.close()
            os.kill(worker.pid, signal.SIGKILL)  # and it has died, as if somebody else had done it

    def _hear(self, worker: Worker, message: Message) -> None:
        match message["kind"]:
            case "ready":
                worker.ready = True
                self._employer.began(worker)
                self._look_whether_complete(worker.generation)
            case "failed":
                worker.why = message["why"]
            case "pong":
                worker.unanswered = 0
            case _:
                self._employer.heard(worker, message)

    def _look_whether_complete(self, generation: Generation) -> None:
        if generation.complete and not generation.begun and not generation.ending:
            generation.begun = True
            self._employer.complete(generation)

    def _gone(self, worker: Worker, code: int) -> None:
        generation = worker.generation
        try:
            worker.channel.finish()
        except Nonsense as exc:
            _complain(worker, exc)
        generation.workers.remove(worker)
        self._admitted.clear(worker.slot)
        died = not worker.killed and not (code == 0 and generation.ending)
        is_told = worker.why is not None and not generation.begun  # by the employer, as what ends the whole generation
        if died and not is_told:
            log.warning("worker died", pid=worker.pid, **_how(code), reason=worker.why)
        self._employer.gone(worker, died=died)
        if code != 0:
            tell(self, {"kind": "orphans"})
        self._strike(generation)
        if not generation.ending:
            self._miss(worker)

    def _miss(self, worker: Worker) -> None:
        generation = worker.generation
        if generation.begun:
            pause, deaths = worker.pause(), worker.deaths + 1
            self._reactor.later(pause, partial(self._replace, generation, deaths))
        else:
            self._employer.failed(generation, worker.why or "A worker ended before it could serve.")

    def _replace(self, generation: Generation, deaths: int) -> None:
        if generation.ending:
            return
        try:
            self._hire(generation, deaths)
        except OSError as exc:  # no memory, or too many processes
            log.error("worker not started", reason=str(exc))
            self._reactor.later(PAUSES[-1], partial(self._replace, generation, deaths))

    def _strike(self, generation: Generation) -> None:
        if generation.ending and not generation.workers and generation in self.generations:
            self.generations.remove(generation)


def tell(workers: Iterable[Worker], message: Message) -> None:
    for worker in workers:
        worker.channel.send(message)


def _complain(worker: Worker, nonsense: Nonsense) -> None:
    log.error("worker not understood", pid=worker.pid, reason=str(nonsense))


def _how(code: int) -> dict[str, str | int]:
    return {"code": code} if code >= 0 else {"signal": signal.Signals(-code).name}
