"""Which route a request takes."""

import pytest

from proxy.config import Route
from proxy.routes import Routes


def routes(*matches: dict[str, object]) -> Routes:
    return Routes([Route.model_validate({"name": f"r{i}", "origin": "o", "match": m}) for i, m in enumerate(matches)])


def takes(match: dict[str, object], method: str = "GET", host: bytes | None = b"h", target: bytes = b"/") -> bool:
    return routes(match).match(method, host, target) is not None


@pytest.mark.parametrize(
    ("path", "target", "matches"),
    [
        pytest.param("/reports", b"/reports", True, id="itself"),
        pytest.param("/reports", b"/reports/", True, id="with a slash"),
        pytest.param("/reports", b"/reports/x", True, id="below"),
        pytest.param("/reports", b"/reports?x", True, id="with a query"),
        pytest.param("/reports", b"/reports?/x", True, id="with a path in its query"),
        pytest.param("/reports", b"/reportsx", False, id="not on a segment border"),
        pytest.param("/reports", b"/Reports", False, id="other case"),
        pytest.param("/reports", b"/%72eports", False, id="percent-encoded"),
        pytest.param("/reports", b"/x?/reports", False, id="in the query only"),
        pytest.param("/reports", b"//reports", False, id="two slashes"),
        pytest.param("/reports", b"/x/../reports", False, id="dot-segments stay"),
        pytest.param("/reports", b"*", False, id="asterisk"),
        pytest.param("/a/b", b"/a%2Fb", False, id="encoded slash"),
        pytest.param("/a%2Fb", b"/a%2Fb/../c", True, id="raw in the route too"),
        pytest.param("/api/", b"/api/", True, id="slash: itself"),
        pytest.param("/api/", b"/api/x", True, id="slash: below"),
        pytest.param("/api/", b"/api", False, id="slash: without"),
        pytest.param("/", b"/", True, id="root"),
        pytest.param("/", b"/x?y", True, id="root: below"),
        pytest.param("/", b"*", True, id="root: asterisk"),
    ],
)
def test_path(path: str, target: bytes, *, matches: bool) -> None:
    assert takes({"path": path}, target=target) is matches


def test_a_route_without_match_takes_everything() -> None:
    assert takes({}, "OPTIONS", None, b"*")


@pytest.mark.parametrize(
    ("regex", "target", "matches"),
    [
        pytest.param(r"/v\d+/", b"/v1/x", True, id="beginning"),
        pytest.param(r"/v\d+/", b"/x/v1/", False, id="not in the middle"),
        pytest.param(r"/v\d+$", b"/v1/x", False, id="anchored"),
        pytest.param(r"/v\d+$", b"/v1?x", True, id="the query is no part of it"),
        pytest.param(r".*\.pdf$", b"/a/b.pdf", True, id="end"),
        pytest.param("/\u00e4", "/\u00e4".encode(), True, id="UTF-8"),
    ],
)
def test_path_regex(regex: str, target: bytes, *, matches: bool) -> None:
    assert takes({"path_regex": regex}, target=target) is matches


@pytest.mark.parametrize(
    ("host", "value", "matches"),
    [
        pytest.param("api.example.com", b"api.example.com", True, id="same"),
        pytest.param("api.example.com", b"API.Example.com:8080", True, id="case and port"),
        pytest.param("api.example.com", b"api.example.com.", True, id="last dot"),
        pytest.param("api.example.com", b"api.example.com.:80", True, id="last dot and port"),
        pytest.param("api.example.com", b"x.api.example.com", False, id="below"),
        pytest.param("api.example.com", b"", False, id="empty"),
        pytest.param("api.example.com", None, False, id="none"),
        pytest.param("*.example.com", b"a.example.com", True, id="wildcard"),
        pytest.param("*.example.com", b"b.a.example.com:1", True, id="wildcard: deeper"),
        pytest.param("*.example.com", b"example.com", False, id="wildcard: apex"),
        pytest.param("*.example.com", b"badexample.com", False, id="wildcard: no border"),
        pytest.param("[::1]", b"[::1]", True, id="IPv6"),
        pytest.param("[::1]", b"[::1]:80", True, id="IPv6 and port"),
        pytest.param("[2001:db8::a]", b"[2001:DB8::A]", True, id="IPv6 and case"),
        pytest.param("[::1]", b"[::2]", False, id="other IPv6"),
    ],
)
def test_host(host: str, value: bytes | None, *, matches: bool) -> None:
    assert takes({"host": host}, host=value) is matches


@pytest.mark.parametrize(
    ("method", "matches"), [("GET", True), ("POST", True), ("HEAD", False), ("get", False), ("PUT", False)]
)
def test_methods(method: str, *, matches: bool) -> None:
    assert takes({"methods": ["GET", "POST"]}, method) is matches


def test_everything_named_must_fit() -> None:
    match: dict[str, object] = {"path": "/a", "methods": ["GET"], "host": "h"}
    assert takes(match, "GET", b"h", b"/a")
    assert not takes(match, "PUT", b"h", b"/a")
    assert not takes(match, "GET", b"i", b"/a")
    assert not takes(match, "GET", b"h", b"/b")


def test_the_first_match_wins() -> None:
    both = routes({"path": "/a"}, {"path": "/a/b"}, {"path": "/"})
    assert [getattr(both.match("GET", b"h", target), "name", None) for target in (b"/a/b", b"/c")] == ["r0", "r2"]


def test_no_match_is_no_route() -> None:
    assert routes({"path": "/a"}).match("GET", b"h", b"/b") is None
