"""A front server as its recipe in deploy/front sets it up: a real nginx, Apache httpd, HAProxy or Caddy before the product.

    async with Front("nginx", "only-async", places, folder) as front: ...

The recipe is run as it is, but for the values that its README tells users to change. What a distribution has around it
(the main configuration, with timeouts of one second that a recipe must not rely on) is here.
"""

import asyncio
import os
import shutil
import subprocess
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final, NamedTuple, Self

ROOT: Final = Path(__file__).parents[2]
RECIPES: Final = ROOT / "deploy/front"
HOST: Final = "api.example.com"
LIMIT: Final = 10.0  # seconds for a start or an end
SHAPES: Final = ("only-async", "everything")


@dataclass(frozen=True)
class Places:
    """Where everybody is, on 127.0.0.1, and whose certificate is shown."""

    front: int
    proxy: int
    admin: int
    backend: int
    cert: Path
    key: Path


class Server(NamedTuple):
    """One of the servers that can stand in front."""

    program: str
    suffix: str  # of its recipes
    port: str  # how the recipe names the port where clients come
    around: Callable[[Path, Path, Places], str]  # the folder and the recipe: the main configuration
    command: Callable[[Path], Sequence[str | Path]]  # with that


def _nginx(folder: Path, recipe: Path, _: Places) -> str:
    kinds = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
    user = "user root;" if os.geteuid() == 0 else ""  # the folder of a test is for nobody else
    return f"""
        daemon off; worker_processes 1; pid {folder}/pid; error_log stderr; {user}
        events {{ worker_connections 256; }}
        http {{
            access_log off;
            {" ".join(f"{kind}_temp_path {folder}/{kind};" for kind in kinds)}
            proxy_connect_timeout 1s; proxy_read_timeout 1s; proxy_send_timeout 1s;
            include {recipe};
        }}"""


APACHE_MODULES: Final = [
    "mpm_event", "authz_core", "headers", "http2", "lbmethod_byrequests", "proxy", "proxy_balancer", "proxy_http", "rewrite",
    "slotmem_shm", "socache_shmcb", "ssl",
]  # fmt: skip


def _apache(folder: Path, recipe: Path, places: Places) -> str:
    loaded = [f"LoadModule {name}_module /usr/lib/apache2/modules/mod_{name}.so" for name in APACHE_MODULES]
    settings = [
        f"ServerRoot {folder}", f"DefaultRuntimeDir {folder}", f"PidFile {folder}/pid", "ErrorLog /dev/stderr",
        "ServerName localhost", f"Listen 127.0.0.1:{places.front}", "Timeout 1", "ProxyTimeout 1",
        "StartServers 1", "ServerLimit 2", "User www-data", "Group www-data", f"Include {recipe}",
    ]  # fmt: skip
    return "\n".join([*loaded, *settings])


def _haproxy(*_: object) -> str:
    return """
        defaults
            mode http
            timeout connect 1s
            timeout client 1s
            timeout server 1s
"""


def _caddy(folder: Path, recipe: Path, places: Places) -> str:
    return f"""{{
        admin off
        auto_https disable_redirects
        https_port {places.front}
        storage file_system {folder}
        servers {{
            protocols h1 h2
        }}
    }}
    import {recipe}
    """


SERVERS: Final = {
    "nginx": Server("nginx", ".conf", "listen 443", _nginx, lambda main: ["-p", main.parent, "-c", main]),
    "apache": Server(
        "apache2", ".conf", "*:443", _apache, lambda main: ["-d", main.parent, "-f", main, "-D", "FOREGROUND"]
    ),
    "haproxy": Server(
        "haproxy", ".cfg", "bind :443", _haproxy, lambda main: ["-db", "-f", main, "-f", main.with_name("recipe")]
    ),
    "caddy": Server(
        "caddy", ".caddyfile", "", _caddy, lambda main: ["run", "--adapter", "caddyfile", "--config", main]
    ),
}


def program(server: str) -> str | None:
    """Where it is; servers are not in everybody's search path."""
    return shutil.which(SERVERS[server].program, path=f"{os.environ['PATH']}:/usr/sbin")


def rendered(server: str, shape: str, places: Places, both: Path) -> str:
    """The recipe, with the values changed that its users are told to change."""
    kind = SERVERS[server]
    text = (RECIPES / server / f"{shape}{kind.suffix}").read_text()
    changes = {
        "127.0.0.1:8000": f"127.0.0.1:{places.backend}",
        "127.0.0.1:8080": f"127.0.0.1:{places.proxy}",
        "port 8081": f"port {places.admin}",
        kind.port: kind.port.replace("443", str(places.front)),
        "/etc/ssl/api.example.com.pem": str(places.cert),
        "/etc/ssl/api.example.com.key": str(places.key),
        "/etc/ssl/api.example.com.both.pem": str(both),
    }
    for old, new in changes.items():
        text = text.replace(old, new) if old else text
    return text


class Front:
    """The server, which takes connections within `async with`."""

    def __init__(self, server: str, shape: str, places: Places, folder: Path) -> None:
        self.port: Final = places.front
        self.cert: Final = places.cert
        self._program: Final = program(server) or server
        self._folder: Final = folder
        both = folder / "both.pem"
        both.write_bytes(places.cert.read_bytes() + places.key.read_bytes())
        recipe, main = folder / "recipe", folder / "main"
        recipe.write_text(rendered(server, shape, places, both))
        main.write_text(SERVERS[server].around(folder, recipe, places))
        self._arguments: Final = SERVERS[server].command(main)

    @property
    def url(self) -> str:
        return f"https://{HOST}:{self.port}"

    @property
    def log(self) -> str:
        return (self._folder / "log").read_text()

    async def __aenter__(self) -> Self:
        environ = {**os.environ, "HOME": str(self._folder), "XDG_CONFIG_HOME": str(self._folder)}
        with (self._folder / "log").open("wb") as log:
            self._process = await asyncio.create_subprocess_exec(
                self._program, *self._arguments, env=environ, stdout=log, stderr=subprocess.STDOUT
            )
        try:
            async with asyncio.timeout(LIMIT):
                await self._listens()
        except BaseException as exc:
            await self._end()
            exc.add_note(self.log)
            raise
        return self

    async def __aexit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        await self._end()
        if error is not None:
            error.add_note(f"the front server's log:\n{self.log}")

    async def _listens(self) -> None:
        while self._process.returncode is None:
            with suppress(ConnectionRefusedError):
                _, writer = await asyncio.open_connection("127.0.0.1", self.port)
                writer.close()
                return
            await asyncio.sleep(0.02)
        raise ChildProcessError(f"{self._program} has ended")

    async def _end(self) -> None:
        with suppress(ProcessLookupError):
            self._process.terminate()
        try:
            async with asyncio.timeout(LIMIT):
                await self._process.wait()
        except TimeoutError:
            self._process.kill()
            await self._process.wait()
