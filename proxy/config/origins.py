"""Below `origins`: which servers an origin is, how connections to it are made, and when one is left alone."""

from pathlib import Path
from typing import Literal

from pydantic import Field, ValidationInfo, field_validator

from proxy.config.addresses import Origin
from proxy.config.scalars import Count, Duration, File, Flag, Host, Refused, UrlPath, duration
from proxy.config.section import Section


class OriginTls(Section):
    """TLS towards an origin, for `https://` URLs."""

    ca_file: File | None = None
    """Authorities to trust in place of the system's, PEM."""
    client_cert: File | None = None
    """Certificate to show to the origin, PEM; its key may be in the same file."""
    client_key: File | None = None
    """The key, if it is not. Not encrypted."""
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
