"""Range and If-Range of stored results (RFC 9110 section 14)."""

import pytest

from proxy.ranges import Part, Unsatisfiable, Whole, satisfy

SIZE = 10_000
WHOLE, NOTHING = Whole(), Unsatisfiable()
ETAG, DATE = b'"abc"', b"Sun, 06 Nov 1994 08:49:37 GMT"


@pytest.mark.parametrize(
    ("value", "answer"),
    [
        pytest.param(None, WHOLE, id="none"),
        pytest.param(b"bytes=0-499", Part(0, 500), id="first 500"),
        pytest.param(b"bytes=500-999", Part(500, 1000), id="second 500"),
        pytest.param(b"bytes=-500", Part(9500, SIZE), id="last 500"),
        pytest.param(b"bytes=9500-", Part(9500, SIZE), id="from 9500"),
        pytest.param(b"bytes=0-0", Part(0, 1), id="one byte"),
        pytest.param(b"bytes=0-99999", Part(0, SIZE), id="beyond the end"),
        pytest.param(b"bytes=9999-9999", Part(9999, SIZE), id="last byte"),
        pytest.param(b"bytes=-99999", Part(0, SIZE), id="longer suffix than there is"),
        pytest.param(b"bytes=0-" + b"9" * 4400, Part(0, SIZE), id="more digits than Python converts"),
        pytest.param(b"bytes=-" + b"9" * 4400, Part(0, SIZE), id="so in a suffix"),
        pytest.param(b"Bytes= \t5-6 ,", Part(5, 7), id="case, whitespace and an empty member"),
        pytest.param(b"bytes=10000-", NOTHING, id="from the end"),
        pytest.param(b"bytes=10000-10001", NOTHING, id="behind the end"),
        pytest.param(b"bytes=" + b"9" * 4400 + b"-", NOTHING, id="far behind the end"),
        pytest.param(b"bytes=-0", NOTHING, id="no bytes"),
        pytest.param(b"bytes=0-0,-1", WHOLE, id="several"),
        pytest.param(b"bytes= 0-999, 4500-5499, -1000", WHOLE, id="several with whitespace"),
        pytest.param(b"bytes=2-1", WHOLE, id="backwards"),
        pytest.param(b"bytes=-", WHOLE, id="no numbers"),
        pytest.param(b"bytes=", WHOLE, id="no ranges"),
        pytest.param(b"bytes", WHOLE, id="no equals sign"),
        pytest.param(b"bytes=a-b", WHOLE, id="letters"),
        pytest.param(b"bytes=1 - 2", WHOLE, id="spaces inside"),
        pytest.param(b"bytes=+1-2", WHOLE, id="sign"),
        pytest.param(b"bytes=1-2-3", WHOLE, id="three numbers"),
        pytest.param(b"bytes =0-1", WHOLE, id="space before the equals sign"),
        pytest.param(b"lines=0-1", WHOLE, id="other unit"),
        pytest.param(b"", WHOLE, id="empty"),
        pytest.param(b"\xff=\xff", WHOLE, id="junk"),
    ],
)
def test_range(value: bytes | None, answer: Whole | Part | Unsatisfiable) -> None:
    assert satisfy(value, None, ETAG, DATE, SIZE) == answer


@pytest.mark.parametrize("value", [b"bytes=0-", b"bytes=-1", b"bytes=5-"])
def test_an_empty_result_is_always_whole(value: bytes) -> None:
    assert satisfy(value, None, None, None, 0) == WHOLE


@pytest.mark.parametrize(
    ("if_range", "etag", "last_modified", "holds"),
    [
        pytest.param(b'"abc"', ETAG, None, True, id="same tag"),
        pytest.param(b'"abd"', ETAG, None, False, id="other tag"),
        pytest.param(b'W/"abc"', b'W/"abc"', None, False, id="weak tags"),
        pytest.param(b'"abc"', b'W/"abc"', None, False, id="weak tag of the result"),
        pytest.param(b'W/"abc"', ETAG, None, False, id="weak tag asked for"),
        pytest.param(b'"abc"', None, DATE, False, id="no tag"),
        pytest.param(DATE, ETAG, DATE, True, id="same date"),
        pytest.param(b"Sun, 06 Nov 1994 08:49:38 GMT", ETAG, DATE, False, id="later date"),
        pytest.param(DATE, ETAG, None, False, id="no date"),
        pytest.param(b"", None, None, False, id="empty"),
        pytest.param(b"abc", b"abc", None, False, id="a tag without quotes is no tag"),
    ],
)
def test_if_range(if_range: bytes, etag: bytes | None, last_modified: bytes | None, *, holds: bool) -> None:
    expected = Part(1, 3) if holds else WHOLE
    assert satisfy(b"bytes=1-2", if_range, etag, last_modified, SIZE) == expected


def test_if_range_without_range_is_ignored() -> None:
    assert satisfy(None, ETAG, ETAG, DATE, SIZE) == WHOLE
