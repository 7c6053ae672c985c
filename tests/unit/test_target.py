"""What a request is sent to: request-target, Host, and the beginnings of paths."""

import pytest

from proxy.errors import BadRequest
from proxy.message import Fields, RequestHead
from proxy.target import Paths, Target, check_host, is_authority, split_target, target_of


def request(*hosts: bytes, target: bytes = b"/", version: tuple[int, int] = (1, 1)) -> RequestHead:
    return RequestHead("GET", target, Fields((b"Host", host) for host in hosts), version)


@pytest.mark.parametrize(
    "target",
    [
        pytest.param(b"/", id="root"),
        pytest.param(b"/a/../b/./c", id="dot-segments"),
        pytest.param(b"/a%2Fb%7E%zz", id="percent signs"),
        pytest.param(b"/a?", id="empty query"),
        pytest.param(b"/a?b?c=d&e", id="query"),
        pytest.param(b"//a//b", id="empty segments"),
        pytest.param(b"/\xc3\xa4\xff", id="beyond ASCII"),
        pytest.param(b"/[]\\\"<>^`{|}'", id="what browsers send"),
        pytest.param(b"/http://h/", id="a URI in the path"),
    ],
)
def test_origin_form_stays_as_it_is(target: bytes) -> None:
    assert split_target("GET", target) == (None, target)


@pytest.mark.parametrize(
    ("method", "target", "split"),
    [
        pytest.param("GET", b"http://h/p?q", (b"h", b"/p?q"), id="path and query"),
        pytest.param("GET", b"HTTPS://H:1/p", (b"H:1", b"/p"), id="case and port"),
        pytest.param("GET", b"http://[::1]:80/", (b"[::1]:80", b"/"), id="IPv6"),
        pytest.param("GET", b"http://h", (b"h", b"/"), id="no path"),
        pytest.param("GET", b"http://h?", (b"h", b"/?"), id="no path, empty query"),
        pytest.param("GET", b"http://h?q=/x", (b"h", b"/?q=/x"), id="no path, query"),
        pytest.param("GET", b"http://h/a@b:c", (b"h", b"/a@b:c"), id="delimiters in the path"),
        pytest.param("OPTIONS", b"http://h", (b"h", b"*"), id="OPTIONS for the server (RFC 9112 3.2.4)"),
        pytest.param("OPTIONS", b"http://h?", (b"h", b"/?"), id="OPTIONS with an empty query"),
        pytest.param("OPTIONS", b"http://h/", (b"h", b"/"), id="OPTIONS for the root"),
        pytest.param("OPTIONS", b"*", (None, b"*"), id="asterisk"),
    ],
)
def test_other_forms(method: str, target: bytes, split: tuple[bytes | None, bytes]) -> None:
    assert split_target(method, target) == split


@pytest.mark.parametrize(
    "target",
    [
        pytest.param(b"", id="empty"),
        pytest.param(b"*", id="asterisk without OPTIONS"),
        pytest.param(b"**", id="two asterisks"),
        pytest.param(b"p", id="relative"),
        pytest.param(b"?q", id="query only"),
        pytest.param(b"/a#b", id="fragment"),
        pytest.param(b"/a b", id="space"),
        pytest.param(b"/a\tb", id="tab"),
        pytest.param(b"/a\x00", id="NUL"),
        pytest.param(b"/a\r\nX: y", id="line break"),
        pytest.param(b"/\x7f", id="DEL"),
        pytest.param(b"h:80", id="authority-form"),
        pytest.param(b"ftp://h/", id="other scheme"),
        pytest.param(b"http:/p", id="no authority"),
        pytest.param(b"http:///p", id="empty authority"),
        pytest.param(b"http://:80/p", id="no host"),
        pytest.param(b"http://u@h/", id="user"),
        pytest.param(b"http://u:p@h/", id="user and password"),
        pytest.param(b"http://h:x/", id="port"),
        pytest.param(b"http://h\\@i/", id="backslash"),
        pytest.param(b"http://\xc3\xa4/", id="host beyond ASCII"),
    ],
)
def test_bad_targets_are_refused(target: bytes) -> None:
    with pytest.raises(BadRequest):
        split_target("GET", target)


@pytest.mark.parametrize(
    "host",
    [
        b"example.com",
        b"EXAMPLE.com:8080",
        b"example.com.",
        b"example.com:",
        b"my_host",
        b"127.0.0.1:80",
        b"[::1]",
        b"[2001:db8::1]:443",
        b"[v1.a:b]",
        b"a%20b",
        b"a!$&'()*+;=~-",
    ],
)
def test_valid_hosts(host: bytes) -> None:
    assert check_host(request(host)) == host
    assert is_authority(host)


@pytest.mark.parametrize(
    "host",
    [
        b"a b",
        b"a,b",
        b"a/b",
        b"u@a",
        b"a:b",
        b"a:1:2",
        b"a:123456",
        b":80",
        b"::1",
        b"[::1",
        b"[]",
        b"[x]",
        b"[::1]x",
        b"a%2",
        b'a"',
        b"a\\b",
        b"a#",
        b"a?",
        b"\xc3\xa4",
        b"a\x00",
        b"a\n",
    ],
)
def test_invalid_hosts_are_refused(host: bytes) -> None:
    with pytest.raises(BadRequest):
        check_host(request(host))


@pytest.mark.parametrize(
    ("hosts", "version"),
    [
        pytest.param([], (1, 1), id="none in 1.1"),
        pytest.param([b"a", b"b"], (1, 1), id="two"),
        pytest.param([b"a", b"a"], (1, 0), id="two of the same, in 1.0"),
        pytest.param([b"a b"], (1, 0), id="invalid in 1.0"),
    ],
)
def test_wrong_number_of_hosts(hosts: list[bytes], version: tuple[int, int]) -> None:
    with pytest.raises(BadRequest):
        check_host(request(*hosts, version=version))


def test_no_host_is_valid_in_http_1_0_and_an_empty_one_in_both() -> None:
    assert (
        check_host(request(version=(1, 0)))
        == check_host(request(b""))
        == check_host(request(b"", version=(1, 0)))
        == b""
    )


@pytest.mark.parametrize(
    ("head", "target"),
    [
        pytest.param(request(b"a", target=b"/p"), Target(b"a", b"/p"), id="Host"),
        pytest.param(request(b"a", target=b"http://b/p"), Target(b"b", b"/p"), id="absolute-form instead of Host"),
        pytest.param(request(target=b"http://b/p", version=(1, 0)), Target(b"b", b"/p"), id="absolute-form alone"),
        pytest.param(request(version=(1, 0)), Target(b"", b"/"), id="neither"),
    ],
)
def test_the_authority_is_that_of_the_target_or_host(head: RequestHead, target: Target) -> None:
    assert target_of(head) == target


def test_host_is_checked_beside_absolute_form_too() -> None:
    with pytest.raises(BadRequest):
        target_of(request(b"a b", target=b"http://b/p"))


@pytest.mark.parametrize(
    ("paths", "target", "moved"),
    [
        pytest.param(Paths(), b"/a/../b?", b"/a/../b?", id="neither"),
        pytest.param(Paths(b"/legacy"), b"/legacy/x?y", b"/x?y", id="strip"),
        pytest.param(Paths(b"/legacy"), b"/legacy", b"/", id="strip: nothing left"),
        pytest.param(Paths(b"/legacy"), b"/legacy?", b"/?", id="strip: an empty query left"),
        pytest.param(Paths(b"/legacy"), b"/legacy?x", b"/?x", id="strip: a query left"),
        pytest.param(Paths(b"/legacy"), b"/legacy//%2f/../x", b"//%2f/../x", id="strip: the rest stays"),
        pytest.param(Paths(b"/legacy"), b"/legacyx", b"/legacyx", id="strip: no segment border"),
        pytest.param(Paths(b"/legacy"), b"/other", b"/other", id="strip: elsewhere"),
        pytest.param(Paths(add=b"/app"), b"/", b"/app/", id="add"),
        pytest.param(Paths(add=b"/app"), b"/x?y", b"/app/x?y", id="add: before a path"),
        pytest.param(Paths(b"/legacy", b"/app"), b"/legacy/x", b"/app/x", id="both"),
        pytest.param(Paths(b"/legacy", b"/app"), b"/legacy?x", b"/app?x", id="both: a query left"),
        pytest.param(Paths(b"/legacy", b"/app"), b"/other", b"/app/other", id="both: elsewhere"),
        pytest.param(Paths(b"/legacy", b"/app"), b"*", b"*", id="asterisk"),
    ],
)
def test_the_way_to_the_origin(paths: Paths, target: bytes, moved: bytes) -> None:
    assert paths.to_origin(target) == moved


@pytest.mark.parametrize(
    ("paths", "path", "moved"),
    [
        pytest.param(Paths(b"/legacy"), b"/x", b"/legacy/x", id="strip"),
        pytest.param(Paths(b"/legacy"), b"", b"/legacy", id="strip: no path"),
        pytest.param(Paths(add=b"/app"), b"/app/x", b"/x", id="add"),
        pytest.param(Paths(add=b"/app"), b"/app", b"/", id="add: nothing left"),
        pytest.param(Paths(add=b"/app"), b"/apple", None, id="add: no segment border"),
        pytest.param(Paths(add=b"/app"), b"/x", None, id="add: elsewhere"),
        pytest.param(Paths(b"/legacy", b"/app"), b"/app/x", b"/legacy/x", id="both"),
    ],
)
def test_the_way_back(paths: Paths, path: bytes, moved: bytes | None) -> None:
    assert paths.to_client(path) == moved
