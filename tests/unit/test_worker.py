"""What a worker tells its supervisor, and between which parts of that it does something else."""

import asyncio
import os
import socket
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any, cast

import pytest
import structlog

from proxy import worker
from proxy.channel import Message
from proxy.figures import MOST, Figures, packed, summed
from proxy.metrics import Metrics
from proxy.operators.report import FIGURES, Report
from proxy.worker import Equipment, _Seat
from tests.unit.accounts import ended

ROUTES = 500


def busy() -> Metrics:
    metrics = Metrics()
    for number in range(ROUTES):
        metrics.request(ended(f"route-{number}", 200, 0.01))
    return metrics


async def test_of_many_routes_it_tells_in_parts_between_which_all_else_goes_on() -> None:
    metrics, seat, sent = busy(), _Seat(alone=True), list[Message]()
    seat.link = cast("Any", SimpleNamespace(send=sent.append, later=asyncio.get_running_loop().call_soon))
    seat.take(cast("Any", SimpleNamespace(report=lambda _: (Report(), packed(metrics.figures())))))
    seat._hear({"kind": "count", "id": 7, "question": FIGURES})
    while sent[-1]["kind"] == "figures":
        before = len(sent)
        await asyncio.sleep(0)  # whatever else there is to do has its turn here
        assert len(sent) == before + 1
    *parts, last = sent
    assert last == {"kind": "counted", "id": 7, "report": {}}
    assert max(sum(len(family["rows"]) for family in part["figures"]) for part in parts) < 2 * MOST
    assert summed(part["figures"] for part in parts) == summed([metrics.figures()])


async def test_what_all_processes_told_comes_in_parts_too_and_is_whole() -> None:
    metrics, seat, sent = busy(), _Seat(alone=True), list[Message]()
    seat.link = cast("Any", SimpleNamespace(send=sent.append))
    asking = asyncio.ensure_future(seat.ask(FIGURES))
    await asyncio.sleep(0)
    [question] = sent
    assert question == {"kind": "ask", "id": 0, "question": FIGURES}
    for some in packed(metrics.figures()):
        seat._hear({"kind": "figures", "id": 0, "figures": some})
    seat._hear({"kind": "ask", "id": 0, "answer": [{}, 2, 1.5]})
    answer = await asking
    assert (answer.workers, answer.since) == (2, 1.5)
    assert summed([answer.report["figures"]]) == summed([metrics.figures()])
    seat._hear({"kind": "figures", "id": 0, "figures": []})
    seat._hear({"kind": "ask", "id": 0, "answer": [{}, 2, 1.5]})  # nobody waits for it any more


async def test_where_the_supervisor_takes_no_last_words_one_line_of_the_log_says_so_and_the_end_is_a_good_one(
    monkeypatch: pytest.MonkeyPatch, quiet_log: list[structlog.types.EventDict]
) -> None:
    async def served(_: Equipment, seat: _Seat) -> Message:
        seat.link.send({"kind": "figures", "text": "x" * 1_000_000})
        return {"kind": "ended", "report": {}}

    monkeypatch.setattr(worker, "_served", served)
    monkeypatch.setattr(worker, "LAST_WORDS", 0.01)
    ours, theirs = socket.socketpair()
    with ours, theirs:
        given = cast("Any", SimpleNamespace(config=SimpleNamespace(workers=2), sock=theirs))
        assert await worker._work(given) == 0
    assert quiet_log == [{"event": "last words lost", "log_level": "warning", "pid": os.getpid(), "seconds": 0.01}]


async def test_what_the_supervisor_does_not_take_does_not_pile_up_before_the_last_words() -> None:
    metrics, seat, made, more = busy(), _Seat(alone=True), list[int](), asyncio.Event()

    def figures() -> Iterator[Figures]:
        for number, some in enumerate(list(packed(metrics.figures())) * 100):
            made.append(number)
            more.set()
            yield some

    seat.take(cast("Any", SimpleNamespace(report=lambda _: (Report(), figures()))))
    ours, theirs = socket.socketpair()
    with theirs:
        await asyncio.get_running_loop().connect_accepted_socket(lambda: seat.link, ours)
        seat._hear({"kind": "count", "id": 7, "question": FIGURES})
        for _ in range(1000):
            await asyncio.sleep(0)
        early = len(made)
        more.clear()
        reader, writer = await asyncio.open_connection(sock=theirs, limit=1_000_000)
        await reader.readexactly(500_000)
        await more.wait()
        finishing = asyncio.ensure_future(seat.link.finish({"kind": "ended"}))
        rest = await reader.read()
        await finishing
        writer.close()
    assert early < 500
    assert rest.endswith(b'}\n{"kind":"ended"}\n')
