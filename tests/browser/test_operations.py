"""Operations on the operator page, as they come, go on and end."""

import asyncio
import json
import re
from dataclasses import replace
from functools import partial
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from playwright.async_api import Locator, Page, expect

from proxy.clock import Clock
from proxy.store.memory import MemoryStore
from tests.browser.conftest import OpenPage, serving_at
from tests.conftest import Proxy, StartProxy, settings_for
from tests.raw_client import RawClient
from tests.scripted_origin import ScriptedOrigin, answer, read_all, send, stall, wait_for
from tests.store.samples import running

LIVE = "#connection[data-state=live]"
MANY = 10_000
AT_ONCE = (b"Prefer", b"respond-async, wait=0")

# Notes for how long the page was busy, and how often it could have done something else.
WATCH = """() => {
  window.long = [];
  window.turns = 0;
  window.rows = 0;
  new MutationObserver((records) => {
    for (const { addedNodes } of records) for (const node of addedNodes) window.rows += node.nodeName === "TR";
  }).observe(document.body, { childList: true, subtree: true });
  new PerformanceObserver((list) => window.long.push(...list.getEntries())).observe({ type: "longtask" });
  const turn = () => { window.turns += 1; setTimeout(turn, 20); };
  turn();
}"""


def under_way(page: Page) -> Locator:
    return page.locator("#operations-table table").first.locator("tbody tr")


def last_settled(page: Page) -> Locator:
    return page.locator("#settled-table tbody tr")


async def accepted(proxy: Proxy, target: bytes = b"/slow") -> str:
    """The first characters of the id of a new operation."""
    return await accepted_by(await proxy.client(), target)


async def accepted_by(client: RawClient, target: bytes) -> str:
    response = await client.exchange("POST", target, [AT_ONCE], b"")
    assert response.status == 202, response.body
    location = response.field(b"location")
    assert location is not None
    return location.rpartition(b"/")[2].decode()[:8]


async def test_an_operation_appears_progresses_and_completes(
    page: Page, watched: Proxy, origin: ScriptedOrigin
) -> None:
    more, last = asyncio.Event(), asyncio.Event()
    head = b"HTTP/1.1 200 OK\r\nContent-Length: 9000000\r\n\r\n"
    some = send(bytes(3_000_000))
    origin.script(read_all(), send(head), some, wait_for(more), some, wait_for(last), some)
    id = await accepted(watched, b"/reports/ledger?secret=1")

    row = under_way(page)
    await expect(row).to_contain_text(id)
    await expect(row).to_contain_text("running")
    await expect(row).to_contain_text("POST /reports/ledger")
    await expect(row).to_contain_text("The client asked not to wait (Prefer: wait=0); answered 202.")
    await expect(row).not_to_contain_text("secret")
    received = row.locator("td.received")
    await expect(received).to_have_text("2.9 MiB of 8.6 MiB")
    await expect(row.locator("progress")).to_have_js_property("max", 9_000_000)
    more.set()
    await expect(received).to_have_text("5.7 MiB of 8.6 MiB")
    await expect(page.locator("#count-running")).to_have_text("1")

    last.set()
    await expect(under_way(page)).to_have_count(0)
    settled = last_settled(page)
    await expect(settled).to_contain_text(id)
    await expect(settled).to_contain_text("completed 200")
    await expect(settled).to_contain_text("8.6 MiB")


async def test_cancelling_asks_first_and_closes_the_origins_connection(
    page: Page, watched: Proxy, origin: ScriptedOrigin
) -> None:
    origin.script(read_all(), stall())
    id = await accepted(watched)
    await under_way(page).get_by_role("button", name=f"Cancel {id}").click()
    dialog = page.get_by_role("dialog")
    await expect(dialog).to_contain_text(f"{id}: POST /slow")
    await expect(dialog).to_contain_text("Its connection to the origin is closed")
    await expect(dialog.get_by_role("button", name="Keep it")).to_be_focused()
    await dialog.get_by_role("button", name="Keep it").click()
    await expect(dialog).to_be_hidden()
    assert len(origin.open_connections) == 1

    await under_way(page).get_by_role("button", name=f"Cancel {id}").click()
    await dialog.get_by_role("button", name="Cancel the operation").click()
    await origin.connection_closed()
    await expect(page.get_by_role("status")).to_have_text(f"Operation {id} is cancelled.")
    await expect(under_way(page)).to_have_count(0)
    await expect(last_settled(page)).to_contain_text("cancelled")


async def test_the_client_of_a_cancelled_one_gets_what_the_dialog_says(
    page: Page, watched: Proxy, origin: ScriptedOrigin
) -> None:
    origin.script(read_all(), stall())
    client = await watched.client()
    response = await client.exchange("POST", b"/slow", [AT_ONCE], b"")
    url = urlsplit(response.field(b"location") or b"").path
    async with asyncio.TaskGroup() as group:
        waits = group.create_task(client.exchange("GET", url, [(b"Prefer", b"wait=60")]))
        await under_way(page).get_by_role("button", name="Cancel").click()
        dialog = page.get_by_role("dialog")
        await expect(dialog).to_contain_text("Its status URL answers 404 from then on")
        await dialog.get_by_role("button", name="Cancel the operation").click()
    told = waits.result()
    assert (told.status, json.loads(told.body)["code"]) == (404, "unknown-operation")


async def test_of_one_that_was_not_sent_no_connection_is_said_to_be_closed(
    start_proxy: StartProxy, open_page: OpenPage, origin: ScriptedOrigin
) -> None:
    origin.script(read_all(), stall())
    settings = settings_for(origin.url)
    settings["origins"]["legacy"] |= {"max_connections": 1}
    proxy = await start_proxy(settings, admin="127.0.0.1:0")
    _, queued = await accepted(proxy), await accepted(proxy)
    page = await open_page(proxy.admin_port)
    await page.get_by_role("button", name=f"Cancel {queued}").click()
    await expect(page.get_by_role("dialog")).to_contain_text("No byte of its request was sent")
    await expect(page.get_by_role("dialog")).not_to_contain_text("connection")


async def test_of_one_that_waits_its_place_in_line_is_shown_and_how_long_it_may_take(
    start_proxy: StartProxy, open_page: OpenPage, origin: ScriptedOrigin
) -> None:
    origin.script(read_all(), answer(200))
    settings = settings_for(origin.url)
    settings["origins"]["legacy"] |= {"max_connections": 1}
    proxy = await start_proxy(settings, admin="127.0.0.1:0")
    client = await proxy.client()
    url = urlsplit((await client.exchange("GET", b"/", [AT_ONCE])).field(b"location") or b"").path
    assert (await client.exchange("GET", url, [(b"Prefer", b"wait=10")])).status == 200
    origin.script(read_all(), stall())
    _, first, second = [await accepted(proxy) for _ in range(3)]
    page = await open_page(proxy.admin_port)
    for id, state in {first: "queued, next", second: "queued, 1 before it"}.items():
        line = under_way(page).filter(has_text=id)
        await expect(line.locator("td.state")).to_have_text(state)
        await expect(line.locator("td[data-title=Left]")).to_have_text(re.compile("[1-9] s"))


async def test_one_that_completes_while_somebody_decides_keeps_its_result(
    page: Page, watched: Proxy, origin: ScriptedOrigin
) -> None:
    last = asyncio.Event()
    origin.script(read_all(), wait_for(last), answer(200, body=b"result"))
    client = await watched.client()
    response = await client.exchange("POST", b"/slow", [AT_ONCE], b"")
    status_url = urlsplit(response.field(b"location") or b"").path
    id = status_url.rpartition(b"/")[2].decode()[:8]
    await under_way(page).get_by_role("button", name=f"Cancel {id}").click()
    last.set()
    assert (await client.exchange("GET", status_url, [(b"Prefer", b"wait=10")])).body == b"result"
    await page.get_by_role("button", name="Cancel the operation").click()
    over = f"Operation {id} is over already: it had completed, and its result is kept."
    await expect(page.get_by_role("status")).to_have_text(over)
    assert (await client.exchange("GET", status_url)).body == b"result"


async def test_focus_and_selection_survive_what_changes_around_them(
    page: Page, watched: Proxy, origin: ScriptedOrigin
) -> None:
    first_ends = asyncio.Event()
    origin.queue([read_all(), wait_for(first_ends), answer(200)])
    origin.script(read_all(), stall())
    first = await accepted(watched, b"/first")
    second = await accepted(watched, b"/second")
    await expect(under_way(page)).to_have_count(2)
    await page.get_by_role("button", name=f"Cancel {second}").focus()
    await page.evaluate(
        "() => getSelection().selectAllChildren(document.querySelector('#operations-table td.request .target'))"
    )
    third = await accepted(watched, b"/third")
    await expect(under_way(page)).to_have_count(3)
    first_ends.set()
    await expect(under_way(page)).to_have_count(2)
    await expect(page.get_by_role("button", name=f"Cancel {second}")).to_be_focused()
    assert await page.evaluate("() => String(getSelection())") == "/second"
    await expect(under_way(page).first).to_contain_text(third)
    await expect(last_settled(page)).to_contain_text(first)


async def test_the_focus_goes_to_the_next_row_when_its_own_goes(
    page: Page, watched: Proxy, origin: ScriptedOrigin
) -> None:
    ends = asyncio.Event()
    origin.queue([read_all(), stall()], [read_all(), wait_for(ends), answer(200)])
    lower, upper = await accepted(watched), await accepted(watched)
    await page.get_by_role("button", name=f"Cancel {upper}").focus()
    ends.set()
    await expect(page.get_by_role("button", name=f"Cancel {lower}")).to_be_focused()


async def test_ten_thousand_operations_do_not_freeze_it(page: Page, watched: Proxy) -> None:
    await run_many(watched)
    await expect(page.locator("#count-running")).to_have_text("10,000")
    await expect(page.locator("#operations-range")).to_have_text("25 of 10,000")
    await expect(under_way(page)).to_have_count(25)
    await page.evaluate(WATCH)

    newest = f"{MANY - 1:08d}"
    await expect(under_way(page).first).to_contain_text(newest)
    await page.get_by_role("button", name="Older").click()
    await expect(under_way(page).first).not_to_contain_text(newest)
    await expect(under_way(page)).to_have_count(25)
    await page.get_by_role("button", name="Newest").click()
    await expect(under_way(page).first).to_contain_text(newest)

    age = under_way(page).first.locator("td").nth(4)
    for _ in range(3):  # nothing happens, so that the page itself counts on, in the rows that are there
        await expect(age).not_to_have_text(await age.inner_text())
    watched_for = await page.evaluate("() => ({ turns, rows, long: long.length })")
    assert watched_for["rows"] <= 3 * 25, "rows are patched, and not built again"
    assert watched_for["long"] < watched_for["turns"] / 10, watched_for


async def run_many(proxy: Proxy) -> None:
    """So many operations are running, as far as the store knows."""
    store, now = proxy.service._store, Clock().now()
    assert isinstance(store, MemoryStore)
    pattern = replace(running(store._keeper), route="everything")
    for number in range(MANY):
        await store.create(replace(pattern, id=f"{number:08d}{number:016d}", created=now + number / MANY))


async def test_it_goes_on_when_the_service_is_started_again(
    open_page: OpenPage, origin: ScriptedOrigin, tmp_path: Path, unused_port: int
) -> None:
    origin.script(read_all(), stall())
    async with serving_at(unused_port, origin, tmp_path) as client:
        page = await open_page(unused_port)
        await accepted_by(client, b"/before")
        await expect(under_way(page)).to_contain_text("/before")
        await page.get_by_label("State").focus()
    await expect(page.locator("#connection")).to_contain_text("reconnecting since")

    asked = asyncio.Event()
    async with await asyncio.start_server(partial(refuse, asked), "127.0.0.1", unused_port):
        await asked.wait()  # such an answer makes a browser give up on a stream of events
        await expect(page.locator("#connection")).to_contain_text("It answers 503. In a moment")

    async with serving_at(unused_port, origin, tmp_path) as client:
        await expect(page.locator(LIVE)).to_be_visible()
        await expect(last_settled(page)).to_contain_text("/before")
        await accepted_by(client, b"/after")
        await expect(under_way(page)).to_contain_text("/after")
        await expect(page.get_by_label("State")).to_be_focused()


async def test_the_last_hour_is_that_of_the_service_that_is_there(
    open_page: OpenPage, origin: ScriptedOrigin, tmp_path: Path, unused_port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in ("whole", "feed"):
        monkeypatch.setattr(f"proxy.operators.{module}.STEP", 0.05)
    monkeypatch.setattr("proxy.operators.feed.TICK", 0.05)
    origin.script(read_all(), answer(200))
    async with serving_at(unused_port, origin, tmp_path) as client:
        page = await open_page(unused_port)
        card, quiet = page.locator(".route-card"), page.locator(".quiet-routes")
        await expect(quiet).to_contain_text("1 route was quiet")
        await expect(quiet).to_contain_text("everything /")
        await client.exchange("GET", b"/")
        await expect(card.get_by_role("heading")).to_have_text("everything")
        await expect(quiet).to_be_hidden()
        await page.reload()
        await expect(card).to_be_visible()
        async with page.expect_request(re.compile(r"/events\?.*state=settled.*&after=[0-9a-f]+\.\d+$")):
            await page.get_by_label("State").select_option("settled")
        await expect(page.locator(LIVE)).to_be_visible()
        await expect(card).to_be_visible()

    async with serving_at(unused_port, origin, tmp_path) as client:
        await expect(quiet).to_contain_text("1 route was quiet")
        await expect(card).to_have_count(0)
        await client.exchange("GET", b"/")
        await expect(card).to_be_visible()


async def refuse(asked: asyncio.Event, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Answer as a server does before which nobody serves."""
    head = await reader.readuntil(b"\r\n\r\n")
    writer.write(b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 11\r\nConnection: close\r\n\r\nIn a moment")
    writer.close()
    if head.startswith(b"GET /events"):
        asked.set()
