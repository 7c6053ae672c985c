"""Filters of the operator page that an address has, and the service does not take."""

import pytest
from playwright.async_api import Page, expect

from tests.browser.conftest import OpenPage
from tests.conftest import Proxy
from tests.raw_client import Field
from tests.scripted_origin import ScriptedOrigin, read_all, stall

AT_ONCE: Field = (b"Prefer", b"respond-async, wait=0")
SAID_OF_NONE = "#operations-table .empty:visible, #settled-table .empty:visible, #requests-table .empty:visible"


@pytest.fixture
async def busy(watched: Proxy, origin: ScriptedOrigin) -> Proxy:
    """The product with an operation."""
    origin.script(read_all(), stall())
    client = await watched.client()
    assert (await client.exchange("POST", b"/slow", [AT_ONCE], b"")).status == 202
    return watched


async def test_what_cannot_be_read_is_left_out_and_said_to_be(busy: Proxy, open_page: OpenPage) -> None:
    page = await open_page(busy.admin_port, "?state=foo&older_than=old&younger_than=1h")
    note = page.locator("#operations-note")
    await expect(note).to_contain_text("“state=foo” in the address is left out. state is one or several")
    await expect(note).to_contain_text("“older_than=old” in the address is left out.")
    await expect(page.locator("#connection")).to_have_text("live")
    await expect(page.locator("#operations-table tbody tr")).to_have_count(1)
    assert page.url.endswith("?younger_than=1h")
    await expect(page.get_by_label("State").get_by_role("option")).to_have_count(7)
    await page.get_by_label("State").select_option("running")
    await expect(note).to_be_hidden()


async def test_a_page_of_the_list_that_there_is_not_is_left_out_too(busy: Proxy, open_page: OpenPage) -> None:
    page = await open_page(busy.admin_port, "?cursor=x")
    await expect(page.locator("#operations-note")).to_contain_text("“cursor=x” in the address is left out.")
    await expect(page.locator("#operations-table tbody tr")).to_have_count(1)


async def test_a_status_that_cannot_be_read_is_left_out_too(busy: Proxy, open_page: OpenPage) -> None:
    page = await open_page(busy.admin_port, "?status=bad&state=running")
    await expect(page.locator("#requests-note")).to_contain_text(
        "“status=bad” in the address is left out. status is one"
    )
    await expect(page.locator("#operations-note")).to_be_hidden()
    await expect(page.locator("#requests-table tbody tr")).to_have_count(1)
    assert page.url.endswith("?state=running")


@pytest.mark.parametrize("order", [("Older than", "Younger than"), ("Younger than", "Older than")], ids=" ".join)
async def test_of_two_ages_that_none_can_have_one_is_left_out(
    busy: Proxy, open_page: OpenPage, order: tuple[str, str]
) -> None:
    page = await open_page(busy.admin_port)
    ages = {"Older than": "1h", "Younger than": "5m"}
    for label in order:
        await page.get_by_label(label).select_option(ages[label])
    note = page.locator("#operations-note")
    await expect(note).to_contain_text("“younger_than=5m” in the address is left out. younger_than must be more than")
    await expect(page.locator("#connection")).to_have_text("live")
    await expect(page.get_by_label("Younger than")).to_have_value("")
    assert page.url.endswith("?older_than=1h")
    await page.get_by_label("Older than").select_option("5m")
    await expect(note).to_be_hidden()


async def test_a_route_that_is_no_longer_there_may_have_had_operations(busy: Proxy, open_page: OpenPage) -> None:
    page = await open_page(busy.admin_port, "?route=everything,gone")
    note = page.locator("#operations-note")
    await expect(note).to_have_text(
        "“route=gone”: The configuration has no such route now. What is kept of one that was called so is shown all the same."
    )
    await expect(page.locator("#operations-table tbody tr")).to_have_count(1)
    assert page.url.endswith("?route=everything,gone")
    await page.get_by_role("button", name="Clear filters").click()
    await expect(note).to_be_hidden()


async def test_nothing_is_said_of_operations_before_it_is_known(page: Page, watched: Proxy) -> None:
    await expect(page.locator(SAID_OF_NONE)).to_have_count(3)
    await page.context.route("**/events?*", lambda route: route.abort())
    await page.reload()
    await expect(page.locator("#connection")).to_contain_text("reconnecting")
    await expect(page.locator(SAID_OF_NONE)).to_have_count(0)
    await page.context.unroute("**/events?*")
    await expect(page.locator(SAID_OF_NONE)).to_have_count(3)
