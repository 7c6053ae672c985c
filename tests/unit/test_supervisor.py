"""The supervisor between its workers and what it keeps for them; all else of it is tested as a process."""

import errno
import gc
import json
import os
import signal
import socket
import subprocess
from collections.abc import Iterable, Iterator
from contextlib import closing
from functools import partial
from pathlib import Path
from signal import SIGCHLD, SIGHUP, SIGINT, SIGTERM

import pytest
import structlog

from proxy.census import Census
from proxy.channel import Channel, Message
from proxy.config import Address, Config, StoreSettings, StoreUrl
from proxy.crew import MOST, SHORT_LIFE, Generation, Worker
from proxy.figures import MOST as FEW
from proxy.figures import packed, single, summed
from proxy.listeners import Doors, bind
from proxy.metrics import Metrics
from proxy.notify import Notifier, Watchdog
from proxy.operators.hour import Moment
from proxy.operators.report import FIGURES, Answer, Question, Report
from proxy.reactor import Reactor
from proxy.supervisor import CannotStart, Supervisor
from tests.unit.accounts import ended

CONFIG = Config.model_validate(
    {"origins": {"a": {"url": "http://127.0.0.1:9"}}, "routes": [{"name": "a", "origin": "a"}]}
)


STORE = StoreSettings(url=StoreUrl("memory"))

Lines = list[structlog.types.EventDict]


def closed_notifier() -> Notifier:
    """Nobody is told anything."""
    notifier = Notifier({})
    notifier.close()
    return notifier


class Office:
    """A supervisor with two workers that are not processes, and these workers' ends of their channels."""

    def __init__(self) -> None:
        self.supervisor = Supervisor(lambda: CONFIG, closed_notifier())
        generation = Generation(CONFIG, Doors((), None))
        self.supervisor._crew.generations.append(generation)
        pairs = [socket.socketpair() for _ in range(2)]
        self.workers = [Worker(number, generation, deaths=0, slot=number) for number in (1, 2)]
        for worker, (ours, _) in zip(self.workers, pairs, strict=True):
            crew = self.supervisor._crew
            heard, lost = partial(crew._heard, worker), partial(crew._lost, worker)
            worker.channel = Channel(ours, self.supervisor._reactor, heard, lost)
        generation.workers.update(self.workers)
        self.ends = [theirs for _, theirs in pairs]

    def told_to(self, index: int) -> list[Message]:
        """What this worker has been sent."""
        return [json.loads(line) for line in self.ends[index].recv(65_536).splitlines()]


@pytest.fixture
def office() -> Iterator[Office]:
    office = Office()
    yield office
    for worker in office.workers:
        worker.channel.close()
    for end in office.ends:
        end.close()
    office.supervisor._reactor.close()


def asking(number: int) -> Message:
    """The message of a worker that wants the only place at an origin."""
    terms = {"limit": 1, "place": None, "later": False, "since": 0, "route": "", "max_running": None}
    return {"kind": "places", "origin": "a", "do": "ask", "ask": number, **terms}


def test_workers_share_the_places_at_origins_and_a_dead_one_leaves_its_own_to_the_others(office: Office) -> None:
    first, second = office.workers
    office.supervisor.heard(first, asking(7))
    office.supervisor.heard(second, asking(8))
    granted = [(one["kind"], one["do"], one.get("ask")) for one in office.told_to(0)]
    assert ("places", "grant", 7) in granted
    first.generation.workers.remove(first)
    office.supervisor.gone(first, died=True)
    assert ("grant", 8) in [(one["do"], one.get("ask")) for one in office.told_to(1)]


def test_the_points_of_the_last_hour_are_made_of_what_the_workers_count(office: Office) -> None:
    first, second = office.workers
    for worker in office.workers:
        worker.ready = True
    office.supervisor._inquiries._look_at_counts()
    [asked] = office.told_to(0)
    metrics = Metrics()
    metrics.request(ended("reports", 200, 1))
    for worker in (first, second):
        for some in packed(metrics.figures()):
            office.supervisor.heard(worker, {"kind": "figures", "id": asked["id"], "figures": some})
        office.supervisor.heard(worker, {"kind": "counted", "id": asked["id"], "report": {}})
    office.told_to(1)
    office.supervisor.heard(second, {"kind": "moments", "id": 3, "after": 0})
    [told] = office.told_to(1)
    [moment] = [Moment(*parts) for parts in told["moments"]]
    assert (told["id"], moment.number, list(json.loads(moment.points))) == (3, 1, ["reports"])
    office.supervisor.heard(second, {"kind": "moments", "id": 4, "after": 1})
    assert office.told_to(1) == [{"kind": "moments", "id": 4, "moments": []}]


def test_of_many_routes_it_answers_in_parts_between_which_all_else_goes_on(office: Office) -> None:
    first, metrics, parts = office.workers[0], Metrics(), list[Message]()
    for number in range(500):
        metrics.request(ended(f"route-{number}", 200, 0.01))
    answer = Answer(Report(figures=summed([metrics.figures()])), 2, 1.5)
    office.supervisor._inquiries._answer(first, 7, answer)
    while not parts or parts[-1]["kind"] == "figures":
        [part] = office.told_to(0)  # and not the next, until there has been a turn for all else
        parts.append(part)
        office.supervisor._reactor.later(0, lambda: None)
        office.supervisor._reactor.turn()
    *parts, last = parts
    assert last == {"kind": "ask", "id": 7, "answer": [{}, 2, 1.5]}
    assert max(sum(len(family["rows"]) for family in part["figures"]) for part in parts) < 2 * FEW
    assert json.dumps(summed(part["figures"] for part in parts)) == json.dumps(summed([metrics.figures()]))


def test_what_a_worker_has_counted_is_known_when_it_dies_though_nobody_looked_at_its_figures(office: Office) -> None:
    first, second = office.workers
    first.ready = True
    office.supervisor._inquiries._look_at_counts()
    [asked] = office.told_to(0)
    report = Question(*asked["question"]).of({"figures": [single("requests", "counter", "Requests.", 2)]})
    office.supervisor.heard(first, {"kind": "counted", "id": asked["id"], "report": report})
    office.supervisor.gone(first, died=True)
    told: list[Answer] = []
    office.supervisor._inquiries._census.take([second], FIGURES, told.append)
    office.supervisor._inquiries._census.counted(second, 1, Report())
    [answer] = told
    assert "requests" in {family["name"] for family in answer.report["figures"]}


def test_what_no_worker_should_say_is_a_defect(office: Office) -> None:
    with pytest.raises(ValueError, match="nonsense"):
        office.supervisor.heard(office.workers[0], {"kind": "nonsense"})


def test_a_worker_that_ends_while_it_is_asked_is_not_waited_for(office: Office) -> None:
    first, second = office.workers
    told: list[Answer] = []
    census = Census(office.supervisor._reactor, since=7.0)
    census.take(office.workers, FIGURES, told.append)
    requests = single("requests", "counter", "Requests.", 2)
    census.figures(first, 0, [requests])
    census.counted(first, 0, Report())
    assert told == []
    second.report = Report(figures=[requests, single("running", "gauge", "Running.", 1)])
    census.gone(second, died=True)
    [answer] = told
    assert (answer.workers, answer.since) == (2, 7.0)
    figures = answer.report["figures"]
    values = {family["name"]: family["rows"][0][1][0] for family in figures}
    assert values == {"requests": 4, "respond_async_worker_deaths": 1, "respond_async_workers": 2}


def test_what_comes_too_late_for_an_answer_is_known_all_the_same(
    office: Office, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("proxy.census.LONGEST", 0)
    [worker, _], reactor = office.workers, office.supervisor._reactor
    told: list[Answer] = []
    census = Census(reactor, since=7.0)
    requests = single("requests", "counter", "Requests.", 2)
    for _ in range(2):
        census.take([worker], FIGURES, told.append)
        while not told:
            reactor.turn()
        figures = {family["name"]: family for family in told.pop().report["figures"]}
        assert figures.get("requests") == worker.report.get("figures", [None])[0]
        number = office.told_to(0)[-1]["id"]
        census.figures(worker, number, [requests])
        census.counted(worker, number, Report())
        assert (told, worker.report) == ([], {"figures": [requests]})
    assert not census._under_way


def test_where_there_is_nobody_to_ask_nobody_is_waited_for(office: Office) -> None:
    told: list[Answer] = []
    census = Census(office.supervisor._reactor, since=7.0)
    census.take([], FIGURES, told.append)
    assert [answer.workers for answer in told] == [0]


@pytest.mark.parametrize(("deaths", "pause"), [(0, 0), (1, 0.1), (2, 0.2), (5, 1.6), (6, 2), (99, 2)])
def test_the_pause_before_a_replacement_grows(office: Office, deaths: int, pause: float) -> None:
    assert Worker(1, office.workers[0].generation, deaths, 0).pause() == pytest.approx(pause)


def test_who_has_lived_long_enough_is_replaced_at_once(office: Office) -> None:
    worker = Worker(1, office.workers[0].generation, deaths=5, slot=0)
    worker.begun -= SHORT_LIFE
    assert (worker.pause(), worker.deaths) == (0, 0)


class Looks:
    """A watchdog's looks at workers, one at a time; those of them who are to be killed are processes."""

    def __init__(self, office: Office, environ: dict[str, str]) -> None:
        self.office = office
        self.notifier = Notifier(environ)
        self.reactor = Reactor()
        self.watchdog = Watchdog(self.reactor, self.notifier, office.supervisor._crew)

    def look(self, times: int, answering: Iterable[int] = ()) -> None:
        """So many times; these answer each time."""
        for _ in range(times):
            self.watchdog.look()
            for index in answering:
                self.office.supervisor._crew._heard(self.office.workers[index], {"kind": "pong"})

    def close(self) -> None:
        self.notifier.close()
        self.reactor.close()


@pytest.fixture
def hanging() -> Iterator[subprocess.Popen[bytes]]:
    """A process that does nothing."""
    with subprocess.Popen(["sleep", "60"]) as process:
        yield process
        process.kill()


@pytest.mark.parametrize(
    ("environ", "patience"),
    [
        pytest.param({}, 6, id="without systemd"),
        pytest.param({"WATCHDOG_USEC": "60000000"}, 6, id="with a patient systemd"),
        pytest.param({"WATCHDOG_USEC": "2000000"}, 30, id="with one that is told every second"),
    ],
)
def test_a_worker_that_has_not_answered_half_a_minute_long_is_killed_once(
    office: Office, hanging: subprocess.Popen[bytes], quiet_log: Lines, environ: dict[str, str], patience: int
) -> None:
    office.workers[0].pid = hanging.pid
    with closing(Looks(office, environ)) as looks:
        looks.look(patience, answering=[1])
        assert (quiet_log, hanging.poll()) == ([], None)
        looks.look(2, answering=[1])
    assert hanging.wait(10) == -signal.SIGKILL
    assert quiet_log == [{"event": "worker hangs", "log_level": "warning", "pid": hanging.pid}]
    assert not office.workers[0].killed, "its death counts as one"
    assert office.told_to(0) == [{"kind": "ping"}], "nothing piles up before one that does not read"
    assert len(office.told_to(1)) == patience + 2


@pytest.mark.parametrize(
    "said",
    [
        pytest.param(b'{"kind":"figures","id":0,"fig{"kind":"ended","report":{}}\n', id="half a line"),
        pytest.param(b"[]\n", id="no object"),
        pytest.param(b"{}\n", id="no kind"),
        pytest.param(b'{"kind":"nonsense"}\n', id="of a kind that there is not"),
        pytest.param(b'{"kind":"figures","id":7,"figures":[]}\n', id="an answer to no question"),
        pytest.param(b'{"kind":"ask","id":7,"question":5}\n', id="of another shape"),
    ],
)
def test_a_worker_that_talks_nonsense_is_killed_and_replaced_and_the_supervisor_goes_on(
    office: Office,
    hanging: subprocess.Popen[bytes],
    quiet_log: Lines,
    monkeypatch: pytest.MonkeyPatch,
    said: bytes,
) -> None:
    crew, worker, hired = office.supervisor._crew, office.workers[0], list[Generation]()
    monkeypatch.setattr(crew, "_hire", lambda generation, deaths: hired.append(generation))  # noqa: ARG005
    worker.pid, worker.generation.begun = hanging.pid, True
    worker.generation.workers.remove(office.workers[1])  # which is no process
    office.ends[0].sendall(said)
    office.supervisor._reactor.turn()
    os.waitid(os.P_PID, hanging.pid, os.WEXITED | os.WNOWAIT)
    crew.reap()
    office.supervisor._reactor.turn()
    assert [line["event"] for line in quiet_log] == ["worker not understood", "worker died"]
    assert (quiet_log[0]["pid"], quiet_log[1]["signal"]) == (hanging.pid, "SIGKILL")
    assert hired == [worker.generation]


def test_nonsense_at_its_end_does_not_keep_a_worker_from_being_replaced(
    office: Office, hanging: subprocess.Popen[bytes], quiet_log: Lines, monkeypatch: pytest.MonkeyPatch
) -> None:
    crew, worker, hired = office.supervisor._crew, office.workers[0], list[Generation]()
    monkeypatch.setattr(crew, "_hire", lambda generation, deaths: hired.append(generation))  # noqa: ARG005
    worker.pid, worker.generation.begun = hanging.pid, True
    worker.generation.workers.remove(office.workers[1])
    office.ends[0].sendall(b"nonsense\n")
    hanging.send_signal(signal.SIGTERM)
    os.waitid(os.P_PID, hanging.pid, os.WEXITED | os.WNOWAIT)
    crew.reap()
    office.supervisor._reactor.turn()
    assert [line["event"] for line in quiet_log] == ["worker not understood", "worker died"]
    assert hired == [worker.generation]


def test_who_answers_late_begins_anew(office: Office, quiet_log: Lines) -> None:
    with closing(Looks(office, {})) as looks:
        for _ in range(3):
            looks.look(5)
            looks.look(1, answering=[0, 1])
    assert quiet_log == []


def test_a_reload_that_meets_a_file_nobody_thought_of_is_refused(office: Office, quiet_log: Lines) -> None:
    def load() -> Config:
        raise OSError(errno.EIO, "Input/output error", "/secret/place")

    supervisor = office.supervisor
    supervisor._load = load
    supervisor._current = office.workers[0].generation
    supervisor._current.begun = True
    supervisor._reload()
    (refused,) = [line for line in quiet_log if line["event"] == "configuration refused"]
    assert refused["problem"] == "Cannot read all that it needs: Input/output error."
    assert supervisor._next is None


def test_there_is_room_for_two_generations_of_the_largest_configuration_and_no_more(office: Office) -> None:
    number, _ = Config.model_json_schema()["properties"]["workers"]["anyOf"]
    assert 2 * number["maximum"] == MOST
    crew, [generation] = office.supervisor._crew, office.supervisor._crew.generations
    present = [Worker(number, generation, deaths=0, slot=number) for number in range(MOST)]
    generation.workers = set(present[:-1])
    assert crew._free_slot() == MOST - 1
    generation.workers.add(present[-1])
    with pytest.raises(OSError, match="Too many workers"):
        crew._free_slot()


@pytest.fixture
def no_processes(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse() -> int:
        raise OSError(errno.EAGAIN, "Resource temporarily unavailable")

    monkeypatch.setattr(os, "fork", refuse)


def test_where_no_process_can_be_made_it_does_not_start(
    no_processes: None, quiet_log: Lines, tmp_path: Path, unused_port: int
) -> None:
    config = CONFIG.model_copy(update={"listen": (Address("127.0.0.1", unused_port),), "admin": None, "store": STORE})
    before = {number: signal.getsignal(number) for number in (SIGTERM, SIGINT, SIGHUP, SIGCHLD)}
    log = structlog.get_config()
    try:
        with pytest.raises(CannotStart, match="Cannot start a process: Resource temporarily unavailable"):
            Supervisor(lambda: config, closed_notifier()).run()
        bind("listen", config.listen[0]).close()  # it is free
    finally:
        structlog.configure(**log)
        gc.unfreeze()
        for number, handler in before.items():
            signal.signal(number, handler)
