"""Below `routes`: which requests a route is for, what becomes of them on their way, and when they are answered later."""

import re
from collections.abc import Iterator, Mapping
from typing import Annotated, Literal

from pydantic import AfterValidator, Field, ValidationInfo, field_validator

from proxy.config.scalars import (
    Count,
    CountOrZero,
    Duration,
    DurationOrZero,
    FieldLines,
    FieldName,
    Flag,
    HostPattern,
    Method,
    Prefix,
    Refused,
    Regex,
    Size,
    Token,
    UrlPath,
    duration,
    duration_text,
    not_empty,
    size,
)
from proxy.config.section import Section, Wrong
from proxy.config.unreadable import KEY_WITHOUT_SPACE

NEVER_LATER = frozenset({"CONNECT", "OPTIONS", "TRACE"})  # methods, whatever a route has


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
    """Changes to what the client gets of the origin's response, at once or later. What the proxy itself answers, such as
    a 202 or an error, stays as it is; where pages of other sites are to read that too (CORS), a server in front can add it.
    """
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
        is_text = isinstance(value, str) and not KEY_WITHOUT_SPACE.match(value)  # that is meant as a section
        if is_text or isinstance(value, bool):
            raise Refused("is a section: `respond_async: {}` takes its defaults, and without the key it is off")
        return {} if value is None else value


def _seconds(value: object) -> float | None:
    """A duration, written or read already; None if it is none."""
    try:
        value = duration(value) if isinstance(value, str) else value
    except Refused:
        return None
    return value if isinstance(value, float | int) else None
