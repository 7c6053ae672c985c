"""What operators see besides operations: requests, routes, origins, store, service; and nothing that is secret."""

import asyncio
import json
from datetime import datetime
from typing import Any

import pytest

from proxy.config import Address, Config
from proxy.metrics import by_route
from proxy.operators.hour import Hour
from proxy.operators.survey import urls
from proxy.recent import MOST
from tests.conftest import StartProxy, settings_for
from tests.operators.conftest import LATER, Desk, Operator
from tests.raw_client import RawClient, request
from tests.scripted_origin import ScriptedOrigin, answer, close, read_all, stall, wait_for

SECRETS = ("hidden-in-query", "hidden-in-credential", "hidden-in-cookie", "hidden-in-content", "hidden-in-answer")


async def test_a_request_is_found_by_its_id_and_says_why(desk: Desk) -> None:
    desk.origin.script(read_all(), stall())
    short = (await desk.runs(b"/slow?x=1", (b"X-Request-Id", b"sought")))[:8]
    await desk.runs()
    [one] = (await desk.operator.sees("/requests?id=sought"))["requests"]
    assert (one["status"], one["path"], one["operation"], one["plan"]) == (202, "/slow", short, "race")
    assert "answered 202" in one["why"]
    assert (await desk.operator.sees(f"/operations/{short}"))["request_id"] == "sought"
    newest, other = (await desk.operator.sees("/requests"))["requests"]
    assert (newest["time"] >= other["time"], other["id"]) == (True, "sought")


async def test_requests_are_found_by_status_and_route(desk: Desk) -> None:
    desk.origin.script(read_all(), close())
    async with RawClient(port=desk.proxy.port) as client:
        assert (await client.exchange("GET", b"/")).status == 502
    desk.origin.script(read_all(), stall())
    await desk.runs()
    for query, found in {
        "": 2, "status=502": 1, "status=5xx": 1, "status=202": 1, "status=504": 0, "status=4xx": 0, "route=everything": 2,
        "route=other": 0, "status=5xx&route=everything": 1, "id=nobody": 0, "route=exx": 0,
    }.items():  # fmt: skip
        assert len((await desk.operator.sees(f"/requests?{query}"))["requests"]) == found, query


async def test_routes_have_points_of_what_was_counted(start_proxy: StartProxy, origin: ScriptedOrigin) -> None:
    desk = Desk(await start_proxy(settings_for(origin.url), admin="127.0.0.1:0"), origin)
    [route] = (await desk.operator.sees("/routes"))["routes"]
    assert {key: route[key] for key in ("name", "path", "path_regex", "host", "methods", "origin", "asynchronous")} == {
        "name": "everything", "path": "/", "path_regex": None, "host": None, "methods": None, "origin": "legacy",
        "asynchronous": True,
    }  # fmt: skip
    origin.queue([read_all(), answer(200), close()], [read_all(), close()], [read_all(), stall()])
    async with RawClient(port=desk.proxy.port) as client:
        await client.exchange("GET", b"/", [(b"Prefer", b"respond-async")])
    async with RawClient(port=desk.proxy.port) as client:
        await client.exchange("GET", b"/")
    await desk.operator.ends(f"/operations/{await desk.runs()}")
    hour = Hour(begun=0.0)
    hour.take(by_route(desk.proxy.service.metrics.figures()), until=10.0, at=1000.0)
    [moment] = hour.after(0)
    found = json.loads(moment.points)["everything"]
    assert (found["requests"], found["operations"], found["in_time"]) == (0.3, 0.1, 0.5)
    assert found["failures"] == {"origin-broke-off": 1}
    assert found["p50"] > 0
    assert found["operation_p50"] > 0


async def test_the_last_hour_is_told_as_it_is_made(
    start_proxy: StartProxy, monkeypatch: pytest.MonkeyPatch, origin: ScriptedOrigin
) -> None:
    monkeypatch.setattr("proxy.operators.whole.STEP", 0.02)
    monkeypatch.setattr("proxy.operators.feed.STEP", 0.02)
    operator = Operator((await start_proxy(settings_for(origin.url), admin="127.0.0.1:0")).admin_port)
    async with operator.follows() as events:
        [route] = (await events.next("routes"))["routes"]
        while not (moments := (await events.next("moments"))["moments"]):
            pass
    assert (route["name"], datetime.fromisoformat(moments[0]["at"]).tzinfo is not None) == ("everything", True)
    assert (await operator.sees("/routes"))["moments"][0] == moments[0]


async def test_origins_tell_how_their_servers_do(
    start_proxy: StartProxy, origin: ScriptedOrigin, unused_port: int
) -> None:
    settings = settings_for(origin.url, match={"path": "/well"})
    settings["origins"]["dead"] = {
        "url": f"http://127.0.0.1:{unused_port}",
        "unhealthy_after": 1,
        "unhealthy_for": "1h",
    }
    settings["routes"].append({"name": "dead", "origin": "dead"})
    desk = Desk(await start_proxy(settings, admin="127.0.0.1:0"), origin)
    origin.script(read_all(), stall())
    await desk.runs(b"/well")
    await origin.request_received()
    async with RawClient(port=desk.proxy.port) as client:
        assert (await client.exchange("GET", b"/")).status == 502
    dead, well = (await desk.operator.sees("/origins"))["origins"]
    assert well == {
        "name": "legacy",
        "servers": [
            {
                "server": origin.url, "up": True, "left_alone_by": 0, "reason": None, "connections": 1, "idle": 0,
                "max_connections": 256, "waiting": 0, "held": 0, "used_by": {"everything": 1},
            }
        ],
    }  # fmt: skip
    assert dead["servers"][0]["left_alone_by"] == 1
    assert (dead["servers"][0]["up"], dead["servers"][0]["reason"]) == (False, "The origin refused the connection.")


async def test_those_who_wait_for_a_connection_are_told_from_those_that_max_running_holds(
    start_proxy: StartProxy, origin: ScriptedOrigin
) -> None:
    gate = asyncio.Event()
    origin.route(lambda _: [read_all(), wait_for(gate), answer(200)])
    settings = settings_for(origin.url, respond_async={"max_running": 1})
    settings["origins"]["legacy"] |= {"max_connections": 2}
    desk = Desk(await start_proxy(settings, admin="127.0.0.1:0"), origin)
    for _ in range(3):
        await desk.accepts()
    async with desk.operator.follows() as events:
        client, other = await desk.proxy.client(), await desk.proxy.client()
        await events.view(lambda view: how_busy(view) == {"waiting": 0, "held": 2, "connections": 1})
        for one in (client, other):
            await one.send(request("GET", b"/"))
        await events.view(lambda view: how_busy(view) == {"waiting": 1, "held": 2, "connections": 2})
    gate.set()


def how_busy(view: Any) -> Any:  # noqa: ANN401  # what JSON can hold
    server = view["origins"][0]["servers"][0]
    return {key: server[key] for key in ("waiting", "held", "connections")}


async def test_an_origin_tells_which_routes_use_its_connections(
    start_proxy: StartProxy, origin: ScriptedOrigin
) -> None:
    gate = asyncio.Event()
    origin.route(lambda request: [read_all(), stall() if request.target == b"/slow" else wait_for(gate), answer(200)])
    settings = settings_for(origin.url)
    settings["origins"]["legacy"] |= {"max_connections": 2, "queue_timeout": "50ms"}
    slow = {**settings["routes"][0], "name": "slow", "match": {"path": "/slow"}}
    settings["routes"] = [slow, {"name": "plain", "origin": "legacy"}]
    desk = Desk(await start_proxy(settings, admin="127.0.0.1:0"), origin)
    await desk.runs(b"/slow")
    async with RawClient(port=desk.proxy.port) as client, RawClient(port=desk.proxy.port) as refused:
        await client.send(request("GET", b"/"))
        await origin.request_received(2)
        assert (await refused.exchange("GET", b"/")).status == 503
        assert await used_by(desk) == {"slow": 1, "plain": 1}
        gate.set()
        assert (await client.response("GET")).status == 200
        await client.send(request("GET", b"/slow"))
        await origin.request_received(3)
        assert await used_by(desk) == {"slow": 2}


async def used_by(desk: Desk) -> Any:  # noqa: ANN401  # what JSON can hold
    [legacy] = (await desk.operator.sees("/origins"))["origins"]
    [server] = legacy["servers"]
    return server["used_by"]


async def test_the_store_and_the_service_tell_how_they_are(desk: Desk) -> None:
    desk.origin.script(read_all(), stall())
    await desk.runs()
    assert await desk.operator.sees("/store") == {
        "kind": "memory", "bytes": 0, "max_bytes": 10 << 30, "queued": 0, "running": 1, "settled": 0,
    }  # fmt: skip
    service = await desk.operator.sees("/service")
    assert (service["workers"], service["draining"]) == (1, False)
    assert datetime.fromisoformat(service["since"]).tzinfo is not None
    assert (service["urls"], service["requests_kept"]) == ([f"http://127.0.0.1:{desk.proxy.port}"], MOST)


@pytest.mark.parametrize(
    ("settings", "listen", "found"),
    [
        pytest.param({}, [Address("0.0.0.0", 80), Address("::1", 81)], ["http://127.0.0.1:80", "http://[::1]:81"], id="TCP"),
        pytest.param({}, [Address(unix_path="/run/x.sock")], ["unix:/run/x.sock"], id="a Unix socket"),
        pytest.param({"tls": True}, [Address("a.test", 443)], ["https://a.test:443"], id="TLS"),
        pytest.param({"public_url": "https://a.test"}, [Address("::1", 81)], ["https://a.test"], id="a public URL"),
    ],
)  # fmt: skip
def test_clients_are_told_where_they_reach_it(
    settings: dict[str, Any], listen: list[Address], found: list[str]
) -> None:
    config = Config.model_construct(**({"tls": None, "public_url": None} | settings))
    assert list(urls(config, listen)) == found


async def test_nothing_that_is_shown_is_secret(start_proxy: StartProxy, origin: ScriptedOrigin) -> None:
    settings = settings_for(origin.url)
    settings["routes"][0]["request_headers"] = {"set": {"X-Api-Key": "hidden-in-configuration"}}
    token = "hidden-in-token-of-operators"
    desk = Desk(await start_proxy(settings, admin="127.0.0.1:0", admin_token=token), origin)
    fields = [*LATER, (b"Authorization", b"Bearer hidden-in-credential"), (b"Cookie", b"s=hidden-in-cookie")]
    told = [(b"Set-Cookie", b"hidden-in-cookie"), (b"X-Answer", b"hidden-in-answer")]
    origin.queue(
        [read_all(), answer(200, told, body=b"hidden-in-content"), close()],
        [read_all(), close()],
        [read_all(), stall()],
    )
    ids = []
    for _ in range(3):
        async with RawClient(port=desk.proxy.port) as client:
            response = await client.exchange("POST", b"/p?q=hidden-in-query", fields, b"hidden-in-content")
            ids.append(json.loads(response.body)["id"])
        async with RawClient(port=desk.proxy.port) as client:
            polled = [(b"Prefer", b"wait=1"), (b"Authorization", b"Bearer hidden-in-credential")]
            await client.exchange("GET", f"/.async/{ids[-1]}?hidden-in-query".encode(), polled)
            await client.exchange("GET", f"/.async/{ids[-1]}?hidden-in-query".encode(), [(b"Authorization", b"no")])
    shown = (b"Authorization", f"Bearer {token}".encode())
    seen = []
    for target in ("operations", "requests", "routes", "origins", "store", "service", "metrics"):
        response = await desk.operator.asks(f"/{target}", shown)
        assert response.status == 200
        seen.append(response.body)
    seen += [(await desk.operator.asks(f"/operations/{one[:8]}", shown)).body for one in ids]
    async with desk.operator.follows("/events", shown) as events:
        await events.next("routes")
        seen.append(events.response.body)
    everything = b"".join(seen).decode()
    assert ids[0][:8] in everything
    for secret in (*SECRETS, token, "hidden-in-configuration", *(one[:9] for one in ids)):
        assert secret not in everything, secret
