"""The keys at the top of the file, and what is below each of them; `origins` and `routes` have modules of their own."""

from collections.abc import Iterator, Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated, Literal

from pydantic import AfterValidator, Field, ValidationInfo, field_validator

from proxy.config.addresses import (
    Address,
    AddressOrOff,
    Collector,
    Listen,
    Network,
    PublicUrl,
    Store,
    StoreUrl,
    address,
)
from proxy.config.origins import OriginSettings
from proxy.config.routes import Route
from proxy.config.scalars import (
    Count,
    Duration,
    DurationOrZero,
    File,
    Folder,
    Refused,
    Secret,
    Share,
    Size,
    Token,
    Workers,
    duration,
    not_empty,
    size,
)
from proxy.config.section import Section, Wrong
from proxy.words import none_of

OTEL = ("opentelemetry.sdk.trace", "opentelemetry.exporter.otlp.proto.http")  # what `tracing` imports
ADMIN = address("127.0.0.1:8081")  # where operators ask, by default


class ServerTls(Section):
    """HTTP/1.1 over TLS on all of `listen`. Without it, or with nothing in it, clients speak plain HTTP."""

    cert_file: File
    """The certificate and those that it is signed by, PEM."""
    key_file: File
    """Its private key, PEM, not encrypted."""


class StoreSettings(Section):
    """Where operations and their responses are kept."""

    url: Store = StoreUrl("sqlite", Path("/var/lib/respond-async"))
    """`sqlite:` and a folder, for a database and large bodies: absolute after `//`, or relative to this file's folder,
    as in `sqlite:data`. `"memory:"`, with quotes because of YAML, forgets everything when the process ends; it is for
    trying out.
    """
    max_size: Size = size("10GiB")
    """Of results, those that are being written too, and of the content of kept requests, over all processes. Above it
    requests are answered synchronously, and nothing that is stored is lost.
    """


class Limits(Section):
    """What a client may take of the proxy.

    Requests that pass these limits are answered with 408, 429, 431 or 503, or their connection is closed.
    """

    header_timeout: Duration = duration("10s")
    """Until the head of a request is there, from its first byte or from the connection's start."""
    body_timeout: Duration = duration("30s")
    """Longest gap between two pieces of a request's content."""
    min_upload_rate: Size = size("100B")
    """What a request's content must have come at, in each second on average, once it has been coming for
    `body_timeout`. Time in which the proxy waits for the origin does not count.
    """
    send_timeout: Duration = duration("60s")
    """Longest time in which a client takes nothing of its response."""
    keepalive_timeout: Duration = duration("75s")
    """How long a connection without requests stays open."""
    max_fields: Size = size("32KiB")
    """Of the header section of one request, and of one response from an origin."""
    max_connections: Count = 10_000
    """From clients, at the same time."""
    max_operations_per_client: Count | None = None
    """Operations that one client may have running or queued; unset, as many as it likes. A client is whoever sends the
    same `Authorization`; without it, an address, or of IPv6 a /64 network.
    """


class LogSettings(Section):
    """The log, which goes to standard error."""

    level: Literal["debug", "info", "warning", "error"] = "info"
    """The least important events that are written."""
    format: Literal["auto", "console", "json"] = "auto"
    """`console` for people, `json` for machines; `auto`: console on a terminal, JSON otherwise."""


class TracingSettings(Section):
    """Spans for an OpenTelemetry collector. Needs the extra `otel`: `pip install 'respond-async[otel]'`."""

    otlp: Collector
    """Where it takes OTLP over HTTP, such as `http://localhost:4318`; `/v1/traces` is added."""
    sample: Share = 1.0
    """How many of the traces that begin here are recorded, from `0` to `1`. Where a client's `traceparent` continues a
    trace, its own decision holds.
    """


class Config(Section):
    """A configuration of the proxy: the keys at the top of the file."""

    listen: Listen = (address("127.0.0.1:8080"),)
    """Where clients connect: an address, or a list of them."""
    tls: ServerTls | None = None
    """HTTP/1.1 over TLS on all of `listen`. Unset, plain HTTP."""
    admin_token: Secret | None = None
    """What operators have to show, as `Authorization: Bearer`, or as a password by any user: at least 16 characters, ASCII
    and without spaces. Best from the environment, as `${ADMIN_TOKEN}`. Probes need not show it.
    """
    admin: AddressOrOff = Field(default=ADMIN, validate_default=True)
    """Where operators ask: health, metrics, operations. `off`: nowhere. Elsewhere than on a loopback address or a Unix
    socket it needs `admin_token`.
    """
    public_url: PublicUrl | None = None
    """Scheme, host and port by which clients know the service, such as `https://api.example.com`: status URLs begin with
    them, and so does an origin's `Location` where it is made absolute or mapped back; there, a route with `match.host`
    keeps the host that the client used. Unset, what the client used.
    """
    status_path: Folder = "/.async/"
    """Path below which status URLs live, on every host. Requests below it never reach an origin."""
    name: Token = "respond-async"
    """What the proxy calls itself in `Via` and `Proxy-Status`; a token."""
    trusted_proxies: tuple[Network, ...] = ()
    """Networks and addresses of proxies before this one. Only their `Forwarded` and `X-Forwarded-*` are believed."""
    store: StoreSettings = Field(default_factory=StoreSettings)
    """Where operations are kept."""
    limits: Limits = Field(default_factory=Limits)
    """What a client may take of the proxy."""
    workers: Workers = 1
    """Processes that share the work, up to 1000; `auto`: one for each processor. More than one needs a store that they
    can share, so not `memory:`.
    """
    drain_timeout: DurationOrZero = duration("30s")
    """How long running operations may go on after SIGTERM; `0s`: not at all. Give the process manager's own limit a
    little more.
    """
    log: LogSettings = Field(default_factory=LogSettings)
    """The log."""
    tracing: TracingSettings | None = None
    """Spans for a collector. Unset, trace fields pass as all others."""
    origins: dict[Token, OriginSettings]
    """The backends, by names of your choice (tokens)."""
    routes: Annotated[tuple[Route, ...], AfterValidator(not_empty)]
    """Which requests go where. The first that matches is taken; a request that none matches is answered with 404."""

    @field_validator("tls", mode="before")
    @classmethod
    def _is_absent_if_empty(cls, tls: object) -> object:
        return None if isinstance(tls, Mapping) and not any(tls.values()) else tls

    @field_validator("admin")
    @classmethod
    def _is_not_for_clients(cls, admin: Address | None, info: ValidationInfo) -> Address | None:
        if admin and (admin.port or admin.unix_path) and admin in info.data.get("listen", ()):
            default = f"; unless written, it is {ADMIN}" if admin == ADMIN else ""
            raise Refused(f"must not be one of the addresses of `listen`{default}")
        return admin

    @field_validator("admin")
    @classmethod
    def _is_for_operators(cls, admin: Address | None, info: ValidationInfo) -> Address | None:
        if admin and not admin.is_local and info.data.get("admin_token", admin) is None:
            raise Refused(
                "can be reached from other machines: set `admin_token` too, or use an address such as 127.0.0.1:8081"
            )
        return admin

    @field_validator("tracing")
    @classmethod
    def _has_what_it_needs(cls, tracing: TracingSettings | None) -> TracingSettings | None:
        if tracing is not None and not _is_installed(*OTEL):
            raise Refused("needs more than is installed: `pip install 'respond-async[otel]'`")
        return tracing

    @field_validator("workers")
    @classmethod
    def _have_a_store_in_common(cls, workers: int, info: ValidationInfo) -> int:
        if workers > 1 and "store" in info.data and info.data["store"].url.kind == "memory":
            raise Refused("must be 1 with `memory:`: each would have operations that the others know nothing of")
        return workers

    @classmethod
    def contradictions(cls, data: Mapping[str, object]) -> Iterator[Wrong]:
        """Routes to origins that are not there, and routes with one name."""
        routes, origins = data.get("routes"), data.get("origins")
        names: dict[object, int] = {}
        for index, route in enumerate(routes if isinstance(routes, list | tuple) else ()):
            name, origin = _member(route, "name"), _member(route, "origin")
            if isinstance(name, str) and names.setdefault(name, index) != index:
                first = names[name]
                yield Wrong(
                    ("routes", index, "name"), f"is the name of routes[{first}] too", other=("routes", first, "name")
                )
            if isinstance(origin, str) and isinstance(origins, Mapping) and origin not in origins:
                yield Wrong(("routes", index, "origin"), "there is no such origin", none_of(origin, map(str, origins)))


def _member(section: object, key: str) -> object:
    """A key's value, whether the section is still a mapping or already a model."""
    return section.get(key) if isinstance(section, Mapping) else getattr(section, key, None)


def _is_installed(*modules: str) -> bool:
    """Whether these could be imported."""
    try:
        return all(find_spec(module) is not None for module in modules)
    except ModuleNotFoundError:  # not even what they are in
        return False
