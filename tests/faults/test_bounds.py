"""P6: memory stays bounded, whatever the size of what passes through or is stored. In a process of its own, by VmHWM."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.faults.procfs import forget_the_highest, highest
from tests.process.child import Child, path_of, stored_settings
from tests.raw_client import Pattern, RawClient, Wire, request
from tests.scripted_origin import ScriptedOrigin, answer, read_all, stall

MIB = 1024 * 1024
LEEWAY = 40 * MIB
PASSING = Pattern(200 * MIB)
STORED = Pattern(90 * MIB)


@pytest.fixture
async def child(origin: ScriptedOrigin, tmp_path: Path) -> AsyncIterator[Child]:
    settings = stored_settings(origin.url, tmp_path, max_request_body="1GiB")
    async with Child(settings, tmp_path) as child:
        await child.ask("GET", b"/")  # what is only there from the first request on
        yield child


async def upload(client: RawClient, body: Pattern) -> None:
    await client.send(request("POST", b"/", [(b"Content-Length", b"%d" % body.size)]))
    for piece in body:
        await client.send(piece)


async def test_a_large_upload_is_not_held(child: Child, origin: ScriptedOrigin) -> None:
    origin.script(read_all(keep=False), answer(204))
    idle = forget_the_highest([child.pid])
    async with child.client() as client:
        await upload(client, PASSING)
        assert (await client.response()).status == 204
    assert (await origin.request_complete(2)).sha256 == PASSING.sha256
    assert highest([child.pid]) < idle + LEEWAY


async def test_a_large_download_is_not_held(child: Child, origin: ScriptedOrigin) -> None:
    origin.script(answer(200, body=PASSING, framing="chunked"))
    idle = forget_the_highest([child.pid])
    async with child.client() as client:
        await client.send(request("GET", b"/"))
        response = await client.response(keep=False)
    assert (response.complete, response.sha256) == (True, PASSING.sha256)
    assert highest([child.pid]) < idle + LEEWAY


async def test_a_large_result_is_stored_and_served_without_being_held(child: Child, origin: ScriptedOrigin) -> None:
    origin.script(answer(200, body=STORED))
    idle = forget_the_highest([child.pid])
    path = path_of(await child.ask("GET", b"/", (b"Prefer", b"respond-async, wait=0")))
    async with child.client() as client:
        await client.send(request("GET", path, [(b"Prefer", b"wait=30")]))
        response = await client.response(keep=False)
    assert (response.status, response.complete, response.sha256) == (200, True, STORED.sha256)
    assert highest([child.pid]) < idle + LEEWAY


async def test_a_client_that_does_not_read_stops_the_origin(child: Child, origin: ScriptedOrigin) -> None:
    origin.script(answer(200, body=PASSING))
    idle = forget_the_highest([child.pid])
    async with child.client() as client:
        await client.send(request("GET", b"/"))
        await client.begin()
        await until_held_up(origin.connections[-1])
        assert highest([child.pid]) < idle + LEEWAY


async def test_an_origin_that_does_not_read_stops_the_client(child: Child, origin: ScriptedOrigin) -> None:
    origin.script(stall())
    idle = forget_the_highest([child.pid])
    async with child.client() as client, asyncio.TaskGroup() as tasks:
        uploading = tasks.create_task(upload(client, PASSING))
        await origin.request_received(2)
        await until_held_up(client.wire)
        assert not uploading.done()
        assert highest([child.pid]) < idle + LEEWAY
        uploading.cancel()


async def until_held_up(wire: Wire) -> None:
    """Waits until nothing more can be written, and the buffers on the way have had half a second to find room."""
    full = 0
    while full < 5:
        await asyncio.sleep(0.1)
        full = 0 if wire._may_write else full + 1
