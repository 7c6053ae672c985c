"""Which protocols are offered to an origin, and which of its answers stand (RFC 9110 section 7.8)."""

import pytest

from proxy.message import Field, Fields, RequestHead
from proxy.upgrade import chosen, offered, with_upgrade

UPGRADE: Field = (b"Connection", b"keep-alive, Upgrade")


def request(*fields: Field, version: tuple[int, int] = (1, 1)) -> RequestHead:
    return RequestHead("GET", b"/", Fields(fields), version)


@pytest.mark.parametrize(
    ("upgrade", "protocols"),
    [
        pytest.param([b"websocket"], (b"websocket",), id="one"),
        pytest.param([b"WebSocket"], (b"WebSocket",), id="as written"),
        pytest.param([b"IRC/6.9, ,RTA/x11"], (b"IRC/6.9", b"RTA/x11"), id="several, by preference"),
        pytest.param([b"a", b"b"], (b"a", b"b"), id="several lines"),
        pytest.param([b"h2c"], (), id="h2c"),
        pytest.param([b"H2C, websocket"], (b"websocket",), id="h2c among others"),
        pytest.param([b"HTTP/2.0", b"h2 , TLS/1.0"], (), id="others that are HTTP again"),
        pytest.param([b""], (), id="empty"),
        pytest.param([], (), id="absent"),
    ],
)
def test_protocols_are_offered_but_those_that_are_http_again(
    upgrade: list[bytes], protocols: tuple[bytes, ...]
) -> None:
    assert offered(request(UPGRADE, *((b"upgrade", value) for value in upgrade))) == protocols


@pytest.mark.parametrize(
    "head",
    [
        pytest.param(request((b"Upgrade", b"websocket")), id="not named in Connection"),
        pytest.param(request(UPGRADE, (b"Upgrade", b"websocket"), version=(1, 0)), id="HTTP/1.0"),
        pytest.param(request(UPGRADE, (b"Upgrade", b"websocket"), (b"Content-Length", b"1")), id="with content"),
        pytest.param(request(UPGRADE, (b"Upgrade", b"websocket"), (b"Transfer-Encoding", b"chunked")), id="chunked"),
    ],
)
def test_nothing_is_offered_where_it_may_not_be(head: RequestHead) -> None:
    assert offered(head) == ()


def test_content_of_no_length_is_none() -> None:
    assert offered(request(UPGRADE, (b"Upgrade", b"tcp"), (b"Content-Length", b"0"))) == (b"tcp",)


@pytest.mark.parametrize(
    ("fields", "protocols"),
    [
        pytest.param([(b"Upgrade", b"websocket"), (b"Connection", b"upgrade")], (b"websocket",), id="one"),
        pytest.param([(b"Upgrade", b"WebSocket"), (b"Connection", b"Upgrade")], (b"WebSocket",), id="in another case"),
        pytest.param([(b"Upgrade", b"foo/2, websocket"), UPGRADE], (b"foo/2", b"websocket"), id="two, in layers"),
        pytest.param([(b"Upgrade", b"websocket")], (), id="not named in Connection"),
        pytest.param([UPGRADE], (), id="without a protocol"),
        pytest.param([(b"Upgrade", b"bar"), UPGRADE], (), id="not offered"),
        pytest.param([(b"Upgrade", b"foo/1"), UPGRADE], (), id="another version"),
    ],
)
def test_an_origin_may_choose_what_it_was_offered(fields: list[Field], protocols: tuple[bytes, ...]) -> None:
    assert chosen(Fields(fields), (b"websocket", b"foo/2")) == protocols


def test_both_sides_get_the_fields_of_an_upgrade_anew() -> None:
    fields = with_upgrade(Fields([(b"Host", b"x")]), (b"foo/2", b"websocket"))
    assert fields == ((b"Host", b"x"), (b"Upgrade", b"foo/2, websocket"), (b"Connection", b"upgrade"))
