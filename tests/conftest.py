"""What tests share: origins, proxies in front of them, and proof that nothing is left behind."""

import asyncio
import inspect
import socket
import subprocess
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest
import structlog
import uvloop
import yaml

from proxy.config import load
from proxy.server import Service, serving
from tests.raw_client import RawClient
from tests.scripted_origin import ScriptedOrigin

Settings = dict[str, Any]


def pytest_asyncio_loop_factories() -> dict[str, Callable[[], asyncio.AbstractEventLoop]]:
    """Every test runs on the loop that the product runs on."""
    return {"uvloop": uvloop.new_event_loop}


@pytest.fixture(autouse=True)
def quiet_log() -> Iterator[list[structlog.types.EventDict]]:
    """The log lines of a test, as dictionaries."""
    with structlog.testing.capture_logs() as lines:
        yield lines


@pytest.fixture(autouse=True)
def nothing_is_left(request: pytest.FixtureRequest) -> None:
    """Whatever a test starts on the event loop has ended when it ends."""
    if inspect.iscoroutinefunction(getattr(request, "function", None)):
        request.getfixturevalue("_no_task_is_left")


@pytest.fixture
async def _no_task_is_left() -> AsyncIterator[None]:
    before = asyncio.all_tasks()
    yield
    left = asyncio.all_tasks() - before - {asyncio.current_task()}
    if left:  # cancelled a moment ago, perhaps
        await asyncio.wait(left, timeout=5)
    assert not [task for task in left if not task.done()]


@pytest.fixture
async def origin() -> AsyncIterator[ScriptedOrigin]:
    async with ScriptedOrigin() as origin:
        yield origin


class Proxy:
    """The product, listening on a port of its own."""

    def __init__(self, service: Service, stack: AsyncExitStack) -> None:
        self.service = service
        self._stack = stack

    @property
    def port(self) -> int:
        return self.service.listeners[0].address.port

    @property
    def admin_port(self) -> int:
        assert self.service.admin is not None
        return self.service.admin.address.port

    async def close(self) -> None:
        """End it, and the connections to it, before the test ends."""
        await self._stack.aclose()

    async def client(self) -> RawClient:
        """A new connection, closed at the end of the test."""
        return await self._stack.enter_async_context(RawClient(port=self.port))


StartProxy = Callable[..., Awaitable[Proxy]]


def settings_for(origin_url: str, **route: Any) -> Settings:  # noqa: ANN401  # what YAML can hold
    """A configuration with one route that answers at once where it may, and later where it must."""
    return {
        "listen": "127.0.0.1:0",
        "admin": "off",
        "store": {"url": "memory:"},
        "drain_timeout": "5s",
        "origins": {"legacy": {"url": origin_url}},
        "routes": [{"name": "everything", "origin": "legacy", "respond_async": {"wait": "200ms"}} | route],
    }


@pytest.fixture
async def start_proxy(tmp_path: Path, origin: ScriptedOrigin) -> AsyncIterator[StartProxy]:
    """Starts a proxy with these settings, by default `settings_for` the scripted origin; keywords replace top-level keys."""
    async with AsyncExitStack() as stack:

        async def start(settings: Settings | None = None, **changes: Any) -> Proxy:  # noqa: ANN401
            file = tmp_path / "proxy.yaml"
            file.write_text(yaml.safe_dump((settings or settings_for(origin.url)) | changes))
            service = await stack.enter_async_context(serving(load(file, {})))
            return Proxy(service, stack)

        yield start


@pytest.fixture
async def proxy(start_proxy: StartProxy) -> Proxy:
    return await start_proxy()


@pytest.fixture
async def client(proxy: Proxy) -> RawClient:
    return await proxy.client()


@pytest.fixture
def unused_port() -> int:
    """A port on which nobody listens."""
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        port: int = sock.getsockname()[1]
    return port


@pytest.fixture(scope="session")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A self-signed certificate for localhost and 127.0.0.1, and its key."""
    return self_signed(tmp_path_factory.mktemp("tls"), "DNS:localhost,IP:127.0.0.1")


def self_signed(folder: Path, names: str) -> tuple[Path, Path]:
    """A self-signed certificate for these names, and its key."""
    cert, key = folder / "cert.pem", folder / "key.pem"
    subject = ["-subj", "/CN=localhost", "-addext", f"subjectAltName={names}"]
    command = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
    subprocess.run([*command, *subject, "-days", "2", "-keyout", key, "-out", cert], check=True, capture_output=True)
    return cert, key


def encrypted(key: Path, folder: Path) -> Path:
    """The same key, with a pass phrase."""
    file = folder / "encrypted.pem"
    command = ["openssl", "pkey", "-aes256", "-passout", "pass:phrase", "-in", str(key), "-out", str(file)]
    subprocess.run(command, check=True, capture_output=True)
    return file
