"""Houses, and the store they stand on."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest
import yaml

import proxy.forward
from proxy.config import load
from tests.conftest import settings_for
from tests.operations.house import House, open_house
from tests.scripted_origin import ScriptedOrigin

Start = Callable[..., Awaitable[House]]


@pytest.fixture
def kind() -> str:
    """The kind of store; tests that are about it replace this by `both_stores`."""
    return "memory"


@pytest.fixture
async def start(tmp_path: Path, origin: ScriptedOrigin, kind: str) -> AsyncIterator[Start]:
    """Starts a house: `respond_async` and `route` change the route, other keywords the top level of the configuration.

    Houses of one test with different keepers share a sqlite store, as processes do.
    """
    async with AsyncExitStack() as stack:

        async def start(
            respond_async: dict[str, Any] | None = None,
            route: dict[str, Any] | None = None,
            keeper: str = "keeper-one",
            **top: Any,  # noqa: ANN401  # what YAML can hold
        ) -> House:
            url = "memory:" if kind == "memory" else f"sqlite://{tmp_path / 'store'}"
            merged = {"respond_async": {"wait": "10s"} | (respond_async or {})} | (route or {})
            settings = settings_for(origin.url, **merged) | {"store": {"url": url}} | top
            file = tmp_path / "proxy.yaml"
            file.write_text(yaml.safe_dump(settings))
            return await stack.enter_async_context(open_house(load(file, {}), keeper))

        yield start


@pytest.fixture
async def house(start: Start) -> House:
    return await start()


@pytest.fixture
def connects_in_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """However busy the machine is, a request for which there is room is under way before its 202."""
    monkeypatch.setattr(proxy.forward, "A_MOMENT", 5.0)
