"""What clients are told of an operation that is not settled: by what its route has taken so far, and by its bytes."""

import asyncio
import re
from datetime import datetime

import pytest

from proxy.picture import Picture
from tests.operations.conftest import Start
from tests.operations.house import AT_ONCE, House, both_stores, document, eventually, status_path
from tests.raw_client import Response
from tests.scripted_origin import ScriptedOrigin, answer, read_all, send, stall, wait_for

MIB = 1 << 20
THREE_OF_FOUR = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % (4 * MIB) + bytes(3 * MIB)


async def learn(house: House, seconds: float) -> None:
    """Have the house know of its route what another process has seen."""
    assert await house.store.learn("everything", None, Picture.of([seconds] * 20).encode())
    await house.service.reaper.look()


def told(response: Response) -> tuple[bytes | None, bytes | None]:
    return response.field(b"retry-after"), response.field(b"x-progress")


def foretold(response: Response) -> float:
    """Seconds from the creation of the operation to its estimated completion."""
    created, end = (document(response)[name] for name in ("created", "estimated_completion"))
    return (datetime.fromisoformat(end) - datetime.fromisoformat(created)).total_seconds()


@pytest.mark.usefixtures("connects_in_time")
@both_stores
async def test_the_202_and_the_status_url_tell_what_the_past_tells(house: House, origin: ScriptedOrigin) -> None:
    origin.script(read_all(), stall())
    await learn(house, 60)
    accepted = await house.ask("POST", b"/", AT_ONCE)
    assert told(accepted) == (b"62", None)
    assert document(accepted)["progress"] == "about 60 s left"
    assert 58 <= foretold(accepted) <= 63
    assert "link" not in document(accepted)
    house.clock.ahead = 20
    asked = await house.ask("GET", status_path(accepted))
    assert told(asked) == (b"42", b"about 40 s left")
    assert document(asked)["progress"] == "about 40 s left"
    assert 58 <= foretold(asked) <= 63
    house.clock.ahead = 100
    late = await house.ask("GET", status_path(accepted))
    assert told(late) == (b"10", b"running for 100 s, longer than usual")
    assert "estimated_completion" not in document(late)


async def test_a_queued_operation_is_told_its_place_and_what_follows_from_it(
    start: Start, origin: ScriptedOrigin
) -> None:
    gate = asyncio.Event()
    origin.queue([read_all(), wait_for(gate), answer(200)], [read_all(), stall()])
    house = await start(origins={"legacy": {"url": origin.url, "max_connections": 1}})
    await learn(house, 60)
    await house.accepted()
    second = await house.ask("POST", b"/", AT_ONCE)
    assert (document(second)["status"], document(second)["progress"]) == (
        "queued",
        "next in line, about 2 min left",
    )
    third = await house.accepted()
    assert told(await house.ask("GET", third)) == (b"62", b"queued, 1 before it, about 3 min left")
    house.clock.ahead = 300  # what it waits is no part of what it takes
    gate.set()
    await origin.request_received(2)
    running = await house.ask("GET", status_path(second))
    assert (document(running)["status"], told(running)) == ("running", (b"62", b"about 60 s left"))
    assert 358 <= foretold(running) <= 364


async def test_what_a_race_takes_before_the_202_counts(start: Start, origin: ScriptedOrigin) -> None:
    origin.script(read_all(), stall())
    house = await start({"wait": "200ms"})
    asking = asyncio.create_task(house.ask("POST", b"/", (b"Prefer", b"respond-async")))
    await origin.request_received()
    sent = house.clock.now()
    operation = await house.operation(status_path(await asking))
    assert operation is not None
    assert operation.began is not None
    assert operation.began < sent + 0.1, "and not when its client had the 202"


@both_stores
async def test_while_the_response_comes_in_its_bytes_tell(house: House, origin: ScriptedOrigin) -> None:
    gate = asyncio.Event()
    origin.script(read_all(), send(THREE_OF_FOUR), wait_for(gate), send(bytes(MIB)))
    path = await house.accepted("GET")
    await has_come(house, path, b"3.0 MiB of 4.0 MiB")
    house.clock.ahead = 8  # and up to two more for a busy machine
    asked = await house.ask("GET", path)
    assert told(asked) == (b"2", b"3.0 MiB of 4.0 MiB, about 3 s left")
    assert document(asked)["progress"] == "3.0 MiB of 4.0 MiB, about 3 s left"
    gate.set()
    assert len((await house.outcome(path)).body) == 4 * MIB


@pytest.mark.parametrize("kind", ["sqlite"])
async def test_another_process_tells_the_same_to_within_a_mib(start: Start, origin: ScriptedOrigin) -> None:
    origin.script(read_all(), send(THREE_OF_FOUR), stall())
    house, other = await start(), await start(keeper="keeper-two")
    path = await house.accepted("GET")
    await has_come(house, path, b"3.0 MiB of 4.0 MiB")
    progress = (await other.ask("GET", path)).field(b"x-progress") or b""
    assert re.fullmatch(rb"[23]\.\d MiB of 4\.0 MiB", progress)


async def has_come(house: House, path: bytes, words: bytes) -> None:
    """Ask until it tells that so much has come."""
    async with asyncio.timeout(5):
        while (await house.ask("GET", path)).field(b"x-progress") != words:
            pass


@pytest.mark.parametrize("kind", ["sqlite"])
async def test_asking_for_ones_own_running_operation_reads_no_database(
    house: House, origin: ScriptedOrigin, monkeypatch: pytest.MonkeyPatch
) -> None:
    origin.script(read_all(), stall())
    await learn(house, 60)
    path = await house.accepted()
    store = house.store._store
    monkeypatch.setattr(store, "_reads", None)
    monkeypatch.setattr(store, "_writes", None)
    asked = await house.ask("GET", path)
    monkeypatch.undo()
    assert told(asked) == (b"62", b"about 60 s left")


@both_stores
async def test_what_was_learned_is_in_the_store_when_the_service_has_drained(
    house: House, origin: ScriptedOrigin
) -> None:
    for status in (200, 200, 500):
        origin.script(read_all(), answer(status))
        await house.outcome(await house.accepted())
    origin.script(read_all(), stall())
    dismissed = await house.accepted()
    await house.ask("DELETE", dismissed)
    await house.quiet()
    await house.service.drain(0)
    learned = await house.store.learned()
    assert Picture.decode(learned["everything"]).total == 3, "what was answered, and not what was given up"


async def test_a_store_in_trouble_does_not_keep_it_from_draining(house: House, origin: ScriptedOrigin) -> None:
    origin.script(read_all(), answer(200))
    await house.outcome(await house.accepted())
    house.store.fail("learn")
    await house.service.drain(0)
    assert await house.store.learned() == {}
    await eventually(lambda: not house.has_work)
