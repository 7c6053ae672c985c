"""What operators see: log lines, metrics, health, and nothing that is not for them."""

import asyncio
import json
import math
import re
import sys
from collections.abc import Iterator

import pytest
import structlog
from prometheus_client.parser import text_string_to_metric_families

from proxy import __version__, forward, handler
from proxy.client import ClientRequest
from proxy.config import LogSettings
from proxy.logwriter import LogWriter, to_standard_error
from proxy.message import Fields, ResponseHead
from proxy.metrics import Metrics
from proxy.observe import configure_logging, exposition
from tests.conftest import Proxy, StartProxy, settings_for
from tests.raw_client import RawClient, request
from tests.scripted_origin import ScriptedOrigin, answer, close, read_all, stall, wait_for
from tests.unit.accounts import ended

Lines = list[structlog.types.EventDict]


@pytest.fixture
def logging() -> Iterator[None]:
    """Log lines go where the configuration says, until the test ends."""
    before = structlog.get_config()
    yield
    structlog.configure(**before)


def configured(settings: LogSettings) -> LogWriter:
    writer = LogWriter(to_standard_error)
    configure_logging(settings, writer)
    return writer


def test_json_lines_begin_with_when_and_what(logging: None, capfd: pytest.CaptureFixture[str]) -> None:
    writer = configured(LogSettings(level="info", format="json"))
    structlog.get_logger().info("something happened", fact=1)
    writer.close()
    out, err = capfd.readouterr()
    assert out == ""
    line = json.loads(err)
    assert list(line) == ["timestamp", "level", "event", "fact"]
    assert (line["level"], line["event"], line["fact"]) == ("info", "something happened", 1)
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d+Z", line["timestamp"])


def test_a_traceback_is_part_of_its_line(logging: None, capfd: pytest.CaptureFixture[str]) -> None:
    writer = configured(LogSettings(format="json"))
    try:
        int("cause")
    except ValueError:
        structlog.get_logger().exception("it failed")
    writer.close()
    [line] = capfd.readouterr().err.splitlines()
    assert "ValueError: invalid literal" in json.loads(line)["exception"]


def test_lines_below_the_level_are_not_written(logging: None, capfd: pytest.CaptureFixture[str]) -> None:
    writer = configured(LogSettings(level="warning", format="json"))
    structlog.get_logger().info("not this")
    structlog.get_logger().warning("this")
    writer.close()
    assert [json.loads(line)["event"] for line in capfd.readouterr().err.splitlines()] == ["this"]


def test_without_a_terminal_auto_is_json(logging: None, capfd: pytest.CaptureFixture[str]) -> None:
    writer = configured(LogSettings(format="auto"))
    structlog.get_logger().info("something happened")
    writer.close()
    assert json.loads(capfd.readouterr().err)["event"] == "something happened"


def test_the_console_format_is_for_people(logging: None, capfd: pytest.CaptureFixture[str]) -> None:
    writer = configured(LogSettings(format="console"))
    structlog.get_logger().info("something happened", fact=1)
    writer.close()
    err = capfd.readouterr().err
    assert "something happened" in err
    assert not err.startswith("{")


def test_people_are_shown_nothing_that_a_terminal_obeys(logging: None, capfd: pytest.CaptureFixture[str]) -> None:
    writer = configured(LogSettings(format="console"))
    structlog.get_logger().info("request", id="a\x9b31mRED", path="/\x1b[2J\u202e line\nanother")
    writer.close()
    (line,) = capfd.readouterr().err.splitlines()
    assert line.isprintable()
    assert r"id=a\x9b31mRED" in line


def test_lines_for_people_have_colours_on_a_terminal_only(logging: None, monkeypatch: pytest.MonkeyPatch) -> None:
    written: list[bytes] = []
    for is_terminal in (False, True):
        monkeypatch.setattr(sys.stderr, "isatty", lambda is_terminal=is_terminal: is_terminal)
        writer = LogWriter(written.append)
        configure_logging(LogSettings(format="console"), writer)
        structlog.get_logger().info("something happened")
        writer.close()
    assert [b"\x1b[" in line for line in written] == [False, True]


def shown(metrics: Metrics) -> bytes:
    return b"".join(exposition(metrics.figures()))


def values(exposition: bytes) -> dict[tuple[str, ...], float]:
    """Every sample: name and label values, to its value."""
    families = text_string_to_metric_families(exposition.decode())
    return {(one.name, *one.labels.values()): one.value for family in families for one in family.samples}


def test_metrics_of_two_services_are_apart() -> None:
    first, second = Metrics(), Metrics()
    first.request(ended("reports", 200, 0.01))
    assert values(shown(first))["respond_async_requests_total", "reports", "200"] == 1
    assert ("respond_async_requests_total", "reports", "200") not in values(shown(second))


def test_a_gauge_is_read_when_somebody_looks() -> None:
    metrics, figures = Metrics(), [1.0]
    metrics.gauge("respond_async_things", "Things.", lambda: figures[0])
    assert values(shown(metrics))["respond_async_things",] == 1
    figures[0] = math.inf
    assert values(shown(metrics))["respond_async_things",] == math.inf


@pytest.fixture
async def observed(start_proxy: StartProxy, origin: ScriptedOrigin) -> Proxy:
    return await start_proxy(settings_for(origin.url), admin="127.0.0.1:0")


async def admin(proxy: Proxy, method: str, target: bytes) -> tuple[int, bytes]:
    async with RawClient(port=proxy.admin_port) as client:
        response = await client.exchange(method, target, [(b"Host", b"localhost")])
        return response.status, response.body


async def test_health(observed: Proxy) -> None:
    assert await admin(observed, "GET", b"/livez") == (200, b"respond-async is alive\n")
    assert await admin(observed, "GET", b"/readyz") == (200, b"ready\n")
    assert await admin(observed, "HEAD", b"/readyz") == (200, b"")
    assert (await admin(observed, "GET", b"/other"))[0] == 404
    assert (await admin(observed, "POST", b"/livez"))[0] == 405


async def test_while_draining_it_lives_and_is_not_ready(observed: Proxy, origin: ScriptedOrigin) -> None:
    gate = asyncio.Event()
    origin.script(wait_for(gate), answer(200))
    client = await observed.client()
    await client.send(request("GET", b"/"))
    await origin.request_received()
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(observed.service.drain(5))
        await asyncio.sleep(0)
        assert (await admin(observed, "GET", b"/readyz"))[0] == 503
        assert (await admin(observed, "GET", b"/livez"))[0] == 200
        gate.set()
    assert (await client.response()).status == 200


async def test_metrics_count_requests_and_operations(observed: Proxy, origin: ScriptedOrigin) -> None:
    client = await observed.client()
    gate = asyncio.Event()
    origin.queue([answer(200)], [answer(404)], [wait_for(gate), answer(200)])
    await client.exchange("GET", b"/")
    await client.exchange("GET", b"/")
    accepted = await client.exchange("GET", b"/", [(b"Prefer", b"respond-async, wait=0")])
    found = values((await admin(observed, "GET", b"/metrics"))[1])
    assert found["respond_async_operations_running",] == 1
    gate.set()
    path = (accepted.field(b"location") or b"").partition(b"proxy.test")[2]
    assert (await client.exchange("GET", path, [(b"Prefer", b"wait=5")])).status == 200
    async with asyncio.timeout(5):
        while (found := values((await admin(observed, "GET", b"/metrics"))[1]))["respond_async_operations_running",]:
            pass
    assert found["respond_async_requests_total", "everything", "200"] == 1
    assert found["respond_async_requests_total", "everything", "404"] == 1
    assert found["respond_async_requests_total", "everything", "202"] == 1
    assert found["respond_async_requests_total", "(status)", "200"] == 1
    assert found["respond_async_operations_settled_total", "everything", "completed"] == 1
    assert found["respond_async_operation_seconds_count", "everything"] == 1


async def test_metrics_show_how_things_stand(observed: Proxy, origin: ScriptedOrigin) -> None:
    client = await observed.client()
    gate = asyncio.Event()
    origin.queue([answer(200)], [wait_for(gate), answer(200)])
    await client.exchange("GET", b"/")
    await client.exchange("GET", b"/", [(b"Prefer", b"respond-async, wait=0")])
    await observed.service.reaper.look()
    found = values((await admin(observed, "GET", b"/metrics"))[1])
    gate.set()
    expected = {
        ("respond_async_client_connections",): 1,
        ("respond_async_tunnels",): 0,
        ("respond_async_origin_connections", "legacy", "used"): 1,
        ("respond_async_origin_connections", "legacy", "idle"): 0,
        ("respond_async_origin_waiting", "legacy"): 0,
        ("respond_async_origin_held", "legacy"): 0,
        ("respond_async_origin_servers_left_alone", "legacy"): 0,
        ("respond_async_store_operations", "running"): 1,
        ("respond_async_store_operations", "queued"): 0,
        ("respond_async_store_operations", "settled"): 0,
        ("respond_async_store_bytes",): 0,
        ("respond_async_store_max_bytes",): 10 * 1024**3,
        ("respond_async_build_info", __version__): 1,
    }
    assert {name: found[name] for name in expected} == expected


async def test_every_request_is_one_line_without_its_secrets(
    client: RawClient, origin: ScriptedOrigin, quiet_log: Lines
) -> None:
    fields = [(b"Authorization", b"Bearer s3cret"), (b"Cookie", b"sid=s3cret"), (b"X-Request-Id", b"abc")]
    await client.exchange("POST", b"/a/b?token=s3cret", fields, b"s3cret")
    [line] = [line for line in quiet_log if line["event"] == "request"]
    assert (line["id"], line["method"], line["path"], line["status"]) == ("abc", "POST", "/a/b", 200)
    assert (line["route"], line["peer"]) == ("everything", "127.0.0.1")
    assert "error" not in line
    assert "s3cret" not in repr(quiet_log)


async def test_no_line_has_a_whole_status_url(client: RawClient, origin: ScriptedOrigin, quiet_log: Lines) -> None:
    accepted = await client.exchange("GET", b"/", [(b"Prefer", b"respond-async, wait=0")])
    path = (accepted.field(b"location") or b"").partition(b"proxy.test")[2]
    assert (await client.exchange("GET", path, [(b"Prefer", b"wait=5")])).status == 200
    assert (await client.exchange("DELETE", path)).status == 200
    assert (await client.exchange("GET", path)).status == 404
    token = path.rpartition(b"/")[2].decode()
    assert len(token) >= 22
    assert token not in repr(quiet_log)
    assert [line["event"] for line in quiet_log].count("request") == 4
    assert "operation settled" in [line["event"] for line in quiet_log]


async def test_a_client_that_leaves_is_no_error(
    client: RawClient, proxy: Proxy, origin: ScriptedOrigin, quiet_log: Lines
) -> None:
    origin.script(stall())
    await client.send(request("GET", b"/"))
    await origin.request_received()
    client.reset()
    await origin.connection_closed()
    await asyncio.sleep(0)
    [line] = [line for line in quiet_log if line["event"] == "request"]
    assert (line["status"], line["error"], line["log_level"]) == (499, "client-left", "info")


async def test_a_broken_origin_is_named_by_its_code(
    client: RawClient, origin: ScriptedOrigin, quiet_log: Lines
) -> None:
    origin.script(read_all(), close())
    await client.exchange("POST", b"/", (), b"")
    [line] = [line for line in quiet_log if line["event"] == "request"]
    assert (line["status"], line["error"]) == (502, "origin-broke-off")


async def test_a_defect_of_our_own_is_a_500_and_a_traceback_in_the_log_only(
    client: RawClient, proxy: Proxy, quiet_log: Lines, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(_: object) -> None:
        raise RuntimeError("s3cret cause")

    with monkeypatch.context() as patch:
        patch.setattr(handler, "checked", broken)
        response = await client.exchange("GET", b"/")
    assert (response.status, response.field(b"content-type")) == (500, b"application/problem+json")
    assert json.loads(response.body)["code"] == "internal"
    assert b"s3cret" not in response.body
    assert await client.eof()
    [line] = [line for line in quiet_log if line["event"] == "handler failed"]
    assert "s3cret cause" in str(line["exc_info"])
    assert (await (await proxy.client()).exchange("GET", b"/")).status == 200


async def test_a_defect_is_counted_once_and_logged_once_beside_the_request(
    client: RawClient, proxy: Proxy, quiet_log: Lines, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def broken(*_: object) -> None:
        raise RuntimeError

    monkeypatch.setattr(forward, "relay", broken)
    response = await client.exchange("GET", b"/reports?token", [(b"X-Request-Id", b"abc")])
    assert (response.status, json.loads(response.body)["instance"]) == (500, "/reports")
    assert await client.eof()
    counted = {family["name"]: family["rows"] for family in proxy.service.metrics.figures()}
    assert counted["respond_async_errors"] == [(["everything", "internal"], (1,))]
    assert [line["event"] for line in quiet_log] == ["handler failed", "request"]
    failed, line = quiet_log
    assert failed["id"] == line["id"] == "abc"
    assert (line["status"], line["bytes"]) == (500, len(response.body))


@pytest.mark.parametrize(
    "head",
    [
        pytest.param(b"GET / HTTP/1.1\r\n\r\n", id="no Host"),
        pytest.param(b"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", id="two of them"),
        pytest.param(b"GET * HTTP/1.1\r\nHost: a\r\n\r\n", id="no target"),
        pytest.param(b"GET / HTTP/1.1\r\nX-Request-Id: mine\r\n\r\n", id="an id of its own"),
    ],
)
async def test_what_is_refused_for_its_head_is_found_in_the_log_by_the_id_in_the_response(
    client: RawClient, quiet_log: Lines, head: bytes
) -> None:
    await client.send(head)
    response = await client.response()
    assert (response.status, json.loads(response.body)["instance"]) == (400, "/")
    [line] = [line for line in quiet_log if line["event"] == "request"]
    assert response.field(b"x-request-id") == line["id"].encode() != b""
    assert (b"mine" in head) == (line["id"] == "mine")


async def test_a_request_that_could_not_be_told_of_its_defect_keeps_its_id(
    client: RawClient, quiet_log: Lines, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object) -> None:
        raise RuntimeError("s3cret cause")

    monkeypatch.setattr(handler, "checked", broken)
    monkeypatch.setattr(handler, "prefers_page", broken)
    response = await client.exchange("GET", b"/")
    assert response.status == 500
    assert await client.eof()
    assert sorted(line["event"] for line in quiet_log) == ["handler failed", "handler failed", "request"]
    assert {line["id"].encode() for line in quiet_log} == {response.field(b"x-request-id")}


async def test_a_defect_of_the_books_is_told_and_counted_by_nobody(
    client: RawClient, proxy: Proxy, quiet_log: Lines, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object) -> None:
        raise RuntimeError("s3cret cause")

    monkeypatch.setattr(proxy.service.books, "enter", broken)
    assert (await client.exchange("GET", b"/")).status == 200
    assert await client.eof()
    [line] = quiet_log
    assert (line["event"], "s3cret cause" in str(line["exc_info"])) == ("handler failed", True)


async def test_a_defect_in_the_middle_of_a_response_breaks_it_off_and_is_in_the_log(
    client: RawClient, quiet_log: Lines, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def broken(to: ClientRequest, *_: object) -> None:
        to.begin(ResponseHead(200, b"OK", Fields()), None)
        await to.write(b"half")
        raise RuntimeError("s3cret cause")

    monkeypatch.setattr(forward, "relay", broken)
    response = await client.exchange("GET", b"/")
    assert (response.status, response.complete) == (200, False)
    [line] = [line for line in quiet_log if line["event"] == "handler failed"]
    assert "s3cret cause" in str(line["exc_info"])
