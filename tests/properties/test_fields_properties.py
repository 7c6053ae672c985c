"""Forwarding holds whatever bytes come: it never fails, and what is end to end passes unchanged and in order."""

from contextlib import suppress
from ipaddress import ip_address, ip_network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.config import OriginSettings, Route
from proxy.errors import BadRequest
from proxy.fields import HOP_BY_HOP, Forwarding, end_to_end, hop_counted
from proxy.forwarded import FORWARDING_FIELDS, Client, TrustedProxies, forwarding_fields
from proxy.grammar import quoted
from proxy.location import WayBack, absolute
from proxy.message import Field, Fields, RequestHead, ResponseHead
from proxy.ranges import Part, satisfy
from proxy.target import Paths, split_target, target_of

ROUTE = Route.model_validate(
    {"name": "r", "origin": "o", "strip_path": "/legacy", "add_path": "/app", "respond_async": {}}
)
ORIGIN = OriginSettings.model_validate({"url": "http://backend:8000"})
FORWARDING = Forwarding(ROUTE, ORIGIN, "respond-async")
PROXIES = TrustedProxies([ip_network("10.0.0.0/8")])
CLIENT = Client("https", b"shop.example", "192.0.2.1")

telling = sorted(HOP_BY_HOP | FORWARDING_FIELDS | {b"host", b"vary", b"date", b"location", b"expect", b"x-request-id"})
names = st.sampled_from(telling) | st.binary(min_size=1, max_size=8)
values = st.binary(max_size=12) | names | st.text('for="[];,:.0129 x\\').map(str.encode)
sections = st.lists(st.tuples(names, values), max_size=12).map(Fields)
plain = st.binary(min_size=1, max_size=8).map(lambda name: b"X-" + name)
references = st.binary() | st.text("/.?#:@a%[]").map(str.encode)
addresses = st.ip_addresses().map(str)
zones = st.text('%,"\\ x\xff06.:')
nodes = addresses.map(str.encode) | st.builds("[{}%{}]".format, st.ip_addresses(v=6), zones).map(str.encode)


def is_plain(field: Field) -> bool:
    return field[0].startswith(b"X-") and field[0].lower() not in FORWARDING_FIELDS | {b"x-request-id"}


@given(sections, st.lists(st.tuples(plain, values)))
def test_end_to_end_fields_pass_unchanged_and_in_order(noise: Fields, fields: list[Field]) -> None:
    kept = end_to_end(Fields(field for field in (*noise, *fields) if field[0].lower() != b"connection"))
    assert [field for field in kept if is_plain(field)] == [field for field in (*noise, *fields) if is_plain(field)]
    assert HOP_BY_HOP.isdisjoint(name.lower() for name, _ in kept)


@given(sections)
def test_end_to_end_again_changes_nothing(fields: Fields) -> None:
    once = end_to_end(fields)
    assert end_to_end(once) == once


@given(sections, st.sampled_from(["10.0.0.1", "192.0.2.1", None]))
def test_requests_are_forwarded_whatever_they_contain(fields: Fields, peer: str | None) -> None:
    request = RequestHead("OPTIONS", b"/", fields)
    arrival = PROXIES.arrival(PROXIES.peer(peer, tls=True), b"h", fields)
    names = [name.lower() for name, _ in FORWARDING.for_origin(request, arrival, b"id")]
    for single in (b"x-forwarded-for", b"x-forwarded-proto", b"x-forwarded-host", b"forwarded"):
        assert names.count(single) == 1
    assert b"host" in names
    assert b"via" in names
    assert b"x-request-id" in names
    assert HOP_BY_HOP.isdisjoint(names)
    hop_counted(request)


@given(sections)
def test_responses_are_forwarded_whatever_they_contain(fields: Fields) -> None:
    arrival = PROXIES.arrival(PROXIES.peer(None, tls=False), b"h", Fields())
    made = FORWARDING.for_client(ResponseHead(200, b"", fields), arrival, b"now")
    assert not {b"*", b"prefer"}.isdisjoint(made.members(b"vary"))
    assert made.first(b"date") is not None
    assert made.first(b"via") is not None


@given(sections, addresses)
def test_a_stranger_cannot_say_who_it_is(fields: Fields, address: str) -> None:
    peer = TrustedProxies().peer(address, tls=False)
    arrival = TrustedProxies().arrival(peer, b"h", fields)
    assert arrival.client == Client("http", b"h", peer.address)
    assert list(forwarding_fields(arrival, fields)) == list(forwarding_fields(arrival, Fields()))


@given(values, st.ip_addresses(v=4).filter(lambda ip: ip not in ip_network("10.0.0.0/8")).map(str))
def test_nothing_on_an_earlier_line_hides_whom_a_trusted_proxy_saw(junk: bytes, address: str) -> None:
    for name, value in ((b"X-Forwarded-For", address.encode()), (b"Forwarded", b"for=" + address.encode())):
        fields = Fields([(name, junk), (name, value)])
        assert PROXIES.arrival(PROXIES.peer("10.0.0.1", tls=False), b"h", fields).client.address == address


@given(addresses)
def test_what_one_proxy_writes_the_next_one_reads(address: str) -> None:
    first = TrustedProxies()
    written = Fields(forwarding_fields(first.arrival(first.peer(address, tls=True), b"shop:1", Fields()), Fields()))
    for fields in (written, Fields(written[-1:])):
        client = PROXIES.arrival(PROXIES.peer("10.0.0.1", tls=False), b"h", fields).client
        if not address.startswith("10."):
            assert client == Client("https", b"shop:1", first.peer(address, tls=True).address)


@given(st.lists(nodes.map(lambda node: b"for=" + quoted(node)) | values, max_size=5))
def test_x_forwarded_for_that_is_made_of_forwarded_leads_to_the_same_client(elements: list[bytes]) -> None:
    fields = Fields((b"Forwarded", element) for element in elements)
    arrival = PROXIES.arrival(PROXIES.peer("10.0.0.1", tls=False), b"h", fields)
    made = Fields(forwarding_fields(arrival, fields)[:1])
    again = PROXIES.arrival(PROXIES.peer("10.0.0.9", tls=False), b"h", made)
    assert (made[0][0], again.client.address) == (b"X-Forwarded-For", arrival.client.address)
    assert all(one == b"unknown" or ip_address(one.decode()) for one in made[0][1].split(b", "))


@given(references, st.sampled_from(["GET", "OPTIONS"]))
def test_targets_are_split_without_a_change_or_refused(target: bytes, method: str) -> None:
    with suppress(BadRequest):
        authority, origin_form = split_target(method, target)
        assert origin_form == b"*" or origin_form.startswith(b"/")
        assert target.endswith((origin_form, origin_form[1:]))
        assert authority is None or authority in target


@given(sections, st.binary(), st.sampled_from([(1, 0), (1, 1)]))
def test_any_head_has_a_target_or_is_refused(fields: Fields, target: bytes, version: tuple[int, int]) -> None:
    with suppress(BadRequest):
        assert target_of(RequestHead("GET", target, fields, version)).origin_form.startswith(b"/")


@given(references)
def test_a_path_leads_to_the_origin_and_back(rest: bytes) -> None:
    paths = Paths(b"/legacy", b"/app")
    path = b"/legacy/" + rest
    assert paths.to_client(paths.to_origin(path)) == path


@given(references)
def test_references_are_led_back_or_left(value: bytes) -> None:
    seen = WayBack(Paths(b"/legacy"), ORIGIN.url).client_location(value, b"h", CLIENT)
    assert seen == value or b"/legacy" in seen


@given(references)
def test_resolving_never_fails_and_resolved_ones_stay(value: bytes) -> None:
    resolved = absolute(value, "http://a/b/c?d")
    assert absolute(resolved, "http://other/") == resolved


@given(st.binary() | st.from_regex(rb"bytes=[0-9]*-[0-9]*", fullmatch=True), st.integers(0, 100))
def test_a_part_lies_inside_of_the_whole(value: bytes, size: int) -> None:
    answer = satisfy(value, None, None, None, size)
    if isinstance(answer, Part):
        assert 0 <= answer.start < answer.stop <= size


@pytest.mark.parametrize("text", [b"token", b"[::1]", b'a"b\\c', b""])
def test_quoting_is_for_what_is_no_token(text: bytes) -> None:
    assert quoted(text).startswith(b'"') is (text != b"token")
