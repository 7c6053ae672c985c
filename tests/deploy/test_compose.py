"""The Compose file: what is in it fits together, and what it runs runs. Compose itself reads it, where that is installed."""

import asyncio
import json
import os
import re
import shlex
import shutil
import socket
import subprocess
import sys
from asyncio.subprocess import PIPE
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

import pytest
import yaml

from proxy.cli import main
from proxy.config import Config, load
from tests.deploy.durations import LATE, seconds
from tests.process.child import Child, stored_settings
from tests.scripted_origin import ScriptedOrigin

ROOT: Final = Path(__file__).parents[2]
DEPLOY: Final = ROOT / "deploy"
DOCKERFILE: Final = (ROOT / "Dockerfile").read_text()
TOKEN: Final = "0123456789abcdef0123"

# Keys of the Compose specification that a service here may have: a wrong one is refused by `docker compose`.
KEYS: Final = frozenset({
    "build", "cap_drop", "command", "depends_on", "entrypoint", "environment", "extra_hosts", "healthcheck", "image", "init",
    "logging", "mem_limit", "pids_limit", "ports", "profiles", "pull_policy", "read_only", "restart", "security_opt",
    "stop_grace_period", "ulimits", "volumes",
})  # fmt: skip


def interpolated(text: str, environ: dict[str, str]) -> str:
    """The text as Compose reads it: `${NAME}`, `${NAME:-default}`, `${NAME:?what to do}`, and `$$` for a dollar sign."""

    def value(found: re.Match[str]) -> str:
        name, kind, rest = found["name"], found["kind"], found["rest"]
        if found[0] == "$$":
            return "$"
        assert kind != ":?" or environ.get(name), f"{name} {rest}".replace("$$", "$")
        return environ.get(name) or (rest if kind == ":-" else "")

    return re.sub(r"\$\$|\$\{(?P<name>\w+)(?:(?P<kind>:[-?])(?P<rest>(?:\$\$|[^}])*))?\}", value, text)


def compose(**environ: str) -> dict[str, Any]:
    """The file as Compose has it, which reads YAML first, and then what the texts in it refer to."""
    written = json.dumps(yaml.safe_load((DEPLOY / "docker-compose.yml").read_text()))
    found: dict[str, Any] = json.loads(interpolated(written, environ))
    return found


PROJECT: Final = compose(ADMIN_TOKEN=TOKEN)
PROXY: Final = PROJECT["services"]["proxy"]


def configuration(**environ: str) -> Config:
    """What the container starts with."""
    return load(ROOT / "config/proxy.yaml", compose(ADMIN_TOKEN=TOKEN, **environ)["services"]["proxy"]["environment"])


def has_compose() -> bool:
    if shutil.which("docker") is None:
        return False
    return subprocess.run(["docker", "compose", "version"], capture_output=True, check=False).returncode == 0


def instruction(name: str) -> list[str]:
    """The words of the last instruction of this name in the Dockerfile, in exec form."""
    found = re.findall(rf"^{name} (\[.*\])$", DOCKERFILE, re.MULTILINE)
    words: list[str] = yaml.safe_load(found[-1])
    return words


@pytest.mark.skipif(not has_compose(), reason="needs docker compose")
def test_compose_reads_it_as_these_tests_do() -> None:
    read = ["docker", "compose", "--file", str(DEPLOY / "docker-compose.yml"), "--env-file", os.devnull, "config"]
    environ = {
        "PATH": os.environ["PATH"],
        "HOME": str(Path.home()),
        "ADMIN_TOKEN": TOKEN,
    }  # Docker finds Compose in HOME
    told = subprocess.run([*read, "--format", "json"], env=environ, check=True, stdout=subprocess.PIPE).stdout
    assert json.loads(told)["services"]["proxy"]["environment"] == PROXY["environment"]


@pytest.mark.parametrize("service", PROJECT["services"].values(), ids=PROJECT["services"])
def test_all_keys_are_those_of_compose(service: dict[str, Any]) -> None:
    assert set(service) <= KEYS
    assert set(PROJECT) == {"name", "services", "volumes"}


@pytest.mark.parametrize("service", PROJECT["services"].values(), ids=PROJECT["services"])
def test_every_service_is_locked_in(service: dict[str, Any]) -> None:
    assert (service["read_only"], service["cap_drop"], service["mem_limit"][-1]) == (True, ["ALL"], "m")
    assert service["security_opt"] == ["no-new-privileges:true"]


def test_without_a_token_it_does_not_start() -> None:
    with pytest.raises(AssertionError, match=r"export ADMIN_TOKEN=\$\(openssl"):
        compose()


def test_the_images_command_line_exists() -> None:
    command, subcommand, *arguments = [*instruction("ENTRYPOINT"), *instruction("CMD")]
    assert command == "respond-async"
    assert main.commands[subcommand].make_context(subcommand, [*arguments]).params
    assert "COPY config /etc/respond-async" in DOCKERFILE


def test_the_configuration_loads_and_has_the_backend_that_was_named() -> None:
    assert configuration().origins["backend"].url[0].port == 8000
    assert configuration(ORIGIN_URL="https://10.0.0.5").origins["backend"].url[0].port == 443


def test_what_is_published_is_where_it_listens() -> None:
    config = configuration()
    published = [port.rpartition(":")[2] for port in PROXY["ports"]]
    assert config.admin is not None
    assert published == [str(config.listen[0].port), str(config.admin.port)]
    assert {address.host for address in (*config.listen, config.admin)} == {"0.0.0.0"}  # in a container


def test_operators_come_from_this_machine_alone() -> None:
    assert PROXY["ports"][1].startswith("127.0.0.1:")
    assert configuration().admin_token is not None


def test_the_store_is_on_the_volume() -> None:
    volume, path = PROXY["volumes"][0].split(":")
    assert volume in PROJECT["volumes"]
    assert str(configuration().store.url) == f"sqlite://{path}"
    assert f"VOLUME {path}" in DOCKERFILE


def test_docker_waits_longer_than_the_service_drains() -> None:
    assert seconds(PROXY["stop_grace_period"]) > configuration().drain_timeout + LATE


def test_there_are_descriptors_for_all_connections() -> None:
    config = configuration()
    origins = sum(origin.max_connections for origin in config.origins.values())
    assert PROXY["ulimits"]["nofile"] > config.limits.max_connections + origins + 1000


async def test_the_images_health_check_succeeds_while_it_lives(
    origin: ScriptedOrigin, unused_port: int, tmp_path: Path
) -> None:
    assert "healthcheck" not in PROXY
    python, *arguments = yaml.safe_load(DOCKERFILE.partition("HEALTHCHECK")[2].partition("CMD ")[2].split("\n")[0])
    assert python == "python"
    # Docker gives its containers the HTTP proxy that its client is configured with; here it is one that does not answer.
    environ = {**os.environ, "http_proxy": f"http://127.0.0.1:{unused_port}"}

    async def checked(port: int) -> int:
        words = [word.replace("127.0.0.1:8081", f"127.0.0.1:{port}") for word in arguments]
        process = await asyncio.create_subprocess_exec(sys.executable, *words, stderr=PIPE, env=environ)
        await process.communicate()
        return process.returncode or 0

    async with Child(stored_settings(origin.url, tmp_path) | {"admin_token": TOKEN}, tmp_path) as child:
        port = child.admin_port
        assert await checked(port) == 0
    assert await checked(port) != 0


async def test_the_slow_backend_answers_on_the_port_that_is_asked(unused_port: int, tmp_path: Path) -> None:
    backend = PROJECT["services"]["backend"]
    assert backend["volumes"] == [f"./{shlex.join(backend['entrypoint'][1:]).lstrip('/')}:/slow_backend.py:ro"]
    source = (DEPLOY / "slow_backend.py").read_text()
    assert f"PORT: Final = {configuration().origins['backend'].url[0].port}\n" in source
    script = tmp_path / "slow_backend.py"
    script.write_text(source.replace("PORT: Final = 8000", f"PORT: Final = {unused_port}"))
    process = await asyncio.create_subprocess_exec(sys.executable, script, stderr=PIPE)
    try:
        assert b"200 OK" in await answer_of(unused_port, b"/slow/0")
    finally:
        process.kill()
        await process.communicate()


async def answer_of(port: int, target: bytes) -> bytes:
    """What the server there says, once it is there."""
    async with asyncio.timeout(10):
        while True:
            with suppress(ConnectionRefusedError):
                reader, writer = await asyncio.open_connection("127.0.0.1", port, family=socket.AF_INET)
                writer.write(b"GET %b HTTP/1.0\r\n\r\n" % target)
                said = await reader.read()
                writer.close()
                return said
            await asyncio.sleep(0.02)
