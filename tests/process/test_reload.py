"""SIGHUP: a good configuration is served by a new generation of workers, a bad one changes nothing, nobody notices."""

import asyncio
import socket
import ssl
from collections.abc import AsyncIterator
from pathlib import Path
from signal import SIGHUP, SIGTERM

import pytest

from tests.conftest import Settings, encrypted
from tests.process.child import Child, path_of, stored_settings
from tests.process.load import Load
from tests.raw_client import Field, RawClient, request
from tests.scripted_origin import ScriptedOrigin, answer, read_all, wait_for

LATER: Field = (b"Prefer", b"respond-async, wait=0")
EVERYTHING: Settings = {"name": "everything", "origin": "legacy", "respond_async": {"wait": "200ms"}}


@pytest.fixture
def settings(origin: ScriptedOrigin, tmp_path: Path) -> Settings:
    return stored_settings(origin.url, tmp_path) | {"workers": 2}


@pytest.fixture
async def child(settings: Settings, tmp_path: Path) -> AsyncIterator[Child]:
    async with Child(settings, tmp_path) as child:
        yield child
        await child.stop()


async def refused(child: Child, settings: Settings, number: int = 1) -> list[str]:
    """So many things that were found wrong with it."""
    child.configure(settings)
    child.signal(SIGHUP)
    await child.logged("configuration refused", number)
    return [line["problem"] for line in child.lines if line["event"] == "configuration refused"]


def adding(settings: Settings, field: str) -> Settings:
    """The settings, with a response field by which answers under them can be told."""
    return settings | {"routes": [EVERYTHING | {"response_headers": {"set": {"X-Configuration": field}}}]}


async def served_under(child: Child, configuration: bytes) -> None:
    """Wait until it is: an old worker may accept until it has heard that it is to retire."""
    async with asyncio.timeout(5):
        while (await child.ask("GET", b"/")).field(b"x-configuration") != configuration:
            pass


async def test_what_was_begun_ends_under_the_old_configuration_and_the_new_one_knows_of_it(
    child: Child, settings: Settings, origin: ScriptedOrigin
) -> None:
    gate = asyncio.Event()
    origin.route(lambda request: [read_all(), *([wait_for(gate)] if request.target == b"/slow" else []), answer(200)])
    path = path_of(await child.ask("POST", b"/slow", LATER, body=b""))
    async with child.client() as under_way, child.client() as idle:
        await idle.exchange("GET", b"/")
        await under_way.send(request("GET", b"/slow"))
        await origin.request_received(3)
        await child.reload(adding(settings, "new"))
        await served_under(child, b"new")
        last = await idle.exchange("GET", b"/")
        assert (last.status, last.field(b"x-configuration"), last.field(b"connection")) == (200, None, b"close")
        assert (await child.ask("GET", path)).status == 202, "it runs on"
        gate.set()
        assert (await under_way.response()).field(b"x-configuration") is None
    result = await child.ask("GET", path, (b"Prefer", b"wait=10"))
    assert (result.status, result.field(b"x-configuration")) == (200, None)
    await child.logged("operation settled")


async def test_an_old_generation_is_not_bound_by_drain_timeout_but_a_stop_is(
    child: Child, settings: Settings, origin: ScriptedOrigin
) -> None:
    gate = asyncio.Event()
    origin.script(read_all(), wait_for(gate), answer(200))
    path = path_of(await child.ask("POST", b"/", LATER, body=b""))
    await child.reload(settings | {"drain_timeout": "10ms"})
    assert (await child.ask("GET", path)).status == 202
    child.signal(SIGTERM)
    await child.logged("draining")
    child.signal(SIGHUP)
    assert await child.exit_code() == 0
    assert child.count("reloading") == 1, "not any more"
    settled = await child.logged("operation settled")
    assert settled["error"] == "interrupted"


async def test_a_bad_file_is_refused_with_all_that_is_wrong(
    child: Child, settings: Settings, origin: ScriptedOrigin
) -> None:
    problems = await refused(child, settings | {"listn": "x", "workers": "many"}, 2)
    assert [problem.split(" ")[1] for problem in problems] == ["listn:", "workers:"]
    assert (await child.ask("GET", b"/")).status == 200
    assert (child.count("worker started"), child.count("reloaded")) == (2, 0)


async def test_a_file_that_cannot_be_looked_for_is_refused_and_the_service_goes_on(
    child: Child, settings: Settings
) -> None:
    [problem] = await refused(child, settings | {"tls": {"cert_file": "a" * 300, "key_file": "proxy.yaml"}})
    assert problem.endswith("tls.cert_file: cannot be looked for: File name too long")
    assert (await child.ask("GET", b"/")).status == 200


async def test_the_store_cannot_be_another(child: Child, settings: Settings, tmp_path: Path) -> None:
    [problem] = await refused(child, settings | {"store": {"url": f"sqlite://{tmp_path}/other"}})
    assert "`store.url` cannot change by a reload, since the operations are in the old one" in problem


async def test_status_urls_stay_where_they_are(child: Child, settings: Settings) -> None:
    [problem] = await refused(child, settings | {"status_path": "/jobs/"})
    assert "`status_path` cannot change by a reload, since clients ask below the old one" in problem


async def test_an_address_that_is_taken_is_refused(child: Child, settings: Settings) -> None:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        sock.listen()
        taken = f"127.0.0.1:{sock.getsockname()[1]}"
        [problem] = await refused(child, settings | {"listen": ["127.0.0.1:0", taken]})
    assert f"Cannot listen on {taken}" in problem
    assert (await child.ask("GET", b"/")).status == 200


async def test_an_address_whose_host_no_name_can_be_is_refused(child: Child, settings: Settings) -> None:
    [problem] = await refused(child, settings | {"listen": "a..b:80"})
    assert "Cannot listen on a..b:80" in problem
    assert (await child.ask("GET", b"/")).status == 200


async def test_a_generation_that_cannot_start_is_ended_and_the_old_one_stays(
    child: Child, settings: Settings, tmp_path: Path
) -> None:
    database, aside = tmp_path / "store" / "operations.db", tmp_path / "aside"
    database.rename(aside)
    database.mkdir()
    problem = (await refused(child, settings))[0]
    database.rmdir()
    aside.rename(database)
    assert str(database) in problem
    assert (await child.ask("GET", b"/")).status == 200
    await child.reload(settings)


async def test_addresses_come_and_go(child: Child, settings: Settings, tmp_path: Path, unused_port: int) -> None:
    first, more = child.port, [f"127.0.0.1:{unused_port}", f"unix:{tmp_path}/s"]
    await child.reload(settings | {"listen": [f"127.0.0.1:{first}", *more]})
    clients = [RawClient(port=first), RawClient(port=unused_port), RawClient(unix_path=tmp_path / "s")]
    for one in clients:
        async with one as client:
            assert (await client.exchange("GET", b"/")).status == 200
    await child.reload(settings | {"listen": more[:1]})
    assert not (tmp_path / "s").exists()
    async with RawClient(port=unused_port) as client:
        assert (await client.exchange("GET", b"/")).status == 200
    async with asyncio.timeout(5):
        while await connects(first):
            pass


async def connects(port: int) -> bool:
    try:
        async with RawClient(port=port):
            return True
    except ConnectionRefusedError:
        return False


async def test_a_second_reload_waits_for_the_first(child: Child, settings: Settings) -> None:
    child.signal(SIGHUP)
    await child.logged("reloading")
    child.configure(adding(settings, "second"))
    child.signal(SIGHUP)
    await child.logged("reloaded", 2)
    await served_under(child, b"second")


async def test_an_encrypted_key_is_refused_and_the_old_one_goes_on_serving(
    settings: Settings, tmp_path: Path, certificate: tuple[Path, Path]
) -> None:
    tls = {"tls": {"cert_file": str(certificate[0]), "key_file": str(certificate[1])}}
    trusting = ssl.create_default_context(cafile=certificate[0])
    async with Child(settings | tls, tmp_path) as child:
        tls["tls"]["key_file"] = str(encrypted(certificate[1], tmp_path))
        (problem,) = await refused(child, settings | tls)
        assert "tls.key_file: the key is encrypted" in problem
        async with RawClient(port=child.port, ssl=trusting) as client:
            assert (await client.exchange("GET", b"/")).status == 200
        await child.stop()


async def test_the_number_of_workers_may_change(child: Child, settings: Settings) -> None:
    await child.reload(settings | {"workers": 1})
    async with asyncio.timeout(10):
        while (await child.figures())["respond_async_workers",] != 1:
            pass


async def test_under_load_nobody_is_refused_or_cut_off(
    child: Child, settings: Settings, origin: ScriptedOrigin, unused_port: int
) -> None:
    port = child.port
    here, there = f"127.0.0.1:{port}", f"127.0.0.1:{unused_port}"
    async with Load(lambda: RawClient(port=port)) as load:
        await load.answered(50)
        await child.reload(settings | {"listen": [here, there]})
        await load.answered(50)
        await child.reload(adding(settings, "new") | {"listen": here})
        await load.answered(50)
        await refused(child, settings | {"routes": []})
        await load.answered(50)


async def test_under_load_no_handshake_is_cut_off_either(
    settings: Settings, tmp_path: Path, certificate: tuple[Path, Path]
) -> None:
    tls = {"tls": {"cert_file": str(certificate[0]), "key_file": str(certificate[1])}}
    trusting = ssl.create_default_context(cafile=certificate[0])
    async with Child(settings | tls, tmp_path) as child:
        port = child.port
        async with Load(lambda: RawClient(port=port, ssl=trusting)) as load:
            for _ in range(3):
                await load.answered(30)
                await child.reload(settings | tls)
            await load.answered(30)
