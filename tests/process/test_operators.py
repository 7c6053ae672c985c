"""What operators see and do is the same whichever worker answers, and goes on when these change."""

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path
from signal import SIGHUP

import pytest

from tests.operators.conftest import Operator
from tests.process.child import LIMIT, Child, path_of, stored_settings
from tests.raw_client import Field
from tests.scripted_origin import ScriptedOrigin, close, read_all, stall

LATER: Field = (b"Prefer", b"respond-async, wait=0")
TIMES = 8  # often enough for either of two workers to answer


@pytest.fixture
async def two(origin: ScriptedOrigin, tmp_path: Path) -> AsyncIterator[Child]:
    """A service with two workers."""
    async with Child(stored_settings(origin.url, tmp_path) | {"workers": 2}, tmp_path) as child:
        yield child
        await child.stop()


async def test_all_workers_tell_of_all(two: Child, origin: ScriptedOrigin) -> None:
    operator = Operator(two.admin_port)
    origin.script(read_all(), close())
    for _ in range(TIMES):
        assert (await two.ask("GET", b"/")).status == 502
    origin.script(read_all(), stall())
    operations = [json.loads((await two.ask("GET", b"/", LATER)).body)["id"][:8] for _ in range(TIMES)]
    for _ in range(TIMES):
        page = await operator.sees("/operations?state=unsettled")
        assert [one["id"] for one in page["operations"]] == operations[::-1]
        assert len((await operator.sees("/requests?status=502"))["requests"]) == TIMES
        assert (await operator.sees("/service"))["workers"] == 2
        [one] = (await operator.sees("/origins"))["origins"]
        assert one["servers"][0]["connections"] == TIMES


async def test_an_operation_is_cancelled_whoever_runs_it(two: Child, origin: ScriptedOrigin) -> None:
    operator = Operator(two.admin_port)
    origin.script(read_all(), stall())
    for number in range(1, TIMES + 1):
        path = path_of(await two.ask("GET", b"/", LATER))
        await origin.request_received(number)
        assert (await operator.ends(f"/operations/{path.decode()[-24:][:8]}"))["state"] == "dismissed"
        await origin.connection_closed(number)
        assert (await two.ask("GET", path)).status == 404


async def test_a_reload_ends_streams_and_forgets_no_requests(two: Child, origin: ScriptedOrigin) -> None:
    operator = Operator(two.admin_port)
    origin.script(read_all(), close())
    assert (await two.ask("GET", b"/")).status == 502
    async with operator.follows() as events:
        await events.next("view")
        two.signal(SIGHUP)
        await two.logged("reloaded")
        assert await events.ends()
    async with asyncio.timeout(LIMIT):
        while (await operator.sees("/service"))["workers"] > 2:  # those of before have yet to leave
            pass
    async with operator.follows() as events:
        await events.next("view")
    assert [one["status"] for one in (await operator.sees("/requests"))["requests"]] == [502]
