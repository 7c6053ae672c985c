"""`respond-async operations` before a service that runs, and where there is none."""

import asyncio
import json
import math
import os
import re
import ssl
import sys
from asyncio.subprocess import PIPE
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any, Final

import pytest
from click.testing import CliRunner, Result

from proxy.cli import main
from proxy.remote import Service, details, place_at, requests, table
from tests.conftest import Proxy, StartProxy, settings_for
from tests.process.child import ROOT
from tests.raw_client import RawClient
from tests.scripted_origin import Request, Script, ScriptedOrigin, answer, close, read_all, send, stall

TOKEN = "a-token-of-an-operator"
LATER = ((b"Prefer", b"respond-async, wait=0"),)


OPERATION: dict[str, Any] = {
    "id": "Wz6GBxat", "state": "failed", "route": "reports", "method": "GET", "target": "/\x1b[2J", "age": 75.2,
    "waited": None, "left": None, "duration": 3.5, "bytes": None, "size": None, "status": None, "progress": None,
    "error": {"code": "origin-timeout", "detail": "", "error_type": None}, "why": "It was late (timeout of route reports).",
}  # fmt: skip
COUNTS = dict.fromkeys(("queued", "running", "completed", "failed", "dismissed", "settled"), 0)
PAGE: dict[str, Any] = {"operations": [OPERATION], "counts": COUNTS, "next": None, "time": "2026-11-24T20:00:00.000Z"}


ALIVE: Script = [read_all(), answer(200, body=b"respond-async is alive\n")]


def posing(origin: ScriptedOrigin, *scripts: Script) -> None:
    """Have it recognised as a service, and then answer by these, the last of them again and again."""
    left = list(scripts)

    def choose(request: Request) -> Script:
        if request.target == b"/livez":
            return ALIVE
        return left.pop(0) if len(left) > 1 else left[0]

    origin.route(choose)


def questions(origin: ScriptedOrigin) -> list[Request]:
    """What it was asked once it was recognised."""
    return [request for request in origin.requests if request.target != b"/livez"]


async def run(*arguments: str, stdin: str = "", **environ: str) -> Result:
    """In a thread: the command has an event loop of its own, and the service runs on this one."""
    return await asyncio.to_thread(CliRunner(env=environ).invoke, main, ["operations", *arguments], stdin)


@pytest.fixture
async def proxy(start_proxy: StartProxy, origin: ScriptedOrigin) -> Proxy:
    """With two routes: what goes to one never ends, what goes to the other does at once."""
    origin.route(
        lambda request: [read_all(), answer(200, body=b"x" * 3000)] if b"fast" in request.target else [stall()]
    )
    settings = settings_for(origin.url)
    route = settings["routes"][0]
    settings["routes"] = [route | {"name": "fast", "match": {"path": "/fast"}}, route | {"name": "slow"}]
    return await start_proxy(settings, admin="127.0.0.1:0", admin_token=TOKEN)


Ask = Callable[..., Awaitable[Result]]


@pytest.fixture
def ask(proxy: Proxy) -> Ask:
    """Runs the command, with where the service is in its environment."""
    where = {"RESPOND_ASYNC_ADMIN": f"127.0.0.1:{proxy.admin_port}", "RESPOND_ASYNC_ADMIN_TOKEN": TOKEN}

    async def ask(*arguments: str, stdin: str = "") -> Result:
        return await run(*arguments, stdin=stdin, **where)

    return ask


async def begun(proxy: Proxy, *targets: bytes) -> list[str]:
    """The short ids of operations that were made of requests to these targets."""
    found = []
    for target in targets:
        async with RawClient(port=proxy.port) as client:
            accepted = await client.exchange("GET", target, LATER)
            assert accepted.status == 202
            document = json.loads(accepted.body)
            found.append(document["id"][:8])
            if target.startswith(b"/fast"):
                path = document["links"][0]["href"].partition("/.async")[2].encode()
                await client.exchange("GET", b"/.async" + path, ((b"Prefer", b"wait=5"),))
    return found


async def listed(ask: Ask, *arguments: str) -> list[dict[str, Any]]:
    operations: list[dict[str, Any]] = json.loads((await ask("list", "--json", *arguments)).stdout)["operations"]
    return operations


async def test_a_list_is_a_table(proxy: Proxy, ask: Ask) -> None:
    slow, fast = await begun(proxy, b"/slow?secret", b"/fast")
    result = await ask("list")
    heading, newest, oldest = result.stdout.splitlines()
    assert heading.split() == ["ID", "STATE", "ROUTE", "METHOD", "TARGET", "AGE", "202", "TO", "END", "SIZE", "OUTCOME"]
    assert newest.split()[:5] == [fast, "completed", "fast", "GET", "/fast"]
    assert newest.split()[-3:] == ["2.9", "KiB", "200"]
    assert oldest.split()[:5] == [slow, "running", "slow", "GET", "/slow"]


async def test_a_list_has_filters(proxy: Proxy, ask: Ask) -> None:
    slow, fast, other = await begun(proxy, b"/slow", b"/fast", b"/slow")
    assert [one["id"] for one in await listed(ask)] == [other, fast, slow]
    assert [one["id"] for one in await listed(ask, "--state", "running", "--state", "queued")] == [other, slow]
    assert [one["id"] for one in await listed(ask, "--route", "fast", "--younger-than", "1h")] == [fast]
    assert await listed(ask, "--older-than", "1h") == []
    assert [one["id"] for one in await listed(ask, "--limit", "1")] == [other]


async def test_a_list_goes_over_several_pages(proxy: Proxy, ask: Ask, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("proxy.remote.service.LARGEST_PAGE", 1)
    slow, fast, other = await begun(proxy, b"/slow", b"/fast", b"/slow")
    assert [one["id"] for one in await listed(ask, "--limit", "3")] == [other, fast, slow]
    result = json.loads((await ask("list", "--json", "--limit", "2")).stdout)
    assert ([one["id"] for one in result["operations"]], result["more"]) == ([other, fast], True)
    assert [one["id"] for one in await listed(ask, "--state", "running", "--limit", "2")] == [other, slow]


async def test_one_is_shown_with_all_that_is_known(proxy: Proxy, ask: Ask, origin: ScriptedOrigin) -> None:
    slow, fast = await begun(proxy, b"/slow", b"/fast")
    await origin.request_received(2)
    result = await ask("show", "--", slow, fast)
    first, second = result.stdout.split("\n\n")
    assert ["id", slow] in [line.split() for line in first.splitlines()]
    assert {"since 202", "from 202 to end"} <= {line.partition("  ")[0] for line in second.splitlines()}
    assert "It still runs: the origin's response is not complete." in first
    assert "completed" in second
    assert json.loads((await ask("show", "--json", "--", fast)).stdout)["status"] == 200


async def test_a_request_is_shown_with_its_operation(proxy: Proxy, ask: Ask, origin: ScriptedOrigin) -> None:
    async with RawClient(port=proxy.port) as client:
        accepted = await client.exchange("GET", b"/slow", [*LATER, (b"X-Request-Id", b"host/order-17")])
        await origin.request_received()
        assert (await client.exchange("GET", b"/.async/nothing", [(b"X-Request-Id", b"order-18")])).status == 404
    short = json.loads(accepted.body)["id"][:8]
    request, operation = (await ask("show", "host/order-17")).stdout.split("\n\n")
    assert "answered 202." in request
    assert "It still runs: the origin's response is not complete." in operation
    document = json.loads((await ask("show", "--json", "host/order-17")).stdout)
    assert [one["id"] for one in document["requests"]] == ["host/order-17"]
    assert [one["id"] for one in document["operations"]] == [short]
    assert ["status", "404"] in [line.split() for line in (await ask("show", "order-18")).stdout.splitlines()]


@pytest.mark.parametrize(
    ("id", "named"),
    [("uniücode-✓".encode(), "uniücode-✓"), (b"latin-\xfc-1", r"latin-\xfc-1")],
    ids=["UTF-8", "not UTF-8"],
)
async def test_a_request_is_found_by_an_id_that_is_not_ascii(
    proxy: Proxy, ask: Ask, origin: ScriptedOrigin, id: bytes, named: str
) -> None:
    async with RawClient(port=proxy.port) as client:
        await client.exchange("GET", b"/slow", [*LATER, (b"X-Request-Id", id)])
    await origin.request_received()
    document = json.loads((await ask("show", "--json", named)).stdout)
    assert [one["id"] for one in document["requests"]] == [named]
    assert [one["request_id"] for one in document["operations"]] == [named]
    assert f"id        {named}" in (await ask("show", named)).stdout
    assert (b"X-Request-Id", id) in origin.requests[0].fields


@pytest.mark.parametrize(
    ("id", "kept"),
    [
        pytest.param("x" * 200, "x" * 128, id="ASCII"),
        pytest.param("a" + "ü" * 100, "a" + "ü" * 63, id="a character of two bytes"),
        pytest.param("ab" + "✓" * 50, "ab" + "✓" * 42, id="as many whole ones"),
        pytest.param("a" + "✓" * 50, "a" + "✓" * 42, id="a character of three bytes, one missing"),
        pytest.param("✓" * 50, "✓" * 42, id="a character of three bytes, two missing"),
        pytest.param("abc" + "🚢" * 40, "abc" + "🚢" * 31, id="a character of four bytes"),
        pytest.param("\udcff" * 100, r"\xff" * 100, id="not UTF-8, and short"),
        pytest.param("\udcff" * 200, r"\xff" * 128, id="not UTF-8"),
    ],
)
async def test_a_request_is_found_by_an_id_that_is_longer_than_what_is_kept_of_it(
    proxy: Proxy, ask: Ask, origin: ScriptedOrigin, id: str, kept: str
) -> None:
    sent = (b"X-Request-Id", id.encode("utf-8", "surrogateescape"))
    async with RawClient(port=proxy.port) as client:
        await client.exchange("GET", b"/slow", [*LATER, sent])
    await origin.request_received()
    for named in (kept, id.replace("\udcff", r"\xff")):
        document = json.loads((await ask("show", "--json", named)).stdout)
        assert [one["id"] for one in document["requests"]] == [kept]
    assert sent in origin.requests[0].fields


async def test_recent_requests_are_listed_by_status_and_route(proxy: Proxy, ask: Ask, origin: ScriptedOrigin) -> None:
    async with RawClient(port=proxy.port) as client:
        await client.exchange("GET", b"/slow?secret", [*LATER, (b"X-Request-Id", b"order-17")])
        await client.exchange("GET", b"/.async/nothing", [(b"X-Request-Id", b"order-18")])
    heading, newest, oldest = (await ask("requests")).stdout.splitlines()
    assert heading.split() == ["TIME", "STATUS", "ID", "METHOD", "PATH", "END", "WHY"]
    assert newest.split()[1:5] == ["404", "order-18", "GET", "/.async/nothing"]
    assert oldest.split()[1:5] == ["202", "order-17", "GET", "/slow"]
    assert "answered 202." in oldest
    for options, ids in {
        ("--status", "202"): ["order-17"],
        ("--status", "4xx"): ["order-18"],
        ("--route", "slow"): ["order-17"],
        ("--route", "(status)"): ["order-18"],
        ("--route", "(status)", "--status", "503"): [],
        ("--route", "fast"): [],
    }.items():
        document = json.loads((await ask("requests", "--json", *options)).stdout)
        assert [one["id"] for one in document["requests"]] == ids, options


async def test_one_is_cancelled(proxy: Proxy, ask: Ask, origin: ScriptedOrigin) -> None:
    (slow,) = await begun(proxy, b"/slow")
    await origin.request_received()
    result = await ask("cancel", "--", slow)
    assert (result.exit_code, result.stdout) == (0, f"{slow} is dismissed\n")
    await origin.connection_closed()


async def test_a_result_is_not_dropped_by_a_cancel_that_comes_late(proxy: Proxy, ask: Ask) -> None:
    (fast,) = await begun(proxy, b"/fast")
    result = await ask("cancel", "--", fast)
    assert (result.exit_code, result.stdout) == (1, "")
    assert f"{fast} is over already: it had completed, and its result is kept." in result.stderr
    assert [one["state"] for one in await listed(ask)] == ["completed"]


async def test_one_that_cannot_be_cancelled_keeps_nobody_from_cancelling_the_others(proxy: Proxy, ask: Ask) -> None:
    slow, fast, other = await begun(proxy, b"/slow", b"/fast", b"/slow")
    result = await ask("cancel", "--", slow, "nonesuch", fast, other)
    assert (result.exit_code, result.stdout) == (1, f"{slow} is dismissed\n{other} is dismissed\n")
    unknown, over = result.stderr.splitlines()
    assert "operations: nonesuch: No operation has an id that begins so" in unknown
    assert f"operations: {fast}: Operation {fast} is over already" in over
    shown = await ask("show", "--", slow, "nonesuch", other)
    assert (shown.exit_code, len(shown.stdout.split("\n\n")), len(shown.stderr.splitlines())) == (1, 2, 1)


async def test_those_that_were_not_asked_for_are_named_where_the_service_falls_silent(origin: ScriptedOrigin) -> None:
    ids = [f"{number:08}" for number in range(4)]
    document = json.dumps(OPERATION | {"id": ids[0], "state": "dismissed"}).encode()
    posing(origin, [read_all(), answer(200, body=document)], [close()])
    result = await run("cancel", *ids, "--admin", origin.url)
    assert (result.exit_code, result.stdout) == (1, f"{ids[0]} is dismissed\n")
    left, reason = result.stderr.splitlines()
    assert left.endswith(f"not asked for any more: {ids[2]}, {ids[3]}")
    assert "does not answer as it should" in reason
    assert {request.target for request in questions(origin)[1:]} == {b"/operations/00000001?state=unsettled"}


@pytest.mark.parametrize(
    "form", ["{url}", "{path}", "{url}?a=/b", "HTTP://elsewhere/jobs/{id}", "elsewhere/.async/{id}", "{id}"]
)
async def test_a_status_url_is_an_id_and_is_never_shown_whole(
    proxy: Proxy, ask: Ask, origin: ScriptedOrigin, form: str
) -> None:
    async with RawClient(port=proxy.port) as client:
        accepted = await client.exchange("GET", b"/slow", LATER)
    await origin.request_received()
    id = json.loads(accepted.body)["id"]
    path = f"/.async/{id}"
    named = form.format(url=f"http://127.0.0.1:{proxy.port}{path}", path=path, id=id)
    shown = await ask("show", "--", named)
    assert "It still runs: the origin's response is not complete." in shown.stdout
    early = await ask("purge", "--", named)
    assert (early.exit_code, f"Operation {id[:8]} is running." in early.stderr) == (1, True)
    assert (await ask("cancel", "--", named)).stdout == f"{id[:8]} is dismissed\n"
    late = await ask("cancel", "--", named)
    assert (late.exit_code, "it had been cancelled" in late.stderr) == (1, True)
    assert (await ask("purge", "--", named)).stdout == f"{id[:8]} is dropped\n"
    gone = await ask("show", "--", named)
    assert (gone.exit_code, "No operation has an id that begins so" in gone.stderr) == (1, True)
    assert id not in "".join(result.output for result in (shown, early, late, gone))


@pytest.mark.parametrize(
    "form", ["http://127.0.0.1/.async/{id}", "/.async/{id}?a=/b", "{id}"], ids=["URL", "path", "id"]
)
@pytest.mark.parametrize("command", ["show", "cancel", "purge"])
async def test_an_id_that_differs_in_its_last_letter_is_not_taken_for_another(
    proxy: Proxy, ask: Ask, origin: ScriptedOrigin, command: str, form: str
) -> None:
    async with RawClient(port=proxy.port) as client:
        id = json.loads((await client.exchange("GET", b"/slow", LATER)).body)["id"]
    await origin.request_received()
    wrong = id[:-1] + ("A" if id[-1] != "A" else "B")
    result = await ask(command, "--", form.format(id=wrong))
    assert (result.exit_code, result.stdout) == (1, "")
    assert (
        f"No operation has this id; one that begins alike is {id[:8]}, which may be somebody else's." in result.stderr
    )
    assert wrong not in result.stderr
    assert [one["state"] for one in await listed(ask)] == ["running"]


async def test_who_asks_for_a_request_that_is_not_kept_is_led_to_the_log(ask: Ask) -> None:
    result = await ask("show", "own404")
    assert (result.exit_code, "The log has a line for every request" in result.stderr) == (1, True)


async def test_all_of_a_route_are_cancelled_if_one_means_it(proxy: Proxy, ask: Ask) -> None:
    await begun(proxy, b"/slow", b"/slow", b"/fast")
    refused = await ask("cancel", "--route", "slow", stdin="n\n")
    assert (refused.exit_code, "Cancel 2 operations? Their clients then get 404. [y/N]" in refused.stderr) == (1, True)
    assert len(await listed(ask, "--state", "running")) == 2
    done = await ask("cancel", "--route", "slow", "--yes")
    assert (done.exit_code, done.stdout) == (0, "2 cancelled, 0 dropped\n")
    assert [one["state"] for one in await listed(ask, "--route", "fast")] == ["completed"]


async def test_what_is_settled_is_purged_if_one_means_it(proxy: Proxy, ask: Ask) -> None:
    await begun(proxy, b"/fast", b"/fast", b"/slow")
    assert (await ask("purge", "--older-than", "1h", stdin="y\n")).stdout == "There are none.\n"
    done = await ask("purge", "--state", "completed", stdin="y\n")
    assert (done.exit_code, "Drop 2 operations?" in done.stderr) == (0, True)
    assert done.stdout.endswith("0 cancelled, 2 dropped\n")
    assert [one["state"] for one in await listed(ask)] == ["running"]


async def test_a_result_that_comes_while_one_is_asked_is_not_purged(
    proxy: Proxy, ask: Ask, monkeypatch: pytest.MonkeyPatch
) -> None:
    (seen,) = await begun(proxy, b"/fast")
    end_all, loop, unseen = Service.end_all, asyncio.get_running_loop(), []

    async def end_late(service: Service, wanted: Mapping[str, str]) -> Any:  # noqa: ANN401  # JSON
        unseen.extend(await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(begun(proxy, b"/fast"), loop)))
        return await end_all(service, wanted)

    monkeypatch.setattr(Service, "end_all", end_late)
    assert (await ask("purge", stdin="y\n")).stdout.endswith("0 cancelled, 1 dropped\n")
    assert [one["id"] for one in await listed(ask)] == unseen
    assert seen not in unseen


async def test_the_service_is_found_by_its_configuration(proxy: Proxy, tmp_path: Path) -> None:
    file = tmp_path / "operator.yaml"
    text = (tmp_path / "proxy.yaml").read_text()
    file.write_text(text.replace("admin: 127.0.0.1:0", f"admin: 127.0.0.1:{proxy.admin_port}"))
    assert (await run("list", "--config", str(file))).exit_code == 0


async def test_a_service_is_asked_over_its_socket(
    start_proxy: StartProxy, origin: ScriptedOrigin, tmp_path: Path
) -> None:
    await start_proxy(settings_for(origin.url), admin=f"unix:{tmp_path}/admin")
    assert (await run("list", "--admin", f"unix:{tmp_path}/admin")).exit_code == 0
    assert (await run("list", "--config", str(tmp_path / "proxy.yaml"))).exit_code == 0


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        pytest.param(["show", "nonesuch"], "No operation has an id that begins so", id="unknown"),
        pytest.param(["show", "short"], "the first 8 characters", id="too short"),
        pytest.param(["show", "a/../../metrics"], "the first 8 characters", id="no id"),
        pytest.param(["show", "uniücode-✓"], "No operation has such an id", id="as long as an id"),
        pytest.param(["list", "--route", "fats"], "`fats` is none of `fast`, `slow`; did you mean `fast`?", id="route"),
        pytest.param(["requests", "--route", "x"], "`x` is none of `fast`, `slow`", id="route of requests"),
        pytest.param(["purge", "--route", "x", "--yes"], "`x` is none of `fast`, `slow`", id="route, to be purged"),
        pytest.param(["cancel", "--route", "x"], "`x` is none of `fast`, `slow`", id="route, to be cancelled"),
    ],
)
async def test_what_cannot_be_done_is_told(ask: Ask, arguments: list[str], said: str) -> None:
    result = await ask(*arguments)
    assert result.exit_code == 1
    assert said in result.stderr


@pytest.mark.parametrize(
    ("token", "said"),
    [
        pytest.param({}, "give it by RESPOND_ASYNC_ADMIN_TOKEN", id="none"),
        pytest.param({"RESPOND_ASYNC_ADMIN_TOKEN": TOKEN[::-1]}, "the token is not the one of", id="wrong"),
    ],
)
async def test_the_token_is_asked_for(proxy: Proxy, token: dict[str, str], said: str) -> None:
    result = await run("list", "--admin", f"http://127.0.0.1:{proxy.admin_port}/", **token)
    assert (result.exit_code, said in result.stderr) == (1, True)


async def test_a_token_that_is_wrong_is_told_with_where_it_came_from(proxy: Proxy, tmp_path: Path) -> None:
    file, wrong = tmp_path / "operator.yaml", TOKEN[::-1]
    text = (tmp_path / "proxy.yaml").read_text().replace(TOKEN, wrong)
    file.write_text(text.replace("admin: 127.0.0.1:0", f"admin: 127.0.0.1:{proxy.admin_port}"))
    where = "--admin", f"127.0.0.1:{proxy.admin_port}"
    for source, result in {
        "`--token`": await run("list", *where, "--token", wrong, RESPOND_ASYNC_ADMIN_TOKEN=TOKEN),
        "RESPOND_ASYNC_ADMIN_TOKEN": await run("list", *where, RESPOND_ASYNC_ADMIN_TOKEN=wrong),
        str(file): await run("list", "--config", str(file)),
    }.items():
        assert (result.exit_code, wrong in result.output) == (1, False)
        assert result.stderr.endswith(f"; the one that was shown is from {source}\n")


@pytest.mark.parametrize(
    ("command", "said"),
    [
        pytest.param(("list", "--route", "x"), "`x` is none of `fast`, `slow`", id="a route that there is not"),
        pytest.param(("cancel", "--route", "slow"), "Cancel 1 operation?", id="what is asked about before"),
    ],
)
async def test_a_configuration_that_can_be_read_once_is_enough(
    proxy: Proxy, command: tuple[str, ...], said: str
) -> None:
    await begun(proxy, b"/slow")
    admin = f"admin: 127.0.0.1:{proxy.admin_port}\nadmin_token: {TOKEN}\n"
    ours, theirs = os.pipe()
    with open(theirs, "w") as pipe:  # noqa: ASYNC230, PTH123  # it has room for that
        pipe.write(f"{admin}origins: {{o: {{url: http://h}}}}\nroutes: [{{name: r, origin: o}}]\n")
    result = await run(*command, "--config", f"/dev/fd/{ours}", stdin="y\n")
    os.close(ours)
    assert (said in result.stderr, "is empty" in result.stderr) == (True, False)


@pytest.mark.parametrize("by", ["--token", "RESPOND_ASYNC_ADMIN_TOKEN"])
@pytest.mark.parametrize(
    ("token", "said"),
    [
        pytest.param(f"{TOKEN}\n", "begins or ends with a space or a line end", id="line end"),
        pytest.param(f"{TOKEN}\r\nX: {TOKEN}", "must be at least 16 characters, of ASCII and without", id="a field"),
        pytest.param(f"{TOKEN}\x7f", "must be at least 16 characters, of ASCII and without", id="control character"),
        pytest.param(f"{TOKEN}\xfc", "must be at least 16 characters, of ASCII and without", id="not ASCII"),
        pytest.param("too-short", "must be at least 16 characters, of ASCII and without", id="short"),
    ],
)
async def test_a_token_that_none_can_be_is_not_sent_nor_shown(
    origin: ScriptedOrigin, by: str, token: str, said: str
) -> None:
    given = ([by, token], {}) if by == "--token" else ([], {by: token})
    result = await run("list", "--admin", origin.url, *given[0], **given[1])
    assert (result.exit_code, by in result.stderr, said in result.stderr) == (2, True, True)
    assert token.strip() not in result.output
    assert not origin.connections


async def test_nobody_answers(unused_port: int) -> None:
    result = await run("list", "--admin", f"127.0.0.1:{unused_port}")
    assert result.exit_code == 1
    assert f"nobody answers at http://127.0.0.1:{unused_port} (Connection refused)" in result.stderr
    assert "is the service running" in result.stderr


COMMANDS: list[tuple[str, ...]] = [
    ("list",), ("requests",), ("show", "Wz6GBxat"), ("cancel", "Wz6GBxat"), ("cancel", "--route", "slow", "--yes"),
    ("purge", "--yes"),
]  # fmt: skip


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
async def test_a_backend_that_answers_everything_gets_neither_delete_nor_token(
    start_proxy: StartProxy, origin: ScriptedOrigin, command: tuple[str, ...]
) -> None:
    origin.script(read_all(), answer(200, body=b"alive\n"))
    proxy = await start_proxy(settings_for(origin.url))
    result = await run(*command, "--admin", f"127.0.0.1:{proxy.port}", "--token", TOKEN)
    assert (result.exit_code, result.stdout) == (1, "")
    assert "is not from respond-async; is that a service's `admin`?" in result.stderr
    (seen,) = origin.requests
    assert (seen.method, seen.target) == ("GET", b"/livez")
    assert TOKEN.encode() not in seen.raw


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
async def test_the_port_for_clients_is_told_from_admin_where_no_route_leads_on(
    start_proxy: StartProxy, origin: ScriptedOrigin, command: tuple[str, ...]
) -> None:
    proxy = await start_proxy(settings_for(origin.url, match={"path": "/reports"}))
    result = await run(*command, "--admin", f"127.0.0.1:{proxy.port}", "--token", TOKEN)
    assert (result.exit_code, result.stdout) == (1, "")
    assert f"http://127.0.0.1:{proxy.port} answers 404; is that a service's `admin`?" in result.stderr


@pytest.mark.parametrize("status", [401, 403])
async def test_a_proxy_before_it_that_wants_a_token_for_everything(origin: ScriptedOrigin, status: int) -> None:
    origin.script(read_all(), answer(status))
    result = await run("list", "--admin", origin.url, "--token", TOKEN)
    said = f"{origin.url} answers {status}; is that a service's `admin`? If so, what stands before it has to answer"
    assert (result.exit_code, f"{said} `/livez` without a token." in result.stderr) == (1, True)
    assert TOKEN.encode() not in origin.requests[0].raw


@pytest.mark.parametrize(
    "body",
    [
        pytest.param(b"<html>", id="HTML"),
        pytest.param(b"[]", id="a list"),
        pytest.param(b"", id="nothing"),
        pytest.param(b"[" * 100_000, id="depth"),
        pytest.param(b'{"message": "hello"}', id="a document"),
        pytest.param(b'{"operations": 7, "counts": {}, "next": null, "time": ""}', id="a number of operations"),
        pytest.param(b'{"operations": [{"id": 7}], "counts": {}, "next": null, "time": ""}', id="other operations"),
        pytest.param(b'{"title": "x", "detail": "Not Found", "status": 404}', id="an error that is none"),
    ],
)
async def test_something_else_answers(origin: ScriptedOrigin, body: bytes) -> None:
    posing(origin, [read_all(), answer(200, body=body)])
    result = await run("list", "--admin", origin.url)
    assert (result.exit_code, "is not from respond-async" in result.stderr) == (1, True)
    posing(origin, [read_all(), answer(418, body=body)])
    assert "answers 418; is that a service's `admin`?" in (await run("list", "--admin", origin.url)).stderr
    posing(origin, [close()])
    assert "does not answer as it should" in (await run("list", "--admin", origin.url)).stderr


def page_with(member: str, value: object) -> dict[str, Any]:
    """The page of a list, or an operation in it, with something else in one place."""
    return PAGE | {member: value} if member in PAGE else PAGE | {"operations": [OPERATION | {member: value}]}


NESTED = json.loads("[" * 500 + "]" * 500)


@pytest.mark.parametrize(
    "page",
    [
        pytest.param(page_with("counts", {}), id="no counts"),
        pytest.param(page_with("time", 7), id="a number as time"),
        pytest.param(page_with("next", 7), id="a number as next"),
        pytest.param(page_with("age", None), id="no age"),
        pytest.param(page_with("age", "old"), id="a word as age"),
        pytest.param(page_with("duration", math.nan), id="no number"),
        pytest.param(page_with("duration", math.inf), id="infinity"),
        pytest.param(page_with("size", 10**400), id="a number beyond all"),
        pytest.param(page_with("size", []), id="a list as size"),
        pytest.param(page_with("waited", "long"), id="a word as waiting"),
        pytest.param(page_with("error", "lost"), id="a word as error"),
        pytest.param(page_with("error", {}), id="an empty error"),
        pytest.param(page_with("why", None), id="no reason"),
        pytest.param(page_with("new", NESTED), id="depth"),
    ],
)
@pytest.mark.parametrize("form", [[], ["--json"]], ids=["table", "JSON"])
async def test_a_list_with_something_else_in_it_is_not_shown(
    origin: ScriptedOrigin, page: dict[str, Any], form: list[str]
) -> None:
    posing(origin, [read_all(), answer(200, body=json.dumps(page).encode())])
    result = await run("list", "--admin", origin.url, *form)
    assert (result.exit_code, result.stdout) == (1, "")
    assert result.stderr.count("\n") == 1
    assert f"what {origin.url} answers is not from respond-async; is that a service's `admin`?" in result.stderr


@pytest.mark.parametrize(
    ("pages", "asked"),
    [
        pytest.param([{"next": "/operations?cursor=1"}], 2, id="itself"),
        pytest.param([{"next": "/operations?cursor=1"}, {"next": "/operations?cursor=2"}] * 2, 3, id="a circle"),
        pytest.param([{"next": f"/operations?cursor={n}", "operations": []} for n in range(9)], 4, id="nothing ever"),
        pytest.param([{"next": "@127.0.0.1/operations?"}], 1, id="another host"),
        pytest.param([{"next": ":1/operations?"}], 1, id="another port"),
        pytest.param([{"next": "/operations?x\r\nX: y"}], 1, id="another field"),
        pytest.param([{"next": "/elsewhere"}], 1, id="another resource"),
        pytest.param([{"next": ""}], 1, id="nowhere"),
    ],
)
async def test_a_list_leads_to_its_next_pages_alone_and_has_an_end(
    origin: ScriptedOrigin, monkeypatch: pytest.MonkeyPatch, pages: list[dict[str, Any]], asked: int
) -> None:
    monkeypatch.setattr("proxy.remote.service.MOST_EMPTY", 3)
    posing(origin, *([read_all(), answer(200, body=json.dumps(PAGE | page).encode())] for page in pages))
    result = await run("list", "--admin", origin.url, "--token", TOKEN)
    assert (result.exit_code, "is not from respond-async" in result.stderr) == (1, True)
    assert len(questions(origin)) == asked
    assert {request.target.partition(b"?")[0] for request in questions(origin)} == {b"/operations"}


async def test_an_answer_without_end_is_left(origin: ScriptedOrigin, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("proxy.remote.service.LARGEST_ANSWER", 1000)
    posing(origin, [read_all(), answer(200, body=[b" " * 2000], framing="close"), stall()])
    result = await run("list", "--admin", origin.url)
    assert (result.exit_code, "is not from respond-async" in result.stderr) == (1, True)


@pytest.mark.parametrize(
    ("arguments", "document"),
    [
        pytest.param(["cancel", "Wz6GBxat"], {"dismissed": 1, "removed": 1}, id="cancel"),
        pytest.param(["purge", "--yes"], {"dismissed": "all", "removed": None}, id="purge"),
        pytest.param(["show", "Wz6GBxat"], OPERATION | {"left": "soon"}, id="show"),
        pytest.param(["requests"], {"requests": [{"id": "order-17", "status": "503"}]}, id="requests"),
    ],
)
async def test_what_became_of_operations_is_not_believed_of_everybody(
    origin: ScriptedOrigin, arguments: list[str], document: object
) -> None:
    posing(origin, [read_all(), answer(200, body=json.dumps(document).encode())])
    result = await run(*arguments, "--admin", origin.url)
    assert (result.exit_code, "is not from respond-async" in result.stderr) == (1, True)


async def test_a_terminal_obeys_nobody_who_answers(origin: ScriptedOrigin) -> None:
    evil = "\x1b]0;pwned\x07\ud800"
    problem = json.dumps({"title": "x", "status": 409, "detail": evil}).encode()
    posing(
        origin,
        [read_all(), answer(200, body=json.dumps(OPERATION | {"id": evil, evil: evil}).encode())],
        [read_all(), answer(200, body=json.dumps(OPERATION | {"id": evil, "state": evil}).encode())],
        [read_all(), answer(409, body=problem)],
        [read_all(), send(b"HTTP/1.1 200 \x1b]0;pwned\r\n\x1b: x\r\n\r\n"), close()],
    )
    for command in ("show", "cancel", "show", "show"):
        result = await run(command, "Wz6GBxat", "--admin", origin.url)
        assert "\x1b" not in result.output, command
        assert isinstance(result.exception, SystemExit | None)


async def test_an_id_is_asked_for_as_it_is(origin: ScriptedOrigin) -> None:
    problem = json.dumps({"title": "x", "status": 409, "detail": "No."}).encode()
    posing(origin, [read_all(), answer(409, body=problem)])
    for name, target in {"..": b"..", "a/b?c=d": b"a%2Fb%3Fc%3Dd", "%2e": b"%252e"}.items():
        await run("show", name, "--admin", origin.url)
        assert origin.requests[-1].target == b"/operations/" + target


async def test_what_is_wrong_with_tls_is_said(origin: ScriptedOrigin, certificate: tuple[Path, Path]) -> None:
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(*certificate)
    async with ScriptedOrigin(ssl=context) as other:
        result = await run("list", "--admin", other.url)
        assert f"the certificate of {other.url} is not trusted: self-signed certificate" in result.stderr
    origin.on_accept(send(b"HTTP/1.1 400 Bad Request\r\n\r\n"), close())
    url = origin.url.replace("http:", "https:")
    assert (
        f"no TLS with {url}: what answers there is not TLS; is it http://?"
        in (await run("list", "--admin", url)).stderr
    )


async def test_there_is_no_such_host() -> None:
    result = await run("list", "--admin", "http://no..such.invalid:80")
    assert (result.exit_code, "http://no..such.invalid:80 (that is no name of a host)" in result.stderr) == (1, True)


@pytest.mark.parametrize(
    "command", [("show", "Wz6GBxat"), ("cancel", "Wz6GBxat"), ("purge", "--yes")], ids=lambda command: command[0]
)
async def test_something_else_is_asked_of_one(origin: ScriptedOrigin, command: tuple[str, ...]) -> None:
    posing(origin, [read_all(), answer(200, body=b'{"id": 7}')])
    result = await run(*command, "--admin", origin.url)
    assert (result.exit_code, "is not from respond-async" in result.stderr) == (1, True)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        pytest.param(["cancel"], "name operations by their ids", id="nothing to cancel"),
        pytest.param(["cancel", "a", "--route", "b"], "name operations by their ids", id="too much to cancel"),
        pytest.param(["list", "--admin", "8081"], "RESPOND_ASYNC_ADMIN: must name host and port", id="a port"),
        pytest.param(["list", "--admin", "foo"], "as in `127.0.0.1:8080`", id="a word"),
        pytest.param(["list", "--admin", "http://"], "must name a host after `//`", id="no host"),
        pytest.param(["list", "--admin", "http://ü.de:1/x"], "write it as `xn--tda.de:1`", id="a host not in ASCII"),
        pytest.param(["list", "--admin", "http://h:99999"], "is no URL: Port out of range", id="no port"),
        pytest.param(["list", "--admin", "http://h/?x=1"], "without spaces, query and fragment", id="a query"),
        pytest.param(["list", "--admin", "http://h\n"], "without spaces, query and fragment", id="a line end"),
        pytest.param(["list", "--admin", "http://me:pw@h"], "takes no user and no password", id="credentials"),
        pytest.param(["list", "--token", ""], "`--token`: must be at least 16 characters", id="an empty token"),
        pytest.param(["list", "--state", "late"], "'late' is not one of 'queued'", id="state"),
        pytest.param(["list", "--older-than", "5"], "'--older-than': must be a duration with its unit", id="no unit"),
        pytest.param(["list", "--younger-than", "5"], "did you mean `5s`?", id="what unit"),
        pytest.param(
            ["list", "--older-than", "1h", "--younger-than", "5m"],
            "`--older-than` must be less than `--younger-than`",
            id="ages that none has",
        ),
        pytest.param(
            ["cancel", "--older-than", "60s", "--younger-than", "1m"],
            "`--older-than` must be less than `--younger-than`",
            id="no age between",
        ),
        pytest.param(["show"], "Missing argument", id="nothing to show"),
        pytest.param(["show", ""], "'ID...': is empty", id="an empty id to show"),
        pytest.param(["list", "--admin", "h:1", "--config", "x"], "each say which service is meant", id="two services"),
        pytest.param(["cancel", "--rout", "x"], "No such option", id="no option of cancel"),
        pytest.param(["purge", "--older-tham", "1h", "--yes"], "No such option", id="no option of purge"),
        pytest.param(
            ["cancel", "--", "-x8D-UNQ", "--admin", "h:1"],
            "`--admin` has to stand before `--`",
            id="an option after ids",
        ),
        pytest.param(
            ["cancel", "--", "-x8D-UNQ", "--admin=h:1"],
            "`--admin` has to stand before `--`",
            id="an option with its value",
        ),
        pytest.param(["show", "\udcff" * 8], "'ID...': is not UTF-8", id="no text as id"),
        pytest.param(["list", "--route", "\udcff"], "'--route': is not UTF-8", id="no text as route"),
        pytest.param(["show", "http://h/.async/short"], "is a URL, and no status URL", id="no status URL"),
        pytest.param(["cancel", "/reports"], "is a URL, and no status URL", id="a path that is none"),
        pytest.param(["purge", "abcdefgh", "--route", "a"], "name operations by their ids", id="too much to purge"),
        pytest.param(["cancel", "", "--route", "a"], "'[ID...]': is empty", id="an empty id to cancel"),
        pytest.param(["cancel", "--route", "", "--yes"], "'--route': is empty", id="an empty route to cancel"),
        pytest.param(["purge", "--route", "", "--yes"], "'--route': is empty", id="an empty route to purge"),
        pytest.param(["purge", "--route", "a", "--route", ""], "'--route': is empty", id="one of two is empty"),
        pytest.param(["purge", "--route", "a,b"], "'--route': must be a token", id="two routes in one"),
        pytest.param(["purge", "--older-than", ""], "'--older-than': must be a duration", id="an empty age"),
        pytest.param(["list", "--route", ""], "'--route': is empty", id="an empty route to list"),
        pytest.param(["requests", "--route", ""], "'--route': is empty", id="an empty route of requests"),
        pytest.param(["requests", "--status", ""], "'--status': must be a status", id="an empty status"),
        pytest.param(["list", "completed"], "unexpected extra argument (completed)", id="a word to list"),
        pytest.param(["lost"], "No such command 'lost'", id="no command"),
        pytest.param(["requests", "--status", "late"], "'--status': must be a status such as", id="no status"),
    ],
)
async def test_wrong_usage_is_2(arguments: list[str], said: str) -> None:
    result = await run(*arguments)
    assert (result.exit_code, said in result.stderr) == (2, True)


@pytest.mark.parametrize(
    "form",
    [
        "http://127.0.0.1/.async/{id}",
        "http://h/.async/{id}).",
        "/.async/{id}/?a=/b",
        "{id}",
        "{id},",
        '"{id}"',
        "id={id}",
    ],
)
@pytest.mark.parametrize("command", [("list",), ("requests", "--status", "5xx"), ()], ids=["list", "requests", "none"])
async def test_who_names_one_where_none_is_to_be_named_is_led_to_show_and_it_is_not_shown_whole(
    command: tuple[str, ...], form: str
) -> None:
    id = "Ab-_" * 6
    result = await run(*command, form.format(id=id))
    assert (result.exit_code, result.stdout) == (2, "")
    shown = form.format(id="Ab-_Ab-_…")
    assert f"({shown}): `respond-async operations show` shows one operation or request." in result.stderr
    assert id not in result.stderr


@pytest.mark.parametrize(
    "arguments",
    [
        pytest.param(["list", "--state", "{id}"], id="the value of an option"),
        pytest.param(["list", "--{id}"], id="an option of a command that takes no ids"),
        pytest.param(["show", "--{word}"], id="a word like an option"),
        pytest.param(["show", "--", "--{word}=x"], id="a word like an option, with a value"),
        pytest.param(["--{id}"], id="an option in place of a command"),
    ],
)
async def test_what_is_wrong_with_arguments_is_said_without_a_whole_id(arguments: list[str]) -> None:
    id, word = "Ab-_" * 6, "abcdef" * 4
    result = await run(*(argument.format(id=id, word=word) for argument in arguments))
    assert result.exit_code == 2
    assert "…" in result.stderr
    assert not re.search("[A-Za-z0-9_-]{24}", result.stderr.partition("Error: ")[2])


@pytest.mark.parametrize(
    ("text", "code", "said"),
    [
        pytest.param(None, 1, "config/proxy.yaml:1: cannot be read: No such file or directory", id="none"),
        pytest.param(
            "admin: 127.0.0.1:8081\nname: ${NOWHERE_SET}\n", 1,
            "config/proxy.yaml:2: name: environment variable NOWHERE_SET is not set", id="one that needs a variable",
        ),
        pytest.param(
            "admin: off\norigins: {a: {url: http://a}}\nroutes: [{name: a, origin: a}]\n", 2,
            "config/proxy.yaml: its `admin` is off: nobody can be asked", id="one that has no such place",
        ),
    ],
)  # fmt: skip
async def test_where_no_service_is_named_that_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str | None, code: int, said: str
) -> None:
    monkeypatch.chdir(tmp_path)
    file = tmp_path / "config" / "proxy.yaml"
    if text is not None:
        file.parent.mkdir()
        file.write_text(text)
    unnamed, named = await run("show", "Wz6GBxat"), await run("show", "Wz6GBxat", "--config", str(file))
    assert unnamed.exit_code == code
    assert said in unnamed.stderr
    assert "is the default, and nothing else was named: say which service is meant by `--config FILE`" in unnamed.stderr
    assert "default" not in named.stderr


@pytest.mark.parametrize(
    ("admin", "code", "said"),
    [
        ("off", 2, "its `admin` is off"),
        ("127.0.0.1:0", 2, "any free one"),
        ("nonsense", 1, "admin: must name host and port"),
    ],
)
async def test_a_configuration_without_such_a_place(tmp_path: Path, admin: str, code: int, said: str) -> None:
    file = tmp_path / "proxy.yaml"
    file.write_text(f"admin: {admin}\norigins: {{a: {{url: http://a}}}}\nroutes: [{{name: a, origin: a}}]\n")
    result = await run("list", "--config", str(file))
    assert (result.exit_code, said in result.stderr) == (code, True)


@pytest.mark.parametrize(
    ("text", "url"),
    [(":8081", "http://127.0.0.1:8081"), ("[::]:8081", "http://[::1]:8081"), ("HTTPS://h/x/", "HTTPS://h/x")],
)
def test_a_place_that_can_be_asked(text: str, url: str) -> None:
    place = place_at(text, "secret")
    assert str(place) == url
    assert "secret" not in repr(place)


def test_a_table_is_as_wide_as_the_terminal_and_obeys_nobody() -> None:
    heading, row = table([OPERATION], 40).splitlines()
    assert max(len(heading), len(row)) <= 40
    assert "\x1b" not in table([OPERATION], None)
    assert table([OPERATION], None).endswith(
        "1:15  0:03              origin-timeout: It was late (timeout of route reports)."
    )
    cancelled = OPERATION | {"state": "dismissed", "error": None, "why": "A client dismissed it."}
    assert table([cancelled], None).endswith("A client dismissed it.")


LONG: Final = f"/exports/{'x' * 300}/of-2026-11.csv"


@pytest.mark.parametrize("width", [None, 114])
def test_a_long_target_leaves_the_columns_behind_it_in_sight(width: int | None) -> None:
    completed = OPERATION | {"state": "completed", "size": 3000, "status": 200, "target": "/reports"}
    heading, row, long = table([completed, completed | {"target": LONG}], width).splitlines()
    assert [line.split()[-3:] for line in (row, long)] == [["2.9", "KiB", "200"]] * 2
    assert long.split()[4] == f"/exports/{'x' * 11}…{'x' * 4}/of-2026-11.csv"
    assert row.index("1:15") == long.index("1:15") == heading.index("AGE")


def test_a_long_target_is_whole_where_there_is_room() -> None:
    completed = OPERATION | {"state": "completed", "status": 200, "target": LONG}
    assert LONG in table([completed], 400)
    assert LONG not in table([completed], 360)


def test_a_narrow_terminal_gives_less_to_a_long_target() -> None:
    completed = OPERATION | {"state": "completed", "size": 3000, "status": 200, "target": LONG}
    assert table([completed], 90).splitlines()[1].endswith("2.9 KiB  200")


@pytest.mark.parametrize("member", ["id", "path"])
def test_a_long_id_or_path_leaves_the_why_of_requests_in_sight(member: str) -> None:
    entry = {"time": "2026-11-24T20:00:00.004Z", "status": 503, "id": "a", "method": "GET", "path": "/", "end": "PQ"}
    rows = [entry | {"why": "It was full."}, entry | {"why": "It was full.", member: LONG[:120]}]
    _, *lines = requests(rows, 120).splitlines()
    assert [line.endswith("It was full.") for line in lines] == [True, True]


def test_details_leave_out_what_is_not_known() -> None:
    assert details(OPERATION | {"size": 2048}).splitlines()[-3:] == [
        "size             2.0 KiB",
        "error            origin-timeout",
        "why              It was late (timeout of route reports).",
    ]


async def test_a_terminal_has_lines_that_fit_and_counts(proxy: Proxy) -> None:
    await begun(proxy, b"/slow", b"/slow")
    terminal, theirs = os.openpty()
    command = [sys.executable, "-m", "proxy", "operations", "list", "--limit", "1"]
    where = {
        "RESPOND_ASYNC_ADMIN": f"127.0.0.1:{proxy.admin_port}",
        "RESPOND_ASYNC_ADMIN_TOKEN": TOKEN,
        "COLUMNS": "30",
    }
    process = await asyncio.create_subprocess_exec(
        *command, cwd=ROOT, env=os.environ | where, stdout=theirs, stderr=PIPE
    )
    _, err = await process.communicate()
    os.close(theirs)
    shown = os.read(terminal, 1000).decode().splitlines()
    os.close(terminal)
    assert [len(line) <= 30 for line in shown] == [True, True]
    assert err.decode().startswith("0 queued, 2 running")
    assert err.endswith(b"; there are more of these: --limit\n")


Complete = Callable[..., Awaitable[list[str]]]


@pytest.fixture
def complete(proxy: Proxy) -> Complete:
    """What bash is told of the last word, with where the service is in its environment."""
    where = {"RESPOND_ASYNC_ADMIN": f"127.0.0.1:{proxy.admin_port}", "RESPOND_ASYNC_ADMIN_TOKEN": TOKEN}

    async def complete(*words: str, **environ: str) -> list[str]:
        line = {"COMP_WORDS": f"respond-async operations {' '.join(words)}", "COMP_CWORD": str(len(words) + 1)}
        asked = {"_RESPOND_ASYNC_COMPLETE": "bash_complete", **line, **where, **environ}
        command = str(Path(sys.executable).parent / "respond-async")
        process = await asyncio.create_subprocess_exec(command, env=os.environ | asked, stdout=PIPE, stderr=PIPE)
        out, err = await process.communicate()
        assert err == b"", "nothing but completions is to be seen"
        return [line.partition(",")[2] for line in out.decode().split("\n") if line]

    return complete


async def test_a_shell_completes_names_of_routes(complete: Complete) -> None:
    assert await complete("list", "--route", "") == ["fast", "slow"]
    assert await complete("requests", "--route", "s") == ["slow"]


async def test_a_shell_completes_ids_of_those_that_the_command_can_be_about(proxy: Proxy, complete: Complete) -> None:
    done, runs = await begun(proxy, b"/fast", b"/slow")
    assert sorted(await complete("show", "")) == sorted([done, runs])
    assert await complete("cancel", "") == [runs]
    assert await complete("purge", done[:3]) == [done]


@pytest.mark.parametrize(
    "environ",
    [
        pytest.param({"RESPOND_ASYNC_ADMIN": "127.0.0.1:1"}, id="nobody answers"),
        pytest.param({"RESPOND_ASYNC_ADMIN": "nonsense"}, id="no address"),
        pytest.param({"RESPOND_ASYNC_ADMIN_TOKEN": "another-token-than-it-has"}, id="another token"),
    ],
)
async def test_where_there_is_no_answer_nothing_is_completed(complete: Complete, environ: dict[str, str]) -> None:
    assert await complete("list", "--route", "", **environ) == []


async def test_completion_goes_by_the_configuration_that_is_named(complete: Complete, tmp_path: Path) -> None:
    (tmp_path / "wrong.yaml").write_text("rutes: []")
    assert await complete("list", "--config", f"{tmp_path}/wrong.yaml", "--route", "") == []


async def test_nobody_waits_long_for_a_completion(complete: Complete, origin: ScriptedOrigin) -> None:
    origin.route(lambda _: [stall()])
    assert await complete("list", "--admin", origin.url, "--route", "") == []
