"""What a request is sent to: the four forms of targets, and Host (RFC 9112 section 3.2, RFC 9110 section 7.2)."""

import pytest

from tests.conformance.refusals import assert_problem, assert_refused
from tests.raw_client import Field, RawClient, request
from tests.scripted_origin import ScriptedOrigin

SMUGGLED = b"GET /smuggled HTTP/1.1\r\nHost: proxy.test\r\n\r\n"


@pytest.mark.parametrize(
    "hosts",
    [
        pytest.param([], id="none"),
        pytest.param([b"a.test", b"b.test"], id="two that differ"),
        pytest.param([b"a.test", b"a.test"], id="two that agree"),
        pytest.param([b"a.test, b.test"], id="a list"),
        pytest.param([b"a.test b.test"], id="a space"),
        pytest.param([b"user@a.test"], id="user information"),
        pytest.param([b"http://a.test"], id="a URL"),
        pytest.param([b"a.test/path"], id="a path"),
        pytest.param([b"a.test?query"], id="a query"),
        pytest.param([b"a.test#fragment"], id="a fragment"),
        pytest.param([b"a.test\\b.test"], id="a backslash"),
        pytest.param([b"a.test:80:80"], id="two ports"),
        pytest.param([b"a.test:-1"], id="a negative port"),
        pytest.param([b"a.test:8o"], id="a port of letters"),
        pytest.param([b":80"], id="a port alone"),
        pytest.param([b"[::1"], id="an open bracket"),
        pytest.param([b"::1"], id="IPv6 without brackets"),
        pytest.param([b"[a.test]"], id="a name in brackets"),
        pytest.param([b"a%2"], id="half an escape"),
        pytest.param([b"\xc3\xa9.test"], id="beyond ASCII"),
        pytest.param([b"<a.test>"], id="angle brackets"),
    ],
)
async def test_rfc9112_3_2_refuses_a_missing_second_or_invalid_host(
    client: RawClient, origin: ScriptedOrigin, hosts: list[bytes]
) -> None:
    fields = b"".join(b"Host: %b\r\n" % host for host in hosts)
    await assert_refused(client, origin, b"GET / HTTP/1.1\r\n" + fields + b"\r\n" + SMUGGLED)


@pytest.mark.parametrize(
    "host", [b"a.test", b"a.test:8080", b"a.test:", b"[::1]:80", b"127.0.0.1", b"A_b~!$&'()*+;=%20"]
)
async def test_rfc9110_7_2_passes_a_valid_host_on(client: RawClient, origin: ScriptedOrigin, host: bytes) -> None:
    assert (await client.exchange("GET", b"/", [(b"Host", host)])).status == 200
    assert origin.requests[0].fields_named(b"host") == [host]


async def test_rfc9112_3_2_an_http_1_0_request_needs_no_host(client: RawClient, origin: ScriptedOrigin) -> None:
    await client.send(b"GET / HTTP/1.0\r\n\r\n")
    assert (await client.response()).status == 200
    assert origin.requests[0].fields_named(b"host") == [origin.url.removeprefix("http://").encode()]


@pytest.mark.parametrize(
    "target",
    [
        pytest.param(b"/a#b", id="a fragment"),
        pytest.param(b"/a?b#c", id="a fragment after a query"),
        pytest.param(b"path", id="no slash"),
        pytest.param(b"?query", id="a query alone"),
        pytest.param(b"*", id="3.2.4 an asterisk with GET"),
        pytest.param(b"proxy.test:80", id="3.2.3 authority-form with GET"),
        pytest.param(b"http://", id="3.2.2 no authority"),
        pytest.param(b"http:///path", id="3.2.2 an empty authority"),
        pytest.param(b"http:/path", id="3.2.2 one slash"),
        pytest.param(b"http://user@a.test/", id="3.2.2 user information"),
        pytest.param(b"http://a.test#b", id="3.2.2 a fragment"),
        pytest.param(b"http://a.test:port/", id="3.2.2 a port of letters"),
        pytest.param(b"http://[::1/", id="3.2.2 an open bracket"),
        pytest.param(b"ftp://a.test/", id="3.2.2 another scheme"),
        pytest.param(b"file:///etc/passwd", id="3.2.2 a file"),
        pytest.param(b"javascript:alert(1)", id="3.2.2 a script"),
    ],
)
async def test_rfc9112_3_2_refuses_a_target_in_none_of_the_forms(
    client: RawClient, origin: ScriptedOrigin, target: bytes
) -> None:
    await assert_refused(client, origin, request("GET", target) + SMUGGLED)


@pytest.mark.parametrize(
    ("target", "received"),
    [
        pytest.param(b"http://a.test/path?q", b"/path?q", id="path and query"),
        pytest.param(b"HTTP://a.test/path", b"/path", id="scheme in capitals"),
        pytest.param(b"https://a.test/path", b"/path", id="https"),
        pytest.param(b"http://a.test", b"/", id="no path"),
        pytest.param(b"http://a.test?q", b"/?q", id="a query alone"),
        pytest.param(b"http://a.test//b//", b"//b//", id="doubled slashes"),
    ],
)
async def test_rfc9112_3_2_2_the_authority_of_absolute_form_replaces_host_and_never_picks_the_origin(
    client: RawClient, origin: ScriptedOrigin, target: bytes, received: bytes
) -> None:
    fields: list[Field] = [(b"Host", b"b.test"), (b"X-Forwarded-Host", b"c.test")]
    assert (await client.exchange("GET", target, fields)).status == 200
    assert origin.requests[0].target == received
    assert origin.requests[0].fields_named(b"host") == [b"a.test"]
    assert origin.requests[0].fields_named(b"x-forwarded-host") == [b"a.test"]


@pytest.mark.parametrize("target", [b"a.test:443", b"a.test", b"127.0.0.1:22", b"/", b"http://a.test/"])
async def test_rfc9110_9_3_6_connect_makes_no_tunnel(client: RawClient, origin: ScriptedOrigin, target: bytes) -> None:
    await client.send(request("CONNECT", target))
    response = await client.response()
    assert response.status in {400, 501}
    assert response.field(b"connection") == b"close"
    assert await client.eof()
    assert (origin.requests, origin.connections) == ([], [])


async def test_rfc9110_9_3_6_connect_is_not_implemented(client: RawClient, origin: ScriptedOrigin) -> None:
    await assert_refused(client, origin, request("CONNECT", b"a.test:443") + SMUGGLED, 501)


@pytest.mark.parametrize("target", [b"*", b"http://a.test"])
async def test_rfc9112_3_2_4_options_for_the_whole_server_is_passed_on(
    client: RawClient, origin: ScriptedOrigin, target: bytes
) -> None:
    assert (await client.exchange("OPTIONS", target)).status == 200
    assert origin.requests[0].target == b"*"


@pytest.mark.parametrize("method", ["OPTIONS", "TRACE"])
async def test_rfc9110_7_6_2_max_forwards_of_zero_ends_here(
    client: RawClient, origin: ScriptedOrigin, method: str
) -> None:
    response = await client.exchange(method, b"/", [(b"Max-Forwards", b"0")])
    if method == "OPTIONS":
        assert (response.status, response.body) == (204, b"")
    else:
        assert_problem(response, 405, "method-not-allowed", instance="/")
    assert origin.requests == []
    response = await client.exchange(method, b"/", [(b"Max-Forwards", b"1")])
    assert origin.requests[0].fields_named(b"max-forwards") == [b"0"]
