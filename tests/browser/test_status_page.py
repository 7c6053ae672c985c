"""The page of an operation, in the browser of somebody who waits for its result."""

import asyncio
from urllib.parse import urlsplit

from playwright.async_api import expect

from tests.browser.conftest import OpenPage
from tests.conftest import Proxy
from tests.scripted_origin import ScriptedOrigin, answer, close, read_all, send, tell, wait_for

MIB = 1 << 20
AT_ONCE = (b"Prefer", b"respond-async, wait=0")


async def accepted(proxy: Proxy) -> str:
    """The path of the status URL of a new operation, without its first slash."""
    response = await (await proxy.client()).exchange("POST", b"/report?secret=1", [AT_ONCE], b"")
    return urlsplit(response.field(b"location") or b"").path.decode().removeprefix("/")


async def test_the_result_appears_by_itself(watched: Proxy, origin: ScriptedOrigin, open_page: OpenPage) -> None:
    gate = asyncio.Event()
    page_of_result = b"<!DOCTYPE html><title>The report</title><h1>What was asked for</h1>"
    origin.script(read_all(), wait_for(gate), answer(200, [(b"Content-Type", b"text/html")], page_of_result))
    page = await open_page(watched.port, await accepted(watched))
    await expect(page.get_by_role("heading")).to_have_text("Working on it")
    await expect(page.get_by_role("progressbar")).to_be_visible()
    await expect(page.locator("dl")).to_contain_text("/report")
    await expect(page.locator("dl")).not_to_contain_text("secret")
    gate.set()
    await expect(page.get_by_role("heading")).to_have_text("What was asked for")


async def test_a_result_that_the_browser_saves_is_saved_and_the_page_says_so(
    watched: Proxy, origin: ScriptedOrigin, open_page: OpenPage
) -> None:
    gate = asyncio.Event()
    saved = [(b"Content-Type", b"text/csv"), (b"Content-Disposition", b'attachment; filename="ledger.csv"')]
    origin.script(read_all(), wait_for(gate), answer(200, saved, b"entry,amount\n1,2\n"))
    page = await open_page(watched.port, await accepted(watched))
    await expect(page.get_by_role("heading")).to_have_text("Working on it")
    async with page.expect_download() as download:
        gate.set()
    assert (await download.value).suggested_filename == "ledger.csv"
    await expect(page.get_by_role("heading")).to_have_text("Done")
    await expect(page.get_by_role("link", name="Open it again")).to_be_visible()


async def test_how_much_of_a_large_result_has_come_is_a_bar(
    watched: Proxy, origin: ScriptedOrigin, open_page: OpenPage
) -> None:
    half, gate = asyncio.Event(), asyncio.Event()
    head = b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: %d\r\n\r\n" % (4 * MIB)
    origin.script(read_all(), send(head + bytes(3 * MIB)), tell(half), wait_for(gate), close())
    path = await accepted(watched)
    await half.wait()
    page = await open_page(watched.port, path)
    await expect(page.get_by_role("progressbar")).to_have_attribute("max", str(4 * MIB))
    await expect(page.locator("dl")).to_contain_text("of 4.0 MiB")
    gate.set()
    await expect(page.get_by_role("heading")).to_have_text(
        "The origin closed the connection before its response was complete"
    )
    await expect(page.locator("dl")).to_contain_text("origin-broke-off")
