"""What the tests of the synchronous proxy share: proxies with settings of their own."""

from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from tests.conftest import Proxy, Settings, StartProxy, settings_for
from tests.raw_client import RawClient
from tests.scripted_origin import ScriptedOrigin

ProxyVia = Callable[..., Awaitable[Proxy]]
ClientVia = Callable[..., Awaitable[RawClient]]


@pytest.fixture
def proxy_via(start_proxy: StartProxy, origin: ScriptedOrigin) -> ProxyVia:
    """Starts a proxy with these settings of its route and origin, None removing one; keywords replace top-level keys."""

    async def start(route: Settings | None = None, legacy: Settings | None = None, **top: Any) -> Proxy:  # noqa: ANN401  # what YAML can hold
        settings = settings_for(origin.url)
        settings["routes"] = [_changed(settings["routes"][0], route)]
        settings["origins"]["legacy"] = _changed(settings["origins"]["legacy"], legacy)
        return await start_proxy(settings, **top)

    return start


@pytest.fixture
def client_via(proxy_via: ProxyVia) -> ClientVia:
    """Connects a client to a new proxy; takes what `proxy_via` takes."""

    async def connect(*args: Any, **top: Any) -> RawClient:  # noqa: ANN401
        return await (await proxy_via(*args, **top)).client()

    return connect


def _changed(settings: Settings, changes: Settings | None) -> Settings:
    return {key: value for key, value in (settings | (changes or {})).items() if value is not None}
