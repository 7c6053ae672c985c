"""The operator page for everybody: without a mouse, with a screen reader, in the dark, on a small screen."""

import re
from datetime import datetime, timedelta
from typing import Literal
from zoneinfo import ZoneInfo

import pytest
from playwright.async_api import Locator, Page, expect

from tests.browser.conftest import OpenPage
from tests.conftest import Proxy, StartProxy, settings_for
from tests.raw_client import Field
from tests.scripted_origin import ScriptedOrigin, answer, read_all, stall

AT_ONCE: Field = (b"Prefer", b"respond-async, wait=0")
SMALLEST_CONTRAST = 4.5  # WCAG 2.2, 1.4.3
SMALLEST_CONTRAST_OF_CONTROLS = 3  # 1.4.11
SMALLEST_TARGET = 24  # pixels; 2.5.8

# How colours contrast; those that are mixed are asked of a canvas.
COLOURS = """
  const canvas = new OffscreenCanvas(1, 1).getContext("2d", { willReadFrequently: true });
  const channels = (colour) => {
    canvas.clearRect(0, 0, 1, 1);
    canvas.fillStyle = colour;
    canvas.fillRect(0, 0, 1, 1);
    return [...canvas.getImageData(0, 0, 1, 1).data];
  };
  const luminance = (colour) => {
    const [r, g, b] = channels(colour).map((value) => value / 255)
      .map((value) => (value <= 0.04045 ? value / 12.92 : ((value + 0.055) / 1.055) ** 2.4));
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const contrast = (...colours) => {
    const [dark, light] = colours.map(luminance).sort((a, b) => a - b);
    return (light + 0.05) / (dark + 0.05);
  };
  const behind = (node) => {
    for (let at = node; at; at = at.parentElement) {
      const { backgroundColor } = getComputedStyle(at);
      if (channels(backgroundColor)[3] === 255) return backgroundColor;
    }
  };
"""

# The texts of the page, each with its contrast to what is behind it.
TEXTS = """() => {
  %s
  const texts = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  const found = [];
  while (texts.nextNode()) {
    const node = texts.currentNode.parentElement;
    if (!texts.currentNode.data.trim() || !node.checkVisibility()) continue;
    found.push([texts.currentNode.data.trim(), contrast(getComputedStyle(node).color, behind(node))]);
  }
  return found;
}"""

# What bounds each control, with its contrast to what is around it.
EDGES = """(controls) => {
  %s
  return controls.map((one) => contrast(getComputedStyle(one).borderTopColor, behind(one.parentElement)));
}"""


async def have_something_to_show(proxy: Proxy, origin: ScriptedOrigin) -> None:
    origin.script(read_all(), stall())
    client = await proxy.client()
    for target in (b"/one", b"/two", b"/three"):
        assert (await client.exchange("POST", target, [AT_ONCE], b"")).status == 202


async def test_an_empty_page_says_how_to_fill_it(page: Page, watched: Proxy) -> None:
    await expect(page.locator("#operations-table pre")).to_have_text(
        f"curl -i -H 'Prefer: respond-async, wait=0' http://127.0.0.1:{watched.port}/"
    )
    await expect(page.locator("#requests-table")).to_contain_text("Nothing to explain yet.")
    await expect(page.locator("#settled-table")).to_contain_text("No operation has been settled yet.")
    await expect(page.locator("#origins-table tbody tr")).to_contain_text("legacy")
    await expect(page.locator("#store")).to_contain_text("(memory)")


async def test_an_operation_can_be_cancelled_without_a_mouse(
    page: Page, watched: Proxy, origin: ScriptedOrigin
) -> None:
    await have_something_to_show(watched, origin)
    rows = page.locator("#operations-table tbody tr")
    await expect(rows).to_have_count(3)
    press = page.keyboard.press
    await press("Tab")
    await expect(page.get_by_role("link", name="Skip to the operations")).to_be_focused()
    await press("Enter")
    for _ in range(6):  # four filters, the button beside them, then the table as one stop
        await press("Tab")
    await expect(rows.nth(0).get_by_text("running")).to_be_focused()
    await press("ArrowRight")
    await expect(rows.nth(0).get_by_role("link")).to_be_focused()
    await press("ArrowDown")
    await expect(rows.nth(1).get_by_role("link")).to_be_focused()
    await rows.nth(1).get_by_role("button").focus()
    await press("End")
    await expect(rows.nth(2).get_by_role("button")).to_be_focused()
    outline = await page.evaluate("() => getComputedStyle(document.activeElement).outlineStyle")
    assert outline == "solid"

    await press("Delete")
    await expect(page.get_by_role("button", name="Keep it")).to_be_focused()
    await press("Escape")
    await expect(rows.nth(2).get_by_role("button")).to_be_focused()
    await press("Enter")
    await press("Tab")
    await press("Enter")
    await origin.connection_closed()
    await expect(rows).to_have_count(2)
    await expect(rows.nth(1).get_by_role("button")).to_be_focused()


async def test_updates_are_not_read_out(page: Page, watched: Proxy, origin: ScriptedOrigin) -> None:
    await page.evaluate("""() => {
        window.said = [];
        const status = document.querySelector("[role=status]");
        new MutationObserver(() => window.said.push(status.textContent)).observe(status, { childList: true, characterData: true, subtree: true });
    }""")
    await have_something_to_show(watched, origin)
    await expect(page.locator("#operations-table tbody tr")).to_have_count(3)
    assert await page.evaluate("() => said.filter(Boolean)") == []
    assert await page.locator("[aria-live]").count() == 0


async def test_it_holds_still_when_told_to(page: Page, watched: Proxy, origin: ScriptedOrigin) -> None:
    pause = page.get_by_role("button", name="Pause")
    await pause.click()
    await expect(page.locator("#connection")).to_have_text("paused")
    await have_something_to_show(watched, origin)
    assert await page.locator("#operations-table tbody tr").count() == 0
    await page.get_by_role("button", name="Resume").click()
    await expect(page.locator("#operations-table tbody tr")).to_have_count(3)
    await expect(pause).to_have_text("Pause")


@pytest.mark.parametrize("scheme", ["light", "dark"])
async def test_every_text_can_be_read(
    watched: Proxy, open_page: OpenPage, origin: ScriptedOrigin, scheme: Literal["light", "dark"]
) -> None:
    await have_something_to_show(watched, origin)
    page = await open_page(watched.admin_port, color_scheme=scheme)
    await expect(page.locator("#operations-table tbody tr")).to_have_count(3)
    contrasts = await page.evaluate(TEXTS % COLOURS)
    assert len(contrasts) > 50
    assert [(text, contrast) for text, contrast in contrasts if contrast < SMALLEST_CONTRAST] == []
    ground = await page.evaluate("() => getComputedStyle(document.body).backgroundColor")
    assert (max(map(int, re.findall(r"\d+", ground))) < 64) == (scheme == "dark")


@pytest.mark.parametrize("scheme", ["light", "dark"])
async def test_every_control_can_be_seen_and_hit(
    watched: Proxy, open_page: OpenPage, origin: ScriptedOrigin, scheme: Literal["light", "dark"]
) -> None:
    await have_something_to_show(watched, origin)
    page = await open_page(watched.admin_port, color_scheme=scheme)
    await expect(page.locator("#requests-table tbody tr")).to_have_count(3)
    controls = page.locator(":is(button, select, input):visible")
    assert await controls.count() > 10
    edges = await controls.evaluate_all(EDGES % COLOURS)
    assert min(edges) >= SMALLEST_CONTRAST_OF_CONTROLS
    sizes = await controls.evaluate_all("(controls) => controls.map((one) => [one.offsetWidth, one.offsetHeight])")
    assert min(map(min, sizes)) >= SMALLEST_TARGET


async def test_every_control_has_a_name_of_its_own(watched: Proxy, open_page: OpenPage, origin: ScriptedOrigin) -> None:
    await have_something_to_show(watched, origin)
    page = await open_page(watched.admin_port)
    await page.locator("#requests-table").get_by_role("link", name="Request").first.click()
    await expect(page.get_by_role("table", name="Requests found").get_by_role("row")).to_have_count(2)
    await expect(page.get_by_role("table", name="Recent requests").get_by_role("row")).to_have_count(4)
    for name in ("Pause updates", "Close what was found", "Clear filters", "Cancel this operation", "Find"):
        await expect(page.get_by_role("button", name=name, exact=True)).to_have_count(1)
    await expect(page.get_by_role("button", name="Flag -H")).to_have_count(4)


async def test_nothing_moves_for_who_wants_it_still(
    start_proxy: StartProxy, open_page: OpenPage, origin: ScriptedOrigin
) -> None:
    proxy = await start_proxy(settings_for(origin.url), admin="127.0.0.1:0")
    page = await open_page(proxy.admin_port, reduced_motion="reduce")
    await expect(page.locator("#connection")).to_have_text("live")
    await proxy.service.close()
    await expect(page.locator("#connection")).to_contain_text("reconnecting")
    assert await page.evaluate("() => document.getAnimations({ subtree: true }).length") == 0
    await page.emulate_media(reduced_motion="no-preference")
    assert await page.evaluate("() => document.getAnimations({ subtree: true }).length") == 1


async def test_it_fits_a_small_screen(watched: Proxy, open_page: OpenPage, origin: ScriptedOrigin) -> None:
    await have_something_to_show(watched, origin)
    page = await open_page(watched.admin_port, viewport={"width": 360, "height": 640})
    rows = page.locator("#operations-table tbody tr")
    await expect(rows).to_have_count(3)
    assert await page.evaluate("() => document.scrollingElement.scrollWidth") <= 360
    await expect(page.get_by_role("table", name="Operations under way").get_by_role("row")).to_have_count(3)
    await rows.first.get_by_role("button").click(trial=True)


async def box(locator: Locator) -> tuple[float, float]:
    """Where it begins and ends, from above."""
    found = await locator.bounding_box()
    assert found is not None
    return found["y"], found["y"] + found["height"]


async def test_on_a_small_screen_nothing_is_cut_and_nothing_covers_what_is_read(
    watched: Proxy, open_page: OpenPage, origin: ScriptedOrigin
) -> None:
    page = await open_page(watched.admin_port, viewport={"width": 375, "height": 700})
    for link in await page.get_by_role("navigation").get_by_role("link").all():
        await expect(link).to_be_in_viewport(ratio=1)
    line = page.locator("#operations-table pre")
    await expect(line).to_contain_text(f"{watched.port}/")
    assert await line.evaluate("(line) => line.scrollWidth <= line.clientWidth")
    (_, title_ends), (filters_begin, _) = [await box(page.locator(one)) for one in ("#operations-title", "#filters")]
    assert filters_begin - title_ends < 20, "no room is kept for a hint that is not shown"

    await have_something_to_show(watched, origin)
    used_by = page.locator("#origins-table td.users")
    await expect(used_by).to_contain_text("everything")
    assert "Used by" in await used_by.evaluate("(cell) => getComputedStyle(cell, '::before').content")
    row, tip = page.locator("#requests-table tbody tr").nth(1), page.get_by_role("tooltip")
    for at_the_top in (True, False):
        await row.evaluate("(row, top) => row.scrollIntoView(top)", at_the_top)
        await row.get_by_role("button").focus()
        await expect(tip).to_contain_text("handed over")
        (tip_begins, tip_ends), (row_begins, row_ends) = await box(tip), await box(row)
        assert tip_begins > row_ends or tip_ends < row_begins
        await row.get_by_role("button").blur()


async def test_on_a_small_screen_a_question_does_not_touch_the_edges(
    watched: Proxy, open_page: OpenPage, origin: ScriptedOrigin
) -> None:
    page = await open_page(watched.admin_port, viewport={"width": 390, "height": 800})
    await have_something_to_show(watched, origin)
    await page.locator("#operations-table").get_by_role("button", name="Cancel").first.click()
    found = await page.get_by_role("dialog").bounding_box()
    assert found is not None
    assert found["x"] >= 10
    assert found["x"] + found["width"] <= 380


async def test_on_a_small_screen_few_of_those_that_are_settled_are_shown_and_the_way_to_all(
    watched: Proxy, open_page: OpenPage, origin: ScriptedOrigin
) -> None:
    origin.route(lambda _: [read_all(), answer(200)])
    client = await watched.client()
    for _ in range(8):
        assert (await client.exchange("GET", b"/", [(b"Prefer", b"respond-async, wait=0")])).status == 202
    page = await open_page(watched.admin_port, viewport={"width": 390, "height": 800})
    await expect(page.locator("#count-completed")).to_have_text("8")
    await expect(page.locator("#settled-table tbody tr")).to_have_count(6)
    await page.get_by_role("link", name="All that are kept").click()
    await expect(page.locator("#operations-table tbody tr")).to_have_count(8)


async def test_what_a_tip_says_can_be_had_with_the_keyboard_alone(
    watched: Proxy, open_page: OpenPage, origin: ScriptedOrigin
) -> None:
    await have_something_to_show(watched, origin)
    page = await open_page(watched.admin_port)
    rows, tip = page.locator("#requests-table tbody tr"), page.get_by_role("tooltip")
    await expect(rows).to_have_count(3)
    press = page.keyboard.press
    await page.get_by_label("Status").focus()
    await press("Tab")
    await expect(rows.nth(0).get_by_role("button")).to_be_focused()
    await expect(rows.nth(0).get_by_role("button")).to_have_accessible_description(re.compile("handed over with 202"))
    await expect(tip).to_contain_text("handed over with 202")
    await press("ArrowDown")
    await press("ArrowRight")
    time = rows.nth(1).get_by_role("time")
    await expect(time).to_be_focused()
    await expect(tip).to_have_text(await time.get_attribute("datetime") or "")
    await press("End")
    await expect(rows.nth(2).get_by_role("time")).to_be_focused()
    await press("ArrowRight")
    await expect(tip).to_contain_text("at the origin")
    (_, tip_ends), (row_begins, _) = await box(tip), await box(rows.nth(2).get_by_role("paragraph").first)
    assert tip_ends < row_begins, "what it explains is not covered"
    await tip.hover()
    await expect(tip).to_be_visible()
    await press("Escape")
    await expect(tip).to_be_hidden()
    assert await page.locator("[data-tip]:not(button, [tabindex])").count() == 0


ZONES = {"UTC": "times in UTC", "Asia/Tokyo": "times in Asia/Tokyo (UTC+9)"}


@pytest.mark.parametrize("zone", ZONES)
async def test_the_zone_of_all_times_is_told_once(
    watched: Proxy, open_page: OpenPage, origin: ScriptedOrigin, zone: str
) -> None:
    await have_something_to_show(watched, origin)
    page = await open_page(watched.admin_port, timezone_id=zone)
    await expect(page.get_by_role("banner")).to_contain_text(ZONES[zone])
    await expect(page.get_by_role("main")).not_to_contain_text(re.compile("zone|UTC"))
    time = page.locator("#requests-table time").first
    there = datetime.fromisoformat(await time.get_attribute("datetime") or "").astimezone(ZoneInfo(zone))
    await expect(time).to_have_text(f"{there:%H:%M:%S}")


async def test_what_is_of_another_day_has_its_date(page: Page, watched: Proxy, origin: ScriptedOrigin) -> None:
    await have_something_to_show(watched, origin)
    time = page.locator("#requests-table time").first
    await expect(time).to_have_text(re.compile(r"^[\d:]{8}$"))
    ended = datetime.fromisoformat(await time.get_attribute("datetime") or "").astimezone()
    await expect(page.get_by_role("banner")).to_contain_text(f"{ended:%-d %b %Y}, times in")
    await page.clock.set_fixed_time(ended + timedelta(days=1))
    await expect(time).to_have_text(f"{ended:%-d %b %Y, %H:%M:%S}")
    await expect(page.get_by_role("banner")).to_contain_text(f"{ended + timedelta(days=1):%-d %b %Y}, times in")


EXAMPLES = {
    "[['http://127.0.0.1:80'], [{path: '/sync'}, {path: '/it\\'s', asynchronous: true, methods: ['PUT']}]]": (
        "-X PUT 'http://127.0.0.1:80/it'\\''s'"
    ),
    "[['unix:/run/x.sock'], [{path: '/', host: 'a.test', asynchronous: true}]]": (
        "-H 'Host: a.test' --unix-socket /run/x.sock http://localhost/"
    ),
    "[['https://a.test'], [{path: null, asynchronous: true}, {path: '/', host: '*.test', asynchronous: true}]]": (
        "https://a.test/PATH"
    ),
    "[]": "http://HOST:PORT/PATH",
}


async def test_the_line_to_send_an_operation_with_is_one_that_a_shell_takes(page: Page) -> None:
    said = await page.evaluate(
        f"async () => {{ const {{ example }} = await import('/page/example.js'); "
        f"return [{', '.join(EXAMPLES)}].map((given) => example(...given)); }}"
    )
    assert said == [f"curl -i -H 'Prefer: respond-async, wait=0' {words}" for words in EXAMPLES.values()]


WORDS = {
    "size(1023)": "1023 B",
    "size(1536)": "1.5 KiB",
    "size(1024 ** 2 - 1)": "1.0 MiB",
    "size(null)": "-",
    "duration(0.0421)": "42 ms",
    "duration(3.26)": "3.3 s",
    "duration(75)": "1 min 15 s",
    "age(59.9)": "59 s",
    "age(300)": "5 min",
    "age(7385)": "2 h 3 min",
    "age(90000)": "1 d 1 h",
    "count(10000)": "10,000",
    "figure(0.0333)": "0.033",
    "figure(1234.5)": "1,235",
    "percent(0.98249)": "98.2 %",
    "visible('a\\u202eb\\0')": "a\\u{202e}b\\u{0}",
}


async def test_figures_are_put_into_words(page: Page) -> None:
    calls = ", ".join(f"words.{call}" for call in WORDS)
    said = await page.evaluate(f"async () => {{ const words = await import('/page/words.js'); return [{calls}]; }}")
    assert dict(zip(WORDS, said, strict=True)) == WORDS
