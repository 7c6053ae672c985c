"""Rolling replacement: a second service on the same addresses and the same store takes over, and nobody notices."""

import asyncio
import os
import socket
from collections.abc import AsyncIterator
from pathlib import Path
from signal import SIGCONT, SIGKILL, SIGSTOP, SIGTERM

import pytest

from proxy.services import Services
from tests.conftest import Settings
from tests.process.child import LIMIT, Child, path_of, stored_settings
from tests.process.load import Load
from tests.raw_client import Field, RawClient
from tests.scripted_origin import ScriptedOrigin, answer, read_all, wait_for

LATER: Field = (b"Prefer", b"respond-async, wait=0")


@pytest.fixture
def settings(origin: ScriptedOrigin, tmp_path: Path) -> Settings:
    return stored_settings(origin.url, tmp_path) | {"listen": ["127.0.0.1:0", f"unix:{tmp_path}/s"]}


@pytest.fixture
async def old(settings: Settings, tmp_path: Path) -> AsyncIterator[Child]:
    async with Child(settings, tmp_path) as child:
        yield child
        await child.stop()


def successor(old: Child, settings: Settings, folder: Path) -> Child:
    """Another service on the same addresses, whose ports are known now."""
    (folder / "new").mkdir(exist_ok=True)
    listen = [f"127.0.0.1:{old.port}", f"unix:{folder}/s"]
    return Child(settings | {"listen": listen, "admin": f"127.0.0.1:{old.admin_port}"}, folder / "new")


@pytest.mark.parametrize("way", ["tcp", "unix"])
async def test_under_load_nobody_is_refused_or_cut_off(
    old: Child, settings: Settings, tmp_path: Path, way: str
) -> None:
    port = old.port
    async with Load(lambda: RawClient(port=port) if way == "tcp" else RawClient(unix_path=tmp_path / "s")) as load:
        await load.answered(50)
        async with successor(old, settings, tmp_path) as new:
            await load.answered(50)
            await old.stop()
            await load.answered(50)
            async with successor(new, settings, tmp_path) as newest:
                await new.stop()
                await load.answered(50)
                await load.end()
                await newest.stop()
    assert not (tmp_path / "s").exists(), "the last one removes it"


async def test_what_the_old_one_runs_goes_on_and_the_new_one_tells_of_it(
    old: Child, settings: Settings, tmp_path: Path, origin: ScriptedOrigin
) -> None:
    gate = asyncio.Event()
    origin.script(read_all(), wait_for(gate), answer(200, body=b"done"))
    path = path_of(await old.ask("POST", b"/", LATER, body=b""))
    async with successor(old, settings, tmp_path) as new:
        old.signal(SIGTERM)
        await old.logged("draining")
        assert (await new.ask("GET", path)).status == 202
        gate.set()
        async with asyncio.timeout(LIMIT):
            while (result := await new.ask("GET", path, (b"Prefer", b"wait=10"))).status == 202:
                pass  # the old one took that poll, a moment before it began to drain
        assert (result.status, result.body) == (200, b"done")
        assert await old.exit_code() == 0


async def test_who_is_started_while_the_old_one_drains_keeps_its_unix_socket(
    old: Child, settings: Settings, tmp_path: Path, origin: ScriptedOrigin
) -> None:
    gate = asyncio.Event()
    origin.script(read_all(), wait_for(gate), answer(200))
    await old.ask("POST", b"/", LATER, body=b"")
    await origin.request_received()
    old.signal(SIGTERM)
    await old.logged("draining")
    async with successor(old, settings, tmp_path) as new:
        gate.set()
        assert await old.exit_code() == 0
        async with RawClient(unix_path=tmp_path / "s") as client:
            assert (await client.exchange("GET", b"/")).status == 200
        await new.stop()
    assert not (tmp_path / "s").exists()


async def test_with_a_successor_what_runs_is_given_all_of_its_own_time(
    settings: Settings, tmp_path: Path, origin: ScriptedOrigin
) -> None:
    gate, impatient = asyncio.Event(), settings | {"drain_timeout": "0s"}
    origin.script(read_all(), wait_for(gate), answer(200, body=b"done"))
    async with Child(impatient, tmp_path) as old:
        path = path_of(await old.ask("POST", b"/", LATER, body=b""))
        async with successor(old, impatient, tmp_path) as new:
            await old.logged("handed over")
            old.signal(SIGTERM)
            assert (await old.logged("draining"))["seconds"] == 1800
            gate.set()
            assert await old.exit_code() == 0
            assert (await new.ask("GET", path)).body == b"done"
            await new.stop()


async def test_operators_get_to_the_new_one_and_to_the_old_one_again_if_that_goes(
    old: Child, settings: Settings, tmp_path: Path
) -> None:
    assert (await old.ask("GET", b"/")).status == 200
    await until_sum(old, {1})
    async with successor(old, settings, tmp_path) as new:
        await old.logged("handed over")
        await until_sum(new, {0})
        os.kill(old.workers[0], SIGKILL)
        await old.logged("worker started", 2)
        await until_sum(new, {0})
        await new.stop()
    await old.logged("successor gone")
    await until_sum(old, {1})
    assert (tmp_path / "s").exists(), "the old one still listens there"
    async with RawClient(unix_path=tmp_path / "s") as client:
        assert (await client.exchange("GET", b"/")).status == 200


async def until_sum(child: Child, expected: set[float]) -> None:
    """Wait until the service that answers operators there is the one with these figures: ten times in a row."""
    in_a_row = 0
    async with asyncio.timeout(10):
        while in_a_row < 10:
            figures = await child.figures()
            seen = figures.get(("respond_async_requests_total", "everything", "200"), 0)
            in_a_row = in_a_row + 1 if seen in expected else 0


async def test_a_successor_that_cannot_start_has_changed_nothing(
    old: Child, settings: Settings, tmp_path: Path
) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        listen = [f"127.0.0.1:{old.port}", f"unix:{tmp_path}/s", f"127.0.0.1:{taken.getsockname()[1]}"]
        bad = Child(settings | {"listen": listen, "admin": f"127.0.0.1:{old.admin_port}"}, tmp_path)
        with pytest.raises(AssertionError, match="no 'serving'"):
            await bad.__aenter__()
    assert "Cannot listen" in bad.stderr
    assert (await old.logged("handing over"))["pid"] == bad.pid
    assert (await old.operator_asks(b"/readyz")).status == 200
    async with RawClient(unix_path=tmp_path / "s") as client:
        assert (await client.exchange("GET", b"/")).status == 200


async def test_after_a_kill_of_the_old_one_the_new_one_has_it_all(settings: Settings, tmp_path: Path) -> None:
    async with Child(settings, tmp_path) as old, successor(old, settings, tmp_path) as new:
        old.signal(SIGKILL)
        assert await old.exit_code() == -SIGKILL
        assert (await new.ask("GET", b"/")).status == 200
        await new.stop()
    assert not (tmp_path / "s").exists()
    async with Child(settings, tmp_path):
        assert len(list((tmp_path / "store" / "services").iterdir())) == 1, "what a killed one left is removed"


async def test_one_that_takes_long_to_answer_is_waited_for(old: Child, settings: Settings, tmp_path: Path) -> None:
    new = successor(old, settings, tmp_path)
    os.kill(old.pid, SIGSTOP)
    try:
        async with asyncio.TaskGroup() as tasks:
            starting = tasks.create_task(new.__aenter__())
            await new.logs_more(0)
            assert [(line["event"], line["pid"]) for line in new.lines] == [
                ("waiting for another service to answer", old.pid)
            ]
            os.kill(old.pid, SIGCONT)
            await starting
        taken = await new.logged("taken over")
        assert (len(taken["listen"]), taken["pid"]) == (3, old.pid)
        assert f"`kill -TERM {old.pid}` ends the other" in taken["note"]
        assert (await new.ask("GET", b"/")).status == 200
        await new.stop()
    finally:
        await new.__aexit__(None, None, None)


async def test_one_that_takes_long_to_start_holds_up_others_with_a_word(settings: Settings, tmp_path: Path) -> None:
    new, other = Child(settings, tmp_path), Services(tmp_path / "store")
    try:
        async with asyncio.TaskGroup() as tasks:
            with other.alone():
                starting = tasks.create_task(new.__aenter__())
                await new.logs_more(0)
                assert [(line["event"], line["pid"]) for line in new.lines] == [
                    ("waiting for another service to start", os.getpid())
                ]
            await starting
        assert (await new.ask("GET", b"/")).status == 200
        await new.stop()
    finally:
        await new.__aexit__(None, None, None)
        other.close()


async def test_nonsense_from_a_process_of_the_same_user_ends_nothing_but_the_talk(old: Child, tmp_path: Path) -> None:
    services = Services(tmp_path / "store")
    for number, words in enumerate((b"nonsense\n", b"{}\n", b'{"kind": "sockets"}\n'), 1):
        [sock] = services.living()
        with sock:
            sock.sendall(words)
            await old.logged("peer dropped", number)
            assert sock.recv(1) == b""
    services.close()
    assert (await old.ask("GET", b"/")).status == 200


async def test_addresses_of_another_store_are_not_handed_over(old: Child, settings: Settings, tmp_path: Path) -> None:
    other = settings | {"store": {"url": f"sqlite://{tmp_path}/other"}, "listen": f"127.0.0.1:{old.port}"}
    child = Child(other, tmp_path)
    with pytest.raises(AssertionError, match="no 'serving'"):
        await child.__aenter__()
    assert f"Cannot listen on 127.0.0.1:{old.port}" in child.stderr
