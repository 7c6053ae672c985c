"""The main job, with a real process, a real curl, and a store on disk."""

import asyncio
import json
import re
import shlex
import sys
from collections.abc import AsyncIterator
from contextlib import suppress
from pathlib import Path
from signal import SIGTERM
from typing import NamedTuple

import pytest
from prometheus_client.parser import text_string_to_metric_families

from tests.process.child import LIMIT, ROOT, Child, path_of, stored_settings
from tests.raw_client import Field, RawClient, Response
from tests.scripted_origin import ScriptedOrigin, answer, read_all, stall, wait_for

LATER: Field = (b"Prefer", b"respond-async, wait=0")
REPORT = b"entry,amount\r\n" + b"1,2\n" * 50_000 + bytes(range(256))
FIELDS = [(b"Content-Type", b"text/csv"), (b"Set-Cookie", b"a=1"), (b"set-cookie", b"b=2"), (b"X-Raw", b"caf\xe9")]


class Answer(NamedTuple):
    status: int
    fields: list[tuple[str, str]]
    body: bytes

    def field(self, name: str) -> str:
        [value] = self.all(name)
        return value

    def all(self, name: str) -> list[str]:
        return [value for key, value in self.fields if key.lower() == name.lower()]


async def curl(*arguments: str) -> Answer:
    """What curl got, from the last of its responses."""
    command = ["curl", "--silent", "--show-error", "--include", "--max-time", "10", *arguments]
    process = await asyncio.create_subprocess_exec(*command, stdout=asyncio.subprocess.PIPE)
    output, _ = await process.communicate()
    assert process.returncode == 0
    head, _, body = output.partition(b"\r\n\r\n")
    start, *lines = head.decode("latin-1").split("\r\n")
    pairs = [line.partition(":") for line in lines]
    return Answer(int(start.split(" ")[1]), [(name, value.strip()) for name, _, value in pairs], body)


@pytest.fixture
async def child(origin: ScriptedOrigin, tmp_path: Path) -> AsyncIterator[Child]:
    async with Child(stored_settings(origin.url, tmp_path), tmp_path) as child:
        yield child


async def test_curl_gets_its_report_later_and_byte_for_byte(child: Child, origin: ScriptedOrigin) -> None:
    gate = asyncio.Event()
    origin.script(read_all(), wait_for(gate), answer(200, FIELDS, REPORT))
    url = f"http://127.0.0.1:{child.port}/reports?year=2024"
    accepted = await curl("-H", "Prefer: respond-async, wait=0", "-d", "item=42", url)
    assert accepted.status == 202
    status_url = accepted.field("Location")
    assert re.fullmatch(rf"http://127\.0\.0\.1:{child.port}/\.async/[\w-]{{22,}}", status_url)
    assert accepted.field("Content-Location") == status_url
    assert accepted.all("Preference-Applied") == ["respond-async", "wait=0"]
    assert int(accepted.field("Retry-After")) >= 1
    document = json.loads(accepted.body)
    assert (document["status"], document["links"]) == ("running", [{"rel": "monitor", "href": status_url}])

    polled = await curl(status_url)
    assert (polled.status, json.loads(polled.body)["id"]) == (202, document["id"])
    polling = asyncio.create_task(curl("-H", "Prefer: wait=10", status_url))
    await origin.request_complete()
    gate.set()
    for result in (await polling, await curl(status_url)):
        assert (result.status, result.field("AsyncResult"), result.body) == (200, "200", REPORT)
        assert (result.all("Set-Cookie"), result.field("X-Raw")) == (["a=1", "b=2"], "caf\xe9")

    part = await curl("-r", "2-9", status_url)
    assert (part.status, part.body) == (206, REPORT[2:10])
    deleted = await curl("-X", "DELETE", status_url)
    assert (deleted.status, json.loads(deleted.body)["status"]) == (200, "dismissed")
    assert (await curl(status_url)).status == 404
    assert [request.body for request in origin.requests] == [b"item=42"], "it reached the origin once"


async def test_curl_that_can_wait_gets_it_at_once(child: Child, origin: ScriptedOrigin) -> None:
    origin.script(read_all(), answer(200, FIELDS, REPORT))
    result = await curl("-H", "Prefer: respond-async, wait=5", f"http://127.0.0.1:{child.port}/reports")
    assert (result.status, result.body, result.all("AsyncResult")) == (200, REPORT, [])


async def test_curl_uploads_with_expect(child: Child, origin: ScriptedOrigin, tmp_path: Path) -> None:
    file = tmp_path / "upload"
    file.write_bytes(REPORT * 20)
    url = f"http://127.0.0.1:{child.port}/"
    for transfer in (["-T", str(file)], ["-T", str(file), "-H", "Transfer-Encoding: chunked"]):
        result = await curl("-H", "Expect: 100-continue", *transfer, url)
        assert result.status in {100, 200}, "curl includes the interim response"
    assert [request.body == REPORT * 20 for request in origin.requests] == [True, True]


async def test_curl_deletes_what_runs_and_the_origin_hears_of_it(child: Child, origin: ScriptedOrigin) -> None:
    origin.script(stall())
    accepted = await curl("-H", "Prefer: respond-async, wait=0", f"http://127.0.0.1:{child.port}/")
    await origin.request_received()
    assert (await curl("-X", "DELETE", accepted.field("Location"))).status == 200
    await origin.connection_closed()


@pytest.mark.parametrize("closed", ["2>&-", "<&- 2>&-", "<&- >&- 2>&-"])
async def test_it_serves_with_closed_standard_streams(
    origin: ScriptedOrigin, tmp_path: Path, unused_port: int, closed: str
) -> None:
    origin.script(read_all(), answer(200, body=REPORT))
    file = tmp_path / "proxy.yaml"
    file.write_text(json.dumps(stored_settings(origin.url, tmp_path) | {"listen": f"127.0.0.1:{unused_port}"}))
    shell = f"exec {shlex.quote(sys.executable)} -m proxy serve --config {shlex.quote(str(file))} {closed}"
    process = await asyncio.create_subprocess_exec("sh", "-c", shell, cwd=ROOT)
    try:
        async with asyncio.timeout(LIMIT):
            response = await first_answer(unused_port)
        assert (response.status, response.body) == (200, REPORT)
        assert not any(is_socket(process.pid, number) for number in (0, 1, 2))
        process.terminate()
        assert await process.wait() == 0
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


def is_socket(pid: int, number: int) -> bool:
    """Whether that descriptor of the process is one."""
    return Path(f"/proc/{pid}/fd/{number}").is_socket()


async def first_answer(port: int) -> Response:
    """What is answered as soon as somebody listens there."""
    while True:
        with suppress(ConnectionRefusedError):
            async with RawClient(port=port) as client:
                return await client.exchange("GET", b"/")


async def test_the_log_has_no_credentials_and_no_whole_status_url(child: Child, origin: ScriptedOrigin) -> None:
    secret: Field = (b"Authorization", b"Bearer s3cret-credential")
    path = path_of(await child.ask("POST", b"/a?token=s3cret", LATER, secret, body=b"s3cret"))
    assert (await child.ask("GET", path)).status == 404
    assert (await child.ask("GET", path, secret, (b"Prefer", b"wait=5"))).status == 200
    await child.logged("operation settled")
    await child.ask("BAD s3cret", b"/s3cret")
    await child.logged("request refused")  # behind all the other lines
    assert len([line for line in child.lines if line["event"] == "request"]) >= 3
    assert "s3cret" not in child.stderr
    assert path.rpartition(b"/")[2].decode() not in child.stderr


async def test_operators_see_health_and_metrics(child: Child) -> None:
    path = path_of(await child.ask("GET", b"/", LATER))
    assert (await child.ask("GET", path, (b"Prefer", b"wait=5"))).status == 200
    assert [(await child.operator_asks(target)).status for target in (b"/livez", b"/readyz")] == [200, 200]
    await child.logged("operation settled")
    metrics = (await child.operator_asks(b"/metrics")).body.decode()
    samples = {one.name: one for family in text_string_to_metric_families(metrics) for one in family.samples}
    settled = samples["respond_async_operations_settled_total"]
    assert (settled.labels, settled.value) == ({"route": "everything", "state": "completed"}, 1)
    assert "respond_async_operations_running" in samples


async def test_operators_and_clients_have_doors_of_their_own(child: Child, origin: ScriptedOrigin) -> None:
    for target in (b"/livez", b"/metrics"):
        assert (await child.ask("GET", target)).status == 200
    assert [request.target for request in origin.requests] == [b"/livez", b"/metrics"], "clients may have such paths"
    assert (await child.operator_asks(b"/reports")).status == 404


async def test_a_log_that_nobody_reads_stops_nothing(origin: ScriptedOrigin, tmp_path: Path) -> None:
    async with (
        Child(stored_settings(origin.url, tmp_path), tmp_path, reads_log=False) as child,
        child.client() as client,
    ):
        for _ in range(1000):  # more lines than a pipe takes
            assert (await client.exchange("GET", b"/")).status == 200
        later = await client.exchange("POST", b"/", [LATER], b"x")
        done = await client.exchange("GET", path_of(later), [(b"Prefer", b"wait=10")])
        assert done.fields_named(b"asyncresult") == [b"200"]
        child.signal(SIGTERM)
        assert await child.exit_code() == 0
