"""Who the client is, and what the origin is told of it (RFC 7239)."""

from ipaddress import ip_network

import pytest

from proxy.forwarded import Client, TrustedProxies, client_digest, forwarding_fields
from proxy.message import Field, Fields

PROXIES = TrustedProxies([ip_network("10.0.0.0/8"), ip_network("2001:db8:a::/48")])
FRONT = PROXIES.peer("10.0.0.1", tls=False)
HOST = b"inner.example"


def lines(**values: str) -> Fields:
    return Fields((name.replace("_", "-").encode(), value.encode()) for name, value in values.items())


def told(fields: Fields, address: str | None = "10.0.0.1", host: bytes = HOST, *, tls: bool = False) -> list[Field]:
    return list(forwarding_fields(PROXIES.arrival(PROXIES.peer(address, tls=tls), host, fields), fields))


@pytest.mark.parametrize(
    ("address", "seen", "trusted"),
    [
        pytest.param("192.0.2.1", "192.0.2.1", False, id="IPv4"),
        pytest.param("10.9.8.7", "10.9.8.7", True, id="trusted"),
        pytest.param("::ffff:10.9.8.7", "10.9.8.7", True, id="IPv4 on a socket for both families"),
        pytest.param("2001:db8:a::1", "2001:db8:a::1", True, id="trusted IPv6"),
        pytest.param("2001:db8:b::1", "2001:db8:b::1", False, id="IPv6"),
        pytest.param("fe80::1%eth0", "fe80::1", False, id="scope"),
        pytest.param("", "unknown", False, id="unnamed Unix socket"),
        pytest.param(None, "unknown", False, id="no address"),
        pytest.param("/run/x.sock", "unknown", False, id="path"),
    ],
)
def test_peer(address: str | None, seen: str, *, trusted: bool) -> None:
    peer = PROXIES.peer(address, tls=True)
    assert (peer.address, peer.trusted, peer.scheme) == (seen, trusted, "https")


@pytest.mark.parametrize("address", ["192.0.2.1", None])
def test_nobody_else_is_believed(address: str | None) -> None:
    fields = lines(
        X_Forwarded_For="1.2.3.4", X_Forwarded_Proto="https", X_Forwarded_Host="evil", Forwarded="for=1.2.3.4"
    )
    peer = PROXIES.peer(address, tls=False)
    assert PROXIES.arrival(peer, HOST, fields).client == Client("http", HOST, peer.address)


@pytest.mark.parametrize(
    ("value", "address"),
    [
        pytest.param("192.0.2.1", "192.0.2.1", id="one"),
        pytest.param("6.6.6.6, 192.0.2.1", "192.0.2.1", id="what the client made up stands left"),
        pytest.param("192.0.2.1, 10.0.0.2", "192.0.2.1", id="through two proxies"),
        pytest.param("10.0.0.3, 10.0.0.2", "10.0.0.3", id="all trusted"),
        pytest.param("192.0.2.1:5678", "192.0.2.1", id="port"),
        pytest.param("2001:db8:b::1", "2001:db8:b::1", id="IPv6"),
        pytest.param("[2001:DB8:b::1]:80", "2001:db8:b::1", id="IPv6 in brackets"),
        pytest.param("192.0.2.1, 2001:db8:a::2", "192.0.2.1", id="trusted IPv6"),
        pytest.param("192.0.2.1, unknown", "10.0.0.1", id="the unknown ends the walk"),
        pytest.param("192.0.2.1, 10.0.0.2, junk, 10.0.0.3", "10.0.0.3", id="so does junk, in the middle"),
        pytest.param("999.0.0.1", "10.0.0.1", id="no address, though of its shape"),
        pytest.param("[]", "10.0.0.1", id="empty brackets"),
        pytest.param(" , ,", "10.0.0.1", id="empty members"),
        pytest.param("\xff", "10.0.0.1", id="beyond ASCII"),
    ],
)
def test_the_client_is_the_first_address_from_the_right_that_is_not_trusted(value: str, address: str) -> None:
    assert PROXIES.arrival(FRONT, HOST, lines(X_Forwarded_For=value)).client == Client("http", HOST, address)


@pytest.mark.parametrize(
    ("fields", "client"),
    [
        pytest.param(lines(), Client("http", HOST, "10.0.0.1"), id="nothing"),
        pytest.param(
            lines(X_Forwarded_For="192.0.2.1", X_Forwarded_Proto="HTTPS", X_Forwarded_Host="shop.example:444"),
            Client("https", b"shop.example:444", "192.0.2.1"),
            id="all three",
        ),
        pytest.param(lines(X_Forwarded_Proto="https"), Client("https", HOST, "10.0.0.1"), id="proto alone"),
        pytest.param(lines(X_Forwarded_Host="a, b"), Client("http", b"b", "10.0.0.1"), id="the last host"),
        pytest.param(lines(X_Forwarded_Host="a@b"), Client("http", HOST, "10.0.0.1"), id="no host"),
        pytest.param(lines(X_Forwarded_Proto="gopher"), Client("http", HOST, "10.0.0.1"), id="no proto"),
        pytest.param(
            lines(X_Forwarded_For="192.0.2.1", Forwarded="for=6.6.6.6;proto=https"),
            Client("http", HOST, "192.0.2.1"),
            id="X-Forwarded-For before Forwarded",
        ),
    ],
)
def test_x_forwarded(fields: Fields, client: Client) -> None:
    assert PROXIES.arrival(FRONT, HOST, fields).client == client


@pytest.mark.parametrize(
    ("value", "client"),
    [
        pytest.param('for="_gazonk"', Client("http", HOST, "10.0.0.1"), id="section 4: obfuscated"),
        pytest.param(
            'For="[2001:db8:cafe::17]:4711"', Client("http", HOST, "2001:db8:cafe::17"), id="section 4: IPv6 and port"
        ),
        pytest.param(
            "for=192.0.2.60;proto=http;by=203.0.113.43",
            Client("http", HOST, "192.0.2.60"),
            id="section 4: several pairs",
        ),
        pytest.param("for=192.0.2.43, for=198.51.100.17", Client("http", HOST, "198.51.100.17"), id="section 4: two"),
        pytest.param('for="192.0.2.43:47011"', Client("http", HOST, "192.0.2.43"), id="section 6: port"),
        pytest.param("for=unknown;proto=https", Client("https", HOST, "10.0.0.1"), id="section 6.2: unknown"),
        pytest.param(
            'for=192.0.2.1;host="shop.example:444";proto=https, for=10.0.0.2;host=x;proto=http',
            Client("https", b"shop.example:444", "192.0.2.1"),
            id="what the first trusted proxy said of the client",
        ),
        pytest.param(
            "for=192.0.2.1, for=10.0.0.2;host=x;proto=https",
            Client("https", b"x", "192.0.2.1"),
            id="what it did not say",
        ),
        pytest.param("FOR = 192.0.2.1", Client("http", HOST, "10.0.0.1"), id="whitespace around the equals sign"),
        pytest.param("for=192.0.2.1 ; proto=https", Client("https", HOST, "192.0.2.1"), id="around the semicolon"),
        pytest.param(";;proto=https;", Client("https", HOST, "10.0.0.1"), id="empty pairs"),
        pytest.param(r'for="192.0.\2.1"', Client("http", HOST, "192.0.2.1"), id="escaped"),
        pytest.param('for="x, for=192.0.2.1', Client("http", HOST, "192.0.2.1"), id="after a quote that is not closed"),
        pytest.param("for=192.0.2.1, @", Client("http", HOST, "10.0.0.1"), id="a malformed element ends the walk"),
        pytest.param('for="a=b;proto=https"', Client("http", HOST, "10.0.0.1"), id="pairs inside a string"),
        pytest.param("host=a@b", Client("http", HOST, "10.0.0.1"), id="a host that is none"),
    ],
)
def test_forwarded(value: str, client: Client) -> None:
    assert PROXIES.arrival(FRONT, HOST, lines(Forwarded=value)).client == client


def test_forwarded_may_stand_on_several_lines() -> None:
    fields = Fields([(b"Forwarded", b"for=192.0.2.1"), (b"forwarded", b"for=10.0.0.2")])
    assert PROXIES.arrival(FRONT, HOST, fields).client.address == "192.0.2.1"


@pytest.mark.parametrize(
    ("address", "host", "tls", "expected"),
    [
        pytest.param(
            "192.0.2.1",
            HOST,
            False,
            [b"192.0.2.1", b"http", HOST, b"for=192.0.2.1;host=inner.example;proto=http"],
            id="IPv4",
        ),
        pytest.param(
            "2001:db8:b::1",
            b"h:1",
            True,
            [b"2001:db8:b::1", b"https", b"h:1", b'for="[2001:db8:b::1]";host="h:1";proto=https'],
            id="IPv6, port and TLS",
        ),
        pytest.param(
            None, b"h", False, [b"unknown", b"http", b"h", b"for=unknown;host=h;proto=http"], id="Unix socket"
        ),
    ],
)
def test_the_origin_is_told_of_the_peer(address: str | None, host: bytes, expected: list[bytes], *, tls: bool) -> None:
    fields = lines(X_Forwarded_For="6.6.6.6", Forwarded="for=6.6.6.6")
    names = [b"X-Forwarded-For", b"X-Forwarded-Proto", b"X-Forwarded-Host", b"Forwarded"]
    assert told(fields, address, host, tls=tls) == list(zip(names, expected, strict=True))


def test_without_a_host_none_is_told() -> None:
    assert [name for name, _ in told(lines(), host=b"")] == [b"X-Forwarded-For", b"X-Forwarded-Proto", b"Forwarded"]
    assert told(lines(), host=b"")[-1] == (b"Forwarded", b"for=10.0.0.1;proto=http")


def test_what_a_trusted_peer_told_is_appended_to() -> None:
    fields = Fields(
        [
            (b"X-Forwarded-For", b"192.0.2.1"),
            (b"x-forwarded-for", b"10.0.0.2"),
            (b"X-Forwarded-Proto", b"https"),
            (b"X-Forwarded-Host", b"shop.example"),
            (b"Forwarded", b"for=192.0.2.1"),
        ]
    )
    assert told(fields) == [
        (b"X-Forwarded-For", b"192.0.2.1, 10.0.0.2, 10.0.0.1"),
        (b"X-Forwarded-Proto", b"https"),
        (b"X-Forwarded-Host", b"shop.example"),
        (b"Forwarded", b"for=192.0.2.1, for=10.0.0.1;host=inner.example;proto=http"),
    ]


def test_x_forwarded_of_a_trusted_peer_is_put_into_forwarded() -> None:
    fields = lines(
        X_Forwarded_For="2001:db8:b::1, junk, 10.0.0.2", X_Forwarded_Proto="https", X_Forwarded_Host="shop:1"
    )
    *_, (_, forwarded) = told(fields)
    assert forwarded == (
        b'for="[2001:db8:b::1]", for=unknown, for=10.0.0.2;host="shop:1";proto=https, '
        b"for=10.0.0.1;host=inner.example;proto=http"
    )


@pytest.mark.parametrize(
    ("forwarded", "addresses"),
    [
        pytest.param(
            ["for=1.2.3.4;proto=https;host=f.example, for=10.0.0.2"], b"1.2.3.4, 10.0.0.2, 10.0.0.1", id="a chain"
        ),
        pytest.param(["for=1.2.3.4", "for=10.0.0.2"], b"1.2.3.4, 10.0.0.2, 10.0.0.1", id="on two lines"),
        pytest.param(
            ['for="[2001:DB8::1]:4711", for="192.0.2.1:80"'], b"2001:db8::1, 192.0.2.1, 10.0.0.1", id="without ports"
        ),
        pytest.param(["for=1.2.3.4, for=unknown"], b"1.2.3.4, unknown, 10.0.0.1", id="unknown"),
        pytest.param(['for=1.2.3.4, for="_x:_y"'], b"1.2.3.4, unknown, 10.0.0.1", id="obfuscated"),
        pytest.param(["for=1.2.3.4, proto=https"], b"1.2.3.4, unknown, 10.0.0.1", id="who does not say"),
        pytest.param(
            ['for=1.2.3.4, for="[fe80::1%x, 6.6.6.6]"'], b"1.2.3.4, unknown, 10.0.0.1", id="a zone that has members"
        ),
        pytest.param([r'for=1.2.3.4, for="[::1%\"q]"'], b"1.2.3.4, unknown, 10.0.0.1", id="a zone with a quote"),
        pytest.param(['for=1.2.3.4, for="[fe80::1%eth0]"'], b"1.2.3.4, unknown, 10.0.0.1", id="a zone of another host"),
        pytest.param(["for=1.2.3.4, @, for=10.0.0.2"], b"1.2.3.4, unknown, 10.0.0.2, 10.0.0.1", id="malformed"),
        pytest.param([""], b"10.0.0.1", id="empty"),
    ],
)
def test_forwarded_of_a_trusted_peer_is_put_into_x_forwarded_for(forwarded: list[str], addresses: bytes) -> None:
    fields = Fields((b"Forwarded", value.encode()) for value in forwarded)
    assert told(fields)[0] == (b"X-Forwarded-For", addresses)
    assert told(fields, "192.0.2.1")[0] == (b"X-Forwarded-For", b"192.0.2.1"), "a stranger is not believed"


def test_forwarded_is_not_put_into_x_forwarded_for_where_another_x_forwarded_goes_before_it() -> None:
    fields = lines(X_Forwarded_Proto="https", Forwarded="for=6.6.6.6")
    assert told(fields)[0] == (b"X-Forwarded-For", b"10.0.0.1")


@pytest.mark.parametrize("empty", ["", ",", " , ,"])
def test_a_field_without_members_is_as_good_as_none(empty: str) -> None:
    none = lines(X_Forwarded_For=empty, Forwarded=empty)
    assert told(none) == told(lines())
    assert told(lines(X_Forwarded_For=empty, Forwarded="for=1.2.3.4")) == told(lines(Forwarded="for=1.2.3.4"))
    assert told(lines(X_Forwarded_For="1.2.3.4", Forwarded=empty)) == told(lines(X_Forwarded_For="1.2.3.4"))
    assert told(lines(X_Forwarded_For=empty, X_Forwarded_Proto="https")) == told(lines(X_Forwarded_Proto="https"))


def digest(address: str, credential: bytes | None = None) -> str:
    return client_digest(Client("http", HOST, address), credential)


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        pytest.param(("192.0.2.1", b"Bearer a"), ("192.0.2.9", b"Bearer a"), True, id="a credential, wherever from"),
        pytest.param(("192.0.2.1", b"Bearer a"), ("192.0.2.1", b"Bearer b"), False, id="credentials"),
        pytest.param(("192.0.2.1", b"Bearer a"), ("192.0.2.1", None), False, id="with and without"),
        pytest.param(("192.0.2.1", None), ("192.0.2.1", b"192.0.2.1"), False, id="an address as a credential"),
        pytest.param(("192.0.2.1", b""), ("192.0.2.1", None), False, id="an empty credential"),
        pytest.param(("192.0.2.1", None), ("192.0.2.1", None), True, id="an address"),
        pytest.param(("192.0.2.1", None), ("192.0.2.2", None), False, id="addresses"),
        pytest.param(("2001:db8::1", None), ("2001:db8:0:0:ffff::2", None), True, id="addresses of one IPv6 network"),
        pytest.param(("2001:db8::1", None), ("2001:db8:0:1::1", None), False, id="IPv6 networks"),
        pytest.param(("unknown", None), ("unknown", None), True, id="no address"),
    ],
)
def test_who_is_one_client(one: tuple[str, bytes | None], other: tuple[str, bytes | None], *, same: bool) -> None:
    assert (digest(*one) == digest(*other)) is same


def test_a_clients_digest_stays_the_same_from_release_to_release() -> None:
    assert digest("192.0.2.1") == "6ee6f68bfe3baa2e76a7a425cfd602f5"
    assert digest("192.0.2.1", b"Bearer secret") == "cfb8d769511ecf07d30eadd37fd28fa0"
