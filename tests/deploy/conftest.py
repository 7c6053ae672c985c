"""Front servers before the product, and an origin behind it that writes down what it gets."""

import subprocess
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Final

import pytest
import yaml

from tests.conftest import Settings, StartProxy
from tests.deploy.front import HOST, ROOT, SERVERS, SHAPES, Front, Places, program
from tests.deploy.visitor import Visitor
from tests.faults.service import unused_ports
from tests.scripted_origin import ScriptedOrigin

EXAMPLE: Final = ROOT / "config/examples/behind-front-server.yaml"

StartFront = Callable[..., Awaitable[Visitor]]


@pytest.fixture(scope="session")
def site_certificate(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A certificate for the site's name, and its key."""
    folder = tmp_path_factory.mktemp("site")
    cert, key = folder / "cert.pem", folder / "key.pem"
    subject = ["-subj", f"/CN={HOST}", "-addext", f"subjectAltName=DNS:{HOST}"]
    command = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
    subprocess.run([*command, *subject, "-days", "2", "-keyout", key, "-out", cert], check=True, capture_output=True)
    return cert, key


@pytest.fixture(params=SERVERS)
def server(request: pytest.FixtureRequest) -> str:
    name: str = request.param
    if program(name) is None:
        pytest.skip(f"needs {SERVERS[name].program}")
    return name


@pytest.fixture(params=SHAPES)
def shape(request: pytest.FixtureRequest) -> str:
    shape: str = request.param
    return shape


def example(backend: int, store: Path) -> Settings:
    """The example configuration, at ports of its own."""
    settings: Settings = yaml.safe_load(EXAMPLE.read_text())
    settings["origins"]["backend"]["url"] = f"http://127.0.0.1:{backend}"
    return settings | {
        "listen": "127.0.0.1:0",
        "admin": "127.0.0.1:0",
        "store": {"url": f"sqlite://{store}"},
        "drain_timeout": "1s",
    }


@pytest.fixture
def arrange(server: str, shape: str, site_certificate: tuple[Path, Path], tmp_path: Path) -> Callable[..., Front]:
    """Makes the front server, for the ports of the others."""
    folder = tmp_path / "front"
    folder.mkdir()

    def made(proxy: int, admin: int, backend: int) -> Front:
        [front] = unused_ports(1)
        return Front(server, shape, Places(front, proxy, admin, backend, *site_certificate), folder)

    return made


@pytest.fixture
async def start_front(
    arrange: Callable[..., Front], origin: ScriptedOrigin, start_proxy: StartProxy, tmp_path: Path
) -> AsyncIterator[StartFront]:
    """Starts the front server, before the product or where that is not to be found, and another backend perhaps."""
    async with AsyncExitStack() as stack:

        async def start(*, with_proxy: bool = True, backend: int = origin.port) -> Visitor:
            proxy, admin = unused_ports(2)
            if with_proxy:
                started = await start_proxy(example(backend, tmp_path / "store"))
                proxy, admin = started.port, started.admin_port
            return Visitor(await stack.enter_async_context(arrange(proxy, admin, backend)), tmp_path)

        yield start


@pytest.fixture
async def visitor(start_front: StartFront) -> Visitor:
    return await start_front()
