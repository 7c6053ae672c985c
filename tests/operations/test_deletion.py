"""DELETE, owners, and what is left of an operation when its time is over (contract 4)."""

import asyncio

import pytest

from tests.operations.conftest import Start
from tests.operations.house import House, both_stores, document, eventually, id_of, names
from tests.raw_client import End, Field, RawClient, Response
from tests.scripted_origin import ScriptedOrigin, answer, close, read_all, stall, wait_for

ALICE: Field = (b"Authorization", b"Bearer alice")
MALLORY: Field = (b"Authorization", b"Bearer mallory")
UNKNOWN = b"/.async/" + b"A" * 24


def assert_unknown(response: Response) -> None:
    assert (response.status, document(response)["code"]) == (404, "unknown-operation")
    assert b"asyncresult" not in names(response)


def assert_dismissed(response: Response, path: bytes) -> None:
    assert response.status == 200
    assert response.fields_named(b"cache-control") == [b"no-store"]
    assert response.fields_named(b"content-type") == [b"application/json"]
    assert b"asyncresult" not in names(response)
    told = document(response)
    assert (told["id"], told["status"]) == (id_of(path), "dismissed")
    assert told["links"][0]["href"].endswith(path.decode())


@both_stores
async def test_delete_while_running_closes_the_exchange(house: House, origin: ScriptedOrigin) -> None:
    origin.script(read_all(), stall())
    path = await house.accepted()
    await origin.request_received()
    assert_dismissed(await house.ask("DELETE", path), path)
    assert (await origin.connection_closed()).end in {End.FIN, End.RESET}
    await house.quiet()
    for method in ("GET", "DELETE"):
        assert_unknown(await house.ask(method, path))
    assert (await house.ask("HEAD", path)).status == 404


@both_stores
async def test_delete_while_the_body_comes_closes_the_exchange(house: House, origin: ScriptedOrigin) -> None:
    origin.script(read_all(), answer(200, [(b"Content-Length", b"900000")], b"x" * 300_000), stall())
    path = await house.accepted()
    await eventually(lambda: house.store.calls["write"] > 0)
    assert_dismissed(await house.ask("DELETE", path), path)
    await origin.connection_closed()
    await house.quiet()
    assert_unknown(await house.ask("GET", path))


@both_stores
@pytest.mark.parametrize("body", [b"small", b"x" * 200_000])
async def test_delete_drops_a_result(house: House, origin: ScriptedOrigin, body: bytes) -> None:
    origin.script(read_all(), answer(200, body=body))
    path = await house.accepted()
    assert (await house.outcome(path)).status == 200
    assert_dismissed(await house.ask("DELETE", path), path)
    for method in ("GET", "DELETE"):
        assert_unknown(await house.ask(method, path))
    assert (await house.store.usage()).bytes == 0


async def test_delete_drops_a_failure(house: House, origin: ScriptedOrigin) -> None:
    origin.script(read_all(), close())
    path = await house.accepted()
    assert (await house.outcome(path)).status == 502
    assert_dismissed(await house.ask("DELETE", path), path)
    assert_unknown(await house.ask("GET", path))


@both_stores
async def test_of_a_result_and_a_delete_at_once_either_wins_and_then_it_is_gone(
    house: House, origin: ScriptedOrigin
) -> None:
    for _ in range(20):
        gate = asyncio.Event()
        origin.script(read_all(), wait_for(gate), answer(200, body=b"done"))
        path = await house.accepted()
        client = await house.client()
        gate.set()
        assert_dismissed(await client.exchange("DELETE", path), path)
        assert_unknown(await client.exchange("GET", path))
    await house.quiet()
    assert (await house.store.usage()).running == 0


@both_stores
async def test_of_many_deletes_at_once_each_is_answered_and_then_it_is_gone(
    house: House, origin: ScriptedOrigin
) -> None:
    origin.script(read_all(), stall())
    path = await house.accepted()
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(house.ask("DELETE", path)) for _ in range(8)]
    statuses = {task.result().status for task in tasks}
    assert 200 in statuses <= {200, 404}
    assert_unknown(await house.ask("GET", path))
    await house.quiet()


@both_stores
async def test_delete_between_looking_and_settling_drops_what_has_come(house: House, origin: ScriptedOrigin) -> None:
    gate = asyncio.Event()
    origin.script(read_all(), wait_for(gate), answer(200, body=b"done"))
    path = await house.accepted()
    held = house.store.hold("settle")
    async with asyncio.TaskGroup() as group:
        deleted = group.create_task(house.ask("DELETE", path))
        await eventually(lambda: house.store.calls["settle"] == 1)
        gate.set()
        await eventually(lambda: house.store.calls["settle"] == 2)
        held.set()
    assert_dismissed(deleted.result(), path)
    assert_unknown(await house.ask("GET", path))


@both_stores
async def test_the_same_credential_is_needed(house: House, origin: ScriptedOrigin) -> None:
    origin.script(read_all(), answer(200, body=b"done"))
    path = await house.accepted("POST", b"/", ALICE)
    assert (await house.outcome(path, ALICE)).body == b"done"
    unknown = await house.ask("GET", UNKNOWN)
    for fields in ([], [MALLORY], [(b"Authorization", b"")], [(b"Authorization", b"bearer alice")]):
        for method in ("GET", "HEAD", "DELETE"):
            assert (await house.ask(method, path, *fields)).status == 404
        stranger = await house.ask("GET", path, *fields)
        assert stranger.body == unknown.body.replace(UNKNOWN, path)
        assert [one for one in stranger.fields if one[0] != b"Date"] == [
            one for one in unknown.fields if one[0] != b"Date"
        ]
    assert (await house.ask("HEAD", path, ALICE)).status == 200
    assert_dismissed(await house.ask("DELETE", path, ALICE), path)


async def test_of_several_lines_the_credential_is_all_of_them(house: House, origin: ScriptedOrigin) -> None:
    origin.script(read_all(), answer(200, body=b"done"))
    path = await house.accepted("POST", b"/", ALICE, MALLORY)
    assert (await house.outcome(path, ALICE, MALLORY)).body == b"done"
    for fields in ([ALICE], [MALLORY], [MALLORY, ALICE], [ALICE, MALLORY, ALICE]):
        assert_unknown(await house.ask("GET", path, *fields))
    of_alice = await house.accepted("POST", b"/", ALICE)
    assert_unknown(await house.ask("GET", of_alice, ALICE, MALLORY))


async def test_a_stranger_does_not_disturb_a_running_operation(house: House, origin: ScriptedOrigin) -> None:
    gate = asyncio.Event()
    origin.script(read_all(), wait_for(gate), answer(200, body=b"done"))
    path = await house.accepted("POST", b"/", ALICE)
    for method in ("GET", "DELETE"):
        assert_unknown(await house.ask(method, path, MALLORY, (b"Prefer", b"wait=30")))
    gate.set()
    assert (await house.outcome(path, ALICE)).body == b"done"


async def test_without_a_credential_the_url_is_enough(house: House, origin: ScriptedOrigin) -> None:
    origin.script(read_all(), answer(200, body=b"done"))
    path = await house.accepted()
    assert (await house.outcome(path, MALLORY)).body == b"done"


async def test_owner_none_asks_for_no_credential(start: Start, origin: ScriptedOrigin) -> None:
    house = await start({"owner": "none"})
    origin.script(read_all(), answer(200, body=b"done"))
    path = await house.accepted("POST", b"/", ALICE)
    assert (await house.outcome(path)).body == b"done"


async def test_the_credential_itself_is_not_kept(house: House, origin: ScriptedOrigin) -> None:
    origin.script(read_all(), stall())
    first = await house.operation(await house.accepted("POST", b"/", ALICE))
    second = await house.operation(await house.accepted("POST", b"/", ALICE))
    assert first is not None
    assert second is not None
    assert b"alice" not in repr((first, second)).encode()
    assert first.owner_digest != second.owner_digest


@both_stores
async def test_a_result_expires_to_410_and_then_to_404(start: Start, origin: ScriptedOrigin) -> None:
    house = await start({"keep": "1h"})
    origin.script(read_all(), answer(200, body=b"x" * 100_000))
    path = await house.accepted()
    await house.outcome(path)
    for ahead, status in [(3590, 200), (3601, 410), (7190, 410), (7201, 404)]:
        house.clock.ahead = ahead
        if status == 410:  # at once, whether or not the reaper has been there
            assert (await house.ask("GET", path)).status == status
        await house.store.expire(house.clock.now())
        response = await house.ask("GET", path)
        assert response.status == status
        assert response.fields_named(b"cache-control") == [b"no-store"]
        assert (b"asyncresult" in names(response)) == (status == 200)
        if status == 410:
            assert document(response)["code"] == "expired-operation"
    assert (await house.store.usage()).bytes == 0


@pytest.mark.parametrize(("keep", "forgotten"), [("10s", 20), ("240h", 240 * 3600 + 86_400)])
async def test_a_tombstone_is_kept_as_long_again_but_a_day_at_most(
    start: Start, origin: ScriptedOrigin, keep: str, forgotten: int
) -> None:
    house = await start({"keep": keep})
    origin.script(read_all(), answer(200))
    path = await house.accepted()
    await house.outcome(path)
    for ahead, status in [(forgotten - 5, 410), (forgotten + 1, 404)]:
        house.clock.ahead = ahead
        await house.store.expire(house.clock.now())
        assert (await house.ask("GET", path)).status == status


@both_stores
async def test_a_running_operation_does_not_expire(start: Start, origin: ScriptedOrigin) -> None:
    house = await start({"keep": "1s"})
    gate = asyncio.Event()
    origin.script(read_all(), wait_for(gate), answer(200, body=b"done"))
    path = await house.accepted()
    house.clock.ahead = 1e6
    await house.store.expire(house.clock.now())
    assert (await house.ask("GET", path)).status == 202
    gate.set()
    assert (await house.outcome(path)).body == b"done"


async def test_another_owners_expired_operation_is_unknown(house: House, origin: ScriptedOrigin) -> None:
    origin.script(read_all(), answer(200))
    path = await house.accepted("POST", b"/", ALICE)
    await house.outcome(path, ALICE)
    house.clock.ahead = 3700
    assert (await house.ask("GET", path, MALLORY)).status == 404
    assert (await house.ask("GET", path, ALICE)).status == 410


async def test_a_body_is_not_lost_to_a_reader_when_it_is_deleted(start: Start, origin: ScriptedOrigin) -> None:
    house = await start()
    body = b"x" * 4_000_000
    origin.script(read_all(), answer(200, body=body))
    path = await house.accepted()
    await house.outcome(path, keep=False)
    async with RawClient(port=house.port) as reader:
        await reader.send(b"GET " + path + b" HTTP/1.1\r\nHost: x\r\n\r\n")
        response = await reader.begin()
        assert (await house.ask("DELETE", path)).status == 200
        await response.finish(keep=False)
    assert not response.complete or response.size == len(body)
