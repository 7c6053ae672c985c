"""Operations at the `admin` address: listed, shown, cancelled, removed."""

import asyncio
from datetime import datetime
from typing import Any

import pytest

from tests.conftest import StartProxy, settings_for
from tests.operators.conftest import Desk
from tests.raw_client import RawClient
from tests.scripted_origin import ScriptedOrigin, Step, answer, close, read_all, stall, wait_for

OVER = "is over already: it had completed, and its result is kept."
ENDS = ("completed", "failed", "dismissed", "settled")


async def outcome(desk: Desk, id_: str) -> int:
    """The status that the status URL has in the end."""
    async with RawClient(port=desk.proxy.port) as client:
        fields = [(b"Prefer", b"wait=10")]
        return (await client.exchange("GET", f"/.async/{id_}".encode(), fields)).status


async def test_an_operation_is_shown_from_its_202_to_its_end(desk: Desk) -> None:
    gate = asyncio.Event()
    desk.origin.script(read_all(), wait_for(gate), answer(200, body=b"result"))
    id_ = await desk.runs(b"/reports/7?secret=1")
    [one] = (await desk.operator.sees("/operations"))["operations"]
    assert {key: one[key] for key in ("id", "route", "origin", "method", "target", "state", "attempts")} == {
        "id": id_[:8], "route": "everything", "origin": "legacy", "method": "GET", "target": "/reports/7",
        "state": "running", "attempts": 1,
    }  # fmt: skip
    assert (one["status"], one["settled"], one["duration"], one["error"]) == (None, None, None, None)
    assert one["why"].startswith("The client asked not to wait (Prefer: wait=0)")
    assert one["why"].endswith("; answered 202. It still runs: the origin's response is not complete.")
    assert datetime.fromisoformat(one["created"]).tzinfo is not None
    gate.set()
    assert await outcome(desk, id_) == 200
    one = await desk.operator.sees(f"/operations/{id_[:8]}")
    assert (one["state"], one["status"], one["bytes"], one["size"]) == ("completed", 200, 6, 6)
    assert one["duration"] >= 0
    assert one["settled"] >= one["created"]


async def test_of_one_that_waits_is_shown_what_its_client_is_shown(
    start_proxy: StartProxy, origin: ScriptedOrigin
) -> None:
    origin.script(read_all(), answer(200))
    settings = settings_for(origin.url)
    settings["origins"]["legacy"] |= {"max_connections": 1}
    desk = Desk(await start_proxy(settings, admin="127.0.0.1:0"), origin)
    assert await outcome(desk, await desk.accepts()) == 200  # so that it is known how long one takes
    origin.script(read_all(), stall())
    await desk.runs()
    ids = [await desk.accepts() for _ in range(3)]
    listed = (await desk.operator.sees("/operations?state=queued"))["operations"]
    assert [(one["id"], one["before"]) for one in listed] == [(ids[place][:8], place) for place in (2, 1, 0)]
    async with RawClient(port=desk.proxy.port) as client:
        told = (await client.exchange("GET", f"/.async/{ids[2]}".encode())).field(b"x-progress")
    assert told == b"queued, 2 before it, about 1 s left"
    shown = await desk.operator.sees(f"/operations/{ids[2][:8]}")
    assert (shown["before"], shown["progress"]) == (2, told.decode())
    assert 0 < shown["left"] < 2
    [running] = (await desk.operator.sees("/operations?state=running"))["operations"]
    assert running["before"] is None


async def test_one_that_failed_says_why(desk: Desk) -> None:
    desk.origin.script(read_all(), close())
    id_ = await desk.runs()
    assert await outcome(desk, id_) == 502
    one = await desk.operator.sees(f"/operations/{id_[:8]}")
    assert (one["state"], one["error"]["code"]) == ("failed", "origin-broke-off")
    assert one["why"].startswith("The origin closed the connection before its response was complete.")


@pytest.mark.parametrize(
    ("settings", "script", "why"),
    [
        pytest.param(
            {"timeout": "50ms"}, [stall()], " 0.05 s after the request was sent (respond_async.timeout of route everything).", id="a timeout",
        ),
        pytest.param(
            {"max_response_body": "1KiB"}, [read_all(), answer(200, body=bytes(2000))],
            "The response announces 2000 bytes, more than 1024 (respond_async.max_response_body of route everything).",
            id="a limit",
        ),
    ],
)  # fmt: skip
async def test_one_that_failed_names_the_key_to_operators_alone(
    start_proxy: StartProxy, origin: ScriptedOrigin, settings: dict[str, str], script: list[Step], why: str
) -> None:
    desk = Desk(await start_proxy(settings_for(origin.url, respond_async=settings), admin="127.0.0.1:0"), origin)
    origin.script(*script)
    id_ = await desk.accepts()
    async with RawClient(port=desk.proxy.port) as client:
        told = await client.exchange("GET", f"/.async/{id_}".encode(), [(b"Prefer", b"wait=10")])
    [one] = (await desk.operator.sees("/operations?state=failed"))["operations"]
    assert one["why"].endswith(why)
    assert (await desk.operator.sees(f"/operations/{id_[:8]}"))["why"] == one["why"]
    assert told.status in {502, 504}
    assert b"respond_async." not in told.body


async def test_a_request_leads_to_its_operation_and_how_that_ended(desk: Desk) -> None:
    desk.origin.script(read_all(), close())
    id_ = await desk.accepts(b"/slow", (b"X-Request-Id", b"the-first"))
    async with RawClient(port=desk.proxy.port) as client:
        fields = [(b"Prefer", b"wait=10"), (b"X-Request-Id", b"the-poll")]
        assert (await client.exchange("GET", f"/.async/{id_}".encode(), fields)).status == 502
    first, poll = [await desk.operator.sees(f"/requests?id={one}") for one in ("the-first", "the-poll")]
    for found, status in ((first, 202), (poll, 502)):
        assert [(one["status"], one["operation"]) for one in found["requests"]] == [(status, id_[:8])]
        [one] = found["operations"]
        assert one == {**await desk.operator.sees(f"/operations/{id_[:8]}"), "age": one["age"]}
        assert (one["state"], one["error"]["code"]) == ("failed", "origin-broke-off")
    assert poll["operations"][0]["why"] in poll["requests"][0]["why"]
    assert await desk.operator.sees("/requests?id=nobodys") == {"requests": [], "operations": []}
    assert "operations" not in await desk.operator.sees("/requests")


async def test_an_operation_leads_to_all_requests_that_had_to_do_with_it(desk: Desk) -> None:
    desk.origin.script(read_all(), close())
    id_, other = [await desk.accepts(b"/slow", (b"X-Request-Id", one)) for one in (b"the-first", b"another")]
    async with RawClient(port=desk.proxy.port) as client:
        fields = [(b"Prefer", b"wait=10"), (b"X-Request-Id", b"the-poll")]
        assert (await client.exchange("GET", f"/.async/{id_}".encode(), fields)).status == 502
    for name in (id_[:8], id_):
        found = await desk.operator.sees(f"/requests?operation={name}")
        assert [(one["id"], one["status"]) for one in found["requests"]] == [("the-poll", 502), ("the-first", 202)]
        assert [one["id"] for one in found["operations"]] == [id_[:8]]
    [one] = (await desk.operator.sees(f"/requests?operation={other[:8]}&status=202"))["requests"]
    assert one["id"] == "another"
    assert await desk.operator.sees("/requests?operation=nobodys_") == {"requests": [], "operations": []}


async def test_a_status_url_that_never_was_leads_to_no_others_operation(desk: Desk) -> None:
    desk.origin.script(read_all(), stall())
    id_ = await desk.runs()
    async with RawClient(port=desk.proxy.port) as client:
        unknown = f"/.async/{id_[:1]}".encode()
        assert (await client.exchange("GET", unknown, [(b"X-Request-Id", b"a-guess")])).status == 404
    found = await desk.operator.sees("/requests?id=a-guess")
    assert ([one["status"] for one in found["requests"]], found["operations"]) == ([404], [])


async def test_one_that_was_cancelled_says_by_whom(desk: Desk) -> None:
    desk.origin.script(read_all(), stall())
    by_client, by_operator = [await desk.runs() for _ in range(2)]
    async with RawClient(port=desk.proxy.port) as client:
        assert (await client.exchange("DELETE", f"/.async/{by_client}".encode())).status == 200
    assert (await desk.operator.ends(f"/operations/{by_operator[:8]}"))["why"].startswith("An operator cancelled it")
    found = [(await desk.operator.sees(f"/operations/{id_[:8]}"))["why"] for id_ in (by_client, by_operator)]
    assert found == [
        "A client cancelled it: DELETE of its status URL.",
        "An operator cancelled it: on the page, with respond-async operations cancel, or with DELETE at the admin address.",
    ]


async def test_a_list_goes_on_page_by_page_under_the_same_filter(desk: Desk) -> None:
    desk.origin.script(read_all(), stall())
    ids = [(await desk.runs())[:8] for _ in range(5)]
    found, target = [], "/operations?state=running,queued&limit=2"
    while target:
        page = await desk.operator.sees(target)
        assert page["counts"] == {"queued": 0, "running": 5} | dict.fromkeys(ENDS, 0)
        found += [one["id"] for one in page["operations"]]
        target = page["next"]
    assert found == ids[::-1]


async def test_filters_are_by_route_state_and_age(desk: Desk) -> None:
    desk.origin.script(read_all(), stall())
    await desk.runs()
    for query, expected in {
        "route=everything": 1, "route=other": 0, "route=other,everything": 1, "state=queued": 0, "state=unsettled": 1,
        "state=settled": 0, "older_than=1h": 0, "younger_than=1h": 1,
    }.items():  # fmt: skip
        assert len((await desk.operator.sees(f"/operations?{query}"))["operations"]) == expected, query


async def test_cancelling_closes_the_connection_to_the_origin(desk: Desk, quiet_log: list[dict[str, str]]) -> None:
    desk.origin.script(read_all(), stall())
    id_ = await desk.runs()
    await desk.origin.request_received()
    one = await desk.operator.ends(f"/operations/{id_[:8]}")
    assert (one["id"], one["state"]) == (id_[:8], "dismissed")
    await desk.origin.connection_closed()
    assert await outcome(desk, id_) == 404
    [line] = [line for line in quiet_log if line["event"] == "operation cancelled by operator"]
    assert (line["operation"], line["route"]) == (id_[:8], "everything")


async def test_of_a_settled_one_what_is_kept_is_dropped(desk: Desk, quiet_log: list[dict[str, str]]) -> None:
    desk.origin.script(read_all(), answer(200, body=b"result"))
    id_ = await desk.runs()
    assert await outcome(desk, id_) == 200
    assert (await desk.operator.ends(f"/operations/{id_[:8]}"))["state"] == "completed"
    assert await outcome(desk, id_) == 404
    assert "operation removed by operator" in [line["event"] for line in quiet_log]
    assert "it never was" in await desk.operator.is_refused(404, f"/operations/{id_[:8]}", method="DELETE")


async def test_all_that_fit_are_ended_at_once(start_proxy: StartProxy, origin: ScriptedOrigin) -> None:
    settings = settings_for(origin.url)
    settings["origins"]["legacy"]["max_connections"] = 1
    desk = Desk(await start_proxy(settings, admin="127.0.0.1:0"), origin)
    origin.script(read_all(), stall())
    await desk.runs()
    for _ in range(2):
        await desk.accepts()
    assert await desk.operator.ends("/operations?state=queued&older_than=1h") == {"dismissed": 0, "removed": 0}
    assert await desk.operator.ends("/operations?state=queued") == {"dismissed": 2, "removed": 0}
    assert await desk.operator.ends("/operations?state=unsettled,settled&route=everything") == {
        "dismissed": 1, "removed": 2,
    }  # fmt: skip


async def test_several_pages_are_ended_at_once(desk: Desk) -> None:
    desk.origin.script(read_all(), stall())
    await asyncio.gather(*(desk.runs() for _ in range(60)))
    assert await desk.operator.ends("/operations?state=running") == {"dismissed": 60, "removed": 0}


async def test_all_of_every_state_are_not_ended_by_mistake(desk: Desk) -> None:
    assert "`state`" in await desk.operator.is_refused(400, "/operations?route=everything", method="DELETE")


@pytest.mark.parametrize("query", ["", "?state=unsettled"])
async def test_one_that_is_settled_just_then_stays_as_it_is(
    desk: Desk, monkeypatch: pytest.MonkeyPatch, query: str
) -> None:
    gate = asyncio.Event()
    desk.origin.script(read_all(), wait_for(gate), answer(200, body=b"result"))
    id_ = await desk.runs()
    store = desk.proxy.service._store
    settle = store.settle

    async def settle_late(*operation: Any) -> bool:  # noqa: ANN401  # as the store has it
        monkeypatch.setattr(store, "settle", settle)
        gate.set()
        assert await outcome(desk, id_) == 200
        return await settle(*operation)

    monkeypatch.setattr(store, "settle", settle_late)
    if query:
        assert OVER in await desk.operator.is_refused(409, f"/operations/{id_[:8]}{query}", method="DELETE")
    else:
        assert (await desk.operator.ends(f"/operations/{id_[:8]}"))["state"] == "completed"
    assert await outcome(desk, id_) == 200


async def test_one_that_is_settled_between_the_look_and_the_delete_keeps_its_result(desk: Desk) -> None:
    gate = asyncio.Event()
    desk.origin.script(read_all(), wait_for(gate), answer(200, body=b"result"))
    id_ = await desk.runs()
    assert (await desk.operator.sees(f"/operations/{id_[:8]}"))["state"] == "running"
    gate.set()
    assert await outcome(desk, id_) == 200
    said = await desk.operator.is_refused(409, f"/operations/{id_[:8]}?state=unsettled", method="DELETE")
    assert said == f"Operation {id_[:8]} {OVER}"
    assert await outcome(desk, id_) == 200
    assert (await desk.operator.ends(f"/operations/{id_[:8]}?state=completed,failed"))["state"] == "completed"
    assert await outcome(desk, id_) == 404


async def test_one_that_runs_by_now_is_not_cancelled_as_one_that_waits(desk: Desk) -> None:
    desk.origin.script(read_all(), stall())
    id_ = await desk.runs()
    said = await desk.operator.is_refused(409, f"/operations/{id_[:8]}?state=queued,settled", method="DELETE")
    assert said == f"Operation {id_[:8]} is running."
    assert (await desk.operator.sees(f"/operations/{id_[:8]}"))["state"] == "running"


async def test_results_that_have_come_since_the_look_are_not_dropped_with_those_that_were_seen(desk: Desk) -> None:
    desk.origin.script(read_all(), answer(200, body=b"result"))
    seen = await desk.accepts()
    assert await outcome(desk, seen) == 200
    while (looked := (page := await desk.operator.sees("/operations"))["time"]) <= page["operations"][0]["settled"]:
        pass  # times are told to a millisecond
    unseen = await desk.accepts()
    assert await outcome(desk, unseen) == 200
    assert await desk.operator.ends(f"/operations?state=settled&settled_by={looked}") == {"dismissed": 0, "removed": 1}
    assert (await outcome(desk, seen), await outcome(desk, unseen)) == (404, 200)


@pytest.mark.parametrize(
    ("target", "says"),
    [
        pytest.param("/operations?state=done", "`queued`", id="unknown state"),
        pytest.param("/operations?older_than=30", "duration with its unit", id="no unit"),
        pytest.param("/operations?older_than=1h&younger_than=5m", "must be more than `older_than`", id="no age"),
        pytest.param("/operations?younger_than=soon", "`younger_than` must be a duration", id="no duration"),
        pytest.param("/operations?limit=0", "from 1 to 500", id="no limit"),
        pytest.param("/operations?limit=501", "from 1 to 500", id="too much"),
        pytest.param("/operations?cursor=x", "`next`", id="no cursor"),
        pytest.param(
            "/operations?settled_by=2026-11-24T20:00:00Z", "There are `route`", id="a time that is for ending"
        ),
        pytest.param("/operations?sort=age", "There are `route`", id="unknown parameter"),
        pytest.param("/operations?state=running&state=queued", "given twice", id="twice"),
        pytest.param("/operations?route=", "`route` is empty", id="empty"),
        pytest.param("/operations?limit", "`limit` is empty", id="no value"),
        pytest.param("/operations?route=everything,", "one of these is empty", id="one of several is empty"),
        pytest.param("/requests?id=", "`id` is empty", id="empty id of a request"),
        pytest.param("/operations/abcdefgh?x=1", "no parameters", id="parameters of one operation"),
        pytest.param("/requests?status=bad", "504", id="no status"),
        pytest.param("/routes?x=1", "no parameters", id="parameters of routes"),
    ],
)
async def test_what_cannot_be_read_is_refused_with_what_could_be(desk: Desk, target: str, says: str) -> None:
    assert says in await desk.operator.is_refused(400, target)


@pytest.mark.parametrize(
    ("target", "parameter"),
    [
        ("/operations?route=everything&state=done", "state"),
        ("/operations?older_than=30", "older_than"),
        ("/operations?older_than=1h&younger_than=5m", "younger_than"),
        ("/operations?older_than=5m&younger_than=5m", "younger_than"),
        ("/events?older_than=1h&younger_than=5m", "younger_than"),
        ("/operations?limit=0", "limit"),
        ("/operations?cursor=x", "cursor"),
        ("/operations?route=a,", "route"),
        ("/operations?state=", "state"),
        ("/operations?state=running&state=queued", "state"),
        ("/requests?status=bad", "status"),
        ("/events?state=done", "state"),
        ("/operations?sort=age", None),
        ("/routes?x=1", None),
    ],
)
async def test_programs_are_told_which_parameter_cannot_be_read(desk: Desk, target: str, parameter: str | None) -> None:
    assert await desk.operator.is_refused_for(target) == parameter


@pytest.mark.parametrize(
    ("target", "says"),
    [
        ("/operations/abcdefgh?state=done", "`unsettled`"),
        ("/operations/abcdefgh?route=everything", "There are `state`"),
        ("/operations?state=settled&settled_by=yesterday", "the `time` of a list"),
        ("/operations?state=settled&rout=other", "There are `route`"),
        ("/operations?state=settled&route=", "`route` is empty"),
        ("/operations?state=settled&route=,", "one of these is empty"),
        ("/operations?state=settled&older_than=", "`older_than` is empty"),
        ("/operations?state=", "`state` is empty"),
        ("/operations/{id}?state=", "`state` is empty"),
        ("/operations/{id}?state=settled&state=", "given twice"),
    ],
)
async def test_what_is_to_be_ended_is_not_guessed(desk: Desk, target: str, says: str) -> None:
    desk.origin.script(read_all(), answer(200, body=b"result"))
    id_ = await desk.accepts()
    assert await outcome(desk, id_) == 200
    assert says in await desk.operator.is_refused(400, target.replace("{id}", id_[:8]), method="DELETE")
    assert await outcome(desk, id_) == 200


@pytest.mark.parametrize("framing", [(b"Content-Length", b"11"), (b"Transfer-Encoding", b"chunked")])
async def test_filters_in_content_end_nothing(desk: Desk, framing: tuple[bytes, bytes]) -> None:
    desk.origin.script(read_all(), stall())
    id_ = await desk.runs()
    for target in ("/operations?state=unsettled", f"/operations/{id_[:8]}"):
        assert "said in the query" in await desk.operator.is_refused(400, target, framing, method="DELETE")
    empty = await desk.operator.asks(f"/operations/{id_[:8]}", (b"Content-Length", b"0"), method="DELETE")
    assert empty.status == 200


async def test_operations_are_named_by_the_beginning_of_their_id(desk: Desk) -> None:
    assert "first 8 characters" in await desk.operator.is_refused(404, "/operations/short")
    assert "never was" in await desk.operator.is_refused(404, "/operations/abcdefgh")


async def test_several_that_begin_alike_are_not_confused(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    desk.origin.script(read_all(), stall())
    ids = iter(["same-beg" + "x" * 16, "same-beg" + "y" * 16])
    context = desk.proxy.service.recovery._laters["everything"]._context
    monkeypatch.setattr(type(context), "new_id", lambda _: next(ids))
    await desk.accepts()
    await desk.accepts()
    assert "more of the id" in await desk.operator.is_refused(409, "/operations/same-beg", method="DELETE")
    assert (await desk.operator.ends("/operations/same-begx"))["state"] == "dismissed"
