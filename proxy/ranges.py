"""Which part of a stored result a request asks for (RFC 9110 section 14).

One range is served. Several are ignored, as are malformed ones and other units: section 14.2 allows it, and the whole
is always a right answer.
"""

import re
from dataclasses import dataclass
from typing import Final

from proxy.grammar import members, number

_RANGES: Final = re.compile(rb"bytes=(.*)", re.IGNORECASE | re.DOTALL)  # units are case-insensitive (section 14.1)
_RANGE: Final = re.compile(rb"([0-9]*+)-([0-9]*+)")


@dataclass(frozen=True, slots=True)
class Whole:
    """All of it."""


@dataclass(frozen=True, slots=True)
class Part:
    """From start up to, but not including, stop: bytes, with 0 <= start < stop <= size."""

    start: int
    stop: int


@dataclass(frozen=True, slots=True)
class Unsatisfiable:
    """Nothing of it."""


def satisfy(
    range_value: bytes | None,
    if_range: bytes | None,
    etag: bytes | None,
    last_modified: bytes | None,
    size: int,
) -> Whole | Part | Unsatisfiable:
    """What Range and If-Range ask for of a result with these validators and this many bytes.

    Of nothing there is no part that Content-Range could name, so an empty result is always whole.
    """
    if range_value is None or not size or not _unchanged(if_range, etag, last_modified):
        return Whole()
    ranges = _RANGES.fullmatch(range_value)
    specifiers = members(ranges[1]) if ranges else []
    bounds = _RANGE.fullmatch(specifiers[0]) if len(specifiers) == 1 else None
    return _part(number(bounds[1]), number(bounds[2]), size) if bounds else Whole()


def _part(first: int | None, last: int | None, size: int) -> Whole | Part | Unsatisfiable:
    """The range `first-last`, `first-` or `-last`, the last being a length."""
    if first is None:
        return _suffix(last, size)
    if last is not None and last < first:
        return Whole()
    if first >= size:
        return Unsatisfiable()
    return Part(first, size if last is None else min(last + 1, size))


def _suffix(length: int | None, size: int) -> Whole | Part | Unsatisfiable:
    if length is None:
        return Whole()
    return Part(max(size - length, 0), size) if length else Unsatisfiable()


def _unchanged(if_range: bytes | None, etag: bytes | None, last_modified: bytes | None) -> bool:
    """Whether If-Range holds (section 13.1.5). A stored result never changes: its date is as strong as a strong tag."""
    if if_range is None:
        return True
    if b'"' in if_range[:3]:
        return if_range == etag and not if_range.startswith(b"W/")
    return if_range == last_modified
