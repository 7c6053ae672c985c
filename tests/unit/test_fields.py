"""What forwarding changes in header sections, and what it leaves alone."""

import pytest

from proxy.config import OriginSettings, Route
from proxy.fields import HOP_BY_HOP, Forwarding, addressed, end_to_end, hop_counted
from proxy.forwarded import Arrival, Client, TrustedProxies
from proxy.message import Field, Fields, RequestHead, ResponseHead

PEER = TrustedProxies().peer("192.0.2.1", tls=False)
DATE = b"Sun, 06 Nov 1994 08:49:37 GMT"
MADE_FOR_ORIGIN = [
    (b"Via", b"1.1 respond-async"),
    (b"X-Forwarded-For", b"192.0.2.1"),
    (b"X-Forwarded-Proto", b"http"),
    (b"X-Forwarded-Host", b"h"),
    (b"Forwarded", b"for=192.0.2.1;host=h;proto=http"),
    (b"X-Request-Id", b"id"),
]


def forwarding(*, origin: dict[str, str] | None = None, **route: object) -> Forwarding:
    settings = OriginSettings.model_validate({"url": "http://backend:8000", **(origin or {})})
    return Forwarding(Route.model_validate({"name": "r", "origin": "o", **route}), settings, "respond-async")


def arrival(authority: bytes = b"h") -> Arrival:
    return TrustedProxies().arrival(PEER, authority, Fields())


def sent(
    *fields: Field,
    authority: bytes = b"h",
    version: tuple[int, int] = (1, 1),
    origin: dict[str, str] | None = None,
    **route: object,
) -> list[Field]:
    request = RequestHead("POST", b"/", Fields(fields), version)
    return list(forwarding(origin=origin, **route).for_origin(request, arrival(authority), b"id"))


def seen(*fields: Field, origin: dict[str, str] | None = None, **route: object) -> list[Field]:
    response = ResponseHead(200, b"OK", Fields(fields))
    return list(forwarding(origin=origin, **route).for_client(response, arrival(), DATE))


@pytest.mark.parametrize("name", sorted(HOP_BY_HOP))
def test_rfc9110_7_6_1_hop_by_hop_fields_go_no_further(name: bytes) -> None:
    fields = Fields([(b"A", b"1"), (name.title(), b"x"), (b"B", b"2")])
    assert end_to_end(fields) == ((b"A", b"1"), (b"B", b"2"))


@pytest.mark.parametrize(
    ("values", "left"),
    [
        pytest.param([b"x-a"], [b"X-B"], id="one"),
        pytest.param([b"close, X-A ,, x-b"], [], id="list"),
        pytest.param([b"x-a", b"X-B"], [], id="two lines"),
        pytest.param([b"keep-alive"], [b"X-A", b"X-B"], id="no field"),
        pytest.param([b""], [b"X-A", b"X-B"], id="empty"),
        pytest.param([b"\xff, ="], [b"X-A", b"X-B"], id="junk"),
    ],
)
def test_rfc9110_7_6_1_fields_named_in_connection_go_no_further(values: list[bytes], left: list[bytes]) -> None:
    connection = [(b"cOnnection", value) for value in values]
    assert [name for name, _ in end_to_end(Fields([*connection, (b"X-A", b"1"), (b"X-B", b"2")]))] == left


def test_connection_cannot_take_away_what_the_message_means() -> None:
    fields = Fields([(b"Host", b"h"), (b"Content-Length", b"5"), (b"Connection", b"host, content-length")])
    assert end_to_end(fields) == ((b"Host", b"h"), (b"Content-Length", b"5"))


def test_a_request_keeps_its_fields_and_gets_the_proxys_after_them() -> None:
    fields = [
        (b"hOsT", b"h"),
        (b"Cookie", b"a=\xff"),
        (b"X-A", b"1"),
        (b"Via", b"1.0 fred"),
        (b"x-a", b""),
        (b"Cookie", b"b"),
        (b"Authorization", b"secret"),
        (b"Prefer", b"respond-async"),
    ]
    assert sent(*fields) == [*fields, *MADE_FOR_ORIGIN]


def test_what_a_client_says_of_itself_is_replaced() -> None:
    names = (
        b"Forwarded",
        b"X-Forwarded-For",
        b"x-forwarded-proto",
        b"X-FORWARDED-HOST",
        b"X_Forwarded_For",
        b"X-Forwarded_Host",
    )
    assert sent((b"Host", b"h"), *((name, b"evil") for name in names)) == [(b"Host", b"h"), *MADE_FOR_ORIGIN]


def test_fields_of_the_proxy_cannot_be_taken_away_by_connection() -> None:
    connection = (b"Connection", b"Via, X-Forwarded-For, Forwarded, X-Request-Id, Host")
    assert sent((b"Host", b"h"), (b"X-Request-Id", b"mine"), connection) == [(b"Host", b"h"), *MADE_FOR_ORIGIN]


def test_via_names_the_version_that_was_received() -> None:
    assert (b"Via", b"1.0 respond-async") in sent((b"Host", b"h"), version=(1, 0))


def test_a_request_id_is_kept() -> None:
    made = sent((b"Host", b"h"), (b"x-request-id", b"mine"))
    assert [value for name, value in made if name.lower() == b"x-request-id"] == [b"mine"]


@pytest.mark.parametrize("values", [pytest.param([b""], id="one"), pytest.param([b"", b"b"], id="the first of two")])
def test_an_empty_request_id_is_none(values: list[bytes]) -> None:
    fields = [(b"X-Request-Id", value) for value in values]
    assert sent((b"Host", b"h"), *fields) == [(b"Host", b"h"), *MADE_FOR_ORIGIN]


def test_an_empty_request_id_is_not_replaced_where_the_route_removes_it() -> None:
    names = {name for name, _ in sent((b"X-Request-Id", b""), request_headers={"remove": ["X-Request-Id"]})}
    assert b"X-Request-Id" not in names


@pytest.mark.parametrize(
    ("public_url", "match", "seen"),
    [
        pytest.param(None, {}, ("http", b"b.example:81"), id="what the client used"),
        pytest.param("https://a.example:82", {}, ("https", b"a.example:82"), id="public_url"),
        pytest.param("https://[::1]", {}, ("https", b"[::1]"), id="public_url with an IPv6 address"),
        pytest.param("https://a.example", {"path": "/b"}, ("https", b"a.example"), id="a route by path"),
        pytest.param("https://a.example", {"host": "b.example"}, ("https", b"b.example:81"), id="a route by host"),
        pytest.param(None, {"host": "b.example"}, ("http", b"b.example:81"), id="a route by host, without public_url"),
    ],
)
def test_the_clients_view(public_url: str | None, match: dict[str, str], seen: tuple[str, bytes]) -> None:
    route = Route.model_validate({"name": "r", "origin": "o", "match": match})
    origin = OriginSettings.model_validate({"url": "http://backend:8000"})
    client = Client("http", b"b.example:81", "192.0.2.1")
    assert Forwarding(route, origin, "p", public_url).client_view(client) == (*seen, "192.0.2.1")


def test_with_a_public_url_a_client_needs_no_host() -> None:
    route = Route.model_validate({"name": "r", "origin": "o"})
    origin = OriginSettings.model_validate({"url": "http://backend:8000"})
    seen = Forwarding(route, origin, "p", "https://a.example").client_view(Client("http", b"", "192.0.2.1"))
    assert seen.root(b"127.0.0.1:8080") == "https://a.example"


def test_framing_of_requests_is_left_to_whoever_sends_the_content() -> None:
    names = {name.lower() for name, _ in sent((b"Content-Length", b"5"), (b"Transfer-Encoding", b"chunked"))}
    assert names.isdisjoint({b"content-length", b"transfer-encoding"})


@pytest.mark.parametrize(
    ("fields", "authority", "origin", "expected"),
    [
        pytest.param(
            [(b"A", b"1"), (b"host", b"h")], b"h", {}, [(b"A", b"1"), (b"host", b"h")], id="preserved, in place"
        ),
        pytest.param(
            [(b"A", b"1"), (b"HOST", b"h")], b"other", {}, [(b"A", b"1"), (b"HOST", b"other")], id="absolute-form"
        ),
        pytest.param([(b"A", b"1")], b"", {}, [(b"Host", b"backend:8000"), (b"A", b"1")], id="none"),
        pytest.param([(b"Host", b"")], b"", {}, [(b"Host", b"backend:8000")], id="empty"),
        pytest.param(
            [(b"A", b"1")], b"other", {}, [(b"Host", b"other"), (b"A", b"1")], id="absolute-form without Host"
        ),
        pytest.param(
            [(b"Host", b"h")], b"h", {"host_header": "origin"}, [(b"Host", b"backend:8000")], id="the origin's own"
        ),
        pytest.param([(b"Host", b"")], b"", {"url": "unix:/run/x.sock"}, [(b"Host", b"localhost")], id="Unix socket"),
    ],
)
def test_host(fields: list[Field], authority: bytes, origin: dict[str, str], expected: list[Field]) -> None:
    unaddressed = RequestHead("GET", b"/", Fields(sent(*fields, authority=authority, origin=origin)))
    server = OriginSettings.model_validate({"url": "http://backend:8000", **origin}).url[0]
    assert list(addressed(unaddressed, server.authority).fields)[: len(expected)] == expected


@pytest.mark.parametrize(
    ("value", "kept"), [pytest.param(b"100-Continue", False, id="met here"), pytest.param(b"x=y", True, id="unknown")]
)
def test_expect(value: bytes, *, kept: bool) -> None:
    assert ((b"Expect", value) in sent((b"Host", b"h"), (b"Expect", value))) is kept


def test_prefer_is_kept_unless_the_route_strips_it() -> None:
    prefer = (b"prefer", b"respond-async")
    assert prefer in sent(prefer, respond_async={})
    assert prefer not in sent(prefer, respond_async={}, strip_prefer=True)


def test_the_route_has_the_last_word_on_request_fields() -> None:
    changes = {
        "set": {"X-Api-Key": "k", "x-forwarded-proto": "https"},
        "remove": ["Cookie", "X-Request-Id", "Forwarded"],
    }
    fields = (b"Host", b"h"), (b"x-api-key", b"mine"), (b"COOKIE", b"a"), (b"X-Request-Id", b"mine")
    assert sent(*fields, request_headers=changes) == [
        (b"Host", b"h"),
        (b"Via", b"1.1 respond-async"),
        (b"X-Forwarded-For", b"192.0.2.1"),
        (b"X-Forwarded-Host", b"h"),
        (b"X-Api-Key", b"k"),
        (b"x-forwarded-proto", b"https"),
    ]


def test_the_target_is_stripped_and_added_to() -> None:
    assert forwarding(strip_path="/legacy", add_path="/app").target(b"/legacy/x?") == b"/app/x?"
    assert forwarding().target(b"/a/../b?") == b"/a/../b?"


def test_a_response_keeps_its_fields_and_gets_the_proxys_after_them() -> None:
    fields = [
        (b"Set-Cookie", b"a=1"),
        (b"Content-Length", b"5"),
        (b"date", b"then"),
        (b"set-cookie", b"b=\xff"),
        (b"Location", b"/app/x"),
        (b"Server", b""),
    ]
    assert seen(*fields, (b"Connection", b"close")) == [*fields, (b"Via", b"1.1 respond-async")]


def test_a_date_is_added_where_there_is_none() -> None:
    assert seen() == [(b"Via", b"1.1 respond-async"), (b"Date", DATE)]


def test_a_date_that_connection_takes_away_is_none() -> None:
    assert (b"Date", DATE) in seen((b"Date", b"then"), (b"Connection", b"Date"))


def test_via_names_the_origins_version() -> None:
    response = ResponseHead(200, b"OK", Fields())
    assert forwarding().for_client(response, arrival(), DATE, (1, 0)).first(b"via") == b"1.0 respond-async"


@pytest.mark.parametrize(
    ("vary", "expected"),
    [
        pytest.param([], [b"Prefer"], id="none"),
        pytest.param([b"Accept"], [b"Accept", b"Prefer"], id="another"),
        pytest.param([b"Accept", b"Accept, pREFER"], [b"Accept", b"Accept, pREFER"], id="there already"),
        pytest.param([b"*"], [b"*"], id="everything"),
        pytest.param([b"X-Prefer"], [b"X-Prefer", b"Prefer"], id="a longer name"),
    ],
)
def test_rfc7240_2_an_asynchronous_route_varies_by_prefer(vary: list[bytes], expected: list[bytes]) -> None:
    made = seen(*((b"Vary", value) for value in vary), respond_async={})
    assert [value for name, value in made if name == b"Vary"] == expected


def test_other_routes_do_not() -> None:
    assert seen((b"Vary", b"Accept"))[0] == (b"Vary", b"Accept")
    assert not any(value == b"Prefer" for _, value in seen())


def test_the_route_has_the_last_word_on_response_fields_but_for_vary_prefer() -> None:
    changes = {"set": {"X-Frame-Options": "DENY", "Vary": "Accept"}, "remove": ["server", "Via", "Date"]}
    fields = (b"Server", b"x"), (b"vary", b"Cookie"), (b"x-frame-options", b"ALLOW"), (b"A", b"1"), (b"Date", b"then")
    assert seen(*fields, response_headers=changes, respond_async={}) == [
        (b"A", b"1"),
        (b"X-Frame-Options", b"DENY"),
        (b"Vary", b"Accept"),
        (b"Vary", b"Prefer"),
    ]


def test_locations_are_led_back_where_paths_are_changed() -> None:
    fields = (b"LOCATION", b"/app/x"), (b"Link", b"</app/x>"), (b"content-location", b"http://backend:8000/app/y")
    assert seen(*fields, strip_path="/legacy", add_path="/app")[:3] == [
        (b"LOCATION", b"/legacy/x"),
        (b"Link", b"</app/x>"),
        (b"content-location", b"http://h/legacy/y"),
    ]


def test_locations_are_led_back_by_the_host_that_was_sent() -> None:
    location = (b"Location", b"http://h/x")
    assert seen(location, strip_path="/legacy")[0] == (b"Location", b"http://h/legacy/x")
    assert seen(location, strip_path="/legacy", origin={"host_header": "origin"})[0] == location


def limited(method: str, *values: bytes) -> RequestHead:
    return RequestHead(method, b"/", Fields([(b"A", b"1"), *((b"max-Forwards", value) for value in values)]))


@pytest.mark.parametrize("method", ["TRACE", "OPTIONS"])
def test_rfc9110_7_6_2_max_forwards_is_counted_down(method: str) -> None:
    assert hop_counted(limited(method, b"1")) == limited(method, b"0")
    assert hop_counted(limited(method, b"0010")) == limited(method, b"9")
    assert hop_counted(limited(method, b"9" * 4400)) == limited(method, b"9223372036854775806")


@pytest.mark.parametrize("method", ["TRACE", "OPTIONS"])
def test_rfc9110_7_6_2_a_request_may_go_no_further(method: str) -> None:
    assert hop_counted(limited(method, b"0")) is None


@pytest.mark.parametrize(
    "request_",
    [
        pytest.param(limited("GET", b"0"), id="other methods"),
        pytest.param(limited("OPTIONS"), id="absent"),
        pytest.param(limited("OPTIONS", b"-1"), id="negative"),
        pytest.param(limited("OPTIONS", b""), id="empty"),
    ],
)
def test_other_max_forwards_are_left_alone(request_: RequestHead) -> None:
    assert hop_counted(request_) is request_
