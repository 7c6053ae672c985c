"""What `check` warns of: legal, and hardly meant; and what it has nothing to say about."""

from contextlib import nullcontext
from pathlib import Path

import httptools
import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.config import Route, load_with_source
from proxy.config.findings import findings
from proxy.config.oddities import warnings
from proxy.config.reach import METHODS, unreachable
from proxy.config.secrecy import is_secret
from proxy.routes import Routes

ORIGINS = "origins:\n  one: {url: http://127.0.0.1:8000}\n"
ROUTES = "routes:\n  - {name: all, origin: one, respond_async: {}}\n"


def odd(text: str, folder: Path, environ: dict[str, str] | None = None) -> list[str]:
    """What is odd, without the name of the file."""
    file = folder / "proxy.yaml"
    file.write_text(text)
    return [str(problem).removeprefix(f"{file}:") for problem in warnings(load_with_source(file, environ or {}))]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        pytest.param(ORIGINS + "  two: {url: http://127.0.0.1:9}\n" + ROUTES, "3: origins.two: is used by no route", id="origin"),
        pytest.param(
            ORIGINS + "  two: {url: ['http://[::1]:9', 'http://127.0.0.1:8000']}\nroutes:\n  - {name: a, match: {path: /a}, origin: one}\n  - {name: b, origin: two}\n",
            "3: origins.two.url: has http://127.0.0.1:8000 in common with `one`", id="one server, two origins",
        ),
        pytest.param("admin_token: a-token-of-sixteen\nadmin: :8081\n" + ORIGINS + ROUTES, "2: admin: is open to the world", id="admin everywhere"),
        pytest.param("admin_token: a-token-of-sixteen\nadmin: 8.8.8.8:8081\n" + ORIGINS + ROUTES, "2: admin: is open to the world", id="admin public"),
        pytest.param("trusted_proxies: [0.0.0.0/0]\n" + ORIGINS + ROUTES, "1: trusted_proxies[0]: believes what strangers say", id="trust"),
        pytest.param("trusted_proxies: [10.0.0.0/8, '::/0']\n" + ORIGINS + ROUTES, "1: trusted_proxies[1]: believes", id="trust in IPv6"),
        pytest.param("trusted_proxies: [10.1.0.0/16, 10.0.0.0/8]\n" + ORIGINS + ROUTES, "1: trusted_proxies[0]: is part of 10.0.0.0/8", id="network in another"),
        pytest.param("trusted_proxies: [10.1.0.1, 10.1.0.1]\n" + ORIGINS + ROUTES, "1: trusted_proxies[1]: is part of 10.1.0.1/32", id="network twice"),
        pytest.param("listen: [':80', ':80']\n" + ORIGINS + ROUTES, "1: listen[1]: is there twice", id="address twice"),
        pytest.param(
            "store: {url: 'memory:'}\n" + ORIGINS + ROUTES.replace("{}", "{keep: 24h}"),
            "5: routes[0].respond_async.keep: promises more than `memory:` holds", id="memory",
        ),
        pytest.param("drain_timeout: 10s\n" + ORIGINS + ROUTES, "1: drain_timeout: is shorter than `all` may take, `respond_async.timeout` (30m, its default)", id="drain"),
        pytest.param(
            "drain_timeout: 10s\n" + ORIGINS + "routes:\n  - {name: a, origin: one}\n",
            "1: drain_timeout: is shorter than `a` may take, `timeout` (1m, its default)", id="drain of synchronous routes",
        ),
        pytest.param(ORIGINS + ROUTES.replace("respond", "upgrade: true, respond"), "4: routes[0].respond_async: does nothing for requests with `Upgrade`", id="upgrade"),
        pytest.param(ORIGINS + ROUTES.replace("respond", "match: {methods: [OPTIONS]}, respond"), "4: routes[0].respond_async: does nothing: the route's methods", id="never later"),
        pytest.param(ORIGINS + ROUTES.replace("{}", "{keep: 30s}"), "4: routes[0].respond_async.keep: is shorter than `max_wait` (1m, its default)", id="keep, max_wait"),
        pytest.param(ORIGINS + ROUTES.replace("{}", "{keep: 61s, retry_after: 62s}"), "4: routes[0].respond_async.keep: is shorter than `retry_after` (62s)", id="keep, retry_after"),
        pytest.param(ORIGINS + ROUTES.replace("{}", "{wait: 5m, max_wait: 6m, timeout: 4m}"), "4: routes[0].respond_async.timeout: is shorter than `wait` (5m): there will be no 202", id="wait, timeout"),
        pytest.param(ORIGINS + ROUTES.replace("{}", "{wait: 2m, max_wait: 2m}"), "4: routes[0].respond_async.wait: is longer than the route's `timeout` (1m, its default)", id="wait, the route's timeout"),
        pytest.param(ORIGINS + ROUTES.replace("{}", "{timeout: 30s}"), "4: routes[0].respond_async.timeout: is shorter than `max_wait` (1m, its default): an operation has ended by its `timeout`, so nobody can wait for all of `max_wait`; make it longer, or `max_wait` shorter", id="max_wait by default, timeout"),
        pytest.param(ORIGINS + ROUTES.replace("{}", "{max_wait: 31m}"), "4: routes[0].respond_async.max_wait: is longer than `timeout` (30m, its default)", id="max_wait, timeout by default"),
        pytest.param(ORIGINS + ROUTES.replace("{}", "{timeout: 1s, max_wait: 3s}"), "4: routes[0].respond_async.timeout: is shorter than `wait` (2s, its default)", id="wait by default, timeout"),
        pytest.param(ORIGINS + ROUTES.replace("respond", "match: {path: /reports/*}, respond"), "4: routes[0].match.path: fits only what has a `*` there itself; `/reports` takes all that is below it", id="wildcard at the end"),
        pytest.param(ORIGINS + ROUTES.replace("respond", "match: {path: /*}, respond"), "4: routes[0].match.path: fits only what has a `*` there itself; `/` takes all that is below it", id="only a wildcard"),
        pytest.param(ORIGINS + ROUTES.replace("respond", "match: {path: /a/*/b}, respond"), "4: routes[0].match.path: fits only what has a `*` there itself; a pattern is a `path_regex`", id="wildcard within"),
        pytest.param("store: {max_size: 50MiB}\n" + ORIGINS + ROUTES, "1: store.max_size: is less than one result of `all` may have (`max_response_body`: 100MiB, its default)", id="max_size"),
        pytest.param(ORIGINS + ROUTES.replace("{}", "{max_response_body: 11GiB}"), "4: routes[0].respond_async.max_response_body: is more than the store holds (`store.max_size`: 10GiB, its default)", id="max_response_body"),
        pytest.param(ORIGINS + ROUTES.replace("respond", "upgrade: true, match: {methods: [OPTIONS]}, respond"), "4: routes[0].respond_async: does nothing: the route's methods", id="never later, nor with upgrade"),
        pytest.param(ORIGINS + ROUTES.replace("respond", "match: {methods: [GET, FOO]}, respond"), "4: routes[0].match.methods: has `FOO`, which is no method that is taken: it is answered 400; remove it", id="no method"),
        pytest.param(ORIGINS + ROUTES.replace("respond", "match: {methods: [GTE]}, respond"), "4: routes[0].match.methods: has `GTE`, which is no method that is taken: it is answered 400; did you mean `GET`?", id="a method with a mistake"),
        pytest.param(ORIGINS + ROUTES.replace("respond", "match: {methods: [GET, CONNECT]}, respond"), "4: routes[0].match.methods: has `CONNECT`, which reaches no route: it is answered 501; remove it", id="one that is never forwarded"),
        pytest.param(ORIGINS + ROUTES.replace("respond", "match: {methods: [CONNECT]}, respond"), "4: routes[0]: can never be reached: such requests reach no route; remove it", id="never forwarded"),
        pytest.param(ORIGINS + ROUTES.replace("{}", "{max_running: 300}"), "4: routes[0].respond_async.max_running: is never reached", id="max_running"),
        pytest.param(
            ORIGINS + ROUTES.replace("respond", "response_headers: {set: {X-A: b}, remove: [x-a]}, respond"),
            "4: routes[0].response_headers.remove: removes x-a, which `set` replaces anyway", id="removed and set",
        ),
    ],
)  # fmt: skip
def test_what_is_odd(text: str, said: str, tmp_path: Path) -> None:
    (found,) = odd(text, tmp_path)
    assert found.startswith(said)
    assert "; " in found, "it says what to do"


@pytest.mark.parametrize(
    "text",
    [
        pytest.param(ORIGINS + ROUTES, id="defaults"),
        pytest.param("admin: off\n" + ORIGINS + ROUTES, id="no admin"),
        pytest.param("admin: unix:/run/admin.sock\n" + ORIGINS + ROUTES, id="admin on a socket"),
        pytest.param(
            "admin: 10.0.0.5:8081\nadmin_token: a-token-of-sixteen\n" + ORIGINS + ROUTES,
            id="admin in a network of one's own",
        ),
        pytest.param("admin: localhost:8081\n" + ORIGINS + ROUTES, id="admin by name"),
        pytest.param(
            "trusted_proxies: [10.0.0.0/8, 'fc00::/7', 192.0.2.1]\n" + ORIGINS + ROUTES, id="networks of one's own"
        ),
        pytest.param("listen: ['127.0.0.1:0', '127.0.0.1:0']\n" + ORIGINS + ROUTES, id="any two ports"),
        pytest.param("store: {url: 'memory:'}\n" + ORIGINS + ROUTES, id="memory for trying out"),
        pytest.param("drain_timeout: 0s\n" + ORIGINS + ROUTES, id="no drain, as one likes"),
        pytest.param("drain_timeout: 30m\n" + ORIGINS + ROUTES, id="enough drain"),
        pytest.param(ORIGINS + ROUTES.replace("{}", "{wait: 0s, max_wait: 0s, keep: 1s}"), id="no waiting"),
    ],
)
def test_what_is_not_odd(text: str, tmp_path: Path) -> None:
    assert odd(text, tmp_path) == []


class TakesAnything:
    """What a parser tells of a request to."""


@pytest.mark.parametrize("method", sorted(METHODS))
def test_a_method_without_warning_is_one_that_the_parser_takes(method: str) -> None:
    with nullcontext() if method != "CONNECT" else pytest.raises(httptools.HttpParserUpgrade):
        httptools.HttpRequestParser(TakesAnything()).feed_data(b"%b / HTTP/1.1\r\n\r\n" % method.encode())


@pytest.mark.parametrize("method", ["FOO", "get", "DESCRIBE", "BASELINE-CONTROL", "LABEL", "UPDATE"])
def test_and_others_are_not_taken(method: str) -> None:
    assert method not in METHODS
    with pytest.raises(httptools.HttpParserError):
        httptools.HttpRequestParser(TakesAnything()).feed_data(b"%b / HTTP/1.1\r\n\r\n" % method.encode())


# Beside what is wrong.


@pytest.mark.parametrize(
    ("text", "told"),
    [
        pytest.param("nmae: x\ntrusted_proxies: [0.0.0.0/0]\n" + ORIGINS + ROUTES, ["2: trusted_proxies[0]"], id="another section"),
        pytest.param("trusted_proxies: [0.0.0.0/0, x]\n" + ORIGINS + ROUTES, [], id="the same section"),
        pytest.param(
            ORIGINS + "routes:\n  - {name: a, origin: one, match: {path: x}}\n  - {name: b, origin: one, respond_async: {keep: 30s}}\n",
            ["5: routes[1].respond_async.keep"], id="another route, and nothing of a path that could not be read",
        ),
        pytest.param(ORIGINS + ROUTES.replace("{}", "{keep: 30s, wiat: 1s}"), [], id="the same route"),
        pytest.param(ORIGINS.replace("}", ", lenient: 2}") + ROUTES.replace("{}", "{keep: 30s}"), ["4: routes[0].respond_async.keep"], id="an origin"),
        pytest.param("name: ${NONE}\n" + ORIGINS + ROUTES.replace("{}", "{keep: 30s}"), ["5: routes[0].respond_async.keep"], id="a variable"),
        pytest.param("trusted_proxies: [0.0.0.0/0]\n" + ORIGINS, [], id="something is missing"),
        pytest.param("- a", [], id="all of it"),
        pytest.param("{", [], id="no YAML"),
    ],
)  # fmt: skip
def test_what_is_odd_beside_errors(text: str, told: list[str], tmp_path: Path) -> None:
    file = tmp_path / "proxy.yaml"
    file.write_text(text)
    errors, odd, _ = findings(file, {})
    assert errors
    assert [":".join(str(one).removeprefix(f"{file}:").split(":")[:2]) for one in odd] == told


@pytest.mark.parametrize(
    ("url", "name", "told"),
    [
        ("http://api.example.com", "X-Api-Key", True),
        ("http://8.8.8.8", "Authorization", True),
        ("https://api.example.com", "X-Api-Key", False),
        ("http://api.example.com", "X-Environment", False),
        ("http://10.0.0.5", "Authorization", False),
        ("http://reports:8000", "Authorization", False),
        ("http://reports.internal", "Authorization", False),
        ("unix:/run/x.sock", "Authorization", False),
    ],
)
def test_secrets_that_strangers_can_read(url: str, name: str, *, told: bool, tmp_path: Path) -> None:
    text = f"origins:\n  one: {{url: '{url}'}}\nroutes:\n  - name: all\n    origin: one\n    request_headers:\n      set:\n        {name}: ${{KEY}}\n"
    found = odd(text, tmp_path, {"KEY": "very-secret"})
    where = f"8: routes[0].request_headers.set.{name}: is sent unencrypted to {url}; use `https://` for origin `one`"
    assert found == ([where] if told else [])


@pytest.mark.parametrize(
    "name", [b"Authorization", b"Cookie", b"X-Api-Key", b"Api_Key", b"X-Auth-Token", b"key", b"X-Passwd"]
)
def test_names_of_secrets(name: bytes) -> None:
    assert is_secret(name)


@pytest.mark.parametrize("name", [b"Accept", b"X-Keyboard", b"Monkey-Id", b"X-Environment"])
def test_names_of_no_secrets(name: bytes) -> None:
    assert not is_secret(name)


# Routes that no request reaches.


def routes(*matches: dict[str, object]) -> list[Route]:
    return [Route.model_validate({"name": f"r{i}", "origin": "o", "match": m}) for i, m in enumerate(matches)]


@pytest.mark.parametrize(
    ("earlier", "later"),
    [
        pytest.param([{}], {"path": "/x"}, id="everything"),
        pytest.param([{}], {"path_regex": "x|y"}, id="everything, any expression"),
        pytest.param([{"path": "/"}], {}, id="root"),
        pytest.param([{"path": "/a"}], {"path": "/a"}, id="twice"),
        pytest.param([{"path": "/a"}], {"path": "/a/b"}, id="below"),
        pytest.param([{"path": "/a"}], {"path": "/a/"}, id="below, with a slash"),
        pytest.param([{"path": "/a/"}], {"path": "/a/b"}, id="a folder"),
        pytest.param([{"path": "/a"}], {"path_regex": r"/a/v\d+"}, id="expression below"),
        pytest.param([{"path_regex": r"/v\d+"}], {"path_regex": r"/v\d+"}, id="expression twice"),
        pytest.param([{"path_regex": "/a.*"}], {"path": "/ab"}, id="expression that begins so"),
        pytest.param([{"path_regex": "/"}], {"path_regex": r"/x\d"}, id="expression that all begin like"),
        pytest.param([{"path_regex": ".*"}], {}, id="expression for everything"),
        pytest.param([{"host": "*.example.com"}], {"host": "a.example.com"}, id="host below"),
        pytest.param([{"host": "*.example.com"}], {"host": "*.a.example.com"}, id="hosts below"),
        pytest.param([{"path": "/a"}], {"path": "/a", "host": "h"}, id="any host"),
        pytest.param([{"methods": ["GET", "POST"]}], {"methods": ["GET"]}, id="methods"),
        pytest.param([{"methods": ["GET"]}, {"path": "/a", "methods": ["POST"]}], {"path": "/a", "methods": ["GET", "POST"]}, id="together"),
        pytest.param([], {"path": "/.async/x"}, id="below status URLs"),
        pytest.param([], {"methods": ["CONNECT"]}, id="never forwarded"),
    ],
)  # fmt: skip
def test_a_route_that_cannot_be_reached(earlier: list[dict[str, object]], later: dict[str, object]) -> None:
    (found,) = unreachable(routes(*earlier, later), "/.async/")
    assert (found.route, found.takers) == (len(earlier), tuple(range(len(earlier))))


@pytest.mark.parametrize(
    ("earlier", "later"),
    [
        pytest.param([{"path": "/a"}], {}, id="wider"),
        pytest.param([{"path": "/a"}], {"path": "/ab"}, id="beside"),
        pytest.param([{"path": "/a/"}], {"path": "/a"}, id="the folder itself"),
        pytest.param([{"path": "/a"}], {"path_regex": "/a"}, id="expression goes further"),
        pytest.param([{"path": "/a"}], {"path_regex": "/a/|/b"}, id="expression with a choice"),
        pytest.param([{"path": "/a/b"}], {"path_regex": "/a/b/?"}, id="expression without its end"),
        pytest.param([{"path_regex": "/a$"}], {"path": "/a"}, id="expression that ends"),
        pytest.param([{"path_regex": "/"}], {}, id="asterisk"),
        pytest.param([{"host": "h"}], {}, id="any host"),
        pytest.param([{"host": "*.h"}], {"host": "h"}, id="the domain itself"),
        pytest.param([{"host": "a.h"}], {"host": "*.h"}, id="wider host"),
        pytest.param([{"methods": ["GET"]}], {}, id="any method"),
        pytest.param([{"methods": ["GET"]}], {"methods": ["GET", "POST"]}, id="one of two"),
        pytest.param([], {"path": "/.asyncx"}, id="beside status URLs"),
    ],
)
def test_a_route_that_can_be_reached(earlier: list[dict[str, object]], later: dict[str, object]) -> None:
    assert list(unreachable(routes(*earlier, later), "/.async/")) == []


MATCHES = st.fixed_dictionaries(
    {},
    optional={
        "methods": st.sampled_from([["GET"], ["POST"], ["GET", "POST"]]),
        "host": st.sampled_from(["h", "a.h", "*.h", "*.a.h"]),
    },
).flatmap(
    lambda match: st.one_of(
        st.just(match),
        st.sampled_from(["/", "/a", "/a/", "/a/b", "/ab"]).map(lambda path: match | {"path": path}),
        st.sampled_from(
            ["/a", "/a/.*", "/a?b", "/a$", "/a|/b", ".*", "/", "/a/b{0,1}", r"/\w", "(?i)/A/b", "/a/+"]
        ).map(lambda regex: match | {"path_regex": regex}),
    )
)
REQUESTS = [
    (method, host, target)
    for method in ("GET", "POST", "PUT")
    for host in (b"h", b"a.h", b"b.a.h", b"x")
    for target in (b"/", b"*", b"/a", b"/A/b", b"/a/", b"/a//b", b"/a/b", b"/a/bc", b"/ab", b"/b", b"/a/b/c")
]


@given(st.lists(MATCHES, min_size=1, max_size=4))
def test_no_route_that_is_said_to_be_out_of_reach_gets_a_request(matches: list[dict[str, object]]) -> None:
    table = routes(*matches)
    reached = {found.name for request in REQUESTS if (found := Routes(table).match(*request))}
    assert reached.isdisjoint(f"r{found.route}" for found in unreachable(table, "/.async/"))
