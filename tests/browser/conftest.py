"""A real Chromium before the operator page of the product."""

import re
import shutil
import subprocess
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any, Final

import pytest
import yaml
from playwright.async_api import Browser, ConsoleMessage, Page, async_playwright

from proxy.config import load
from proxy.server import serving
from tests.conftest import Proxy, StartProxy, settings_for
from tests.raw_client import RawClient
from tests.scripted_origin import ScriptedOrigin

OPTIONS: Final = (
    "--headless=new", "--no-sandbox", "--remote-debugging-port=0", "--no-first-run", "--disable-gpu",
    "--disable-background-networking", "--disable-component-update", "--disable-dev-shm-usage",
)  # fmt: skip
NOT_OURS: Final = "Failed to load resource"  # what Chromium says of each response that is no success

OpenPage = Callable[..., Awaitable[Page]]


@pytest.fixture(scope="session")
def chromium(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Where the one browser of all tests can be driven."""
    program = shutil.which("chromium")
    if program is None:
        pytest.skip("there is no chromium on this machine")
    profile = tmp_path_factory.mktemp("chromium")
    with subprocess.Popen(
        [program, *OPTIONS, f"--user-data-dir={profile}"], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
    ) as process:
        assert process.stderr is not None
        try:
            yield next(found[0].decode() for line in process.stderr if (found := re.search(rb"ws://\S+", line)))
        finally:
            process.terminate()
            process.stderr.read()  # to its end, so that it is not blocked on its way out


@pytest.fixture
async def browser(chromium: str) -> AsyncIterator[Browser]:
    async with async_playwright() as driver:
        yield await driver.chromium.connect_over_cdp(chromium)


@pytest.fixture
async def open_page(browser: Browser) -> AsyncIterator[OpenPage]:
    """Opens the page of the service whose operators ask at this port; keywords are those of a browser's context.

    Nothing may go wrong in its scripts, and nothing that the security policy forbids may be tried.
    """
    troubles: list[str] = []

    def listen(message: ConsoleMessage) -> None:
        if message.type in ("error", "warning") and not message.text.startswith(NOT_OURS):
            troubles.append(message.text)

    async with AsyncExitStack() as stack:

        async def open_page(port: int, query: str = "", **context: Any) -> Page:  # noqa: ANN401  # Playwright's own
            opened = await browser.new_context(**context)
            stack.push_async_callback(opened.close)
            page = await opened.new_page()
            page.on("console", listen)
            page.on("pageerror", lambda error: troubles.append(str(error)))
            await page.goto(f"http://127.0.0.1:{port}/{query}")
            return page

        yield open_page
    assert not troubles


@pytest.fixture
async def watched(start_proxy: StartProxy, origin: ScriptedOrigin) -> Proxy:
    """The product with operators."""
    return await start_proxy(settings_for(origin.url), admin="127.0.0.1:0")


@pytest.fixture
async def page(watched: Proxy, open_page: OpenPage) -> Page:
    """Its page, live."""
    page = await open_page(watched.admin_port)
    await page.wait_for_selector("#connection[data-state=live]")
    return page


@asynccontextmanager
async def serving_at(port: int, origin: ScriptedOrigin, folder: Path, **changes: str) -> AsyncIterator[RawClient]:
    """The product with its operators at this port, and a client of it."""
    file = folder / "proxy.yaml"
    store = {"url": f"sqlite://{folder / 'store'}"}
    ours = {"admin": f"127.0.0.1:{port}", "store": store, "drain_timeout": "1ms"}
    file.write_text(yaml.safe_dump(settings_for(origin.url) | ours | changes))
    async with serving(load(file, {})) as service, RawClient(port=service.listeners[0].address.port) as client:
        yield client
