"""What single values may be, and what becomes of them."""

from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.config import Address, OriginUrl, StoreUrl
from proxy.config.addresses import address, origin_url, public_url
from proxy.config.scalars import Refused, duration, duration_text, flag, size, size_text


def refused(parse: Callable[[str], object], text: str) -> Refused:
    with pytest.raises(Refused) as refusal:
        parse(text)
    return refusal.value


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("500ms", 0.5), ("2s", 2), ("1.5s", 1.5), ("15m", 900), ("1h", 3600), ("0s", 0), ("0.25h", 900)],
)
def test_durations_become_seconds(text: str, seconds: float) -> None:
    assert duration(text) == pytest.approx(seconds)


@pytest.mark.parametrize("text", ["", "s", "1", "1.s", ".5s", "1 s", "-1s", "1h30m", "1d", "1S", "1s\n", "١s", "1e3s"])  # noqa: RUF001
def test_what_is_no_duration_is_refused(text: str) -> None:
    with pytest.raises(Refused):
        duration(text)


@pytest.mark.parametrize(
    ("text", "hint"),
    [
        ("5", "5s"), ("1d", "24h"), ("2 weeks", "336h"), ("1h30m", "90m"), ("5 min", "5m"), ("1.5 Hours", "90m"),
        ("100msec", "100ms"), ("1m 5s", "65s"), ("soon", ""), ("1 fortnight", ""), ("-1s", ""),
    ],
)  # fmt: skip
def test_what_was_meant_by_a_duration(text: str, hint: str) -> None:
    assert refused(duration, text).hint == (f"did you mean `{hint}`?" if hint else "")


@pytest.mark.parametrize(
    ("text", "hint"), [("yes", "true"), ("On", "true"), ("0", "false"), ("No", "false"), ("maybe", "")]
)
def test_what_was_meant_by_a_flag(text: str, hint: str) -> None:
    assert refused(flag, text).hint == (f"did you mean `{hint}`?" if hint else "")


@pytest.mark.parametrize(
    ("text", "hint"),
    [
        (
            "ws://h:1/",
            "did you mean `http://h:1/`? WebSocket begins as HTTP, and is let through by a route's `upgrade: true`",
        ),
        (
            "WSS://h",
            "did you mean `https://h`? WebSocket begins as HTTP, and is let through by a route's `upgrade: true`",
        ),
        ("backend:8000", "did you mean `http://backend:8000`?"),
        ("ftp://h", ""),
        ("", ""),
        ("a b", ""),
    ],
)
def test_what_was_meant_by_a_url(text: str, hint: str) -> None:
    assert refused(origin_url, text).hint == hint


@pytest.mark.parametrize(
    ("text", "count"),
    [("0B", 0), ("512B", 512), ("64KiB", 65536), ("10MiB", 10485760), ("1GiB", 1 << 30), ("2TiB", 2 << 40)],
)
def test_sizes_become_bytes(text: str, count: int) -> None:
    assert size(text) == count


@pytest.mark.parametrize("text", ["", "1", "1.5MiB", "1 MiB", "-1B", "1MB", "1mib", "1B\n", "١B"])  # noqa: RUF001
def test_what_is_no_size_is_refused(text: str) -> None:
    with pytest.raises(Refused):
        size(text)


@given(st.integers(0, 10**9))
def test_sizes_are_written_as_they_are_read(count: int) -> None:
    assert size(size_text(count)) == count


@given(st.integers(0, 10**8).map(lambda number: number / 1000))
def test_durations_are_written_as_they_are_read(seconds: float) -> None:
    assert duration(duration_text(seconds)) == pytest.approx(seconds, rel=1e-5)


@pytest.mark.parametrize(
    ("text", "parsed"),
    [
        ("127.0.0.1:8080", Address("127.0.0.1", 8080)),
        ("localhost:0", Address("localhost", 0)),
        ("[::1]:80", Address("::1", 80)),
        ("[fe80::1%eth0]:80", Address("fe80::1%eth0", 80)),
        (":8080", Address("", 8080)),
        ("unix:/run/x.sock", Address(unix_path="/run/x.sock")),
    ],
)
def test_addresses_are_read_and_written(text: str, parsed: Address) -> None:
    assert address(text) == parsed
    assert str(parsed) == text


@pytest.mark.parametrize(
    "text",
    [
        "",
        "8080",
        "localhost",
        "a:b",
        "127.0.0.1:65536",
        "::1:80",
        "[::1]",
        "[zz]:80",
        "[1::2::3]:80",
        "*:80",
        "a b:80",
        "[::1%]:80",
        "[fe80::1% a]:80",
    ],
)
def test_what_is_no_address_is_refused(text: str) -> None:
    with pytest.raises(Refused):
        address(text)


def test_an_address_that_each_interface_has_needs_its_interface() -> None:
    with pytest.raises(Refused, match=r"^is link-local, and needs its interface; as in `\[fe80::1%eth0\]:2222`$"):
        address("[FE80::1]:2222")


def test_the_url_of_an_origin_has_no_interface() -> None:
    with pytest.raises(Refused, match="must not name an interface"):
        origin_url("http://[fe80::1%eth0]")


@pytest.mark.parametrize("text", ["unix:", "unix:x", "unix://x", "unix:/a\0b"])
def test_what_is_no_path_of_a_socket_is_refused(text: str) -> None:
    with pytest.raises(Refused):
        address(text)


@pytest.mark.parametrize(
    ("text", "parsed"),
    [
        ("http://Legacy", OriginUrl("http", "legacy", 80, b"legacy")),
        ("http://legacy:80/", OriginUrl("http", "legacy", 80, b"legacy")),
        ("HTTP://legacy_1:8000", OriginUrl("http", "legacy_1", 8000, b"legacy_1:8000")),
        ("https://10.0.0.5", OriginUrl("https", "10.0.0.5", 443, b"10.0.0.5")),
        ("https://[0:0::1]:80", OriginUrl("https", "::1", 80, b"[::1]:80")),
        ("unix:/run/x", OriginUrl("http", "localhost", 80, b"localhost", "/run/x")),
    ],
)
def test_origin_urls_are_read(text: str, parsed: OriginUrl) -> None:
    assert origin_url(text) == parsed


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("legacy:8000", "begin with `http://`"),
        ("ftp://legacy", "begin with `http://`"),
        ("http://a:b@legacy", "user or password"),
        ("http://legacy/app", "`add_path`"),
        ("http://legacy?x", "`add_path`"),
        ("http://legacy#x", "`add_path`"),
        ("http://", "a host"),
        ("http://:80", "a host"),
        ("http://legacy:0", "port 0"),
        ("http://legacy:99999", "host and port"),
        ("http://a b", "host and port"),
        ("http://legacy\n", "host and port"),
        ("http://bücher.example", "its host in ASCII"),
    ],
)
def test_what_is_no_origin_url_is_refused_with_the_reason(text: str, reason: str) -> None:
    with pytest.raises(Refused) as caught:
        origin_url(text)
    assert reason in caught.value.reason


@pytest.mark.parametrize(
    ("text", "parsed"),
    [
        ("https://A.example", "https://a.example"),
        ("http://a:80/", "http://a:80"),
        ("https://[::1]:8443", "https://[::1]:8443"),
    ],
)
def test_public_urls_end_without_a_slash(text: str, parsed: str) -> None:
    assert public_url(text) == parsed


@pytest.mark.parametrize(
    ("url", "text"),
    [(StoreUrl("memory"), "memory:"), (StoreUrl("sqlite", Path("/var/lib/x")), "sqlite:///var/lib/x")],
    ids=["memory", "sqlite"],
)
def test_store_urls_are_written(url: StoreUrl, text: str) -> None:
    assert str(url) == text
