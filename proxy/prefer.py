"""What a client asks for in Prefer (RFC 7240), and what it is told of what was done.

Reading never fails: section 2 lets a server ignore any preference, so a member that cannot be read is dropped, alone,
and the rest stands.

A member that the grammar allows is an instance of its preference, even if its value means nothing: `wait=10s, wait=5`
names no wait, because only the first instance is considered. A member that the grammar does not allow is none:
`wait=@, wait=5` is a wait of five seconds. An empty value is no value, and `wait="5"` is `wait=5` (section 2).
Section 4.1 gives respond-async no value, so `respond-async=no` does not ask for it; parameters, which any preference
may have, change nothing.
"""

import re
from collections.abc import Sequence
from typing import Final, NamedTuple

from proxy.grammar import OWS, TOKEN, WORD, members, number, unquoted
from proxy.message import Field

LONGEST_WAIT: Final = 2**31  # seconds; what delta-seconds beyond one's means become (RFC 9111 section 1.2.2)

_EQUALS: Final = OWS + b"=" + OWS
_PARAMETER: Final = rb"%b(?:%b%b?)?" % (TOKEN, _EQUALS, WORD)
_PREFERENCE: Final = re.compile(rb"(%b)(?:%b(%b)?)?(?:%b;(?:%b%b)?)*+" % (TOKEN, _EQUALS, WORD, OWS, OWS, _PARAMETER))
_NO_VALUE: Final = (b"", b'""')


class Preferences(NamedTuple):
    """The preferences that matter here."""

    respond_async: bool = False
    wait: int | None = None  # seconds


NONE: Final = Preferences()


def parse(lines: Sequence[bytes]) -> Preferences:
    """The preferences in the lines of Prefer, which are in the order of the wire."""
    if not lines:
        return NONE
    values: dict[bytes, bytes] = {}
    for line in lines:
        for member in members(line):
            if preference := _PREFERENCE.fullmatch(member):
                values.setdefault(preference[1].lower(), preference[2] or b"")
    if not values:
        return NONE
    return Preferences(
        respond_async=values.get(b"respond-async") in _NO_VALUE,
        wait=number(unquoted(values.get(b"wait", b"")), LONGEST_WAIT),
    )


def applied(wait: int | None) -> tuple[Field, ...]:
    """Preference-Applied of a 202 (RFC 7240 section 3); `wait` only if it was honoured as given."""
    asynchronous = (b"Preference-Applied", b"respond-async")
    return (asynchronous,) if wait is None else (asynchronous, (b"Preference-Applied", b"wait=%d" % wait))
