"""The operator page where names, ids, paths and addresses are long words: all of it fits its width."""

import pytest
from playwright.async_api import Page, expect

from tests.browser.conftest import OpenPage
from tests.conftest import Proxy, StartProxy, settings_for
from tests.raw_client import Field
from tests.scripted_origin import ScriptedOrigin, answer, read_all, stall

LONG = "R" * 128
NOBODYS = "S" * 128
FIELDS: list[Field] = [(b"Prefer", b"respond-async, wait=0"), (b"X-Request-Id", LONG.encode())]
WIDTHS = pytest.mark.parametrize("width", [360, 1200])

# What is seen and reaches beyond the page.
BEYOND = """() => [...document.querySelectorAll("body *")]
  .filter((one) => one.checkVisibility() && one.getBoundingClientRect().right > document.documentElement.clientWidth + 1)
  .map((one) => one.outerHTML.slice(0, 80))"""


@pytest.fixture
async def wordy(start_proxy: StartProxy, origin: ScriptedOrigin, monkeypatch: pytest.MonkeyPatch) -> Proxy:
    """The product with long names, and two operations of long requests, one of them settled."""
    for module in ("whole", "feed"):
        monkeypatch.setattr(f"proxy.operators.{module}.STEP", 0.05)
    monkeypatch.setattr("proxy.operators.feed.TICK", 0.05)
    settings = settings_for(origin.url, name="n" * 64, origin="o" * 64)
    settings["origins"] = {"o" * 64: {"url": origin.url}, "p" * 64: {"url": f"http://{'h' * 60}.{'h' * 60}.test"}}
    settings["routes"].insert(0, {"name": "q" * 64, "match": {"path": f"/{'q' * 200}"}, "origin": "p" * 64})
    proxy = await start_proxy(settings, admin="127.0.0.1:0")
    origin.queue([read_all(), answer(200)])
    origin.script(read_all(), stall())
    client = await proxy.client()
    for _ in range(2):
        assert (await client.exchange("GET", b"/" + b"t" * 300, FIELDS)).status == 202
    return proxy


async def assert_fits(page: Page) -> None:
    for place in ("operations", "requests", "settled", "origins"):
        await expect(page.locator(f"#{place}-table .empty:visible, #{place}-table tbody tr").first).to_be_visible()
    await expect(page.locator(".route-card")).to_have_count(1)
    await expect(page.locator(".quiet-routes")).to_contain_text("qqq")
    assert await page.evaluate(BEYOND) == []
    assert await page.evaluate("() => document.scrollingElement.scrollWidth <= innerWidth")


@WIDTHS
async def test_what_is_found_fits(wordy: Proxy, open_page: OpenPage, width: int) -> None:
    page = await open_page(wordy.admin_port, f"?q={LONG}", viewport={"width": width, "height": 700})
    await expect(page.locator("#found-title")).to_have_text(f"Found for “{LONG}”")
    await expect(page.get_by_role("table", name="Requests found").get_by_role("row")).not_to_have_count(0)
    await assert_fits(page)


@WIDTHS
async def test_what_is_not_found_fits(wordy: Proxy, open_page: OpenPage, width: int) -> None:
    address = f"?q={NOBODYS}&state={LONG}&route={LONG}"
    page = await open_page(wordy.admin_port, address, viewport={"width": width, "height": 700})
    await expect(page.locator("#found-title")).to_have_text(f"Nothing found for “{NOBODYS}”")
    await expect(page.locator("#operations-note")).to_contain_text(f"“route={LONG}”")
    await assert_fits(page)


@WIDTHS
async def test_a_tip_and_a_question_fit(wordy: Proxy, open_page: OpenPage, width: int) -> None:
    page = await open_page(wordy.admin_port, viewport={"width": width, "height": 700})
    await page.locator("#operations-table .target").hover()
    await expect(page.get_by_role("tooltip")).to_contain_text("tttt")
    await assert_fits(page)
    await page.locator("#operations-table").get_by_role("button", name="Cancel").click()
    await expect(page.get_by_role("dialog")).to_be_visible()
    await assert_fits(page)
