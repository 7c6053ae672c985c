"""What a service has learned of its routes outlives it, and all its workers know it."""

import asyncio
import re
from pathlib import Path

from proxy.picture import Picture
from proxy.store import open_store
from tests.process.child import Child, path_of, stored_settings
from tests.raw_client import Field
from tests.scripted_origin import ScriptedOrigin, answer, read_all, stall

LATER: Field = (b"Prefer", b"respond-async, wait=0")
LONG_POLL: Field = (b"Prefer", b"wait=10")


async def settle(child: Child, number: int) -> None:
    for _ in range(number):
        path = path_of(await child.ask("POST", b"/", LATER, body=b""))
        assert (await child.ask("GET", path, LONG_POLL)).status == 200


async def total(folder: Path) -> float:
    """How many exchanges the store knows of."""
    async with open_store("sqlite", folder / "store", 1 << 30, "test") as store:
        learned = await store.learned()
    return Picture.decode(learned.get("everything", b"")).total


async def test_two_workers_learn_together_and_a_restart_forgets_nothing(origin: ScriptedOrigin, tmp_path: Path) -> None:
    origin.script(read_all(), answer(200))
    settings = stored_settings(origin.url, tmp_path) | {"workers": 2}
    async with Child(settings, tmp_path) as child:
        await settle(child, 20)
        await child.stop()
    assert await total(tmp_path) == 20
    async with Child(settings, tmp_path) as again:
        origin.script(read_all(), stall())
        path = path_of(await again.ask("POST", b"/", LATER, body=b""))
        async with asyncio.timeout(10):  # each of the workers looks at the store just after its start
            for _ in range(20):
                while not re.fullmatch(rb"about \d+ s left|.*, longer than usual", await said(again, path)):
                    pass
        await again.ask("DELETE", path)
        await again.stop()


async def said(child: Child, path: bytes) -> bytes:
    return (await child.ask("GET", path)).field(b"x-progress") or b""
