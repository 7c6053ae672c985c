"""Every key of the configuration: its type, its default, its meaning.

Attributes are named as the keys. Durations are float seconds and sizes int bytes, and defaults are written as in the
file; what requests need stands ready as a plain attribute. The texts below the keys, and those of
the sections, are what editors show and what `make reference` writes into docs/configuration.md.
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
    Secret,
    Share,
    Size,
    Token,
    UrlPath,
    Workers,
    duration,
    duration_text,
    not_empty,
    size,
)
from proxy.config.section import Section, Wrong
from proxy.words import none_of

OTEL = ("opentelemetry.sdk.trace", "opentelemetry.exporter.otlp.proto.http")  # what `tracing` imports

ADMIN = address("127.0.0.1:8081")  # where operators ask, by default
NEVER_LATER = frozenset({"CONNECT", "OPTIONS", "TRACE"})  # methods, whatever a route has


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


class OriginTls(Section):
    """TLS towards an origin, for `https://` URLs."""

    ca_file: File | None = None
    """Authorities to trust in place of the system's, PEM."""
    client_cert: File | None = None
    """Certificate to show to the origin, PEM; its key may be in the same file."""
    client_key: File | None = None
    """The key, if it is not."""
    server_name: Host | None = None
    """The name to ask for and to expect in the certificate, where it is not the host of the `url`."""
    verify: Flag = True
    """`false` accepts any certificate, and so anyone who gets in between."""

    @field_validator("client_key")
    @classmethod
    def _has_a_certificate(cls, key: Path | None, info: ValidationInfo) -> Path | None:
        if key and info.data.get("client_cert", key) is None:
            raise Refused("needs `client_cert` beside it")
        return key


class HealthCheck(Section):
    """A small request that is sent to every server of an origin, again and again."""

    path: UrlPath
    """What to `GET`. A status below 400 is healthy."""
    interval: Duration = duration("5s")
    """From one check to the next."""
    timeout: Duration = duration("2s")
    """Until the head of the response is there."""


class OriginSettings(Section):
    """A backend."""

    url: Origin
    """`http://host:port` or `https://host:port`, where the port may be left out; or `unix:/path` for HTTP at that
    socket. No path: that is a route's `add_path`. Or a list of servers, all with the same scheme.
    """
    connect_timeout: Duration = duration("5s")
    """Until a new connection is there, TLS included."""
    keepalive_timeout: Duration = duration("4s")
    """How long an idle connection is kept. Stay below the origin's own value, so that no request meets a connection
    that is just being closed.
    """
    max_connections: Count = 256
    """Open at the same time, idle ones included: to all servers of the origin, and from all worker processes, together.
    Further requests wait for their turn. A connection whose exchange was given up, after a timeout for instance, counts
    until the origin has closed it too, or had a second to do so.
    """
    queue_timeout: Duration = duration("5s")
    """How long a request whose client waits does so for its turn; then it gets 503 `busy`."""
    unhealthy_after: Count = 5
    """So many connections in a row that cannot be made, and a server is left alone."""
    unhealthy_for: Duration = duration("2s")
    """For so long; then one attempt decides."""
    health_check: HealthCheck | None = None
    """A small request to every server, again and again: a server is left alone while its check fails. Unset, none."""
    host_header: Literal["preserve", "origin"] = "preserve"
    """`preserve`: the origin sees the client's `Host`. `origin`: it sees the host and port of its `url`."""
    lenient: Flag = False
    """Takes responses that break the rules of HTTP/1.1. Dangerous: a response may be taken for two, and answer somebody
    else's request.
    """
    tls: OriginTls = Field(default_factory=OriginTls)
    """Certificates, for `https://` only."""

    @field_validator("tls")
    @classmethod
    def _has_use_for_tls(cls, tls: OriginTls, info: ValidationInfo) -> OriginTls:
        if "url" in info.data and info.data["url"][0].scheme == "http" and tls != OriginTls():
            raise Refused("is for `https://` origins, and this one's `url` is not")
        return tls


class Match(Section):
    """Which requests a route is for: those that fit everything that is named; all of them, if nothing is.

    Paths are compared as they came, byte for byte: nothing is decoded, and `..` is not resolved. The query is not
    part of the path.
    """

    path: UrlPath | None = None
    """Beginning of the path, up to a `/` or its end: `/reports` matches `/reports` and `/reports/7`, not `/reports2`;
    `/reports/` only what is below it. Unset, any.
    """
    path_regex: Regex | None = None
    """In place of `path`: a regular expression of Python's `re` that matches from the beginning of the path. It need
    not reach the end; `\\Z` makes it do so.
    """
    methods: Annotated[frozenset[Method], AfterValidator(not_empty)] | None = None
    """Such as `[GET, POST]`; unset, all."""
    host: HostPattern | None = None
    """`api.example.com`, or `*.example.com` for every host below it, at any depth; without port, in any case. Unset,
    any.
    """

    @field_validator("path_regex")
    @classmethod
    def _is_alone(cls, regex: re.Pattern[str] | None, info: ValidationInfo) -> re.Pattern[str] | None:
        if regex and info.data.get("path"):
            raise Refused("cannot stand beside `path`: use one of them")
        return regex


class FieldChanges(Section):
    """Changes to a message's header fields.

    First those of `remove` go, then those of `set` replace every field of their name. Fields of framing and of the
    connection are made by the proxy and cannot be named here: `Connection`, `Content-Length`, `HTTP2-Settings`,
    `Keep-Alive`, `Proxy-Connection`, `TE`, `Trailer`, `Transfer-Encoding`, `Upgrade`. What is sent as `Host` is the
    origin's `host_header`.
    """

    set: FieldLines = Field(default_factory=tuple)
    """Names and values."""
    remove: frozenset[FieldName] = frozenset()
    """Names, in any case."""


class RespondAsync(Section):
    """When and how a route answers later.

    Written as `respond_async: {}`, or with nothing after it, it has the defaults; without it the route never does.
    """

    wait: DurationOrZero = duration("2s")
    """How long to try to answer at once, where the client names no `wait`; `0s`: not at all."""
    max_wait: DurationOrZero = duration("60s")
    """The most that a client's `wait` gets, for the request and for long polls of the status URL. Not less than `wait`.
    """
    timeout: Duration = duration("30m")
    """For the whole exchange with the origin, once it is an operation, from its turn on."""
    keep: Duration = duration("1h")
    """How long an operation stays available after it has settled."""
    retry_after: Duration = duration("1s")
    """The least `Retry-After`. It is longer where the route's past or the operation's age says so."""
    max_request_body: Size = size("10MiB")
    """Of requests that ask for an answer later; they are received whole before they are forwarded. More is answered
    with 413.
    """
    max_response_body: Size = size("100MiB")
    """Of an operation's response. A larger one fails the operation; it is never cut."""
    max_running: Count | None = None
    """Operations of this route that the origin sees at the same time, over all workers; further ones wait for their
    turn, others pass them. So one slow route cannot take all of the origin's connections. Unset, as many as the origin
    has room for.
    """
    max_queued: CountOrZero = 1000
    """Operations of this route that wait for their turn. Above it, requests that ask for an answer later get 503
    `busy`; `0`: none waits.
    """
    on_interrupt: Literal["resend", "fail"] | None = None
    """What becomes of an operation that was under way when the process that ran it died. Unset: `GET` and `HEAD` are
    sent again, once; all others fail with `interrupted`. `resend`: all are sent again, once; only for origins to whom
    the same request twice does no harm. `fail`: none is, and no request is kept that was sent. It is not for a process
    that is told to stop: what is late then has failed.
    """
    owner: Literal["authorization", "none"] = "authorization"
    """`authorization`: an operation made with an `Authorization` field is shown only to requests with the same one.
    `none`: whoever has the status URL may see it.
    """

    @classmethod
    def contradictions(cls, data: Mapping[str, object]) -> Iterator[Wrong]:
        """A `max_wait` below `wait`; what is said of a default is said of the key that was written."""
        wait, most = (_seconds(data.get(key, cls.model_fields[key].default)) for key in ("wait", "max_wait"))
        if wait is not None and most is not None and most < wait:
            if "max_wait" in data:
                default = "" if "wait" in data else f", which is {duration_text(wait)} unless written"
                yield Wrong(("max_wait",), f"must not be less than `wait`{default}")
            else:
                yield Wrong(
                    ("wait",), f"must not be more than `max_wait`, which is {duration_text(most)} unless written"
                )


class Route(Section):
    """Which requests go where, and how."""

    name: Token
    """For logs and metrics; a token, unique."""
    match: Match = Field(default_factory=Match)
    """Which requests; without it, all."""
    origin: str
    """A name from `origins`."""
    timeout: Duration = duration("60s")
    """Until the head of the origin's response is there, for requests that are answered synchronously."""
    idle_timeout: Duration = duration("60s")
    """Longest silence in the content of a response; in a tunnel, of both sides together."""
    max_request_body: Size = size("100MiB")
    """Of requests that are streamed to the origin; more is answered with 413."""
    on_disconnect: Literal["cancel", "finish"] = "cancel"
    """What becomes of the exchange when the client leaves before it has an answer: `cancel` closes it, `finish` lets it
    go on for its effect.
    """
    strip_prefer: Flag = False
    """Whether `Prefer` is kept from the origin."""
    strip_path: Prefix | None = None
    """Path taken away from the beginning of the target, such as `/legacy`."""
    add_path: Prefix | None = None
    """Path put before the target, after `strip_path` is gone, such as `/app`."""
    request_headers: FieldChanges = Field(default_factory=FieldChanges)
    """Changes to what the origin gets."""
    response_headers: FieldChanges = Field(default_factory=FieldChanges)
    """Changes to what the client gets."""
    upgrade: Flag = False
    """Whether `Upgrade` is passed on: WebSocket and other protocols then have a tunnel to the origin."""
    respond_async: RespondAsync | None = None
    """Present, even if empty: clients may ask for an answer later. Unset: the route is a plain reverse proxy."""

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
    """Scheme, host and port that status URLs begin with, such as `https://api.example.com`. Unset, they begin with what
    the client used.
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
                yield Wrong(("routes", index, "name"), f"is the name of routes[{names[name]}] too")
            if isinstance(origin, str) and isinstance(origins, Mapping) and origin not in origins:
                yield Wrong(("routes", index, "origin"), "there is no such origin", none_of(origin, map(str, origins)))


def _member(section: object, key: str) -> object:
    """A key's value, whether the section is still a mapping or already a model."""
    return section.get(key) if isinstance(section, Mapping) else getattr(section, key, None)


def _seconds(value: object) -> float | None:
    """A duration, written or read already; None if it is none."""
    try:
        value = duration(value) if isinstance(value, str) else value
    except Refused:
        return None
    return value if isinstance(value, float | int) else None


def _is_installed(*modules: str) -> bool:
    """Whether these could be imported."""
    try:
        return all(find_spec(module) is not None for module in modules)
    except ModuleNotFoundError:  # not even what they are in
        return False
