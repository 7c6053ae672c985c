"""Errors on the wire: RFC 9457 documents and RFC 9209 Proxy-Status, as contract 6 has them."""

import json
import re

import pytest

from proxy import errors
from proxy.errors import ProxyError
from proxy.problem import problem

TABLE = [
    (errors.BadRequest, 400, "bad-request", "http_request_error"),
    (errors.NoRoute, 404, "no-route", "destination_not_found"),
    (errors.UnknownOperation, 404, "unknown-operation", None),
    (errors.ExpiredOperation, 410, "expired-operation", None),
    (errors.RequestTimeout, 408, "request-timeout", "http_request_error"),
    (errors.RequestTooLarge, 413, "request-too-large", "http_request_error"),
    (errors.TooManyOperations, 429, "too-many-operations", "http_request_denied"),
    (errors.FieldsTooLarge, 431, "fields-too-large", "http_request_error"),
    (errors.OriginBrokeOff, 502, "origin-broke-off", "http_response_incomplete"),
    (errors.OriginMalformed, 502, "origin-malformed", "http_protocol_error"),
    (errors.ResponseTooLarge, 502, "response-too-large", "http_response_body_size"),
    (errors.OriginTimeout, 504, "origin-timeout", "http_response_timeout"),
    (errors.Busy, 503, "busy", "connection_limit_reached"),
    (errors.StoreUnavailable, 503, "store-unavailable", "proxy_internal_error"),
    (errors.ShuttingDown, 503, "shutting-down", "destination_unavailable"),
    (errors.Interrupted, 502, "interrupted", "proxy_internal_error"),
    (errors.ProxyError, 500, "internal", "proxy_internal_error"),
]


def every_error(kind: type[ProxyError] = ProxyError) -> list[type[ProxyError]]:
    return [kind, *(error for child in kind.__subclasses__() for error in every_error(child))]


@pytest.mark.parametrize(("kind", "status", "code", "error_type"), TABLE, ids=[row[2] for row in TABLE])
def test_each_error_is_told_as_promised(kind: type[ProxyError], status: int, code: str, error_type: str | None) -> None:
    reply = problem(kind("What happened."), "/reports", "respond-async")
    fields = reply.head.fields
    assert reply.head.status == status
    assert fields.all(b"content-type") == [b"application/problem+json"]
    assert fields.all(b"cache-control") == [b"no-store"]
    assert fields.all(b"proxy-status") == ([f"respond-async; error={error_type}".encode()] if error_type else [])
    assert bool(fields.all(b"retry-after")) == (status in (429, 503))
    assert json.loads(reply.content) == {
        "type": f"urn:problem-type:respond-async:{code}",
        "title": kind.title(),
        "status": status,
        "detail": "What happened.",
        "instance": "/reports",
        "code": code,
    }


def test_retry_after_is_whole_seconds_and_at_least_one() -> None:
    for kind in (errors.Busy, errors.TooManyOperations, errors.StoreUnavailable, errors.ShuttingDown):
        [value] = problem(kind(), "/", "respond-async").head.fields.all(b"retry-after")
        assert int(value) >= 1


@pytest.mark.parametrize("kind", every_error(), ids=lambda kind: kind.__name__)
def test_every_error_can_be_told(kind: type[ProxyError]) -> None:
    reply = problem(kind("x"), "/", "respond-async")
    assert reply.head.reason
    assert re.fullmatch(r"[a-z]+(-[a-z]+)*", kind.code)
    assert not kind.title().endswith(".")


def test_without_a_detail_the_title_is_the_detail() -> None:
    told = json.loads(problem(ProxyError(), "/", "respond-async").content)
    assert told["detail"] == told["title"] + "."


def test_a_finer_error_type_takes_the_place_of_the_general_one() -> None:
    error = errors.OriginUnreachable("x", error_type="connection_refused")
    assert problem(error, "/", "respond-async").head.fields.all(b"proxy-status") == [
        b"respond-async; error=connection_refused"
    ]


@pytest.mark.parametrize(
    ("name", "written"),
    [
        pytest.param("edge", b"edge", id="a token"),
        pytest.param("*x", b"*x", id="a token that begins with an asterisk"),
        pytest.param("4edge", b'"4edge"', id="a digit first: a string"),
        pytest.param("-edge", b'"-edge"', id="a hyphen first: a string"),
    ],
)
def test_the_proxys_name_is_an_item_of_rfc_8941(name: str, written: bytes) -> None:
    [value] = problem(ProxyError(), "/", name).head.fields.all(b"proxy-status")
    assert value == written + b"; error=proxy_internal_error"


def test_more_fields_come_as_given() -> None:
    reply = problem(errors.MethodNotAllowed("GET"), "/", "p", (b"Vary", b"Prefer"))
    assert reply.head.fields[-2:] == ((b"Allow", b"GET"), (b"Vary", b"Prefer"))


def test_an_instance_with_any_characters_leaves_the_document_readable() -> None:
    told = json.loads(problem(ProxyError(), '/"\\\x7fé\udcff', "p").content)
    assert told["instance"] == '/"\\\x7fé\udcff'
