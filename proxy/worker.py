"""A worker: a process that the supervisor has forked, and that serves until it is told to end.

What it is told: `retire`, `drain` or `stop`, and later perhaps a stricter one of these; `no admin`: let others answer
operators, and `admin`: do it again; `orphans`: a process has died; `ping`; `count`: report what is asked. What it says:
`ready` or `failed`, `pong`, `counted`, in the end `ended` with a last report, and, to ask what the whole service knows,
`ask` and `moments`, which are answered in messages of the same names. The figures of a report that is asked for come
before it, in `figures`. Both ways go `settled`, with the ids of operations, and what is told in `places`.
"""

import asyncio
import gc
import os
import socket
import sys
import traceback
from collections.abc import Callable, Iterator
from itertools import chain, count
from typing import Final, NamedTuple, NoReturn

import structlog
import uvloop

from proxy import reasons
from proxy.channel import Link, Message, in_turns
from proxy.config import Config
from proxy.config.certificates import Unusable
from proxy.errors import StoreUnavailable
from proxy.figures import Figures
from proxy.listeners import Doors
from proxy.logwriter import LogWriter, to_standard_error
from proxy.observe import configure_logging
from proxy.operators.hour import Moment
from proxy.operators.report import Answer, Question, Report, with_figures
from proxy.places import Places
from proxy.server import Service, in_background, opened
from proxy.tally import Cell

log = structlog.get_logger()

Hear = Callable[[Message], None]
TakeFigures = Callable[[Figures], None]

LAST_WORDS: Final = 10.0  # seconds for the supervisor to take what a worker says at its end; it may be busy, or stopped
SWITCH: Final = 0.001  # seconds after which the event loop lets the store's threads have the interpreter
GARBAGE: Final = (
    10_000  # objects more than there were, after which the interpreter looks for cycles of them; we make few
)
FAILED: Final = 1
LAST: Final = Question(("figures", "requests"), most=200)  # what is asked of one that ends
ORDERS: Final = ("retire", "drain", "stop")  # obeyed one after the other


class Equipment(NamedTuple):
    """What a worker gets from its supervisor."""

    config: Config
    doors: Doors
    sock: socket.socket  # its end of the pair that leads to the supervisor
    admitted: Cell  # its part of the count of clients' connections


def run(given: Equipment) -> NoReturn:
    """The whole life of the process, from just after the fork."""
    code = FAILED
    writer = LogWriter(to_standard_error)
    try:
        configure_logging(given.config.log, writer)
        sys.setswitchinterval(SWITCH)
        gc.set_threshold(GARBAGE)
        code = uvloop.run(_work(given))
    except BaseException:  # noqa: BLE001  # nothing may get to the code of the supervisor, whose stack this is
        traceback.print_exc()
    finally:
        writer.close()
        os._exit(code)


async def _work(given: Equipment) -> int:
    """Serve, and say how that ended; the exit code."""
    seat = _Seat(alone=given.config.workers == 1)
    await asyncio.get_running_loop().connect_accepted_socket(lambda: seat.link, given.sock.dup())
    last_words = await _served(given, seat)
    try:
        async with asyncio.timeout(LAST_WORDS):
            await seat.link.finish(last_words)
    except TimeoutError:
        log.warning("last words lost", pid=os.getpid(), seconds=LAST_WORDS)
    return FAILED if last_words["kind"] == "failed" else 0


async def _served(given: Equipment, seat: "_Seat") -> Message:
    """Serve; the message to end with."""
    try:
        async with opened(given.config, seat.places, given.admitted) as service:
            seat.take(service)
            service.listen(given.doors, seat)
            seat.link.send({"kind": "ready"})
            await _serve(service, seat.orders)
    except StoreUnavailable as exc:
        return {"kind": "failed", "why": exc.detail}
    except Unusable as exc:
        return {"kind": "failed", "why": str(exc)}
    return {"kind": "ended", "report": with_figures(*service.report(LAST))}


async def _serve(service: Service, orders: "asyncio.Queue[Message]") -> None:
    """Serve until told to end, and then until that is done, or told to end sooner."""
    order = await orders.get()
    while order["kind"] != "stop":
        retires = order["kind"] == "retire"
        work = service.retire() if retires else service.drain(order["seconds"], order["patience"])
        async with in_background(work) as ending, in_background(orders.get()) as sooner:
            await asyncio.wait({ending, sooner}, return_when=asyncio.FIRST_COMPLETED)
            if not sooner.done():
                return
            order = sooner.result()
    await service.drain(0, 0, reasons.TOLD_TWICE)


class _Asked(NamedTuple):
    """What the supervisor is to answer."""

    take: TakeFigures
    answer: asyncio.Future[Message]


class _Seat:  # a Whole
    """A worker's place at the service: what it hears, and what it may ask."""

    def __init__(self, *, alone: bool) -> None:
        """`alone`: there are no others but, during a reload, those of before, who notice by themselves what is settled."""
        self._alone = alone
        self._settled: list[str] = []  # of which the others are to be told
        self.link = Link(self._hear)
        self.orders: asyncio.Queue[Message] = asyncio.Queue()
        self._hears: dict[str, Hear] = {
            **dict.fromkeys(ORDERS, self.orders.put_nowait),
            "ping": lambda _: self.link.send({"kind": "pong"}),
            "figures": self._hear_figures,
            "ask": self._answer,
            "moments": self._answer,
        }
        self.places = Places(lambda message: self.link.send({"kind": "places", **message}))
        self._hears["places"] = self.places.receive
        self._numbers = count()
        self._asked: dict[int, _Asked] = {}

    def take(self, service: Service) -> None:
        """Hear from now on what concerns the service."""
        self._hears["admin"] = lambda _: service.answer_operators()
        self._hears["no admin"] = lambda _: service.leave_operators()
        if not self._alone:
            service.tell_settled = self._tell_settled
        self._hears["settled"] = lambda message: service.hear_settled(message["ids"])
        self._hears["orphans"] = lambda _: service.reaper.look_now()
        self._hears["count"] = lambda message: self._tell(
            message["id"], *service.report(Question(*message["question"]))
        )

    async def ask(self, question: Question) -> Answer:
        figures: list[Figures] = []
        answer = Answer(*(await self._answered("ask", figures.append, question=question))["answer"])
        return answer._replace(report=with_figures(answer.report, figures))

    async def moments(self, after: int) -> list[Moment]:
        return [Moment(*parts) for parts in (await self._answered("moments", after=after))["moments"]]

    async def _answered(self, kind: str, take: TakeFigures = lambda _: None, **what: object) -> Message:
        """What the supervisor says to that, when `take` has had the figures that come before it."""
        number = next(self._numbers)
        answer: asyncio.Future[Message] = asyncio.get_running_loop().create_future()
        self._asked[number] = _Asked(take, answer)
        self.link.send({"kind": kind, "id": number, **what})
        try:
            return await answer
        finally:
            del self._asked[number]

    def _tell(self, number: int, report: Report, figures: Iterator[Figures]) -> None:
        """Tell the supervisor what it asks."""
        some = ({"kind": "figures", "id": number, "figures": one} for one in figures)
        in_turns(chain(some, [{"kind": "counted", "id": number, "report": report}]), self.link.send, self.link.later)

    def _tell_settled(self, id: str) -> None:
        """Tell the others, in one message of all that is settled in this turn of the event loop."""
        if not self._settled:
            asyncio.get_running_loop().call_soon(self._tell_all_settled)
        self._settled.append(id)

    def _tell_all_settled(self) -> None:
        ids, self._settled = self._settled, []
        self.link.send({"kind": "settled", "ids": ids})

    def _hear(self, message: Message) -> None:
        if hear := self._hears.get(message["kind"]):
            hear(message)

    def _answer(self, message: Message) -> None:
        asked = self._asked.get(message["id"])
        if asked is not None and not asked.answer.done():  # the operator may have left meanwhile
            asked.answer.set_result(message)

    def _hear_figures(self, message: Message) -> None:
        if (asked := self._asked.get(message["id"])) is not None:
            asked.take(message["figures"])
