"""Location and Content-Location, as the client is to see them."""

import pytest

from proxy.config import OriginUrl
from proxy.forwarded import Client
from proxy.location import WayBack, absolute, with_absolute_references
from proxy.message import Fields
from proxy.target import Paths

BASE = "http://a/b/c/d;p?q"
CLIENT = Client("https", b"shop.example", "192.0.2.1")
ORIGIN = OriginUrl("http", "backend", 8000, b"backend:8000")
BOTH = Paths(b"/legacy", b"/app")


def led_back(value: bytes, paths: Paths = BOTH, origin: OriginUrl = ORIGIN, client: Client = CLIENT) -> bytes:
    return WayBack(paths, [origin]).client_location(value, b"sent.example", client)


@pytest.mark.parametrize(
    ("value", "seen"),
    [
        pytest.param(b"/app/x?y#z", b"/legacy/x?y#z", id="path from the root"),
        pytest.param(b"/app", b"/legacy", id="the added path itself"),
        pytest.param(b"/app?x", b"/legacy?x", id="with a query"),
        pytest.param(b"http://backend:8000/app/x", b"https://shop.example/legacy/x", id="the origin's authority"),
        pytest.param(b"HTTP://BackEnd:8000/app/x", b"https://shop.example/legacy/x", id="in other case"),
        pytest.param(b"http://sent.example/app/x", b"https://shop.example/legacy/x", id="the Host that was sent"),
        pytest.param(b"https://sent.example:443/app", b"https://shop.example/legacy", id="its scheme's port"),
        pytest.param(b"http://sent.example:80/app", b"https://shop.example/legacy", id="the other scheme's port"),
        pytest.param(b"//backend:8000/app/x", b"//shop.example/legacy/x", id="no scheme"),
        pytest.param(b"/app/\xc3\xa4\xff%zz/../y", b"/legacy/\xc3\xa4\xff%zz/../y", id="the rest byte for byte"),
    ],
)
def test_references_to_the_origin_are_led_back(value: bytes, seen: bytes) -> None:
    assert led_back(value) == seen


@pytest.mark.parametrize(
    "value",
    [
        pytest.param(b"", id="empty"),
        pytest.param(b"x/y", id="relative"),
        pytest.param(b"../x", id="relative, upwards"),
        pytest.param(b"?x", id="query"),
        pytest.param(b"#x", id="fragment"),
        pytest.param(b"/other", id="not below the added path"),
        pytest.param(b"/apple", id="not on a segment border"),
        pytest.param(b"http://backend:8000/other", id="the origin, elsewhere"),
        pytest.param(b"http://other.example/app/x", id="another host"),
        pytest.param(b"http://backend/app/x", id="another port"),
        pytest.param(b"https://backend:8000/app/x", id="another scheme"),
        pytest.param(b"ftp://sent.example/app/x", id="a scheme that is not HTTP"),
        pytest.param(b"http:/app/x", id="a scheme without authority"),
        pytest.param(b"http://user@backend:8000/app/x", id="a user"),
        pytest.param(b"mailto:x@backend", id="mail"),
        pytest.param(b"http://[/app", id="malformed"),
    ],
)
def test_other_references_keep_their_bytes(value: bytes) -> None:
    assert led_back(value) == value


def test_a_client_that_named_no_host_gets_a_path() -> None:
    assert led_back(b"http://backend:8000/app/x", client=CLIENT._replace(host=b"")) == b"/legacy/x"


def test_a_path_that_begins_with_two_slashes_does_not_become_a_host() -> None:
    assert led_back(b"/app//evil.example/", Paths(add=b"/app")) == b"/.//evil.example/"


def test_a_relative_reference_stays_relative_where_nothing_was_added() -> None:
    assert led_back(b"x/y", Paths(b"/legacy")) == b"x/y"


def test_an_origin_on_its_schemes_port_may_be_named_with_it() -> None:
    origin = OriginUrl("https", "backend", 443, b"backend")
    assert led_back(b"https://backend:443/app/x", origin=origin) == b"https://shop.example/legacy/x"


@pytest.mark.parametrize(
    ("reference", "resolved"),
    [
        (b"g:h", b"g:h"),
        (b"g", b"http://a/b/c/g"),
        (b"./g", b"http://a/b/c/g"),
        (b"g/", b"http://a/b/c/g/"),
        (b"/g", b"http://a/g"),
        (b"//g", b"http://g"),
        (b"?y", b"http://a/b/c/d;p?y"),
        (b"g?y", b"http://a/b/c/g?y"),
        (b"#s", b"http://a/b/c/d;p?q#s"),
        (b"g#s", b"http://a/b/c/g#s"),
        (b"g?y#s", b"http://a/b/c/g?y#s"),
        (b";x", b"http://a/b/c/;x"),
        (b"g;x", b"http://a/b/c/g;x"),
        (b"g;x?y#s", b"http://a/b/c/g;x?y#s"),
        (b"", b"http://a/b/c/d;p?q"),
        (b".", b"http://a/b/c/"),
        (b"./", b"http://a/b/c/"),
        (b"..", b"http://a/b/"),
        (b"../", b"http://a/b/"),
        (b"../g", b"http://a/b/g"),
        (b"../..", b"http://a/"),
        (b"../../", b"http://a/"),
        (b"../../g", b"http://a/g"),
        (b"../../../g", b"http://a/g"),
        (b"../../../../g", b"http://a/g"),
        (b"/./g", b"http://a/g"),
        (b"/../g", b"http://a/g"),
        (b"g.", b"http://a/b/c/g."),
        (b".g", b"http://a/b/c/.g"),
        (b"g..", b"http://a/b/c/g.."),
        (b"..g", b"http://a/b/c/..g"),
        (b"./../g", b"http://a/b/g"),
        (b"./g/.", b"http://a/b/c/g/"),
        (b"g/./h", b"http://a/b/c/g/h"),
        (b"g/../h", b"http://a/b/c/h"),
        (b"g;x=1/./y", b"http://a/b/c/g;x=1/y"),
        (b"g;x=1/../y", b"http://a/b/c/y"),
        (b"g?y/./x", b"http://a/b/c/g?y/./x"),
        (b"g?y/../x", b"http://a/b/c/g?y/../x"),
        (b"g#s/./x", b"http://a/b/c/g#s/./x"),
        (b"g#s/../x", b"http://a/b/c/g#s/../x"),
        (b"http:g", b"http:g"),
    ],
)
def test_examples_of_rfc3986_section_5_4(reference: bytes, resolved: bytes) -> None:
    assert absolute(reference, BASE) == resolved


@pytest.mark.parametrize(
    ("reference", "resolved"),
    [
        pytest.param(b"http://h/a/../b", b"http://h/a/../b", id="absolute ones keep their dots"),
        pytest.param(b"//h/a/../b", b"http://h/b", id="network-path"),
        pytest.param(b"/\xc3\xa4\xff", b"http://a/\xc3\xa4\xff", id="beyond ASCII"),
        pytest.param(b"?", b"http://a/b/c/d;p?", id="empty query"),
        pytest.param(b"x y", b"http://a/b/c/x y", id="space"),
        pytest.param(b"/a/x y", b"http://a/a/x y", id="space, from the root"),
        pytest.param(b"?a b", b"http://a/b/c/d;p?a b", id="space in a query"),
        pytest.param(b"//h/a b", b"http://h/a b", id="space behind a host"),
        pytest.param(b"report 12:30.pdf", b"http://a/b/c/report 12:30.pdf", id="a colon behind a space ends no scheme"),
        pytest.param(b"x:a b", b"x:a b", id="space behind a scheme"),
        pytest.param(b'x"y<z>\\^[1]%zz', b'http://a/b/c/x"y<z>\\^[1]%zz', id="other characters of no URI"),
        pytest.param(b"/a\x00", b"/a\x00", id="control character"),
    ],
)
def test_more_resolution(reference: bytes, resolved: bytes) -> None:
    assert absolute(reference, BASE) == resolved


def test_a_base_without_path_and_with_bytes_beyond_ascii() -> None:
    assert absolute(b"x", "http://a") == b"http://a/x"
    assert absolute(b"x", "http://a/\udcff\xe4/y") == b"http://a/\xff\xc3\xa4/x"


def test_only_location_and_content_location_are_made_absolute() -> None:
    fields = Fields([(b"LOCATION", b"/g"), (b"Link", b"/g"), (b"Content-Location", b"g"), (b"location", b"x:y")])
    assert with_absolute_references(fields, BASE) == (
        (b"LOCATION", b"http://a/g"),
        (b"Link", b"/g"),
        (b"Content-Location", b"http://a/b/c/g"),
        (b"location", b"x:y"),
    )
