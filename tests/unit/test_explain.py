"""What would become of a request, and why: told as it is decided."""

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from proxy.cli import main
from proxy.config import load_with_source
from proxy.explain import Explanation, explain, imagine
from proxy.explain.terms import terms
from proxy.message import Field

CONFIG = """\
public_url: https://api.example.com
trusted_proxies: [10.0.0.0/8]
limits: {max_operations_per_client: 5}
origins:
  legacy: {url: "http://10.0.0.5:8000"}
routes:
  - {name: other, origin: legacy, match: {host: other.example.com, methods: [GET]}}
  - {name: numbers, origin: legacy, match: {path_regex: '/v\\d+/'}}
  - name: reports
    origin: legacy
    match: {path: /reports, methods: [GET, POST, OPTIONS]}
    strip_path: /reports
    add_path: /app
    request_headers:
      set: {X-Secret: visible-no, X-Env: "${ENV}", X-Plain: plain}
      remove: [Cookie]
    respond_async: {wait: 2s, max_wait: 10s, max_request_body: 1KiB, max_running: 3}
  - {name: socket, origin: legacy, match: {path: /socket}, upgrade: true}
"""
PREFERS: Field = (b"Prefer", b"respond-async")
WEB_SOCKET: tuple[Field, ...] = ((b"Connection", b"upgrade"), (b"Upgrade", b"websocket"))


@pytest.fixture
def file(tmp_path: Path) -> Path:
    file = tmp_path / "proxy.yaml"
    file.write_text(CONFIG)
    return file


def explained(file: Path, text: str, *fields: Field, length: int | None = None, peer: str = "192.0.2.9") -> Explanation:
    config = load_with_source(file, {"ENV": "from-outside"}).config
    return explain(config, imagine(text, fields, config, peer, length))


@pytest.mark.parametrize(
    ("text", "fields", "decided", "why"),
    [
        pytest.param("GET /reports", [PREFERS], ("race", "reports"), "the route's, 2 s", id="the route's wait"),
        pytest.param("POST /reports", [(b"Prefer", b"respond-async, wait=5")], ("race", "reports"), "own wait of 5 s", id="the client's wait"),
        pytest.param("GET /reports", [(b"Prefer", b"respond-async, wait=99")], ("race", "reports"), "grants `max_wait`, 10 s", id="capped"),
        pytest.param("GET /reports", [], ("sync", "reports"), "does not prefer respond-async.", id="not asked for"),
        pytest.param("/reports", [(b"Prefer", b"wait=5")], ("sync", "reports"), "(`wait` alone asks for nothing)", id="wait alone"),
        pytest.param("/%2easync/../reports/..//.async/x", [PREFERS], ("refused", None), "No route", id="another spelling of a status URL"),
        pytest.param("OPTIONS /reports", [PREFERS], ("sync", "reports"), "OPTIONS is never answered later", id="method"),
        pytest.param("GET /reports", [PREFERS, (b"Range", b"bytes=0-")], ("sync", "reports"), "GET with Range", id="range"),
        pytest.param("GET /v1/x", [PREFERS], ("sync", "numbers"), "has no respond_async", id="route"),
        pytest.param("GET /v1/x", [], ("sync", "numbers"), "would not honour", id="route, not asked for"),
        pytest.param("GET /socket", WEB_SOCKET, ("upgrade", "socket"), "offers another protocol", id="upgrade"),
        pytest.param("GET /socket", [], ("sync", "socket"), "does not prefer", id="no upgrade"),
        pytest.param("GET /.async/x", [PREFERS], ("status", None), "where status URLs are", id="status URL"),
        pytest.param("OPTIONS /", [(b"Max-Forwards", b"0")], ("here", None), "Max-Forwards is 0", id="goes no further"),
    ],
)  # fmt: skip
def test_the_plan(file: Path, text: str, fields: list[Field], decided: tuple[str, str | None], why: str) -> None:
    explanation = explained(file, text, *fields)
    assert (explanation.kind, explanation.taken.route.name if explanation.taken else None) == decided
    assert why in explanation.why


@pytest.mark.parametrize(
    ("text", "fields", "length", "code"),
    [
        pytest.param("GET /nowhere", [], None, "no-route", id="no route"),
        pytest.param("GET /a#b", [], None, "bad-request", id="target"),
        pytest.param("CONNECT h:1", [], None, "method-not-implemented", id="CONNECT"),
        pytest.param("GET /reports", [(b"Host", b"a, b")], None, "bad-request", id="Host"),
        pytest.param("POST /reports", [PREFERS], 1025, "request-too-large", id="too much to be answered later"),
        pytest.param("POST /reports", [], 101 << 20, "request-too-large", id="too much"),
    ],
)
def test_what_is_refused(file: Path, text: str, fields: list[Field], length: int | None, code: str) -> None:
    explanation = explained(file, text, *fields, length=length)
    assert explanation.kind == "refused"
    assert explanation.error is not None
    assert explanation.error.code == code
    assert explanation.sent is None


def test_content_that_may_be_streamed_may_be_larger(file: Path) -> None:
    assert explained(file, "POST /reports", length=1025).kind == "sync"


def test_why_it_is_no_route_before(file: Path) -> None:
    passed_by = explained(file, "POST /reports").passed_by
    assert [(one.index, one.route.name, one.keys) for one in passed_by] == [
        (0, "other", ("host", "methods")), (1, "numbers", ("path_regex",)),
    ]  # fmt: skip


def test_what_the_origin_gets(file: Path) -> None:
    explanation = explained(
        file, "POST /reports/x?q", PREFERS, (b"Cookie", b"c=1"), (b"X-Forwarded-For", b"192.0.2.1"), length=7, peer="10.1.1.1"
    )  # fmt: skip
    assert explanation.sent is not None
    assert (explanation.sent.method, explanation.sent.target) == ("POST", b"/app/x?q")
    fields = dict(explanation.sent.fields)
    assert fields[b"Host"] == b"api.example.com"
    assert fields[b"X-Forwarded-For"] == b"192.0.2.1, 10.1.1.1"
    assert fields[b"Content-Length"] == b"7"
    assert (b"Cookie", b"c=1") in explanation.removed
    assert (b"X-Plain", b"plain") in explanation.added
    assert PREFERS not in explanation.added


def test_an_offer_is_passed_on(file: Path) -> None:
    sent = explained(file, "GET /socket", *WEB_SOCKET).sent
    assert sent is not None
    assert sent.fields.first(b"upgrade") == b"websocket"


@pytest.mark.parametrize(
    ("text", "fields", "length", "keys"),
    [
        pytest.param(
            "POST /reports", [PREFERS], 5,
            ["limits.header_timeout", "limits.max_fields", "routes[2].respond_async.max_request_body", "limits.body_timeout",
             "limits.min_upload_rate", "limits.max_operations_per_client", "origins.legacy.max_connections",
             "origins.legacy.connect_timeout",
             "routes[2].respond_async.wait", "routes[2].respond_async.max_running", "routes[2].respond_async.max_queued",
             "routes[2].respond_async.timeout", "routes[2].idle_timeout", "routes[2].respond_async.max_response_body",
             "routes[2].respond_async.max_wait", "routes[2].respond_async.keep"],
            id="race",
        ),
        pytest.param(
            "POST /reports", [], 5,
            ["limits.header_timeout", "limits.max_fields", "routes[2].max_request_body", "limits.body_timeout",
             "limits.min_upload_rate", "origins.legacy.max_connections", "origins.legacy.queue_timeout",
             "origins.legacy.connect_timeout", "routes[2].timeout", "routes[2].idle_timeout"],
            id="sync",
        ),
        pytest.param(
            "GET /socket", WEB_SOCKET, None,
            ["limits.header_timeout", "limits.max_fields", "origins.legacy.max_connections",
             "origins.legacy.queue_timeout", "origins.legacy.connect_timeout", "routes[3].timeout", "routes[3].idle_timeout"],
            id="upgrade",
        ),
        pytest.param("GET /.async/x", [], None, ["limits.header_timeout", "limits.max_fields"], id="status URL"),
    ],
)  # fmt: skip
def test_terms_are_in_order_of_time(
    file: Path, text: str, fields: list[Field], length: int | None, keys: list[str]
) -> None:
    explanation = explained(file, text, *fields, length=length)
    config = load_with_source(file, {"ENV": "x"}).config
    assert [term.key for term in terms(config, explanation)] == keys


def test_limits_that_are_not_set_are_none(file: Path) -> None:
    file.write_text(CONFIG.replace(", max_running: 3", "").replace("limits: {max_operations_per_client: 5}\n", ""))
    found = terms(load_with_source(file, {"ENV": "x"}).config, explained(file, "GET /reports", PREFERS))
    assert not {"limits.max_operations_per_client", "routes[2].respond_async.max_running"} & {
        term.key for term in found
    }


@pytest.mark.parametrize(
    ("prefer", "key"),
    [(b"respond-async, wait=5", "Prefer: wait"), (b"respond-async, wait=99", "routes[2].respond_async.max_wait")],
)
def test_whose_wait_it_is(file: Path, prefer: bytes, key: str) -> None:
    explanation = explained(file, "GET /reports", (b"Prefer", prefer))
    found = [term.key for term in terms(load_with_source(file, {"ENV": "x"}).config, explanation) if term.then == "202"]
    assert found == [key]


@pytest.mark.parametrize(
    ("changes", "host"),
    [
        pytest.param("", b"api.example.com", id="public_url"),
        pytest.param("listen: ':8080'", b"127.0.0.1:8080", id="all interfaces"),
        pytest.param("listen: '[::]:8080'", b"[::1]:8080", id="all interfaces, IPv6"),
        pytest.param("listen: '[::1]:80'", b"[::1]:80", id="address"),
        pytest.param("listen: '[fe80::1%eth0]:80'", b"[fe80::1]:80", id="address of an interface"),
        pytest.param("listen: unix:/run/x.sock", b"localhost", id="socket"),
    ],
)
def test_a_request_without_host_asks_where_clients_do(file: Path, changes: str, host: bytes) -> None:
    if changes:
        file.write_text(CONFIG.replace("public_url: https://api.example.com", changes))
    assert explained(file, "/reports").request.fields.first(b"host") == host


# The command.


def run(file: Path, *arguments: str, stdin: bytes = b"") -> Result:
    runner = CliRunner(env={"ENV": "from-outside"})
    return runner.invoke(main, ["explain", "--config", str(file), *arguments], input=stdin)


def as_json(file: Path, *arguments: str) -> dict[str, Any]:
    told: dict[str, Any] = json.loads(run(file, "--json", *arguments).stdout)
    return told


def test_it_is_told_in_words(file: Path) -> None:
    result = run(file, "POST /reports", "-H", "Prefer: respond-async", "-d", "a=1")
    assert result.exit_code == 0
    lines = result.stdout.splitlines()
    assert f"According to {file}:" in lines
    assert "Route: reports (routes[2], line 9), to origin legacy" in lines
    assert "  not other (routes[0]), which is for `host` other.example.com; `methods` GET" in lines
    assert r"  not numbers (routes[1]), which is for `path_regex` /v\d+/" in lines
    assert "Plan: race. The origin's answer if it comes in time, else 202 with a status URL." in lines
    assert "  Content-Type: application/x-www-form-urlencoded" in lines
    assert "  + X-Plain: plain" in lines


def test_a_request_needs_no_quotes(file: Path) -> None:
    assert run(file, "POST", "/reports").stdout == run(file, "POST /reports").stdout
    assert run(file, "POST", "/reports", "HTTP/1.0").stdout == run(file, "POST /reports HTTP/1.0").stdout


def test_a_method_in_another_case_is_told_to_be_another(file: Path) -> None:
    lines = run(file, "get /reports").stdout.splitlines()
    assert "  It is no request that can be forwarded. Case counts in methods." in lines


def test_of_a_limit_that_refuses_a_request_its_key_is_told(file: Path) -> None:
    told = as_json(file, "GET /reports", "-H", f"X-Long: {'v' * 33_000}")
    assert (told["error"]["status"], told["route"]) == (431, None)
    assert "(limits.max_fields)" in told["why"]


def test_content_that_comes_in_chunks_may_have_a_length(file: Path) -> None:
    told = as_json(file, "POST /reports", "-H", "Transfer-Encoding: chunked", "--length", "9")
    assert (told["plan"], told["request"]["fields"][1:]) == ("sync", [["Transfer-Encoding", "chunked"]])


def test_a_refusal_is_told_in_words(file: Path) -> None:
    result = run(file, "GET /nowhere")
    assert result.exit_code == 0
    assert "Plan: refused. No origin sees it." in result.stdout.splitlines()
    assert "  404 no-route: No route leads from this request to an origin." in result.stdout.splitlines()
    assert "limits.header_timeout" not in result.stdout


def test_no_secret_is_told(file: Path) -> None:
    asked = ("POST /reports?key=of-the-query", "-H", "Authorization: Basic bWU6cHc=", "-H", "Cookie: c=1")
    for text in (run(file, *asked).stdout, run(file, "--json", *asked).stdout):
        assert "(hidden)" in text.partition("X-Secret")[2][:30]
        assert "/reports?(hidden)" in text
        assert "/app?(hidden)" in text
        assert not any(secret in text for secret in ("visible-no", "from-outside", "bWU6cHc=", "c=1", "of-the-query"))


def test_it_is_told_as_json(file: Path) -> None:
    told = as_json(file, "POST /reports", "-H", "Prefer: respond-async, wait=5", "--length", "9")
    assert told["configuration"] == str(file)
    assert (told["plan"], told["error"], told["route"]) == ("race", None, {"name": "reports", "index": 2})
    assert told["passed_by"][0] == {"name": "other", "index": 0, "keys": ["host", "methods"]}
    assert told["terms"][0] == {
        "key": "limits.header_timeout", "value": "10s", "bounds": "until its head is there", "then": "408",
    }  # fmt: skip
    assert told["origin"]["servers"] == ["http://10.0.0.5:8000"]
    assert ["X-Plain", "plain"] in told["origin"]["added"]


def test_a_refusal_is_told_as_json(file: Path) -> None:
    told = as_json(file, "GET /nowhere")
    assert told["error"] == {"status": 404, "code": "no-route", "detail": ""}
    assert (told["route"], told["terms"], told["origin"]) == (None, [], None)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("GET / HTTP/2.0 x",), "a request is written as"),
        (("",), "a request is written as"),
        (("/", "-H", "nonsense"), "`nonsense` is no field"),
        (("/", "--peer", "somewhere"), "'--peer': must be an IP address"),
        (("/", "--peer", ""), "'--peer': must be an IP address"),
        (("/", "--length", "-1"), "'--length'"),
        (("/\udcff",), "what is given is not UTF-8"),
        (("/", "-d", "\udcff"), "what is given is not UTF-8"),
        (("/", "-d", "@/no/such"), "there is no file /no/such"),
        (("/", "-d", "@/"), "/ is a folder"),
        pytest.param(("/", "-d", f"@/{'a' * 300}"), "cannot be read: File name too long", id="too long a name"),
        (("/", "-d", "a", "--length", "1"), "`--data` and `--length` do not go together"),
    ],
    ids=str,
)
def test_wrong_usage_is_2(file: Path, arguments: tuple[str, ...], said: str) -> None:
    result = run(file, *arguments)
    assert (result.exit_code, said in result.stderr) == (2, True)


def test_a_length_may_be_said_as_a_field(file: Path) -> None:
    by_field, by_option = (
        run(file, "POST /reports", *length)
        for length in (("-H", "Content-Length: 1000000000"), ("--length", "1000000000"))
    )
    assert by_field.stdout == by_option.stdout
    assert "The request has 1000000000 bytes of content; at most" in by_field.stdout


@pytest.mark.parametrize(
    ("data", "length"),
    [
        pytest.param(["a=1"], 3, id="text"),
        pytest.param(["ä"], 2, id="bytes and not characters"),
        pytest.param(["@{file}"], 5000, id="file"),
        pytest.param(["a=1", "@{file}"], 5004, id="text and file"),
        pytest.param(["@-"], 7, id="standard input"),
        pytest.param([""], 0, id="nothing"),
    ],
)
def test_content_is_as_long_as_what_fetch_sends(file: Path, tmp_path: Path, data: list[str], length: int) -> None:
    content = tmp_path / "content"
    content.write_bytes(b"\xff" * 5000)
    given = [part for text in data for part in ("-d", text.format(file=content))]
    result = run(file, "/reports", "--json", *given, stdin=b"b=2&c=3")
    told = json.loads(result.stdout)["request"]
    assert (told["method"], ["Content-Length", str(length)] in told["fields"]) == ("POST", True)


def test_a_bad_configuration_is_1(file: Path) -> None:
    file.write_text("rutes: []")
    result = run(file, "/")
    assert (result.exit_code, result.stdout) == (1, "")
    assert "did you mean `routes`?" in result.stderr
