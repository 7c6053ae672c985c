"""What the operator page says of requests: why they were answered as they were, to whoever may know."""

import asyncio
import re
from collections.abc import Awaitable, Callable
from pathlib import Path
from urllib.parse import quote, unquote, urlsplit

import pytest
from playwright.async_api import Error, Locator, Page, Route, expect

from proxy.recent import MOST
from tests.browser.conftest import OpenPage, serving_at
from tests.conftest import Proxy, StartProxy, settings_for
from tests.raw_client import Field, RawClient, request
from tests.scripted_origin import ScriptedOrigin, read_all, stall

AT_ONCE: Field = (b"Prefer", b"respond-async, wait=0")
TOKEN = "a-token-that-nobody-knows"
HOSTILE_NAME = "it's&amp|`!"  # all that a token may be made of
HOSTILE = b"/<img/src=x/onerror=document.title='hurt'>"


REQUEST = {
    "time": "2026-05-01T12:00:00.000Z", "status": 202, "method": "GET", "path": "/newer", "seconds": 1.0, "route": "r",
    "end": "-H", "why": "It took long.",
}  # fmt: skip


def as_told(document: object) -> Callable[[Route], Awaitable[None]]:
    """Answers with this, in place of the service."""
    return lambda route: route.fulfill(json=document)


async def as_broken_off(route: Route) -> None:
    await route.fulfill(body='{"requests": [', content_type="application/json")


def requests(page: Page) -> Locator:
    return page.locator("#requests-table tbody tr")


def with_status(page: Page, status: int) -> Locator:
    return requests(page).filter(has=page.locator("td.state", has_text=str(status)))


async def test_the_page_says_why_a_request_got_202_503_or_504(
    start_proxy: StartProxy, open_page: OpenPage, origin: ScriptedOrigin
) -> None:
    origin.script(read_all(), stall())
    settings = settings_for(origin.url, timeout="150ms")
    settings["origins"]["legacy"] |= {"max_connections": 1, "queue_timeout": "100ms"}
    proxy = await start_proxy(settings, admin="127.0.0.1:0")
    client = await proxy.client()
    assert (await client.exchange("POST", b"/late", (), b"")).status == 504
    assert (await client.exchange("POST", b"/handed/over", [AT_ONCE], b"")).status == 202
    assert (await client.exchange("POST", b"/crowded", (), b"")).status == 503

    page = await open_page(proxy.admin_port)
    late, handed_over, crowded = (with_status(page, status) for status in (504, 202, 503))
    await expect(late).to_contain_text(
        "Origin legacy sent no response head within 0.15 s (timeout of route everything)."
    )
    await expect(late).to_contain_text("origin-timeout")
    # The connection of the one before may still be being closed.
    await expect(handed_over).to_contain_text(
        re.compile(r"The client asked not to wait \(Prefer: wait=0\)[.;].* answered 202")
    )
    used_by = page.locator("#origins-table td.users")
    await expect(used_by).to_have_text("everything 1")
    for title, figure in {"Connections": "1 of 1", "Waiting for one": "0", "Held by max_running": "0"}.items():
        await expect(page.locator(f"#origins-table td[data-title='{title}']")).to_have_text(figure)
    await expect(crowded).to_contain_text("no turn at origin legacy within 0.1 s (queue_timeout of origin legacy)")

    await expect(late.locator("td.flag")).to_have_text("LH limit, at origin")
    await expect(crowded.locator("td.flag")).to_have_text("LQ limit, in line")
    flag = late.get_by_role("button")
    await flag.focus()
    tip = page.get_by_role("tooltip")
    await expect(tip).to_have_text(re.compile("A limit or a timeout .* before the response began"))
    await page.keyboard.press("Escape")
    await expect(tip).to_be_hidden()
    await handed_over.get_by_role("button").hover()
    await expect(tip).to_have_text(re.compile("handed over with 202"))


async def test_a_reason_is_not_read_again_and_again(page: Page, watched: Proxy, origin: ScriptedOrigin) -> None:
    origin.script(read_all(), stall())
    client = await watched.client()
    for target in (b"/first", b"/second", b"/third"):
        await client.exchange("POST", target, [AT_ONCE], b"")
    for table in (requests(page), page.locator("#operations-table table").first.locator("tbody tr")):
        await expect(table).to_have_count(3)
        await expect(table.first).to_contain_text("The client asked not to wait (Prefer: wait=0); answered 202")
        for line in (table.nth(1), table.last):
            await expect(line.locator(".explained")).to_have_text("For the same reason as the one above. ")


async def test_every_flag_of_the_log_has_words(page: Page) -> None:
    unexplained = await page.evaluate("""async () => {
        const { meaningOf, shortly } = await import("/page/flags.js");
        const flags = [..."COPL"].flatMap((who) => [..."RQHDTS"].map((when) => who + when));
        return [...flags, "-H", "-Q", "--"].filter((flag) => meaningOf(flag).includes(flag) || !shortly(flag));
    }""")
    assert unexplained == []


async def test_a_client_is_said_to_have_left_only_where_it_did(
    page: Page, watched: Proxy, origin: ScriptedOrigin
) -> None:
    origin.script(read_all(), stall())
    client = await watched.client()
    assert (await client.exchange("GET", b"/.async/nobodys_" + b"x" * 16)).status == 404
    async with RawClient(port=watched.port) as impatient:
        await impatient.send(request("GET", b"/left"))
        await origin.request_received()
    for status, words in ((404, "What the client asked for, or sent, was refused"), (499, "The client left")):
        await with_status(page, status).get_by_role("button").focus()
        await expect(page.get_by_role("tooltip")).to_contain_text(words)


async def test_an_id_leads_to_its_operation_and_its_request(page: Page, watched: Proxy, origin: ScriptedOrigin) -> None:
    origin.script(read_all(), stall())
    client = await watched.client()
    accepted = await client.exchange("POST", b"/reports", [AT_ONCE, (b"X-Request-Id", b"order-17")], b"")
    status_url = (accepted.field(b"location") or b"").decode()
    short = status_url.rpartition("/")[2][:8]

    search, found = page.get_by_role("searchbox"), page.locator("#found")
    await search.fill("order-17")
    await search.press("Enter")
    await expect(found.get_by_role("heading", level=2)).to_be_focused()
    await expect(found.get_by_role("table")).to_contain_text("The client asked not to wait (Prefer: wait=0)")
    await expect(found.get_by_role("definition").nth(1)).to_have_text(short)  # a request leads to its operation
    since = found.get_by_role("definition").filter(has_text=re.compile(r"^\d+ s$"))
    await expect(since).not_to_have_text(await since.inner_text())
    await found.get_by_role("link", name=f"Operation {short}").click()
    await expect(found.get_by_role("definition").nth(1)).to_have_text(short)
    await expect(found.get_by_role("table")).to_contain_text("order-17")

    await search.fill(status_url)
    await search.press("Enter")
    await expect(search).to_have_value(short)
    assert page.url.endswith(f"?q={short}"), "what gives the result away is not kept in the address"
    await found.get_by_role("button", name="Cancel this operation").click()
    await page.get_by_role("button", name="Cancel the operation").click()
    await origin.connection_closed()
    await expect(found).to_contain_text("State cancelled", use_inner_text=True)

    await search.fill("nobody-has-this")
    await search.press("Enter")
    await expect(found).to_contain_text("Nothing is known of it.")
    await found.get_by_role("button", name="Close").click()
    await expect(found).to_be_hidden()


async def test_what_was_asked_about_comes_first_and_then_what_became_of_its_operation(
    start_proxy: StartProxy, open_page: OpenPage, origin: ScriptedOrigin
) -> None:
    origin.script(read_all(), stall())
    proxy = await start_proxy(settings_for(origin.url, respond_async={"timeout": "100ms"}), admin="127.0.0.1:0")
    client = await proxy.client()
    accepted = await client.exchange("POST", b"/reports", [AT_ONCE, (b"X-Request-Id", b"asked")], b"")
    status_url = urlsplit(accepted.field(b"location") or b"")
    poll = [(b"Prefer", b"wait=10"), (b"X-Request-Id", b"polled")]
    assert (await client.exchange("GET", status_url.path, poll)).status == 504

    page = await open_page(proxy.admin_port)
    found = page.locator("#found")
    said = {
        "asked": ["202.*The client asked not to wait.*-H: Nobody ended it.*it waited"],
        "polled": [r"504.*failed: .*respond_async.timeout of route everything.*--: Its answer was sent whole"],
        f"{status_url.geturl().decode()}?of=ours": ["202.*The client asked not to wait", "504.*failed"],
    }
    for id, rows in said.items():
        await looked_for(page, id)
        await expect(found.locator("tbody tr")).to_have_text([re.compile(row) for row in rows])
        await expect(found).to_have_text(
            re.compile("(202|504).*What has become of operation.*Why.*respond_async.timeout of route", re.DOTALL)
        )
    await expect(found).to_have_text(
        re.compile("202.*What has become of.*that asked for an operation whose id begins so.*504", re.DOTALL)
    )
    await expect(found).not_to_contain_text("--: Its answer was sent whole")


async def test_of_many_who_asked_for_an_operation_the_last_few_are_shown(
    page: Page, watched: Proxy, origin: ScriptedOrigin
) -> None:
    origin.script(read_all(), stall())
    client = await watched.client()
    accepted = await client.exchange("POST", b"/reports", [AT_ONCE], b"")
    path = urlsplit(accepted.field(b"location") or b"").path
    for method in ("GET", "DELETE"):
        for end in (b"_A", b"_B", b"_C"):
            assert (await client.exchange(method, path[:-2] + end)).status == 404
    await looked_for(page, path.decode())
    polls = page.get_by_role("table", name="Requests that asked for the operation")
    await expect(polls.get_by_role("row")).to_have_count(1 + 5)
    await expect(page.locator("#found")).to_have_text(re.compile("202.*What has become of.*404", re.DOTALL))


async def test_an_id_that_only_begins_like_an_operations_does_not_pass_for_it(
    page: Page, watched: Proxy, origin: ScriptedOrigin
) -> None:
    origin.script(read_all(), stall())
    client = await watched.client()
    accepted = await client.exchange("POST", b"/reports", [AT_ONCE], b"")
    url = (accepted.field(b"location") or b"").decode()
    whole = url.rpartition("/")[2]
    short, other = whole[:8], whole[:-1] + ("A" if whole[-1] != "A" else "B")
    heading = page.locator("#found").get_by_role("heading", level=2)
    for asked in (other, url[: -len(whole)] + other, f"{short}____"):
        await looked_for(page, asked)
        await expect(heading).to_have_text(f"Nothing found for “{short}…”")
        await expect(page.locator("#found")).to_contain_text("There is no operation with this id")
        await expect(page.locator("#found")).to_contain_text("The client asked not to wait")
        await expect(page.locator("#found")).not_to_contain_text("What has become of")
    for asked in (whole, f" '{whole}' ", url, short, whole[:12]):
        await looked_for(page, asked)
        await expect(heading).to_have_text(f"Found for “{short}”")
        await expect(page.locator("#found")).to_contain_text("What has become of")
        await expect(page.get_by_role("searchbox")).to_have_value(short)
        assert page.url.endswith(f"?q={short}")


@pytest.mark.parametrize("form", ["{id}", "'{id}'", "http://127.0.0.1/.async/{id}", "/.async/{id}?x"])
async def test_a_whole_id_in_the_address_finds_its_operation_and_does_not_stay_there(
    watched: Proxy, open_page: OpenPage, origin: ScriptedOrigin, form: str
) -> None:
    origin.script(read_all(), stall())
    client = await watched.client()
    accepted = await client.exchange("POST", b"/reports", [AT_ONCE], b"")
    whole = (accepted.field(b"location") or b"").decode().rpartition("/")[2]
    short, other = whole[:8], whole[:-1] + ("A" if whole[-1] != "A" else "B")
    for id, said in ((whole, f"Found for “{short}”"), (other, f"Nothing found for “{short}…”")):
        page = await open_page(watched.admin_port, f"?state=settled&q={quote(form.format(id=id), safe='')}")
        await expect(page.locator("#found").get_by_role("heading", level=2)).to_have_text(said)
        await expect(page.get_by_role("searchbox")).to_have_value(said.split("“")[1].rstrip("”"))
        assert unquote(page.url).rstrip("…").endswith(f"/?state=settled&q={short}")
        await page.go_back()
        assert page.url == "about:blank", "there was nothing before"


async def test_a_whole_id_does_not_stay_in_the_address_while_the_service_is_silent(
    watched: Proxy, open_page: OpenPage
) -> None:
    page = await open_page(watched.admin_port)
    held: asyncio.Queue[Route] = asyncio.Queue()
    await page.route("**/operations/*", held.put, times=1)
    await page.goto(f"http://127.0.0.1:{watched.admin_port}/?q={'Ab-_' * 6}")
    asked = await held.get()
    assert "Ab-_" not in page.url
    await asked.abort()
    await expect(page.locator("#found").get_by_role("heading", level=2)).to_have_text("Nothing found for “Ab-_Ab-_”")
    assert page.url.endswith("/?q=Ab-_Ab-_")


@pytest.mark.parametrize("id", ["as-long-as-an-operation-", "gateway/7/as-long-as-an-operation-", "4f" * 16])
async def test_the_id_of_a_request_stays_in_the_address(
    watched: Proxy, open_page: OpenPage, origin: ScriptedOrigin, id: str
) -> None:
    origin.script(read_all(), stall())
    await (await watched.client()).exchange("POST", b"/reports", [AT_ONCE, (b"X-Request-Id", id.encode())], b"")
    page = await open_page(watched.admin_port, f"?q={quote(id)}")
    await expect(page.locator("#found").get_by_role("heading", level=2)).to_have_text(f"Found for “{id}”")
    assert unquote(page.url).endswith(f"?q={id}")


@pytest.mark.parametrize("id", ["req7", "order-2026-000017", "http://h/.async/Ab-_Ab-_"])
async def test_an_address_leads_nowhere_and_the_field_leads_to_what_is_found(
    watched: Proxy, open_page: OpenPage, id: str
) -> None:
    page = await open_page(watched.admin_port, f"?q={quote(id, safe='')}")
    title = page.locator("#found-title")
    await expect(title).to_have_text(re.compile("^Nothing found for"))
    assert await page.evaluate("() => document.activeElement === document.body")
    await looked_for(page, "another")
    await expect(title).to_have_text("Nothing found for “another”")
    await expect(title).to_be_focused()


@pytest.mark.parametrize("id", ["short-id", "as-long-as-an-operation-", "as long as nobody thought that it might be"])
async def test_a_request_is_found_by_its_id_however_that_was_copied(
    page: Page, watched: Proxy, origin: ScriptedOrigin, id: str
) -> None:
    origin.script(read_all(), stall())
    client = await watched.client()
    await client.exchange("POST", b"/reports", [AT_ONCE, (b"X-Request-Id", id.encode())], b"")
    for asked in (f"X-Request-Id: {id}", f"x-request-id={id}", f"  {id} ", f'"{id}"', f'X-Request-Id: "{id}"'):
        await looked_for(page, "nobody")
        await expect(page.locator("#found")).to_contain_text("Nothing found for “nobody”")
        await looked_for(page, asked)
        await expect(page.locator("#found").get_by_role("heading", level=2)).to_have_text(f"Found for “{id}”")
        await expect(page.locator("#found tbody tr")).to_contain_text(id)


async def test_what_is_typed_stays_though_there_is_more_to_find(
    page: Page, watched: Proxy, origin: ScriptedOrigin
) -> None:
    origin.script(read_all(), stall())
    await looked_for(page, "sought")
    await expect(page.locator("#found")).to_contain_text("Nothing found for “sought”")
    await page.get_by_role("searchbox").fill("another")
    await (await watched.client()).exchange("POST", b"/reports", [AT_ONCE, (b"X-Request-Id", b"sought")], b"")
    await expect(page.locator("#found tbody tr")).to_contain_text("sought")
    await expect(page.get_by_role("searchbox")).to_have_value("another")


async def test_an_id_is_shown_whole(page: Page, watched: Proxy, origin: ScriptedOrigin) -> None:
    origin.script(read_all(), stall())
    client = await watched.client()
    await client.exchange("POST", b"/reports", [AT_ONCE, (b"X-Request-Id", b"4f" * 32)], b"")
    link = requests(page).get_by_role("link", name="Request")
    await expect(link).to_have_text("4f" * 32)
    assert await link.evaluate("(link) => link.scrollWidth <= link.clientWidth || link.scrollWidth <= link.offsetWidth")
    assert await link.evaluate("(link) => getComputedStyle(link).textOverflow") == "clip"


async def test_the_requests_of_an_operation_are_found_though_it_is_gone(
    page: Page, watched: Proxy, origin: ScriptedOrigin
) -> None:
    origin.script(read_all(), stall())
    client = await watched.client()
    accepted = await client.exchange("POST", b"/reports", [AT_ONCE], b"")
    status_url = urlsplit(accepted.field(b"location") or b"")
    assert (await client.exchange("DELETE", status_url.path)).status == 200
    await watched.service._store.remove(status_url.path.rpartition(b"/")[2].decode())
    await looked_for(page, status_url.geturl().decode())
    await expect(page.locator("#found tbody tr")).to_contain_text("The client asked not to wait")
    await expect(page.locator("#found")).not_to_contain_text("What has become")


async def looked_for(page: Page, id: str) -> None:
    search = page.get_by_role("searchbox")
    await search.fill(id)
    await search.press("Enter")


async def test_an_answer_that_comes_late_does_not_take_the_place_of_a_newer_one(page: Page) -> None:
    found = page.locator("#found")
    held: asyncio.Queue[Route] = asyncio.Queue()
    await page.route("**/requests?id=sought", held.put, times=1)
    await looked_for(page, "sought")
    late = await held.get()
    await looked_for(page, "other")
    await expect(found).to_contain_text("Nothing found for “other”")
    await page.route("**/requests?id=sought", as_told({"requests": [REQUEST], "operations": []}))
    await looked_for(page, "sought")
    await expect(found.get_by_role("table")).to_contain_text("/newer")
    async with page.expect_event("requestfinished"):
        await late.fulfill(json={"requests": [], "operations": []})
    await page.evaluate("() => fetch('page/icon.svg')")
    await expect(found.get_by_role("table")).to_contain_text("/newer")


async def test_an_answer_that_is_broken_off_is_asked_for_again(
    page: Page, watched: Proxy, origin: ScriptedOrigin
) -> None:
    origin.script(read_all(), stall())
    await page.route("**/requests?id=sought", as_broken_off, times=1)
    await looked_for(page, "sought")
    found = page.locator("#found")
    await expect(found).to_contain_text("The service does not say.")
    fields = [AT_ONCE, (b"X-Request-Id", b"sought")]
    assert (await (await watched.client()).exchange("POST", b"/slow", fields, b"")).status == 202
    await expect(found.get_by_role("table")).to_contain_text("/slow")


async def test_what_nothing_is_known_of_is_told_with_how_much_is_kept(page: Page) -> None:
    await looked_for(page, "nobody")
    await expect(page.locator("#found")).to_contain_text(f"keeps the last {MOST:,} that were handed over")


async def test_a_filter_is_in_the_address_and_can_be_shared(
    start_proxy: StartProxy, open_page: OpenPage, origin: ScriptedOrigin
) -> None:
    origin.script(read_all(), stall())
    settings = settings_for(origin.url)
    fast = {"name": "fast", "match": {"path": "/fast"}, "origin": "legacy", "respond_async": {}}
    settings["routes"].insert(0, fast)
    proxy = await start_proxy(settings, admin="127.0.0.1:0")
    client = await proxy.client()
    for target in (b"/fast/1", b"/other/1"):
        await client.exchange("POST", target, [AT_ONCE], b"")

    page = await open_page(proxy.admin_port)
    rows = page.locator("#operations-table tbody tr")
    await expect(rows).to_have_count(2)
    await page.get_by_role("combobox", name="Route").select_option("fast")
    await expect(rows).to_have_count(1)
    await page.get_by_label("Younger than").select_option("1h")
    assert page.url.endswith("?route=fast&younger_than=1h")

    other = await open_page(proxy.admin_port, "?route=fast&younger_than=1h")
    await expect(other.locator("#operations-table tbody tr")).to_contain_text(["/fast/1"])
    await expect(other.get_by_role("combobox", name="Route")).to_have_value("fast")
    await other.get_by_label("Older than").select_option("1h")
    await expect(other.locator("#operations-table")).to_contain_text("No operation is like that now.")
    await other.go_back()
    await expect(other.locator("#operations-table tbody tr")).to_have_count(1)
    await other.get_by_role("button", name="Clear filters").click()
    await expect(other.locator("#operations-table tbody tr")).to_have_count(2)
    await other.get_by_label("State").select_option("failed")
    await expect(other.get_by_role("heading", name="Failed")).to_be_visible()


async def test_what_strangers_wrote_is_text(
    start_proxy: StartProxy, open_page: OpenPage, origin: ScriptedOrigin
) -> None:
    origin.script(read_all(), stall())
    proxy = await start_proxy(settings_for(origin.url, name=HOSTILE_NAME), admin="127.0.0.1:0")
    client = await proxy.client()
    backwards = HOSTILE + "/\u202egnp.exe".encode()
    id = (b"X-Request-Id", b"\"'><script>document.title='hurt'</script>")
    assert (await client.exchange("POST", backwards, [AT_ONCE, id], b"")).status == 202

    page = await open_page(proxy.admin_port)
    for row in (page.locator("#operations-table tbody tr"), requests(page)):
        await expect(row).to_contain_text(HOSTILE.decode())
        await expect(row).to_contain_text(r"\u{202e}gnp.exe")
        await expect(row).to_contain_text(HOSTILE_NAME)
    await requests(page).get_by_role("link", name="Request").click()
    await expect(page.locator("#found")).to_contain_text("<script>document.title='hurt'</script>")
    assert await page.title() == "respond-async"
    assert await page.locator("main img, main script").count() == 0


async def test_nobody_without_the_token_sees_anything(
    start_proxy: StartProxy, open_page: OpenPage, origin: ScriptedOrigin
) -> None:
    proxy = await start_proxy(settings_for(origin.url), admin="127.0.0.1:0", admin_token=TOKEN)
    with pytest.raises(Error, match="ERR_INVALID_AUTH_CREDENTIALS"):
        await open_page(proxy.admin_port)
    known = await open_page(proxy.admin_port, http_credentials={"username": "anybody", "password": TOKEN})
    await expect(known.locator("#connection")).to_have_text("live")
    await expect(known.locator("#service")).to_contain_text("ready")


async def test_a_service_that_has_another_token_is_not_asked_again_and_again(
    tmp_path: Path, unused_port: int, open_page: OpenPage, origin: ScriptedOrigin
) -> None:
    credentials = {"username": "anybody", "password": TOKEN}
    async with serving_at(unused_port, origin, tmp_path, admin_token=TOKEN):
        page = await open_page(unused_port, http_credentials=credentials)
        await expect(page.locator("#connection")).to_have_text("live")
    async with serving_at(unused_port, origin, tmp_path, admin_token=f"another-{TOKEN}"):
        await expect(page.locator("#connection")).to_contain_text("locked out since")
        await expect(page.locator("#connection")).to_contain_text("Reload this page, and the browser asks for it.")
        await expect(page.locator("body")).to_have_class("stale")
