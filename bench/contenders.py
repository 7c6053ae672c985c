"""Who is measured: each is a way to write a configuration and the command that runs with it.

All have one process or thread that works, keep connections to the origin open, write no access log, and tell the origin
who the client is.
"""

import getpass
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path
from typing import Any, Final, NamedTuple

import yaml

from bench.machine import program
from bench.running import Server, running
from tests.faults.service import unused_ports

ANSWER: Final = b'{"message":"hello, world"}\n'  # of the origin, where its size does not matter
KEPT: Final = 1_000_000_000  # requests for one connection: any number
CONNECTIONS: Final = 16_384  # to the origin

Command = list[str]


class Place(NamedTuple):
    """Where a contender is, and what it is to forward to."""

    folder: Path
    port: int
    origin: int  # port


Contender = Callable[[Place], Command]


def nginx(place: Place) -> Command:
    upstream = f"server 127.0.0.1:{place.origin}; keepalive 512; keepalive_requests {KEPT};"
    location = (
        'proxy_pass http://origin; proxy_http_version 1.1; proxy_set_header Connection "";'
        " proxy_set_header Host $http_host; proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;"
        " proxy_buffers 8 64k; proxy_max_temp_file_size 0;"
        " proxy_request_buffering off; client_body_buffer_size 128k; client_max_body_size 0;"
    )
    return _nginx(place, f"upstream origin {{ {upstream} }}", f"location / {{ {location} }}")


def nginx_origin(place: Place) -> Command:
    """Not a contender but what they forward to: a short answer, and files from its folder below /files/."""
    said = f"default_type application/json; return 200 '{ANSWER.decode().rstrip()}\\n';"
    return _nginx(place, "", f"location / {{ {said} }} location /files/ {{ root {place.folder}; sendfile on; }}")


def haproxy(place: Place) -> Command:
    file = place.folder / "haproxy.cfg"
    file.write_text(
        f"""
global
    nbthread 1
    maxconn 4000
defaults
    mode http
    option forwardfor
    http-reuse always
    timeout connect 5s
    timeout client 75s
    timeout server 600s
frontend clients
    bind 127.0.0.1:{place.port} backlog 4096
    default_backend origin
backend origin
    server one 127.0.0.1:{place.origin}
"""
    )
    return [program("haproxy") or "haproxy", "-db", "-f", str(file)]


def naive(place: Place) -> Command:
    return [sys.executable, "-m", "bench.naive", str(place.port), str(place.origin)]


def bare(place: Place, size: int) -> Command:
    """Not a proxy: a server that answers so many bytes."""
    return [sys.executable, "-m", "bench.bare", str(place.port), str(size)]


def own_origin(place: Place) -> Command:
    """Not a contender but what they forward to: slow, or silent, or patient with what is large."""
    return [sys.executable, "-m", "bench.origin", str(place.port)]


def ours(place: Place, **changes: Any) -> Command:  # noqa: ANN401  # what YAML can hold
    """This proxy, with a durable store; keywords replace top-level keys."""
    file = place.folder / "proxy.yaml"
    file.write_text(yaml.safe_dump(settings(place) | changes))
    return [sys.executable, "-m", "proxy", "serve", "--config", str(file)]


def settings(place: Place) -> dict[str, Any]:
    """One route, on which everything may be answered later. The others log nothing, so it only logs trouble."""
    later = {"wait": "2s", "max_queued": 100_000}
    return {
        "listen": f"127.0.0.1:{place.port}",
        "admin": "off",
        "store": {"url": f"sqlite://{place.folder / 'store'}"},
        "log": {"level": "warning", "format": "json"},
        "drain_timeout": "0s",
        "origins": {"origin": {"url": f"http://127.0.0.1:{place.origin}", "max_connections": CONNECTIONS}},
        "routes": [{"name": "all", "origin": "origin", "max_request_body": "2GiB", "respond_async": later}],
    }


ours_with_access_lines: Final = partial(ours, log={"level": "info", "format": "json"})

PROXIES: Final[dict[str, Contender]] = {"nginx": nginx, "haproxy": haproxy, "naive": naive, "ours": ours}


@contextmanager
def contending(
    contenders: dict[str, Contender], folder: Path, origin: Server, cores: Iterable[int]
) -> Iterator[dict[str, Server]]:
    """Run all whose program is installed, each in a folder of its own, on the same processors."""
    with ExitStack() as stack:
        yield {
            name: stack.enter_context(serving(contender, folder / name, origin.port, cores))
            for name, contender in contenders.items()
            if name not in ("nginx", "haproxy") or program(name)
        }


@contextmanager
def serving(contender: Contender, folder: Path, origin: int, cores: Iterable[int]) -> Iterator[Server]:
    """Run one of them."""
    folder.mkdir(parents=True)
    (port,) = unused_ports(1)
    command = contender(Place(folder, port, origin))
    with running(command, port, cores, folder / "log") as server:
        yield server


def _nginx(place: Place, http: str, locations: str) -> Command:
    file, folder = place.folder / "nginx.conf", place.folder
    temporary = " ".join(
        f"{kind}_temp_path {folder / kind};" for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    )
    server = f"listen 127.0.0.1:{place.port} backlog=4096; {locations}"
    file.write_text(
        f"""
user {getpass.getuser()}; worker_processes 1; daemon off; pid {folder}/pid; error_log {folder}/error.log;
events {{ worker_connections 4096; }}
http {{ access_log off; keepalive_requests {KEPT}; {temporary} {http} server {{ {server} }} }}
"""
    )
    return [program("nginx") or "nginx", "-e", f"{folder}/error.log", "-c", str(file)]
