"""Several worker processes are one service: they share its addresses, and one that dies is replaced."""

import asyncio
import os
import resource
import socket
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, suppress
from pathlib import Path
from signal import SIGCONT, SIGHUP, SIGKILL, SIGSTOP, SIGTERM

import pytest

from proxy import __version__
from tests.process.child import LIMIT, Child, path_of, stored_settings
from tests.raw_client import Field, request
from tests.scripted_origin import ScriptedOrigin, answer, read_all, stall, wait_for

LATER: Field = (b"Prefer", b"respond-async, wait=0")
REQUESTS = ("respond_async_requests_total", "everything", "200")


@pytest.fixture
async def two(origin: ScriptedOrigin, tmp_path: Path) -> AsyncIterator[Child]:
    """A service with two workers."""
    async with Child(stored_settings(origin.url, tmp_path) | {"workers": 2}, tmp_path) as child:
        yield child
        await child.stop()


async def ended(pidfd: int) -> None:
    """Until the process of this descriptor is gone, with all that it had open; closes the descriptor.

    The end of its log says less: descriptors are closed one after the other, and that of the log before those of sockets.
    """
    loop, gone = asyncio.get_running_loop(), asyncio.Event()
    loop.add_reader(pidfd, gone.set)
    try:
        async with asyncio.timeout(LIMIT):
            await gone.wait()
    finally:
        loop.remove_reader(pidfd)
        os.close(pidfd)


async def assert_answers(child: Child, times: int) -> None:
    for _ in range(times):
        assert (await child.ask("GET", b"/")).status == 200


async def test_each_of_them_takes_requests_from_the_same_port(two: Child, origin: ScriptedOrigin) -> None:
    for pid in two.workers:
        os.kill(pid, SIGSTOP)
        await assert_answers(two, 10)
        os.kill(pid, SIGCONT)


async def test_requests_wait_while_the_only_worker_is_replaced(origin: ScriptedOrigin, tmp_path: Path) -> None:
    async with Child(stored_settings(origin.url, tmp_path), tmp_path) as child:
        for number in (1, 2, 3):
            os.kill(child.workers[-1], SIGKILL)
            async with asyncio.TaskGroup() as tasks:
                asked = [tasks.create_task(child.ask("GET", b"/")) for _ in range(10)]
            assert [one.result().status for one in asked] == [200] * 10
            died = await child.logged("worker died", number)
            assert (died["pid"], died["signal"]) == (child.workers[number - 1], "SIGKILL")
        assert len(child.workers) == 4


async def test_what_a_dead_worker_ran_is_taken_over_and_its_connections_alone_break_off(
    two: Child, origin: ScriptedOrigin
) -> None:
    origin.script(stall())
    accepted = [path_of(await two.ask("POST", b"/", LATER, body=b"")) for _ in range(10)]
    await origin.request_received(10)
    async with two.client() as client:
        await client.send(request("GET", b"/"))
        await origin.request_received(11)
        for pid in two.workers[:2]:
            os.kill(pid, SIGKILL)
        await client.wire.until(lambda: client.wire.end is not None, "end of the connection")
    for path in accepted:
        assert (await two.ask("GET", path, (b"Prefer", b"wait=10"))).status == 502


async def test_metrics_are_those_of_all_and_do_not_fall_when_one_dies(two: Child, origin: ScriptedOrigin) -> None:
    await assert_answers(two, 20)
    figures = await two.figures()
    assert (figures[REQUESTS], figures["respond_async_workers",]) == (20, 2)
    assert figures["respond_async_request_seconds_count", "everything"] == 20
    assert figures["respond_async_build_info", __version__] == 1  # known to each, and shown once
    os.kill(two.workers[0], SIGKILL)
    await two.logged("worker started", 3)
    await assert_answers(two, 5)
    figures = await two.figures()
    assert (figures[REQUESTS], figures["respond_async_worker_deaths_total",]) == (25, 1)
    assert figures["respond_async_request_seconds_bucket", "+Inf", "everything"] == 25


async def test_metrics_of_many_routes_are_whole(origin: ScriptedOrigin, tmp_path: Path) -> None:
    settings = stored_settings(origin.url, tmp_path) | {"workers": 2}
    names = [f"r{number}" for number in range(250)]
    settings["routes"] = [{"name": name, "match": {"path": f"/{name}"}, "origin": "legacy"} for name in names]
    async with Child(settings, tmp_path) as child:
        for _ in range(2):
            async with child.client() as client:
                for name in names:
                    assert (await client.exchange("GET", f"/{name}".encode())).status == 200
        figures = await child.figures()
        assert [figures["respond_async_requests_total", name, "200"] for name in names] == [2] * len(names)
        assert [figures["respond_async_request_seconds_bucket", "+Inf", name] for name in names] == [2] * len(names)
        await child.stop()


async def test_a_worker_that_does_not_answer_counts_with_what_was_known(two: Child, origin: ScriptedOrigin) -> None:
    await assert_answers(two, 20)
    assert (await two.figures())[REQUESTS] == 20
    os.kill(two.workers[0], SIGSTOP)
    await assert_answers(two, 5)
    assert (await two.figures())[REQUESTS] == 25
    os.kill(two.workers[0], SIGCONT)


async def test_workers_take_no_orders_but_from_their_supervisor(two: Child, origin: ScriptedOrigin) -> None:
    for pid in two.workers:
        os.kill(pid, SIGTERM)
    await assert_answers(two, 10)
    assert two.count("worker died") == 0


async def test_when_the_supervisor_is_killed_its_workers_are_gone_and_the_port_is_free(
    origin: ScriptedOrigin, tmp_path: Path
) -> None:
    settings = stored_settings(origin.url, tmp_path) | {"workers": 2}
    async with Child(settings, tmp_path) as child:
        port = child.port
        workers = [os.pidfd_open(pid) for pid in child.workers]
        child.signal(SIGKILL)
        assert await child.exit_code() == -SIGKILL
        for worker in workers:
            await ended(worker)
        with socket.socket() as sock:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            sock.bind(("127.0.0.1", port))
            sock.listen()


async def test_a_service_that_is_started_at_once_after_a_kill_gets_the_port(
    origin: ScriptedOrigin, tmp_path: Path
) -> None:
    settings = stored_settings(origin.url, tmp_path) | {"workers": 2}
    async with Child(settings, tmp_path) as child:
        port = child.port
        child.signal(SIGKILL)
        async with Child(settings | {"listen": f"127.0.0.1:{port}"}, tmp_path) as next_child:
            assert (await next_child.ask("GET", b"/")).status == 200


async def test_all_of_them_drain(two: Child, origin: ScriptedOrigin) -> None:
    origin.script(stall())
    path = path_of(await two.ask("POST", b"/", LATER, body=b""))
    two.signal(SIGTERM)
    await two.logged("draining")
    two.signal(SIGTERM)
    assert await two.exit_code() == 0
    assert two.count("worker died") == 0
    assert two.lines[-1]["event"] == "stopped"
    settled = await two.logged("operation settled")
    assert (path.rpartition(b"/")[2].decode().startswith(settled["operation"]), settled["error"]) == (
        True,
        "interrupted",
    )


async def test_a_worker_that_hangs_does_not_keep_the_service_from_stopping(
    origin: ScriptedOrigin, tmp_path: Path
) -> None:
    async with Child(stored_settings(origin.url, tmp_path) | {"drain_timeout": "0s"}, tmp_path) as child:
        os.kill(child.workers[0], SIGSTOP)
        await child.stop()


@pytest.fixture
async def impatient(origin: ScriptedOrigin, tmp_path: Path) -> AsyncIterator[Child]:
    """A service with two workers, which looks at them more often."""
    code = "import proxy.notify; proxy.notify.PERIOD = 0.2; from proxy.cli import main; main()"
    settings = stored_settings(origin.url, tmp_path) | {"workers": 2}
    async with Child(settings, tmp_path, program=("-c", code)) as child:
        yield child
        await child.stop()


async def test_a_worker_that_hangs_is_killed_and_replaced_and_what_it_ran_is_taken_over(
    impatient: Child, origin: ScriptedOrigin
) -> None:
    origin.script(stall())
    path = path_of(await impatient.ask("POST", b"/", LATER, body=b""))
    await origin.request_received()
    for pid in impatient.workers[:2]:
        os.kill(pid, SIGSTOP)
    hung = {(await impatient.logged("worker hangs", number))["pid"] for number in (1, 2)}
    died = [await impatient.logged("worker died", number) for number in (1, 2)]
    assert hung == {line["pid"] for line in died} == set(impatient.workers[:2])
    assert {line["signal"] for line in died} == {"SIGKILL"}
    await impatient.logged("worker started", 4)
    assert (await impatient.ask("GET", path, (b"Prefer", b"wait=10"))).status == 502


async def test_one_that_retires_and_hangs_is_killed_too(impatient: Child, origin: ScriptedOrigin) -> None:
    origin.script(stall())
    async with impatient.client() as first, impatient.client() as second:
        for number, client in enumerate((first, second), 1):
            await client.send(request("GET", b"/"))
            await origin.request_received(number)
        impatient.signal(SIGHUP)
        await impatient.logged("reloaded")
        for pid in impatient.workers[:2]:
            with suppress(ProcessLookupError):  # one that has nothing to do has ended
                os.kill(pid, SIGSTOP)
        assert (await impatient.logged("worker hangs"))["pid"] in impatient.workers[:2]
        await impatient.logged("worker died")


def leave_descriptors(pid: int, number: int) -> tuple[int, int]:
    """Let a process open only so many files more; the limits that it had."""
    limits = resource.prlimit(pid, resource.RLIMIT_NOFILE)
    used = set(map(int, os.listdir(f"/proc/{pid}/fd")))  # noqa: PTH208  # async tests may not use pathlib
    free = [descriptor for descriptor in range(1000) if descriptor not in used]
    resource.prlimit(pid, resource.RLIMIT_NOFILE, (free[number], limits[1]))
    return limits


async def test_while_there_can_be_no_more_processes_it_is_tried_again(two: Child, origin: ScriptedOrigin) -> None:
    limits = leave_descriptors(two.pid, 0)
    os.kill(two.workers[0], SIGKILL)
    await two.logged("worker not started")
    await assert_answers(two, 5)
    resource.prlimit(two.pid, resource.RLIMIT_NOFILE, limits)
    await two.logged("worker started", 3)


async def test_a_worker_that_cannot_serve_is_replaced_until_one_can(two: Child, origin: ScriptedOrigin) -> None:
    limits = leave_descriptors(two.pid, 3)  # and one of the dead worker's; two are needed to start another
    os.kill(two.workers[0], SIGKILL)
    died = await two.logged("worker died", 3)
    assert (died["code"], "Too many open files" in died["reason"]) == (1, True)
    await assert_answers(two, 5)
    resource.prlimit(two.pid, resource.RLIMIT_NOFILE, limits)
    async with asyncio.timeout(10):
        while (await two.figures())["respond_async_workers",] != 2:
            pass


async def test_a_backend_sees_no_more_connections_of_all_of_them_than_it_may(
    origin: ScriptedOrigin, tmp_path: Path
) -> None:
    gate = asyncio.Event()
    origin.script(read_all(), wait_for(gate), answer(200))
    settings = stored_settings(origin.url, tmp_path) | {"workers": 2}
    settings["origins"]["legacy"]["max_connections"] = 2
    async with Child(settings, tmp_path) as child:
        async with asyncio.TaskGroup() as tasks:
            asked = [tasks.create_task(child.ask("GET", b"/")) for _ in range(20)]
            await origin.request_received(2)
            await child.figures()  # each of them has had its turn by then
            assert len(origin.requests) == 2
            gate.set()
        assert [one.result().status for one in asked] == [200] * 20
        assert len(origin.open_connections) <= 2
        await child.stop()


async def test_there_are_no_more_connections_of_clients_than_there_may_be_and_a_dead_worker_has_none(
    origin: ScriptedOrigin, tmp_path: Path
) -> None:
    settings = stored_settings(origin.url, tmp_path) | {"workers": 2, "limits": {"max_connections": 4}}
    async with Child(settings, tmp_path) as child, AsyncExitStack() as stack:
        clients = [await stack.enter_async_context(child.client()) for _ in range(4)]
        for client in clients:
            assert (await client.exchange("GET", b"/")).status == 200
        assert (await child.ask("GET", b"/")).status == 503
        for pid in child.workers:
            os.kill(pid, SIGKILL)
        await child.logged("worker started", 4)
        assert (await child.ask("GET", b"/")).status == 200
