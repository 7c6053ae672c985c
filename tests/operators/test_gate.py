"""Who may ask as an operator, and what everybody is kept from."""

import base64
from pathlib import Path

import pytest

from proxy.config import Address
from proxy.message import Fields
from proxy.operators.gate import Gate
from proxy.operators.page import page_files
from proxy.operators.refusal import Refusal
from tests.conftest import StartProxy, settings_for
from tests.operators.conftest import Desk, Operator
from tests.raw_client import RawClient
from tests.scripted_origin import ScriptedOrigin

TOKEN = "correct-horse-battery"
LOOPBACK = Address("127.0.0.1", 8081)


def refusal(gate: Gate, **fields: str) -> int | None:
    try:
        gate.check(Fields((name.replace("_", "-").encode(), value.encode()) for name, value in fields.items()), b"")
    except Refusal as exc:
        return exc.status
    return None


def basic(user: str, password: str) -> str:
    return "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()


@pytest.mark.parametrize(
    ("authorization", "status"),
    [
        pytest.param(f"Bearer {TOKEN}", None, id="bearer"),
        pytest.param(f"bearer  {TOKEN}", None, id="another case"),
        pytest.param(basic("", TOKEN), None, id="a password"),
        pytest.param(basic("anybody", TOKEN), None, id="a password of a user"),
        pytest.param("", 401, id="nothing"),
        pytest.param("Bearer", 401, id="no token"),
        pytest.param(f"Bearer {TOKEN}x", 401, id="too long"),
        pytest.param(f"Bearer {TOKEN[:-1]}", 401, id="too short"),
        pytest.param("Bearer ÿ", 401, id="no ASCII in a token"),
        pytest.param(basic(TOKEN, ""), 401, id="a user"),
        pytest.param("Basic ###", 401, id="no base64"),
        pytest.param("Basic é", 401, id="no ASCII"),
        pytest.param(f"Digest {TOKEN}", 401, id="another scheme"),
    ],
)
def test_the_token_is_a_bearers_or_a_password(authorization: str, status: int | None) -> None:
    assert refusal(Gate(TOKEN, Address("", 8081)), Authorization=authorization, Host="any.example") == status


def test_of_two_credentials_neither_is_the_token() -> None:
    lines = [(b"Authorization", f"Bearer {one}".encode()) for one in (TOKEN, "another")]
    with pytest.raises(Refusal):
        Gate(TOKEN, LOOPBACK).check(Fields(lines), b"localhost")


@pytest.mark.parametrize(
    ("host", "status"),
    [
        ("localhost", None), ("localhost:8081", None), ("LOCALHOST.", None), ("proxy.localhost:1", None),
        ("127.0.0.1", None), ("127.9.9.9:8081", None), ("[::1]", None), ("[::1]:8081", None),
        ("evil.example", 403), ("localhost.evil.example", 403), ("notlocalhost", 403), ("192.0.2.1:8081", 403),
        ("[2001:db8::1]", 403), ("::1", 403), ("", 403), ("127.0.0.1.evil.example", 403), ("0.0.0.0", 403),
    ],
)  # fmt: skip
def test_without_a_token_only_names_of_this_machine_lead_here(host: str, status: int | None) -> None:
    assert refusal(Gate(None, LOOPBACK), Host=host) == status


def test_at_a_unix_socket_there_are_no_names_to_be_bound_anew() -> None:
    assert refusal(Gate(None, Address(unix_path="/run/x.sock")), Host="any.example") is None


def test_without_a_host_there_is_no_name() -> None:
    assert refusal(Gate(None, LOOPBACK)) is None


async def test_the_name_in_an_absolute_target_counts_and_not_the_host_beside_it(desk: Desk) -> None:
    for name, status in {"evil.example": 403, "localhost": 200}.items():
        assert (await desk.operator.asks(f"http://{name}/operations")).status == status


@pytest.mark.parametrize(
    ("site", "mode", "status"),
    [
        ("cross-site", "cors", 403), ("same-site", "no-cors", 403),
        ("cross-site", "navigate", None), ("same-origin", "cors", None), ("none", "navigate", None),
    ],
)  # fmt: skip
def test_pages_of_other_sites_may_only_lead_here(site: str, mode: str, status: int | None) -> None:
    fields = {"Host": "localhost", "Sec_Fetch_Site": site, "Sec_Fetch_Mode": mode}
    assert refusal(Gate(None, LOOPBACK), **fields) == status


async def test_with_a_token_all_but_probes_need_it(start_proxy: StartProxy, origin: ScriptedOrigin) -> None:
    proxy = await start_proxy(settings_for(origin.url), admin="127.0.0.1:0", admin_token=TOKEN)
    operator = Operator(proxy.admin_port)
    for target in ("/", "/metrics", "/operations", "/events", "/page/main.js", "/nothing"):
        response = await operator.asks(target)
        assert response.status == 401, target
        assert response.field(b"www-authenticate") == b'Basic realm="respond-async", Bearer realm="respond-async"'
        assert TOKEN.encode() not in response.body
    for target in ("/livez", "/readyz"):
        assert (await operator.asks(target, (b"Host", b"10.0.0.7:8081"))).status == 200
    shown = (b"Authorization", f"Bearer {TOKEN}".encode())
    assert (await operator.asks("/operations", shown, (b"Host", b"proxy.example"))).status == 200


@pytest.mark.parametrize(
    "request_",
    [
        b"GET /operations HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer SECRET\0\r\n\r\n",
        b"GET /operations HTTP/1.1\r\nHost: localhost\r\nAuthorization Bearer SECRET\r\n\r\n",
        b"GET /x?SECRET HTTP/9.1 SECRET\r\n\r\n",
    ],
)
async def test_what_cannot_be_read_is_told_without_what_it_says(
    desk: Desk, quiet_log: list[dict[str, str]], caplog: pytest.LogCaptureFixture, request_: bytes
) -> None:
    async with RawClient(port=desk.proxy.admin_port) as client:
        await client.send(request_)
        assert (await client.response("GET", keep=False)).status == 400
    assert [line["event"] for line in quiet_log if line["event"].startswith("request to admin")] == [
        "request to admin failed"
    ]
    assert "SECRET" not in f"{quiet_log}{caplog.text}"


async def test_a_unix_socket_is_as_good_as_the_loopback(start_proxy: StartProxy, tmp_path: Path) -> None:
    await start_proxy(admin=f"unix:{tmp_path}/admin.sock")
    async with RawClient(unix_path=tmp_path / "admin.sock") as client:
        assert (await client.exchange("GET", b"/operations")).status == 200


async def test_no_answer_is_stored_framed_or_guessed_at(desk: Desk) -> None:
    for target in ("/", "/operations", "/metrics", "/nothing", "/page/main.js"):
        response = await desk.operator.asks(target)
        policy = response.field(b"content-security-policy") or b""
        assert b"default-src 'none'" in policy
        assert b"frame-ancestors 'none'" in policy
        assert response.field(b"x-content-type-options") == b"nosniff"
        assert response.field(b"referrer-policy") == b"no-referrer"
        assert response.field(b"cache-control") == (b"no-cache" if target[1:5] in ("", "page") else b"no-store")
        assert response.field(b"access-control-allow-origin") is None


async def test_the_page_is_served_from_its_files(desk: Desk) -> None:
    page = await desk.operator.asks("/")
    assert (page.status, page.field(b"content-type")) == (200, b"text/html; charset=utf-8")
    assert page.body == page_files()["/page/index.html"].content
    script = await desk.operator.asks("/page/main.js")
    assert script.field(b"content-type") == b"text/javascript; charset=utf-8"


@pytest.mark.parametrize(
    ("known", "status"),
    [
        pytest.param([b"{etag}"], 304, id="its own"),
        pytest.param([b"W/{etag}"], 304, id="weak, as compression in between makes it"),
        pytest.param([b'"other", {etag}'], 304, id="one of several"),
        pytest.param([b'"other"', b"{etag}"], 304, id="in a second line"),
        pytest.param([b"*"], 304, id="any"),
        pytest.param([b'"other"'], 200, id="another"),
        pytest.param([b'"a{bare}b"'], 200, id="one that holds it"),
        pytest.param([b'"*"'], 200, id="one that is an asterisk"),
    ],
)
@pytest.mark.parametrize("method", ["GET", "HEAD"])
async def test_a_file_that_is_known_is_not_sent_again(desk: Desk, method: str, known: list[bytes], status: int) -> None:
    etag = (await desk.operator.asks("/page/main.js")).field(b"etag") or b""
    lines = [one.replace(b"{etag}", etag).replace(b"{bare}", etag.strip(b'"')) for one in known]
    again = await desk.operator.asks("/page/main.js", *((b"If-None-Match", line) for line in lines), method=method)
    assert (again.status, again.field(b"etag"), again.body == b"") == (status, etag, method == "HEAD" or status == 304)
    assert (again.field(b"content-type") is None) == (status == 304)


async def test_whoever_wants_nothing_that_is_there_gets_nothing_that_is_there(desk: Desk) -> None:
    anything = (b"If-None-Match", b"*")
    assert (await desk.operator.asks("/operations", anything)).status == 304
    assert (await desk.operator.asks("/nothing", anything)).status == 404
    assert (await desk.operator.asks("/operations", (b"If-None-Match", b'"x"'))).status == 200
    async with desk.operator.follows("/events", anything) as events:
        assert await events.next("view")


async def test_methods_that_are_not_allowed_are_told_those_that_are(desk: Desk) -> None:
    for target, allowed in {
        "/": b"GET, HEAD", "/operations": b"GET, HEAD, DELETE", "/operations/abcdefgh": b"GET, HEAD, DELETE",
        "/requests": b"GET, HEAD", "/events": b"GET, HEAD", "/livez": b"GET, HEAD",
    }.items():  # fmt: skip
        for method in ("POST", "OPTIONS"):
            response = await desk.operator.asks(target, method=method)
            assert (response.status, response.field(b"allow")) == (405, allowed), target


async def test_head_is_get_without_content(desk: Desk) -> None:
    for target in ("/", "/operations", "/requests", "/routes", "/origins", "/store", "/service", "/metrics"):
        head, get = await desk.operator.asks(target, method="HEAD"), await desk.operator.asks(target)
        assert (head.status, head.body) == (200, b"")
        assert head.field(b"content-type") == get.field(b"content-type")


async def test_what_is_not_there_is_told_with_what_is(desk: Desk) -> None:
    assert "/operations" in await desk.operator.is_refused(404, "/nothing")
    assert await desk.operator.is_refused(404, "/page/../secret")
