"""Prefer and Preference-Applied by RFC 7240."""

import pytest

from proxy.prefer import LONGEST_WAIT, Preferences, applied, parse

NONE = Preferences()
ASYNC = Preferences(respond_async=True)


@pytest.mark.parametrize(
    ("lines", "preferences"),
    [
        pytest.param([b"foo; bar"], NONE, id="section 2: parameter"),
        pytest.param([b'foo; bar=""'], NONE, id="section 2: parameter with an empty value"),
        pytest.param([b'foo=""; bar'], NONE, id="section 2: empty value"),
        pytest.param(
            [b"respond-async, wait=100", b"handling=lenient"],
            Preferences(respond_async=True, wait=100),
            id="section 2: two fields",
        ),
        pytest.param(
            [b"handling=lenient, wait=100, respond-async"],
            Preferences(respond_async=True, wait=100),
            id="section 2: one field",
        ),
        pytest.param(
            [b"respond-async, wait=10", b"priority=5"],
            Preferences(respond_async=True, wait=10),
            id="section 2.1: unknown one",
        ),
        pytest.param([b"Lenient"], NONE, id="section 2.1: lenient"),
        pytest.param([b'return=minimal; foo="some parameter"'], NONE, id="section 2.1: quoted parameter"),
        pytest.param([b"respond-async"], ASYNC, id="section 4.1"),
        pytest.param([b"return=representation"], NONE, id="section 4.2: representation"),
        pytest.param([b"return=minimal"], NONE, id="section 4.2: minimal"),
        pytest.param([b"respond-async, wait=10"], Preferences(respond_async=True, wait=10), id="section 4.3"),
        pytest.param([b"handling=strict"], NONE, id="section 4.4"),
    ],
)
def test_examples_of_rfc7240(lines: list[bytes], preferences: Preferences) -> None:
    assert parse(lines) == preferences


@pytest.mark.parametrize(
    "line",
    [
        pytest.param(b"Respond-ASYNC", id="case"),
        pytest.param(b" \trespond-async\t ", id="whitespace around"),
        pytest.param(b",, respond-async,", id="empty members"),
        pytest.param(b'respond-async=""', id="empty quoted value"),
        pytest.param(b"respond-async=", id="empty value"),
        pytest.param(b'respond-async = ""', id="bad whitespace"),
        pytest.param(b"respond-async; x", id="parameter"),
        pytest.param(b'respond-async \t;\t x = "a;b,c"', id="parameter with delimiters in its string"),
        pytest.param(b"respond-async;;; ;", id="empty parameters"),
        pytest.param(b"respond-async, respond-async=x", id="first instance"),
        pytest.param(b'x="a, b", respond-async', id="after a comma in a string"),
        pytest.param(rb'x="a\", b", respond-async', id="after an escaped quote"),
        pytest.param(rb'x="a\\", respond-async', id="after an escaped backslash"),
        pytest.param(b'x="\xc3\xa4\xff", respond-async', id="after bytes beyond ASCII"),
        pytest.param(b"=, respond-async", id="after a member without name"),
        pytest.param(b"a b, respond-async", id="after two tokens"),
        pytest.param(b"x=a=b, respond-async", id="after two values"),
        pytest.param(b"\xff(), respond-async", id="after bytes that are no token"),
        pytest.param(b"respond-async, ;x", id="before a member without name"),
        pytest.param(b'x="a, respond-async', id="after a quote that is never closed"),
        pytest.param(b'x="a\\, respond-async', id="after a quote that is never closed, with a backslash"),
        pytest.param(b'respond-async, x="a', id="before a quote that is never closed"),
        pytest.param(b'x="a"b, respond-async', id="after a string with a tail"),
        pytest.param(b'x="\x00", respond-async', id="after a control character in a string"),
    ],
)
def test_respond_async_is_found(line: bytes) -> None:
    assert parse([line]) == ASYNC


@pytest.mark.parametrize(
    "line",
    [
        pytest.param(b"", id="nothing"),
        pytest.param(b" , ,", id="empty members only"),
        pytest.param(b"respond-async=yes", id="value"),
        pytest.param(b"respond-async=no, respond-async", id="first instance has a value"),
        pytest.param(b"respond-asynchronously", id="longer token"),
        pytest.param(b"respond async", id="two tokens"),
        pytest.param(b'"respond-async"', id="quoted name"),
        pytest.param(b'x="respond-async"', id="value of another"),
        pytest.param(b'x="a, respond-async, b"', id="inside a string"),
        pytest.param(rb'x="a\", respond-async, b"', id="inside a string with an escaped quote"),
        pytest.param(b"x; respond-async", id="parameter of another"),
        pytest.param(b"respond-async; =x", id="malformed parameter"),
        pytest.param(b'respond-async="', id="quote that is never closed"),
        pytest.param(b"respond-async\x00", id="control character"),
        pytest.param(b"respond-async\n", id="line feed"),
        pytest.param(b"wait=5", id="wait alone"),
    ],
)
def test_respond_async_is_not_found(line: bytes) -> None:
    assert not parse([line]).respond_async


@pytest.mark.parametrize(
    ("line", "wait"),
    [
        pytest.param(b"wait=5", 5, id="digits"),
        pytest.param(b"wait=0", 0, id="zero"),
        pytest.param(b"wait=005", 5, id="leading zeros"),
        pytest.param(b'wait="5"', 5, id="quoted"),
        pytest.param(rb'wait="\5"', 5, id="quoted and escaped"),
        pytest.param(b"WAIT \t=\t 5", 5, id="case and bad whitespace"),
        pytest.param(b"wait=5; x=y", 5, id="parameter"),
        pytest.param(b"wait=5, wait=6", 5, id="first instance"),
        pytest.param(b"wait=@, wait=5", 5, id="a malformed member is no instance"),
        pytest.param(b"wait=10s, wait=5", None, id="a meaningless one is the first instance"),
        pytest.param(b"wait, wait=5", None, id="so is one without value"),
        pytest.param(b"wait=-1", None, id="negative"),
        pytest.param(b"wait=+1", None, id="signed"),
        pytest.param(b"wait=10s", None, id="unit"),
        pytest.param(b"wait=1.5", None, id="fraction"),
        pytest.param(b"wait=", None, id="empty"),
        pytest.param(b'wait=""', None, id="empty string"),
        pytest.param(b'wait=" 5"', None, id="space in the string"),
        pytest.param("wait=\u0665".encode(), None, id="digits that are not ASCII"),
        pytest.param(b"wait=2147483648", LONGEST_WAIT, id="as long as it gets"),
        pytest.param(b"wait=2147483649", LONGEST_WAIT, id="longer"),
        pytest.param(b"wait=" + b"9" * 4400, LONGEST_WAIT, id="more digits than Python converts"),
        pytest.param(b"wait=" + b"0" * 4400 + b"7", 7, id="more zeros than Python converts"),
    ],
)
def test_wait_is_delta_seconds(line: bytes, wait: int | None) -> None:
    assert parse([line]) == Preferences(respond_async=False, wait=wait)


def test_the_first_instance_wins_across_lines() -> None:
    assert parse([b"wait=1", b"respond-async, wait=2"]) == Preferences(respond_async=True, wait=1)


def test_a_quote_does_not_reach_into_the_next_line() -> None:
    assert parse([b'x="a', b'respond-async, y="']) == ASYNC


def test_no_lines_are_no_preferences() -> None:
    assert parse([]) == NONE


def test_what_was_applied_is_told_on_separate_lines() -> None:
    assert applied(None) == ((b"Preference-Applied", b"respond-async"),)
    assert applied(0) == ((b"Preference-Applied", b"respond-async"), (b"Preference-Applied", b"wait=0"))
