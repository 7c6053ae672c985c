"""Errors that the proxy makes itself: RFC 9457 for their bodies, RFC 9209 for Proxy-Status, RFC 9110 for the rest."""

import json
import re

import pytest

from tests.conformance.refusals import IMF_FIXDATE, assert_problem
from tests.conftest import StartProxy, settings_for
from tests.raw_client import Field, RawClient, Response, request
from tests.scripted_origin import ScriptedOrigin, Step, answer, close, read_all, reset, send, stall

TOKEN = r"[A-Za-z*][!#$%&'*+\-.^_`|~0-9A-Za-z:/]*"
STRING = r'"(?:[ !#-\[\]-~]|\\["\\])*"'
PROXY_STATUS = re.compile(rf"(?:{TOKEN}|{STRING}); ?error=[a-z_]+".encode())  # RFC 8941's list, of one member

INCOMPLETE = (502, "origin-broke-off", b"http_response_incomplete")
BROKEN = [
    pytest.param([read_all(), close()], INCOMPLETE, id="no answer"),
    pytest.param([read_all(), reset()], INCOMPLETE, id="reset"),
    pytest.param([send(b"HTTP/1.1 200 OK\r\nX-"), close()], INCOMPLETE, id="half"),
    pytest.param([send(b"rubbish\r\n\r\n")], (502, "origin-malformed", b"http_protocol_error"), id="rubbish"),
    pytest.param([stall()], (504, "origin-timeout", b"http_response_timeout"), id="silence"),
]


@pytest.mark.parametrize(("script", "told"), BROKEN)
@pytest.mark.parametrize("method", ["GET", "POST", "HEAD"])
async def test_rfc9457_3_what_a_client_is_told_of_a_broken_origin(
    start_proxy: StartProxy, origin: ScriptedOrigin, method: str, script: list[Step], told: tuple[int, str, bytes]
) -> None:
    status, code, error_type = told
    origin.script(*script)
    client = await (await start_proxy(settings_for(origin.url, timeout="100ms"))).client()
    response = await client.exchange(method, b"/a/b?secret=1")
    assert response.field(b"proxy-status") == b"respond-async; error=" + error_type
    if method == "HEAD":
        assert (response.status, response.body, response.field(b"content-type")) == (
            status, b"", b"application/problem+json",
        )  # fmt: skip
    else:
        assert_problem(response, status, code, instance="/a/b")
        assert_nothing_internal(response, origin)
    assert response.fields_named(b"vary") == [b"Prefer"]
    assert (await client.exchange("GET", b"/none", [(b"Max-Forwards", b"0")])).status in {status, 204}, "it goes on"


async def test_rfc9457_3_what_a_client_is_told_of_an_origin_that_is_not_there(
    start_proxy: StartProxy, unused_port: int
) -> None:
    client = await (await start_proxy(settings_for(f"http://127.0.0.1:{unused_port}"))).client()
    response = await client.exchange("GET", b"/a")
    assert_problem(response, 502, "origin-unreachable", instance="/a")
    assert response.field(b"proxy-status") == b"respond-async; error=connection_refused"
    assert str(unused_port).encode() not in response.body


async def test_what_a_client_is_told_where_there_is_no_route(start_proxy: StartProxy, origin: ScriptedOrigin) -> None:
    client = await (await start_proxy(settings_for(origin.url, match={"path": "/only"}))).client()
    response = await client.exchange("GET", b"/%C3%A9?secret=1")
    assert_problem(response, 404, "no-route", instance="/%C3%A9")
    assert response.field(b"proxy-status") == b"respond-async; error=destination_not_found"
    assert response.fields_named(b"vary") + response.fields_named(b"retry-after") == []
    assert (await client.exchange("GET", b"/only/this")).status == 200


GOES_NO_FURTHER = [
    pytest.param("OPTIONS", (b"Max-Forwards", b"0"), 204, id="OPTIONS for the proxy"),
    pytest.param("TRACE", (b"Max-Forwards", b"0"), 405, id="TRACE for the proxy"),
    pytest.param("GET", (b"Via", b", ".join([b"1.1 respond-async"] * 8)), 502, id="loop"),
]


@pytest.mark.parametrize(("method", "field", "status"), GOES_NO_FURTHER)
@pytest.mark.parametrize(
    ("target", "vary"),
    [
        pytest.param(b"/later", [b"Prefer"], id="a route that answers later"),
        pytest.param(b"/never", [], id="a route that does not"),
        pytest.param(b"/none", [], id="no route"),
    ],
)
async def test_rfc9110_12_5_5_what_goes_no_further_varies_as_its_route_does(
    start_proxy: StartProxy,
    origin: ScriptedOrigin,
    *,
    target: bytes,
    vary: list[bytes],
    method: str,
    field: Field,
    status: int,
) -> None:
    settings = settings_for(origin.url, match={"path": "/later"})
    settings["routes"].append({"name": "never", "origin": "legacy", "match": {"path": "/never"}})
    client = await (await start_proxy(settings)).client()
    response = await client.exchange(method, target, [field])
    assert (response.status, response.fields_named(b"vary"), origin.requests) == (status, vary, [])


async def test_what_a_client_is_told_of_an_unknown_operation(client: RawClient) -> None:
    response = await client.exchange("GET", b"/.async/AAAAAAAAAAAAAAAAAAAAAAAA")
    assert_problem(response, 404, "unknown-operation", instance="/.async/AAAAAAAAAAAAAAAAAAAAAAAA")
    assert response.fields_named(b"proxy-status") + response.fields_named(b"asyncresult") == []


async def test_rfc9110_15_5_6_a_405_says_what_is_allowed(client: RawClient) -> None:
    response = await client.exchange("PUT", b"/.async/AAAAAAAAAAAAAAAAAAAAAAAA", (), b"")
    assert_problem(response, 405, "method-not-allowed")
    assert response.field(b"allow") == b"GET, HEAD, DELETE, OPTIONS"


@pytest.mark.parametrize(
    ("name", "written"),
    [("edge", b"edge"), ("*", b"*"), ("edge.example-1", b"edge.example-1"), ("7th", b'"7th"'), ("-x", b'"-x"')],
)
async def test_rfc9209_2_the_proxys_name_is_a_token_or_a_string(
    start_proxy: StartProxy, origin: ScriptedOrigin, name: str, written: bytes
) -> None:
    origin.script(close())
    client = await (await start_proxy(name=name)).client()
    response = await client.exchange("POST", b"/", (), b"")
    status = response.field(b"proxy-status") or b""
    assert PROXY_STATUS.fullmatch(status)
    assert status == written + b"; error=http_response_incomplete"


@pytest.mark.parametrize(
    "fields", [pytest.param([], id="without"), pytest.param([(b"Date", b"Tue, 15 Nov 1994 08:12:31 GMT")], id="with")]
)
async def test_rfc9110_6_6_1_a_response_has_one_date_the_origins_if_it_has_one(
    client: RawClient, origin: ScriptedOrigin, fields: list[Field]
) -> None:
    origin.script(answer(200, fields))
    response = await client.exchange("GET", b"/")
    assert len(response.fields_named(b"date")) == 1
    assert IMF_FIXDATE.fullmatch(response.field(b"date") or b"")
    assert not fields or response.field(b"date") == fields[0][1]


@pytest.mark.parametrize("target", [b"/.async/unknown", b"/slow"])
async def test_rfc9110_6_6_1_responses_of_the_proxys_own_have_a_date(client: RawClient, target: bytes) -> None:
    for method in ("GET", "OPTIONS", "HEAD"):
        response = await client.exchange(method, target, [(b"Prefer", b"respond-async, wait=0")])
        assert IMF_FIXDATE.fullmatch(response.field(b"date") or b""), method


async def test_rfc9110_9_3_2_head_gets_the_fields_of_an_error_and_nothing_else(client: RawClient) -> None:
    asked = await client.exchange("GET", b"/.async/unknown")
    response = await client.exchange("HEAD", b"/.async/unknown")
    assert (response.status, response.body) == (asked.status, b"")
    names = [name for name, _ in response.fields if name != b"Content-Length"]
    assert names == [name for name, _ in asked.fields if name != b"Content-Length"]


def assert_nothing_internal(response: Response, origin: ScriptedOrigin) -> None:
    shown = json.dumps(json.loads(response.body)) + repr(response.fields)
    assert f":{origin.port}" not in shown
    assert "secret" not in shown
    assert ".py" not in shown


async def test_a_target_with_a_quote_is_an_instance_with_a_quote(
    start_proxy: StartProxy, origin: ScriptedOrigin
) -> None:
    client = await (await start_proxy(settings_for(origin.url, match={"path": "/only"}))).client()
    await client.send(request("GET", b'/"\\'))
    assert_problem(await client.response(), 404, "no-route", instance='/"\\')
