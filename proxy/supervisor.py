"""The process that `serve` starts: it opens the sockets, forks the workers, and sees to it that there are always enough.

It has no threads and no event loop but its own, and never waits for anybody. Everything heavy is imported before the
first fork, so a worker that has died is replaced in milliseconds, whatever is on disk by then.

A reload starts a new generation of workers. Only when all of it serve does the old one retire, and brings to its end
what it has begun, under the configuration with which it began.
"""

import gc
import os
import resource
from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager, ExitStack, closing, suppress
from functools import partial
from operator import attrgetter
from signal import SIGCHLD, SIGHUP, SIGINT, SIGTERM
from typing import Final

import structlog

from proxy.broker import Broker
from proxy.channel import Message
from proxy.clock import Clock
from proxy.config import Config, ConfigError, Route
from proxy.crew import Crew, Generation, Worker, tell
from proxy.front import PATIENCE
from proxy.handover import Handover
from proxy.inquiries import Inquiries
from proxy.listeners import CannotListen, Doors, addresses, open_doors, open_doors_in_time
from proxy.logwriter import DirectWriter
from proxy.notify import Notifier, Watchdog
from proxy.observe import configure_logging
from proxy.reactor import Reactor, SignalWatch
from proxy.services import Hindered
from proxy.words import so_many

log = structlog.get_logger()

OVERTIME: Final = 5.0  # seconds over its time after which a worker that has not ended is killed
A_SECOND_SIGNAL: Final = (
    "What is under way may go on for so long; a second signal, such as another Ctrl-C, breaks it off at once."
)
UNHURRIED: Final = 5.0  # PATIENCE where another service is in its place, and nobody waits for the end
LASTING: Final = {  # keys that a reload cannot change, and why
    "store.url": "the operations are in the old one",
    "status_path": "clients ask below the old one for their operations",
}

Load = Callable[[], Config]
Ready = Callable[[Doors], None]  # called when it serves for the first time, with where


class CannotStart(Exception):
    """Why it could not serve, where that is not the configuration."""


class CannotChange(Exception):
    """What a reload cannot change."""


class Supervisor:  # an Employer
    """The service as a whole."""

    def __init__(self, load: Load, notifier: Notifier, ready: Ready = lambda _: None) -> None:
        self._load = load
        self._notifier = notifier
        self._broker = Broker()
        self._ready = ready
        self._reactor = Reactor()
        self._crew = Crew(self._reactor, self)
        self._inquiries = Inquiries(self._reactor, Clock(), self._crew)
        self._writer = DirectWriter()
        self._handover: Handover
        self._next: Generation | None = None
        self._wants_reload = False
        self._stopping = False

    def run(self) -> None:
        """Serve until a signal has ended it. Raises ConfigError, CannotListen, CannotStart."""
        config = self._configuration()
        configure_logging(config.log, self._writer)
        _take_all_descriptors()
        calls = {SIGTERM: self._stop, SIGINT: self._stop, SIGHUP: self._reload, SIGCHLD: self._crew.reap}
        with ExitStack() as stack:
            stack.callback(self._reactor.close)
            self._handover = Handover(self._reactor, config.store.url.folder, self._tell_who_answers_operators)
            stack.callback(self._handover.close)
            self._current = Generation(config, self._take_over(config))
            stack.callback(self._close_doors)
            self._signals = SignalWatch(self._reactor, calls)
            stack.callback(self._signals.close)
            stack.callback(self._crew.close)
            gc.freeze()  # what is there now is shared with the workers, and stays so if nobody touches it
            self._start()
            while self._crew.generations:
                self._reactor.turn()
        log.info("stopped")

    def _take_over(self, config: Config) -> Doors:
        """What it listens on, as far as need be from others on the store. Raises CannotListen, CannotStart."""
        try:
            return self._handover.take_over(list(addresses(config)), partial(open_doors_in_time, config))
        except Hindered as exc:
            raise CannotStart(str(exc)) from exc

    def _configuration(self) -> Config:
        """The configuration as it is now, with what it needs imported before the fork. Raises ConfigError."""
        config = self._load()
        if config.tracing is not None:
            import proxy.spans  # noqa: F401
        return config

    # What the crew tells.

    def complete(self, generation: Generation) -> None:
        if generation is self._current:
            log.info("serving", **generation.doors.shown())
            self._ready(generation.doors)
            self._handover.ready()
        else:
            self._succeed(generation)
        self._notifier.ready(f"Serving with {so_many(generation.config.workers, 'worker')}.")
        self._reload_if_wanted()

    def began(self, worker: Worker) -> None:
        if self._handover.leaves_operators:
            worker.channel.send({"kind": "no admin"})

    def failed(self, generation: Generation, why: str) -> None:
        if generation is self._current:
            raise CannotStart(why)
        self._give_up(generation, why)
        self._reload_if_wanted()

    def heard(self, worker: Worker, message: Message) -> None:
        match message["kind"]:
            case "ended":
                worker.report = message["report"]
            case "settled":
                tell((other for other in self._crew if other is not worker), message)
            case "places":
                self._post(self._broker.receive(worker.number, message))
            case _:
                self._inquiries.heard(worker, message)

    def gone(self, worker: Worker, *, died: bool) -> None:
        self._inquiries.gone(worker, died=died)
        self._post(self._broker.gone(worker.number))

    def forking(self) -> AbstractContextManager[None]:
        return self._signals.held_back()

    def leave(self, doors: Doors) -> None:
        self._signals.close()
        self._reactor.close()
        self._notifier.close()
        self._handover.abandon()
        for generation in self._crew.generations:
            generation.doors.close_but(doors)

    def _tell_who_answers_operators(self) -> None:
        if self._handover.leaves_operators:
            tell(self._crew, {"kind": "no admin"})
        elif not self._stopping:
            tell(self._current.workers, {"kind": "admin"})

    def _post(self, letters: Iterable[tuple[int, Message]]) -> None:
        workers = {worker.number: worker for worker in self._crew}
        for number, message in letters:
            if number in workers:
                workers[number].channel.send({"kind": "places", **message})

    # Its life.

    def _start(self) -> None:
        try:
            self._crew.start(self._current)
        except OSError as exc:
            raise CannotStart(f"Cannot start a process: {exc.strerror}.") from exc
        Watchdog(self._reactor, self._notifier, self._crew).look()
        self._inquiries.begin()

    def _stop(self) -> None:
        """Drain; at the second time, end at once."""
        if self._stopping:
            self._end({"kind": "stop"}, within=0)
            return
        self._stopping = True
        seconds = self._time_to_drain()
        self._notifier.stopping()
        log.info("draining", seconds=seconds, note=A_SECOND_SIGNAL)
        self._handover.offer(self._current.doors.for_operators())
        patience = UNHURRIED if self._handover.is_succeeded else PATIENCE
        self._end({"kind": "drain", "seconds": seconds, "patience": patience}, within=seconds)

    def _time_to_drain(self) -> float:
        """What the configuration says; with a successor in its place, as long as anything that is under way may take."""
        config = self._current.config
        if not self._handover.is_succeeded:
            return config.drain_timeout
        return max(config.drain_timeout, *map(longest, config.routes))

    def _end(self, how: Message, within: float) -> None:
        for generation in list(self._crew.generations):
            for bound in generation.doors.listen:
                bound.close()
            self._crew.end(generation, how)
        self._reactor.later(within + OVERTIME, self._kill)

    def _kill(self) -> None:
        for generation in list(self._crew.generations):
            for worker in generation.workers:
                log.warning("worker killed", pid=worker.pid)
            self._crew.kill(generation)

    def _close_doors(self) -> None:
        for generation in (self._current, self._next):
            if generation is not None:
                generation.doors.close()

    # A new configuration.

    def _reload(self) -> None:
        if self._stopping:
            return
        if self._next is not None or not self._current.begun:
            self._wants_reload = True
            return
        self._notifier.reloading()
        log.info("reloading")
        try:
            generation = self._prepared()
        except ConfigError as exc:
            self._refuse(*map(str, exc.problems))
        except (CannotListen, CannotChange) as exc:
            self._refuse(str(exc))
        except OSError as exc:  # of a file that nobody has thought of: what serves goes on all the same
            self._refuse(f"Cannot read all that it needs: {exc.strerror or exc}.")
        else:
            self._begin(generation)

    def _reload_if_wanted(self) -> None:
        if self._wants_reload:
            self._wants_reload = False
            self._reload()

    def _prepared(self) -> Generation:
        """A generation of the configuration as it is now. Raises ConfigError, CannotChange, CannotListen."""
        config, before = self._configuration(), self._current.config
        for key, why in LASTING.items():
            value = attrgetter(key)
            if value(config) != value(before):
                raise CannotChange(
                    f"`{key}` cannot change by a reload, since {why}: stop the service, and start it again."
                )
        return Generation(config, open_doors(config, self._current.doors.all))

    def _begin(self, generation: Generation) -> None:
        self._next = generation
        try:
            self._crew.start(generation)
        except OSError as exc:
            self._give_up(generation, f"Cannot start a process: {exc.strerror}.")

    def _succeed(self, generation: Generation) -> None:
        old, self._current, self._next = self._current, generation, None
        configure_logging(generation.config.log, self._writer)
        old.doors.close_but(generation.doors)
        self._handover.offer(generation.doors)
        self._crew.end(old, {"kind": "retire"})
        log.info("reloaded", **generation.doors.shown())

    def _give_up(self, generation: Generation, why: str) -> None:
        self._next = None
        self._crew.kill(generation)
        generation.doors.close_but(self._current.doors)
        self._refuse(why)

    def _refuse(self, *problems: str) -> None:
        for problem in problems:
            log.error("configuration refused", problem=problem)
        self._notifier.ready("The new configuration was refused.")


def longest(route: Route) -> float:
    """Seconds that the origin may take for a request of the route."""
    return max(route.timeout, route.respond_async.timeout if route.respond_async is not None else 0)


def supervise(load: Load, ready: Ready = lambda _: None) -> None:
    """Run the service until SIGTERM or SIGINT, then drain; a second signal stops at once.

    Raises ConfigError, CannotListen, CannotStart.
    """
    with closing(Notifier(os.environ)) as notifier:
        Supervisor(load, notifier, ready=ready).run()


def _take_all_descriptors() -> None:
    """Raise the limit to what this user may have: what is usual by default is far too low for a proxy."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    with suppress(OSError, ValueError):  # some systems say more than they grant
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
