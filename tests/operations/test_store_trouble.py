"""A store in trouble costs the preference, never the request, and never makes half a result (P1, P3, P5)."""

import asyncio
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from shutil import rmtree

import pytest

from proxy.operation import Progress
from proxy.store import Sink
from tests.operations.conftest import Start
from tests.operations.house import AT_ONCE, Call, House, both_stores, document, eventually, id_of, names
from tests.raw_client import Pattern
from tests.scripted_origin import ScriptedOrigin, answer, close, read_all, stall, wait_for


@pytest.fixture
def gate(origin: ScriptedOrigin) -> asyncio.Event:
    """The origin answers `done` once this is set."""
    gate = asyncio.Event()
    origin.script(read_all(), wait_for(gate), answer(200, body=b"done"))
    return gate


@both_stores
async def test_if_the_store_refuses_the_client_is_answered_by_the_same_exchange(
    house: House, origin: ScriptedOrigin, gate: asyncio.Event
) -> None:
    house.store.fail(on="create")
    async with asyncio.TaskGroup() as group:
        asked = group.create_task(house.ask("POST", b"/", AT_ONCE, body=b"x" * 100_000))
        await eventually(lambda: house.store.calls["create"] == 1)
        gate.set()
    assert (asked.result().status, asked.result().body) == (200, b"done")
    assert not {b"preference-applied", b"asyncresult"} & set(names(asked.result()))
    assert asked.result().fields_named(b"vary") == [b"Prefer"]
    assert [request.size for request in origin.requests] == [100_000]
    await house.quiet()
    assert house.store.created == []


@both_stores
async def test_a_full_store_takes_no_more_and_loses_nothing(
    start: Start, origin: ScriptedOrigin, kind: str, tmp_path: object
) -> None:
    url = "memory:" if kind == "memory" else f"sqlite://{tmp_path}/small"
    house = await start(store={"url": url, "max_size": "1KiB"})
    origin.script(read_all(), answer(200, body=b"x" * 2000))
    first = await house.accepted()
    assert (await house.outcome(first)).size == 2000
    refused = await house.ask("POST", b"/", AT_ONCE)
    assert (refused.status, refused.size) == (200, 2000)
    assert b"preference-applied" not in names(refused)
    assert len(origin.requests) == 2
    assert (await house.ask("GET", first)).size == 2000
    assert (await house.ask("DELETE", first)).status == 200
    assert (await house.ask("POST", b"/", AT_ONCE)).status == 202


@pytest.mark.parametrize("removed", [False, True])
async def test_a_store_whose_folder_is_no_longer_in_its_place_takes_no_operations(
    start: Start, origin: ScriptedOrigin, tmp_path: Path, *, removed: bool
) -> None:
    folder = tmp_path / "store"
    house = await start(store={"url": f"sqlite://{folder}"})
    origin.script(read_all(), answer(200, body=b"done"))
    await house.accepted()
    if removed:
        rmtree(folder)
    else:
        folder.rename(tmp_path / "moved")
    await house.service.reaper.look()
    response = await house.ask("POST", b"/", AT_ONCE)
    assert (response.status, response.body, b"preference-applied" in names(response)) == (200, b"done", False)


async def test_after_a_refusal_the_routes_own_timeout_holds(start: Start, origin: ScriptedOrigin) -> None:
    house = await start(route={"timeout": "100ms"})
    origin.script(read_all(), stall())
    house.store.fail(on="create")
    response = await house.ask("POST", b"/", AT_ONCE)
    assert (response.status, document(response)["code"]) == (504, "origin-timeout")
    assert response.field(b"proxy-status") == b"respond-async; error=http_response_timeout"
    await origin.connection_closed()
    await house.quiet()


async def test_after_a_refusal_an_origin_that_lets_nobody_connect_is_told_from_a_full_one(
    start: Start, unused_port: int
) -> None:
    left = asyncio.Event()

    async def say_nothing(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()
        writer.close()
        left.set()

    legacy = {"url": f"https://127.0.0.1:{unused_port}", "connect_timeout": "30s"}
    async with await asyncio.start_server(say_nothing, "127.0.0.1", unused_port):
        house = await start(route={"timeout": "100ms"}, origins={"legacy": legacy})
        house.store.fail(on="create")
        response = await house.ask("POST", b"/", AT_ONCE)
        assert (response.status, document(response)["code"]) == (504, "origin-timeout")
        assert response.field(b"proxy-status") == b"respond-async; error=connection_timeout"
        await asyncio.wait_for(left.wait(), 5)


async def test_after_a_refusal_a_failure_of_the_origin_is_told(house: House, origin: ScriptedOrigin) -> None:
    origin.script(read_all(), close())
    house.store.fail(on="create")
    response = await house.ask("POST", b"/", AT_ONCE)
    assert (response.status, document(response)["code"]) == (502, "origin-broke-off")


async def test_a_client_that_leaves_while_the_store_refuses_ends_the_exchange(
    house: House, origin: ScriptedOrigin
) -> None:
    origin.script(read_all(), stall())
    held = house.store.hold("create")
    house.store.fail(on="create")
    client = await house.client()
    await client.send(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\nPrefer: respond-async, wait=0\r\n\r\n")
    await eventually(lambda: house.store.calls["create"] == 1)
    await origin.request_received()
    client.reset()
    await eventually(lambda: not house.service._front.connections)
    held.set()
    await origin.connection_closed()
    await house.quiet()


@both_stores
async def test_a_settling_that_fails_is_done_again_until_it_is_done(
    house: House, origin: ScriptedOrigin, gate: asyncio.Event
) -> None:
    house.store.fail(on="settle", times=2)
    path = await house.accepted()
    gate.set()
    assert (await house.outcome(path)).body == b"done"
    assert house.store.calls["settle"] == 3
    assert len(origin.requests) == 1


@both_stores
@pytest.mark.parametrize("on", ["sink", "write", "complete"])
async def test_a_result_that_cannot_be_stored_is_a_failure_and_never_cut(
    house: House, origin: ScriptedOrigin, on: Call
) -> None:
    origin.script(read_all(), answer(200, body=Pattern(200_000)))
    house.store.fail(on=on)
    path = await house.accepted()
    response = await house.outcome(path)
    assert (response.status, document(response)["code"]) == (500, "internal")
    assert response.fields_named(b"asyncresult") == [b"500"]
    assert response.field(b"proxy-status") == b"respond-async; error=proxy_internal_error"
    await house.quiet()
    assert (await house.store.usage()).bytes == 0


async def test_an_error_in_the_proxy_hurts_its_own_operation_alone(
    house: House,
    origin: ScriptedOrigin,
    gate: asyncio.Event,
    monkeypatch: pytest.MonkeyPatch,
    quiet_log: list[dict[str, object]],
) -> None:
    origin.script(read_all(), wait_for(gate), answer(200, body=b"done", framing="chunked"))
    spoilt, sound = await house.accepted(), await house.accepted()
    sink = house.store.sink

    def spoiling(id_: str, coming: Progress) -> AbstractAsyncContextManager[Sink]:
        if id_ == id_of(spoilt):
            raise RuntimeError("secret")
        return sink(id_, coming)

    monkeypatch.setattr(house.store, "sink", spoiling)
    gate.set()
    response = await house.outcome(spoilt)
    assert (response.status, document(response)["code"]) == (500, "internal")
    assert b"secret" not in response.body
    assert [line["event"] for line in quiet_log if line["log_level"] == "error"] == ["operation failed"]
    assert (await house.outcome(sound)).body == b"done"


@pytest.mark.parametrize(("method", "on"), [("GET", "get"), ("HEAD", "get"), ("DELETE", "get"), ("DELETE", "settle")])
async def test_a_status_url_without_its_store_is_503(house: House, gate: asyncio.Event, method: str, on: Call) -> None:
    path = await house.accepted()
    house.store.fail(on=on)
    response = await house.ask(method, path)
    assert response.status == 503
    assert int(response.field(b"retry-after") or b"0") >= 1
    assert b"asyncresult" not in names(response)
    assert response.field(b"proxy-status") == b"respond-async; error=proxy_internal_error"
    assert response.fields_named(b"cache-control") == [b"no-store"]
    if method != "HEAD":
        assert document(response)["code"] == "store-unavailable"
    gate.set()
    assert (await house.outcome(path)).body == b"done"


@pytest.mark.parametrize(("method", "on"), [("GET", "body"), ("DELETE", "remove")])
async def test_a_result_that_cannot_be_read_is_503_and_can_be_asked_for_again(
    house: House, origin: ScriptedOrigin, method: str, on: Call
) -> None:
    origin.script(read_all(), answer(200, body=b"x" * 100_000))
    path = await house.accepted()
    await house.outcome(path)
    house.store.fail(on=on)
    response = await house.ask(method, path)
    assert (response.status, document(response)["code"]) == (503, "store-unavailable")
    assert b"asyncresult" not in names(response)
    assert (await house.ask("GET", path)).size == 100_000


async def test_a_long_poll_without_its_store_is_503(house: House, gate: asyncio.Event) -> None:
    path = await house.accepted()
    house.store.fail(on="settled")
    assert (await house.ask("GET", path, (b"Prefer", b"wait=30"))).status == 503
    gate.set()
    assert (await house.outcome(path)).body == b"done"


async def test_synchronous_requests_need_no_store(house: House, origin: ScriptedOrigin) -> None:
    origin.script(read_all(), answer(200, body=b"now"))
    for call in ("create", "get", "settle", "settled", "sink", "body"):
        house.store.fail(on=call, times=1000)
    assert (await house.ask("POST", b"/", body=b"x")).body == b"now"
    assert (await house.ask("POST", b"/", (b"Prefer", b"respond-async"), body=b"x")).body == b"now"
    assert (await house.ask("POST", b"/", AT_ONCE, body=b"x")).body == b"now"
    assert len(origin.requests) == 3
    assert set(house.store.calls) == {"create"}


async def test_synchronous_requests_do_not_wait_for_a_store_that_hangs(house: House, origin: ScriptedOrigin) -> None:
    origin.script(read_all(), answer(200, body=b"now"))
    held = house.store.hold("create")
    async with asyncio.TaskGroup() as group:
        hanging = group.create_task(house.ask("POST", b"/", AT_ONCE))
        await eventually(lambda: house.store.calls["create"] == 1)
        assert (await house.ask("POST", b"/", body=b"x")).body == b"now"
        assert not hanging.done()
        held.set()
    assert hanging.result().status == 202
