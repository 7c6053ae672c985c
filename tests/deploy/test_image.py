"""The image, where there are Docker and what it is built from: built, locked in, served from, stopped and killed."""

import re
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.client import HTTPConnection
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit
from uuid import uuid4

import pytest

ROOT: Final = Path(__file__).parents[2]
[BASE] = set(re.findall(r"^FROM (\S+)", (ROOT / "Dockerfile").read_text(), re.MULTILINE))
STORE: Final = "/var/lib/respond-async"
LOCKED_IN: Final = ("--read-only", "--cap-drop", "ALL", "--security-opt", "no-new-privileges:true")


def is_here(image: str) -> bool:
    if shutil.which("docker") is None:
        return False
    return subprocess.run(["docker", "image", "inspect", image], capture_output=True, check=False).returncode == 0


pytestmark = [
    pytest.mark.skipif(not is_here(BASE), reason=f"needs Docker that has {BASE}"),
    pytest.mark.timeout(600),  # the image is built
]


def docker(*words: str) -> str:
    return subprocess.run(["docker", *words], check=True, stdout=subprocess.PIPE, text=True).stdout.strip()


@dataclass(frozen=True)
class Container:
    """One that runs the proxy, with its port 8080 published."""

    id: str

    def state(self, what: str) -> str:
        return docker("inspect", "--format", f"{{{{.State.{what}}}}}", self.id)

    def wait_until_healthy(self) -> None:
        until = time.monotonic() + 30
        while self.state("Health.Status") != "healthy":
            assert time.monotonic() < until, docker("logs", self.id)
            time.sleep(0.1)

    def get(self, target: str, prefer: str) -> tuple[int, str, bytes]:
        """Status, path of the status URL if one is told, and content."""
        address = docker("port", self.id, "8080/tcp")
        connection = HTTPConnection(address, timeout=30)
        try:
            connection.request("GET", target, headers={"Prefer": prefer})
            response = connection.getresponse()
            return response.status, urlsplit(response.getheader("Location", "")).path, response.read()
        finally:
            connection.close()


@pytest.fixture(scope="module")
def image() -> Iterator[str]:
    name = f"respond-async:test-{uuid4().hex}"
    docker("build", "--quiet", "--tag", name, str(ROOT))
    yield name
    docker("image", "rm", "--no-prune", name)


@contextmanager
def running(image: str, *options: str, command: tuple[str, ...] = ()) -> Iterator[Container]:
    container = Container(docker("run", "--detach", *LOCKED_IN, *options, image, *command))
    try:
        yield container
    finally:
        docker("rm", "--force", "--volumes", container.id)


@pytest.fixture(scope="module")
def network(image: str) -> Iterator[str]:
    """A network that has the slow backend in it."""
    network = docker("network", "create", f"respond-async-{uuid4().hex}")
    script = ROOT / "deploy/slow_backend.py"
    alias = ("--network", network, "--network-alias", "backend", "--init", "--no-healthcheck")
    mounted = ("--volume", f"{script}:/slow_backend.py:ro", "--entrypoint", "python")
    with running(image, *alias, *mounted, command=("/slow_backend.py",)):
        yield network
    docker("network", "rm", network)


@pytest.fixture
def options(network: str) -> Iterator[tuple[str, ...]]:
    """How to run a proxy before the backend, with a store that outlives it."""
    volume = docker("volume", "create")
    yield (
        *("--network", network, "--publish", "127.0.0.1::8080", "--env", "ORIGIN_URL=http://backend:8000"),
        *("--volume", f"{volume}:{STORE}", "--health-interval", "500ms"),
    )
    docker("volume", "rm", volume)


def test_it_is_an_ordinary_user_and_has_nothing_to_install_with(image: str) -> None:
    assert docker("run", "--rm", "--entrypoint", "id", image) == (
        "uid=10001(respond-async) gid=10001(respond-async) groups=10001(respond-async)"
    )
    missing = "import importlib.util as u; print(u.find_spec('pip'), u.find_spec('setuptools'))"
    assert docker("run", "--rm", "--entrypoint", "python", image, "-c", missing) == "None None"


def test_what_runs_is_answered_before_it_stops(image: str, options: tuple[str, ...]) -> None:
    with running(image, *options) as proxy:
        proxy.wait_until_healthy()
        status, path, _ = proxy.get("/slow/2", "respond-async, wait=0")
        assert status == 202
        docker("stop", "-t", "45", proxy.id)
        assert proxy.state("ExitCode") == "0"
        docker("start", proxy.id)
        proxy.wait_until_healthy()
        assert proxy.get(path, "wait=0") == (200, "", b"The answer to /slow/2\n")


def test_what_was_promised_is_kept_by_the_container_after_one_that_was_killed(
    image: str, options: tuple[str, ...]
) -> None:
    with running(image, *options) as proxy:
        proxy.wait_until_healthy()
        status, path, _ = proxy.get("/slow/2", "respond-async, wait=0")
        assert status == 202
        docker("kill", proxy.id)
    with running(image, *options) as proxy:
        proxy.wait_until_healthy()
        assert proxy.get(path, "wait=20") == (200, "", b"The answer to /slow/2\n")
