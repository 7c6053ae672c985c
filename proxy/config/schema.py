"""Every key of the configuration: its type, its default, its meaning.

Attributes are named as the keys. Durations are float seconds and sizes int bytes, and defaults are written as in the
file; what requests need stands ready as a plain attribute. The texts below the keys are what editors show.
"""

import re
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
    Origin,
    PublicUrl,
    Store,
    StoreUrl,
    address,
)
from proxy.config.scalars import (
    Count,
    CountOrZero,
    Duration,
    DurationOrZero,
    FieldLines,
    FieldName,
    File,
    Flag,
    Folder,
    Host,
    HostPattern,
    Method,
    Prefix,
    Refused,
    Regex,
    Share,
    Size,
    Token,
    UrlPath,
    Workers,
    duration,
    not_empty,
    size,
)
from proxy.config.section import Section, Wrong, similar

OTEL = ("opentelemetry.sdk.trace", "opentelemetry.exporter.otlp.proto.http")  # what `tracing` imports


class ServerTls(Section):
    """TLS for clients."""

    cert_file: File
    """Certificate chain, PEM."""
    key_file: File
    """Its private key, PEM."""


class StoreSettings(Section):
    """Where operations and their responses are kept."""

    url: Store = StoreUrl("sqlite", Path("/var/lib/respond-async"))
    """`sqlite:///absolute/folder`, `sqlite:folder` relative to this file, or `memory:` for trying out."""
    max_size: Size = size("10GiB")
    """Of all stored bodies; above it requests are answered synchronously."""


class Limits(Section):
    """What one client may take of the proxy."""

    header_timeout: Duration = duration("10s")
    """Until a request's head is there."""
    body_timeout: Duration = duration("30s")
    """Longest gap between two pieces of a request's body."""
    min_upload_rate: Size = size("100B")
    """What a request's body must have come at, per second, once it has been coming for `body_timeout`."""
    send_timeout: Duration = duration("60s")
    """Longest time in which a client takes nothing of its response."""
    keepalive_timeout: Duration = duration("75s")
    """How long an idle connection stays open."""
    max_fields: Size = size("32KiB")
    """Of the header section of one request or response."""
    max_connections: Count = 10_000
    """Open at the same time."""
    max_operations_per_client: Count | None = None
    """Running and queued, for one credential, or one address without; absent: as many as it likes."""


class LogSettings(Section):
    """The log."""

    level: Literal["debug", "info", "warning", "error"] = "info"
    """The least important events that are written."""
    format: Literal["auto", "console", "json"] = "auto"
    """`auto`: console on a terminal, JSON otherwise."""


class TracingSettings(Section):
    """Spans of requests, exchanges and operations, for a collector; needs `pip install 'respond-async[otel]'`."""

    otlp: Collector
    """Where it takes OTLP over HTTP, such as `http://localhost:4318`; `/v1/traces` is added."""
    sample: Share = 1.0
    """How many of the traces that begin here are recorded, from 0 to 1; clients' own are as they decided."""


class OriginTls(Section):
    """TLS towards an origin, for `https://` URLs."""

    ca_file: File | None = None
    """Authorities to trust, PEM, in place of the system's."""
    client_cert: File | None = None
    """Certificate that the proxy shows, PEM; may contain its key."""
    client_key: File | None = None
    """Its private key, PEM."""
    server_name: Host | None = None
    """Name to ask for and to expect in the certificate, where it is not the URL's host."""
    verify: Flag = True
    """Whether the certificate is checked; `false` gives the connection to anyone in between."""

    @field_validator("client_key")
    @classmethod
    def _has_a_certificate(cls, key: Path | None, info: ValidationInfo) -> Path | None:
        if key and info.data.get("client_cert", key) is None:
            raise Refused("needs `client_cert` beside it")
        return key


class HealthCheck(Section):
    """A small request that is sent to every server of an origin, again and again."""

    path: UrlPath
    """What to `GET`; a status below 400 is healthy."""
    interval: Duration = duration("5s")
    """From one check to the next."""
    timeout: Duration = duration("2s")
    """Until the head of the response is there."""


class OriginSettings(Section):
    """A backend."""

    url: Origin
    """`http://host:port`, `https://host:port`, or `unix:/path` for HTTP over that socket; one, or a list of servers."""
    connect_timeout: Duration = duration("5s")
    """Until a connection, TLS included, is there."""
    keepalive_timeout: Duration = duration("4s")
    """How long an idle connection is kept: less than the origin keeps it."""
    max_connections: Count = 256
    """Open at the same time, to all its servers and from all processes together; further requests wait for their turn."""
    queue_timeout: Duration = duration("5s")
    """How long a request whose client waits does so for its turn."""
    unhealthy_after: Count = 5
    """So many connections in a row that cannot be made, and a server is left alone."""
    unhealthy_for: Duration = duration("2s")
    """For so long; then one attempt decides."""
    health_check: HealthCheck | None = None
    """Present: every server is checked, and left alone while its check fails."""
    host_header: Literal["preserve", "origin"] = "preserve"
    """Which Host the origin sees: the client's, or its own."""
    lenient: Flag = False
    """Accepts malformed responses. Dangerous: a response may be taken for two, and answer somebody else's request."""
    tls: OriginTls = Field(default_factory=OriginTls)
    """Certificates, for `https://`."""

    @field_validator("tls")
    @classmethod
    def _has_use_for_tls(cls, tls: OriginTls, info: ValidationInfo) -> OriginTls:
        if "url" in info.data and info.data["url"][0].scheme == "http" and tls != OriginTls():
            raise Refused("is for `https://` origins, and this one's `url` is not")
        return tls


class Match(Section):
    """Which requests a route is for: those that fit everything named here; all of them, if nothing is."""

    path: UrlPath | None = None
    """Beginning of the path, up to a `/` or the end; compared byte for byte."""
    path_regex: Regex | None = None
    """Python regular expression that matches from the beginning of the path; `\\Z` makes it end where the path does."""
    methods: Annotated[frozenset[Method], AfterValidator(not_empty)] | None = None
    """Such as `[GET, POST]`."""
    host: HostPattern | None = None
    """`api.example.com`, or `*.example.com` for every host below it; without port."""

    @field_validator("path_regex")
    @classmethod
    def _is_alone(cls, regex: re.Pattern[str] | None, info: ValidationInfo) -> re.Pattern[str] | None:
        if regex and info.data.get("path"):
            raise Refused("cannot stand beside `path`: use one of them")
        return regex


class FieldChanges(Section):
    """Changes to a message's header fields: first those of `remove` go, then those of `set` replace all of their name."""

    set: FieldLines = Field(default_factory=tuple)
    """Name and value."""
    remove: frozenset[FieldName] = frozenset()
    """Names, in any case."""


class RespondAsync(Section):
    """When and how a route answers later. An empty section takes the defaults; without one it never does."""

    wait: DurationOrZero = duration("2s")
    """How long to try to answer at once, where the client names no `wait`."""
    max_wait: DurationOrZero = Field(default=duration("60s"), validate_default=True)
    """Most that a client's `wait` gets, here and at the status URL."""
    timeout: Duration = duration("30m")
    """For the whole exchange with the origin, once it is an operation."""
    keep: Duration = duration("1h")
    """How long an operation stays available after it has settled."""
    retry_after: Duration = duration("1s")
    """`Retry-After` of a young operation; it grows with the operation's age, up to 10 s."""
    max_request_body: Size = size("10MiB")
    """Above it: 413, before anything is forwarded."""
    max_response_body: Size = size("100MiB")
    """Above it the operation fails; nothing is ever cut."""
    max_running: Count | None = None
    """Operations of this route that the origin sees at once; further ones wait for their turn."""
    max_queued: CountOrZero = 1000
    """Operations of this route that wait for their turn; above it: 503."""
    on_interrupt: Literal["resend", "fail"] | None = None
    """What becomes of an operation that ran when its process died; unset: GET and HEAD are sent again once, others fail."""
    owner: Literal["authorization", "none"] = "authorization"
    """Who may see the operation: who has the same `Authorization`, or who has the URL."""

    @field_validator("max_wait")
    @classmethod
    def _is_not_below_wait(cls, max_wait: float, info: ValidationInfo) -> float:
        if max_wait < info.data.get("wait", 0):
            raise Refused("must not be less than `wait`")
        return max_wait


class Route(Section):
    """Which requests go where, and how."""

    name: Token
    """For logs and metrics; unique."""
    match: Match = Field(default_factory=Match)
    """Which requests; without it, all."""
    origin: str
    """A name from `origins`."""
    timeout: Duration = duration("60s")
    """Until the head of the origin's response is there, for requests that are answered synchronously."""
    idle_timeout: Duration = duration("60s")
    """Longest silence in the body of the origin's response; in a tunnel, of both sides together."""
    max_request_body: Size = size("100MiB")
    """Of requests that are streamed."""
    on_disconnect: Literal["cancel", "finish"] = "cancel"
    """What becomes of the exchange when the client leaves before it has an answer."""
    strip_prefer: Flag = False
    """Whether `Prefer` is kept from the origin."""
    strip_path: Prefix | None = None
    """Taken away from the beginning of the target's path."""
    add_path: Prefix | None = None
    """Put before the target, after `strip_path`."""
    request_headers: FieldChanges = Field(default_factory=FieldChanges)
    """Changes to what the origin gets."""
    response_headers: FieldChanges = Field(default_factory=FieldChanges)
    """Changes to what the client gets."""
    upgrade: Flag = False
    """Whether `Upgrade` is passed on: WebSocket and other protocols then have a tunnel to the origin."""
    respond_async: RespondAsync | None = None
    """Present, even if empty: `Prefer: respond-async` is honoured. Absent: never asynchronous."""

    @field_validator("request_headers")
    @classmethod
    def _leaves_host_alone(cls, changes: FieldChanges) -> FieldChanges:
        if b"host" in changes.remove or any(name.lower() == b"host" for name, _ in changes.set):
            raise Refused("cannot change Host: the origin's `host_header` says which one is sent")
        return changes

    @field_validator("respond_async", mode="before")
    @classmethod
    def _is_a_section(cls, value: object) -> object:
        if isinstance(value, str | bool):
            raise Refused("is a section: `respond_async: {}` takes its defaults, and without the key it is off")
        return {} if value is None else value


class Config(Section):
    """A configuration of the proxy."""

    listen: Listen = (address("127.0.0.1:8080"),)
    """`127.0.0.1:8080`, `"[::1]:8080"`, `:8080` for all interfaces, `unix:/run/x.sock`; one, or a list."""
    tls: ServerTls | None = None
    """HTTP/1.1 over TLS on all of `listen`."""
    admin: AddressOrOff = Field(default=address("127.0.0.1:8081"), validate_default=True)
    """Where health and metrics are; `off`: nowhere."""
    public_url: PublicUrl | None = None
    """Scheme and host of status URLs, where they are not those that the client used."""
    status_path: Folder = "/.async/"
    """Where status URLs live."""
    name: Token = "respond-async"
    """The proxy's own name in Via and Proxy-Status."""
    trusted_proxies: tuple[Network, ...] = ()
    """Whose Forwarded and X-Forwarded-* are believed."""
    store: StoreSettings = Field(default_factory=StoreSettings)
    """Where operations are kept."""
    limits: Limits = Field(default_factory=Limits)
    """What a client may take."""
    workers: Workers = 1
    """Processes that share the work; `auto`: one for each processor."""
    drain_timeout: DurationOrZero = duration("30s")
    """How long running operations may go on after SIGTERM."""
    log: LogSettings = Field(default_factory=LogSettings)
    """The log."""
    tracing: TracingSettings | None = None
    """Present: spans are sent to a collector. Absent: trace fields pass as all others."""
    origins: dict[Token, OriginSettings]
    """The backends, by name."""
    routes: Annotated[tuple[Route, ...], AfterValidator(not_empty)]
    """The first that matches is taken."""

    @field_validator("tls", mode="before")
    @classmethod
    def _is_absent_if_empty(cls, tls: object) -> object:
        return None if isinstance(tls, Mapping) and not any(tls.values()) else tls

    @field_validator("admin")
    @classmethod
    def _is_not_for_clients(cls, admin: Address | None, info: ValidationInfo) -> Address | None:
        if admin and (admin.port or admin.unix_path) and admin in info.data.get("listen", ()):
            raise Refused("must not be one of the addresses of `listen`")
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
    def broken_references(cls, data: Mapping[str, object]) -> Iterator[Wrong]:
        """Routes to origins that are not there, and routes with one name."""
        routes, origins = data.get("routes"), data.get("origins")
        names: dict[object, int] = {}
        for index, route in enumerate(routes if isinstance(routes, list | tuple) else ()):
            name, origin = _member(route, "name"), _member(route, "origin")
            if isinstance(name, str) and names.setdefault(name, index) != index:
                yield Wrong(("routes", index, "name"), f"is the name of routes[{names[name]}] too")
            if isinstance(origin, str) and isinstance(origins, Mapping) and origin not in origins:
                yield Wrong(("routes", index, "origin"), "there is no such origin", similar(origin, map(str, origins)))


def _member(section: object, key: str) -> object:
    """A key's value, whether the section is still a mapping or already a model."""
    return section.get(key) if isinstance(section, Mapping) else getattr(section, key, None)


def _is_installed(*modules: str) -> bool:
    """Whether these could be imported."""
    try:
        return all(find_spec(module) is not None for module in modules)
    except ModuleNotFoundError:  # not even what they are in
        return False
