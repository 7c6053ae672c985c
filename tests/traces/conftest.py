"""A collector, and proxies that send it what they trace without letting it wait."""

from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest

from tests.conftest import Proxy, StartProxy, settings_for
from tests.scripted_origin import ScriptedOrigin
from tests.traces.collector import Collector

StartTraced = Callable[..., Awaitable[Proxy]]


@pytest.fixture
async def collector() -> AsyncIterator[Collector]:
    async with Collector() as collector:
        yield collector


@pytest.fixture
def start_traced(
    collector: Collector, start_proxy: StartProxy, origin: ScriptedOrigin, monkeypatch: pytest.MonkeyPatch
) -> StartTraced:
    """Starts a proxy whose traces go to the collector; keywords are `sample`, or keys of its route."""
    monkeypatch.setenv("OTEL_BSP_SCHEDULE_DELAY", "10")  # ms

    async def start(sample: float = 1, **route: Any) -> Proxy:  # noqa: ANN401  # what YAML can hold
        return await start_proxy(
            settings_for(origin.url, **route), tracing={"otlp": collector.url, "sample": sample}, name="edge"
        )

    return start


@pytest.fixture
async def traced(start_traced: StartTraced) -> Proxy:
    return await start_traced()
