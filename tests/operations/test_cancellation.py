"""A handler that is cancelled at its n-th suspension, for every n, leaves nothing behind (contract 2, P2, P6)."""

import asyncio
from collections.abc import Callable, Coroutine, Generator
from contextlib import suppress
from functools import partial
from itertools import count
from typing import Any, Literal

import pytest

from proxy.client import ClientRequest
from tests.operations.conftest import Start
from tests.operations.house import AT_ONCE, House, both_stores, eventually, status_path
from tests.raw_client import RawClient, Response, request
from tests.scripted_origin import ScriptedOrigin, answer, read_all, stall

Moment = Literal["asleep", "waking"]
PATIENT = (b"Prefer", b"respond-async")
LARGE = b"x" * 600_000


class Disturbance:
    """Handles a request, and cancels its handling at the n-th suspension: while it waits, or when the wait is over."""

    def __init__(self, handle: Callable[[ClientRequest], Coroutine[Any, Any, None]], at: int, moment: Moment) -> None:
        self._handle = handle
        self._at = at
        self._moment = moment
        self.cancelled = False
        self.over = asyncio.Event()

    async def __call__(self, client: ClientRequest) -> None:
        try:
            await _Driven(self._handle(client).__await__(), self._disturb)
        finally:
            self.over.set()

    def _disturb(self, suspension: int, awaited: Any) -> None:  # noqa: ANN401  # whatever a coroutine yields
        if suspension != self._at:
            return
        self.cancelled = True
        task = asyncio.current_task()
        assert task is not None
        if self._moment == "waking" and awaited is not None:
            awaited.add_done_callback(lambda _: task.cancel())  # before the task's own: the wait has succeeded
        else:
            task.cancel()


class _Driven:
    """Work, with a call of `disturb` at each of its suspensions."""

    def __init__(self, work: Generator[Any, Any, None], disturb: Callable[[int, Any], None]) -> None:
        self._work = work
        self._disturb = disturb

    def __await__(self) -> Generator[Any, None, None]:
        advance: Callable[[], Any] = partial(next, self._work)
        for suspension in count(1):
            try:
                awaited = advance()
            except StopIteration:
                return
            self._disturb(suspension, awaited)
            try:
                yield awaited
                advance = partial(next, self._work)
            except BaseException as exc:  # noqa: BLE001  # it is thrown in below
                advance = partial(self._work.throw, exc)


async def disturbed_everywhere(
    house: House, moment: Moment, method: str, message: bytes, left: int = 0
) -> tuple[int, Response]:
    """Sends the message again and again; in how many places it was cancelled, and the response when it was not.

    Each time all is over that came of it, with so many operations of others left.
    """
    handle = house.service._front.handler
    for at in count(1):
        disturbance = Disturbance(handle, at, moment)  # type: ignore[arg-type]  # a coroutine function
        house.service._front.handler = disturbance
        async with RawClient(port=house.port) as client:
            with suppress(ConnectionError):  # the rest of its upload may find nobody
                await client.send(message)
            await asyncio.wait_for(disturbance.over.wait(), 5)
            if not disturbance.cancelled:
                house.service._front.handler = handle
                return at - 1, await client.response(method)
        await nothing_is_left(house, left)
    raise AssertionError


async def nothing_is_left(house: House, but: int = 0) -> None:
    """But these operations, which run."""
    await eventually(lambda: len(house.service._keeper._tasks) == but)
    await eventually(lambda: not house.service._front.connections)
    assert (house.in_use, house.waiting, house.running) == (but, 0, but)
    usage = await house.store.usage()
    assert (usage.queued, usage.running) == (0, but)


moments = pytest.mark.parametrize("moment", ["asleep", "waking"])
bodies = pytest.mark.parametrize("body", [b"", LARGE], ids=["without content", "spooled to a file"])


@both_stores
@moments
@bodies
async def test_when_the_clock_wins(house: House, origin: ScriptedOrigin, moment: Moment, body: bytes) -> None:
    origin.script(read_all(keep=False), stall())
    places, response = await disturbed_everywhere(house, moment, "POST", request("POST", b"/", [AT_ONCE], body))
    assert (places > 0, response.status) == (True, 202)
    assert house.running == 1
    assert (await house.ask("DELETE", status_path(response))).status == 200
    await nothing_is_left(house)
    await eventually(lambda: not origin.open_connections)


@both_stores
@moments
@bodies
async def test_when_the_origin_is_full(start: Start, origin: ScriptedOrigin, moment: Moment, body: bytes) -> None:
    house = await start(origins={"legacy": {"url": origin.url, "max_connections": 1}})
    origin.script(read_all(keep=False), stall())
    first = await house.accepted("POST", b"/first")
    await origin.request_received()
    places, response = await disturbed_everywhere(house, moment, "POST", request("POST", b"/", [AT_ONCE], body), left=1)
    assert (places > 0, response.status) == (True, 202)
    usage = await house.store.usage()
    assert (usage.queued, usage.running, house.waiting) == (1, 1, 1)
    for path in (status_path(response), first):
        assert (await house.ask("DELETE", path)).status == 200
    await nothing_is_left(house)
    assert len(origin.requests) == 1, "nothing of what waited was sent"


@moments
@bodies
async def test_when_the_origin_wins(start: Start, origin: ScriptedOrigin, moment: Moment, body: bytes) -> None:
    house = await start({"wait": "10s", "max_wait": "10s"})
    origin.script(read_all(keep=False), answer(200, body=[LARGE, LARGE], framing="chunked"))
    places, response = await disturbed_everywhere(house, moment, "POST", request("POST", b"/", [PATIENT], body))
    assert (places > 0, response.status, response.size) == (True, 200, 2 * len(LARGE))
    assert not house.store.calls
    await nothing_is_left(house)


@both_stores
@moments
async def test_when_the_store_refuses(house: House, origin: ScriptedOrigin, moment: Moment) -> None:
    origin.script(read_all(keep=False), answer(200, body=LARGE))
    house.store.fail(on="create", times=1000)
    places, response = await disturbed_everywhere(house, moment, "POST", request("POST", b"/", [AT_ONCE], LARGE))
    assert (places > 0, response.status, response.size) == (True, 200, len(LARGE))
    assert house.store.created == []
    await nothing_is_left(house)


@both_stores
@moments
async def test_when_the_exchange_is_to_be_finished_it_is(start: Start, origin: ScriptedOrigin, moment: Moment) -> None:
    house = await start(route={"on_disconnect": "finish"})
    origin.script(read_all(keep=False), answer(200, body=b"done"))
    places, response = await disturbed_everywhere(house, moment, "POST", request("POST", b"/", [AT_ONCE], b"x"))
    assert places > 0
    assert response.status in {200, 202}
    await nothing_is_left(house)


@both_stores
@moments
async def test_in_a_download(house: House, origin: ScriptedOrigin, moment: Moment) -> None:
    origin.script(read_all(), answer(200, body=LARGE))
    path = await house.accepted()
    await house.outcome(path)
    message = request("GET", path, [(b"Prefer", b"wait=30")])
    _, response = await disturbed_everywhere(house, moment, "GET", message)
    assert (response.status, response.size) == (200, len(LARGE))
