"""Somebody who has never seen the product has but the id of a request, and finds out why that was answered as it was.

In each of the places where it can be looked for, there is one entry, which names the key of the configuration.
"""

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path
from signal import SIGTERM
from typing import Any

import pytest
from click.testing import CliRunner

from proxy.cli import main
from tests.conftest import Settings
from tests.operators.conftest import Operator
from tests.process.child import Child, Line, path_of, stored_settings
from tests.raw_client import Field, Response
from tests.scripted_origin import ScriptedOrigin, answer, read_all, stall

ID = b"a-strangers-request"
NAMED: Field = (b"X-Request-Id", ID)
LATER: Field = (b"Prefer", b"respond-async")
LONG_POLL: Field = (b"Prefer", b"wait=10")
SOMEBODY: Field = (b"Authorization", b"Bearer of-somebody")
ACCEPTED = 202
LARGE = bytes(100_000)  # its result is a file


class Service:
    """A service with a route for everything that can go otherwise than well, and somebody who asks why it did."""

    def __init__(self, child: Child, folder: Path) -> None:
        self.child = child
        self.folder = folder

    async def accepted(self, target: bytes, *fields: Field) -> bytes:
        """The path of the status URL of a new operation."""
        return path_of(await self.child.ask("GET", target, LATER, *fields))

    async def explains(self, response: Response, status: int, key: str) -> Line:
        """Assert that the response of the request whose id is known was this one, and that each place names the key.

        Returns the line of the log.
        """
        assert response.status == status
        [logged] = await self._logged()
        [shown] = (await Operator(self.child.admin_port).sees(f"/requests?id={ID.decode()}"))["requests"]
        for entry in (logged, shown):
            assert (entry["status"], key in entry["why"]) == (status, True), entry
            assert entry.get("error") == (None if status == ACCEPTED else json.loads(response.body)["code"]), entry
        assert shown["why"] in await self._told()
        assert key.encode() not in response.body
        return logged

    async def _logged(self) -> list[Line]:
        while not (found := self._lines()):
            await self.child.logs_more(len(self.child.lines))
        return found

    def _lines(self) -> list[Line]:
        return [line for line in self.child.lines if line["event"] == "request" and line.get("id") == ID.decode()]

    async def _told(self) -> str:
        """What `operations show` has of the id."""
        arguments = ["operations", "show", "--admin", f"127.0.0.1:{self.child.admin_port}", ID.decode()]
        told = await asyncio.to_thread(CliRunner().invoke, main, arguments)
        assert told.exit_code == 0, told.output
        return told.stdout


def settings_of(url: str, folder: Path) -> Settings:
    """Routes that have their names from what becomes of requests to them."""
    one = {"url": url, "max_connections": 1, "queue_timeout": "100ms"}

    def route(name: str, origin: str = "legacy", **keys: Any) -> dict[str, Any]:  # noqa: ANN401  # what YAML can hold
        return {"name": name, "match": {"path": f"/{name}"}, "origin": origin, **keys}

    routes = [
        route("handed-over", respond_async={"wait": "50ms"}),
        route("late", timeout="100ms"),
        route("late-later", respond_async={"wait": "0s", "timeout": "100ms"}),
        route("too-large", respond_async={"wait": "0s", "max_response_body": "1KiB"}),
        route("crowded", "one", respond_async={"wait": "0s"}),
        route("lined-up", "another", respond_async={"wait": "0s", "max_queued": 1}),
        route("kept", respond_async={"wait": "0s"}),
    ]
    changed = {
        "origins": {"legacy": {"url": url}, "one": one, "another": one},
        "routes": routes,
        "drain_timeout": "100ms",
    }
    return stored_settings(url, folder) | changed | {"limits": {"max_operations_per_client": 2}}


@pytest.fixture
async def service(origin: ScriptedOrigin, tmp_path: Path) -> AsyncIterator[Service]:
    ends = {b"/kept", b"/too-large"}
    origin.route(lambda request: [read_all(), answer(200, body=LARGE) if request.target in ends else stall()])
    async with Child(settings_of(origin.url, tmp_path), tmp_path) as child:
        yield Service(child, tmp_path)
        await child.stop()


async def test_a_202(service: Service) -> None:
    response = await service.child.ask("GET", b"/handed-over", LATER, NAMED)
    await service.explains(response, 202, "(respond_async.wait of route handed-over)")


async def test_a_504_because_the_origin_did_not_answer_in_time(service: Service) -> None:
    response = await service.child.ask("GET", b"/late", NAMED)
    await service.explains(response, 504, "(timeout of route late)")


async def test_a_504_because_an_operation_failed(service: Service) -> None:
    status_url = await service.accepted(b"/late-later")
    response = await service.child.ask("GET", status_url, LONG_POLL, NAMED)
    await service.explains(response, 504, "(respond_async.timeout of route late-later)")


async def test_a_502_because_an_operation_failed(service: Service) -> None:
    status_url = await service.accepted(b"/too-large")
    response = await service.child.ask("GET", status_url, LONG_POLL, NAMED)
    await service.explains(response, 502, "(respond_async.max_response_body of route too-large)")


async def test_a_503_because_the_origin_was_busy(service: Service, origin: ScriptedOrigin) -> None:
    await service.accepted(b"/crowded")
    await origin.request_received()
    await service.explains(await service.child.ask("GET", b"/crowded", NAMED), 503, "(queue_timeout of origin one)")


async def test_a_503_because_too_many_waited(service: Service, origin: ScriptedOrigin) -> None:
    await service.accepted(b"/lined-up")
    await origin.request_received()
    await service.accepted(b"/lined-up")
    response = await service.child.ask("GET", b"/lined-up", LATER, SOMEBODY, NAMED)
    line = await service.explains(response, 503, "(respond_async.max_queued of route lined-up: 1)")
    assert line["end"] == "LQ"
    assert line["why"] == (
        "No more operations of route lined-up may wait for a turn at origin another: 1 did already"
        " (respond_async.max_queued of route lined-up: 1). The request had no turn at origin another yet:"
        " all its connections were in use (max_connections of origin another: 1)."
    )


async def test_a_429_because_a_client_had_too_many_operations(service: Service) -> None:
    for _ in range(2):
        await service.accepted(b"/handed-over", SOMEBODY)
    response = await service.child.ask("GET", b"/handed-over", LATER, SOMEBODY, NAMED)
    await service.explains(response, 429, "(limits.max_operations_per_client)")


async def test_a_503_because_the_store_lost_a_file(service: Service) -> None:
    status_url = await service.accepted(b"/kept")
    assert (await service.child.ask("GET", status_url, LONG_POLL)).body == LARGE
    [file] = (file for file in (service.folder / "store" / "bodies").rglob("*") if file.is_file())
    file.unlink()
    await service.explains(await service.child.ask("GET", status_url, NAMED), 503, "(store.url)")


async def test_a_503_because_the_proxy_was_stopped(service: Service, origin: ScriptedOrigin) -> None:
    """The log alone is left to ask."""
    async with asyncio.TaskGroup() as group:
        asking = group.create_task(service.child.ask("GET", b"/crowded", NAMED))
        await origin.request_received()
        service.child.signal(SIGTERM)
    assert (asking.result().status, json.loads(asking.result().body)["code"]) == (503, "shutting-down")
    [line] = await service._logged()
    assert "(drain_timeout)" in line["why"]
