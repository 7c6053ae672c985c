"""Clients that leave: before their 202 the exchange ends, or goes on for its effect; after it, nothing changes (contract 2)."""

import asyncio

import pytest

from tests.operations.conftest import Start
from tests.operations.house import AT_ONCE, House, both_stores, eventually
from tests.raw_client import RawClient, request
from tests.scripted_origin import ScriptedOrigin, answer, read_all, stall, tell, wait_for

PATIENT = (b"Prefer", b"respond-async, wait=30")
LARGE = b"x" * 200_000


@pytest.fixture
def gate() -> asyncio.Event:
    return asyncio.Event()


@pytest.fixture
def answered(origin: ScriptedOrigin, gate: asyncio.Event) -> asyncio.Event:
    """The origin answers once `gate` is set, and tells by this that its answer went out."""
    answered = asyncio.Event()
    origin.script(read_all(), wait_for(gate), answer(200, body=b"done"), tell(answered))
    return answered


def leave(client: RawClient, how: str) -> None:
    client.reset() if how == "reset" else client.close()


@pytest.mark.parametrize("how", ["reset", "close"])
@pytest.mark.parametrize("body", [b"", LARGE], ids=["small", "large"])
async def test_leaving_before_the_202_ends_the_exchange(
    house: House, origin: ScriptedOrigin, how: str, body: bytes
) -> None:
    origin.script(read_all(), stall())
    client = await house.client()
    await client.send(request("POST", b"/", [PATIENT], body))
    await origin.request_complete()
    leave(client, how)
    await origin.connection_closed()
    await house.quiet()
    assert not house.store.calls


@pytest.mark.parametrize("body", [b"", LARGE], ids=["small", "large"])
async def test_with_finish_the_exchange_goes_on_to_its_end(
    start: Start, origin: ScriptedOrigin, gate: asyncio.Event, answered: asyncio.Event, body: bytes
) -> None:
    house = await start(route={"on_disconnect": "finish"})
    client = await house.client()
    await client.send(request("POST", b"/", [PATIENT], body))
    await origin.request_complete()
    client.reset()
    await eventually(lambda: house.has_work)
    assert origin.open_connections
    gate.set()
    await asyncio.wait_for(answered.wait(), 5)
    await house.quiet()
    assert (len(origin.requests), house.store.created) == (1, [])
    assert (await house.ask("GET", b"/")).status == 200  # over the connection that was kept
    assert len(origin.connections) == 1


async def test_with_finish_too_nothing_goes_on_for_ever(start: Start, origin: ScriptedOrigin) -> None:
    house = await start({"timeout": "150ms"}, route={"on_disconnect": "finish"})
    origin.script(read_all(), stall())
    client = await house.client()
    await client.send(request("POST", b"/", [PATIENT], b""))
    await origin.request_complete()
    client.reset()
    await origin.connection_closed()
    await house.quiet()


@both_stores
@pytest.mark.parametrize("on_disconnect", ["cancel", "finish"])
async def test_leaving_while_the_operation_is_being_stored_leaves_none_running(
    start: Start, origin: ScriptedOrigin, gate: asyncio.Event, answered: asyncio.Event, on_disconnect: str
) -> None:
    house = await start(route={"on_disconnect": on_disconnect})
    held = house.store.hold("create")
    client = await house.client()
    await client.send(request("POST", b"/", [AT_ONCE], b""))
    await origin.request_complete()
    await eventually(lambda: house.store.calls["create"] == 1)
    client.reset()
    await eventually(lambda: not house.service._front.connections)
    held.set()
    await eventually(lambda: house.store.calls["settle"] == 1)
    if on_disconnect == "cancel":
        await origin.connection_closed()
    else:
        assert origin.open_connections
        gate.set()
        await asyncio.wait_for(answered.wait(), 5)
    await house.quiet()
    assert (await house.store.usage()).running == 0


@both_stores
@pytest.mark.parametrize("how", ["reset", "close"])
async def test_leaving_after_the_202_changes_nothing(
    house: House, origin: ScriptedOrigin, gate: asyncio.Event, answered: asyncio.Event, how: str
) -> None:
    client = await house.client()
    response = await client.exchange("POST", b"/", [AT_ONCE], b"")
    assert response.status == 202
    leave(client, how)
    await eventually(lambda: not house.service._front.connections)
    gate.set()
    [id] = house.store.created
    assert (await house.outcome(b"/.async/" + id.encode())).body == b"done"


async def test_leaving_in_a_synchronous_answer_after_a_race_closes_the_exchange(
    house: House, origin: ScriptedOrigin
) -> None:
    origin.script(read_all(), answer(200, [(b"Content-Length", b"9")], b"short"), stall())
    client = await house.client()
    await client.send(request("POST", b"/", [PATIENT], b""))
    assert (await client.begin("POST")).status == 200
    client.reset()
    await origin.connection_closed()
    await house.quiet()


async def test_leaving_in_the_download_of_a_result_leaves_the_result(house: House, origin: ScriptedOrigin) -> None:
    origin.script(read_all(), answer(200, body=b"x" * 20_000_000))
    path = await house.accepted()
    await house.outcome(path, keep=False)
    client = await house.client()
    await client.send(request("GET", path))
    await (await client.begin()).read()
    client.reset()
    await eventually(lambda: not house.service._front.connections)
    assert (await house.outcome(path, keep=False)).size == 20_000_000
