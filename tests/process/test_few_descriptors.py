"""More clients than there are file descriptors: they wait, none is refused or reset, and the worker sleeps meanwhile."""

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from tests.process.child import Child, path_of, stored_settings
from tests.raw_client import RawClient, request
from tests.scripted_origin import ScriptedOrigin

LIMIT = 96
MANY = 150


@pytest.fixture
async def child(origin: ScriptedOrigin, tmp_path: Path) -> AsyncIterator[Child]:
    async with Child(stored_settings(origin.url, tmp_path), tmp_path, descriptors=LIMIT) as child:
        yield child


def in_use(child: Child) -> int:
    return len(list(Path(f"/proc/{child.workers[0]}/fd").iterdir()))


def cpu(child: Child) -> float:
    """Seconds of processor time that it has used, in user and system mode."""
    fields = Path(f"/proc/{child.workers[0]}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


async def test_clients_wait_until_descriptors_are_back(child: Child, origin: ScriptedOrigin) -> None:
    before = in_use(child)
    async with AsyncExitStack() as idle:
        clients = [await idle.enter_async_context(child.client()) for _ in range(MANY)]
        await child.logged("accepting paused")
        assert before < in_use(child) < LIMIT, "some are left for origins and files"
        assert (await clients[0].exchange("GET", b"/")).status == 200, "as this shows"
        used, began = cpu(child), asyncio.get_running_loop().time()
        await asyncio.sleep(1)
        assert cpu(child) - used < 0.3 * (asyncio.get_running_loop().time() - began), "it spins"
        async with child.client() as late:
            await late.send(request("GET", b"/late"))
            assert [client.wire.end for client in [*clients, late]] == [None] * (MANY + 1)
            assert "/late" not in child.stderr
            await idle.aclose()
            assert (await late.response()).status == 200
    await child.logged("accepting resumed")
    assert (await child.ask("GET", b"/")).status == 200
    assert [line["event"] for line in child.lines].count("accepting paused") == 1
    assert [request.target for request in origin.requests] == [b"/", b"/late", b"/"]


async def test_all_of_them_are_served_in_the_end(child: Child) -> None:
    async with asyncio.TaskGroup() as tasks:
        answers = [tasks.create_task(ask_and_leave(child.client())) for _ in range(MANY)]
    assert [task.result() for task in answers] == [200] * MANY
    accepted = await child.ask("POST", b"/", (b"Prefer", b"respond-async, wait=0"), body=b"x" * 100_000)
    assert (await child.ask("GET", path_of(accepted), (b"Prefer", b"wait=5"))).status == 200


async def test_operators_get_in_where_clients_have_all_that_they_may(child: Child) -> None:
    async with AsyncExitStack() as idle:
        for _ in range(MANY):
            await idle.enter_async_context(child.client())
        await child.logged("accepting paused")
        for target in (b"/livez", b"/operations", b"/metrics"):
            assert (await child.operator_asks(target)).status == 200, "a probe that fails would have it restarted"
    assert child.count("accepting paused") == 1


async def test_half_requests_of_operators_starve_nobody(child: Child, origin: ScriptedOrigin) -> None:
    before = in_use(child)
    async with AsyncExitStack() as stack:
        for _ in range(MANY):
            half = await stack.enter_async_context(RawClient(port=child.admin_port))
            await half.send(b"GET /operations HTTP/1.1\r\n")
        assert (await child.ask("GET", b"/")).status == 200
        assert (await child.operator_asks(b"/livez")).status == 200
        assert in_use(child) - before < LIMIT // 4
    assert child.count("accepting paused") == 0


async def ask_and_leave(client: RawClient) -> int:
    async with client:
        return (await client.exchange("GET", b"/")).status
