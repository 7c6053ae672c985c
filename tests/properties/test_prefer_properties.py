"""Prefer holds whatever bytes come (RFC 7240 section 2)."""

from collections.abc import Callable
from itertools import chain

from hypothesis import example, given
from hypothesis import strategies as st

from proxy.grammar import members, quoted, unquoted
from proxy.prefer import Preferences, parse

TCHARS = "!#$%&'*+-.^_`|~0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
lines = st.lists(st.binary() | st.text('respond-async,wait=;"\\ \t\x005').map(str.encode), max_size=4)
tokens = st.text(TCHARS, min_size=1, max_size=8).map(str.encode)
strings = st.binary().map(
    lambda text: b'"%b"' % bytes(byte for byte in text if byte >= 0x20 and byte not in b'"\\\x7f')
)
words = tokens | strings | st.just(b"")
spaces = st.text(" \t", max_size=2).map(str.encode)


def joined(*parts: st.SearchStrategy[bytes]) -> st.SearchStrategy[bytes]:
    return st.tuples(*parts).map(b"".join)


assignments = joined(spaces, st.just(b"="), spaces, words) | st.just(b"")
parameters = st.lists(joined(spaces, st.just(b";"), spaces, tokens, assignments), max_size=2).map(b"".join)
others = joined(st.just(b"x-"), tokens, assignments, parameters)
broken = st.sampled_from([b"", b" ", b"=", b"a b", b"@", b"x=a=b", b";", b"respond-async=x y", b"wait=(5)"])
cases: st.SearchStrategy[Callable[[str], str]] = st.sampled_from([str.lower, str.upper, str.title])


def well_formed(name: str, value: bytes) -> st.SearchStrategy[bytes]:
    return joined(spaces, cases.map(lambda case: case(name).encode()), st.just(value), parameters, spaces)


@given(lines)
@example([b'"\\' * 20_000])
@example([b'"a,\\"b' * 8_000])
def test_reading_never_fails_and_never_invents(raw: list[bytes]) -> None:
    preferences = parse(raw)
    text = b"\n".join(raw).lower()
    assert not preferences.respond_async or b"respond-async" in text
    assert preferences.wait is None or (b"wait" in text and preferences.wait >= 0)


@given(st.lists(others | broken), st.lists(others | broken), st.integers(0, 99), st.data())
def test_neighbours_do_not_matter(before: list[bytes], after: list[bytes], wait: int, data: st.DataObject) -> None:
    ours = [data.draw(well_formed("respond-async", b"")), data.draw(well_formed("wait", b"=%d" % wait))]
    line = b",".join(chain(before, data.draw(st.permutations(ours)), after))
    assert parse([line]) == Preferences(respond_async=True, wait=wait)


@given(st.lists(others | broken))
def test_what_is_not_asked_for_is_not_found(line: list[bytes]) -> None:
    assert parse([b",".join(line)]) == Preferences()


@given(st.lists(st.integers(0, 99), min_size=1), st.lists(others))
def test_the_first_instance_wins(waits: list[int], rest: list[bytes]) -> None:
    assert parse([b",".join([*rest, *(b"wait=%d" % wait for wait in waits)])]).wait == waits[0]


@given(st.lists(st.lists(others | well_formed("respond-async", b"") | well_formed("wait", b"=7"))))
def test_lines_mean_the_same_as_one_list(parts: list[list[bytes]]) -> None:
    assert parse([b",".join(part) for part in parts]) == parse([b",".join(chain.from_iterable(parts))])


@given(strings.map(lambda text: text.replace(b" ", b", respond-async, wait=1,")))
def test_nothing_in_a_string_is_a_preference(text: bytes) -> None:
    assert parse([b"x=%b" % text]) == Preferences()


@given(st.binary())
def test_members_are_trimmed_parts_of_the_line(line: bytes) -> None:
    for member in members(line):
        assert member
        assert member == member.strip(b" \t")
        assert member.replace(b"\0", b'"') in line.replace(b"\0", b'"')


@given(st.binary(min_size=1))
def test_what_is_quoted_can_be_unquoted(text: bytes) -> None:
    assert unquoted(quoted(text)) == text
    assert members(quoted(text)) == [quoted(text)]
