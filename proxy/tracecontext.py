"""Where in a trace a request stands: `traceparent` and `tracestate` (W3C Trace Context, level 1).

Reading never fails, and never guesses: a `traceparent` that is malformed, or there twice, is as none. What is sent on is
another's to decide; without tracing both fields pass as any others.
"""

import re
from typing import Final, NamedTuple, Self

from proxy.message import Fields

TRACEPARENT: Final = b"traceparent"
TRACESTATE: Final = b"tracestate"
MOST_MEMBERS: Final = 32  # of a tracestate (section 3.3.1.1)
SAMPLED: Final = 1  # the one flag that version 00 knows

_TRACEPARENT: Final = re.compile(
    rb"(?P<version>[0-9a-f]{2})-(?P<trace>[0-9a-f]{32})-(?P<span>[0-9a-f]{16})-(?P<flags>[0-9a-f]{2})(?P<more>-.*)?"
)
_KEY: Final = r"[a-z][a-z0-9_*/-]{0,255}|[a-z0-9][a-z0-9_*/-]{0,240}@[a-z][a-z0-9_*/-]{0,13}"
_MEMBER: Final = re.compile(rf"(?P<key>{_KEY})=(?P<value>[ -+\--<>-~]{{0,255}}[!-+\--<>-~])")

Members = tuple[tuple[str, str], ...]


class TraceParent(NamedTuple):
    """A span as other processes know it: its trace, its own id, and whether it is recorded."""

    trace_id: str  # 32 digits, lower case
    span_id: str  # 16 digits
    sampled: bool

    @classmethod
    def read(cls, value: bytes) -> Self | None:
        """What a field says; None if it is malformed. Later versions are read as far as this one goes (section 4.3)."""
        found = _TRACEPARENT.fullmatch(value)
        if found is None or found["version"] == b"ff" or (found["more"] is not None and found["version"] == b"00"):
            return None
        trace, span = found["trace"].decode(), found["span"].decode()
        if not (trace.strip("0") and span.strip("0")):
            return None
        return cls(trace, span, bool(int(found["flags"], 16) & SAMPLED))

    @classmethod
    def written(cls, text: str) -> Self:
        """What `str` has made of one."""
        _, trace, span, flags = text.split("-")
        return cls(trace, span, flags == "01")

    def __str__(self) -> str:
        return f"00-{self.trace_id}-{self.span_id}-{'01' if self.sampled else '00'}"


def parent_of(fields: Fields) -> TraceParent | None:
    """The span that a request comes from; None if it names none."""
    value = fields.first(TRACEPARENT)
    return None if value is None or len(fields.all(TRACEPARENT)) > 1 else TraceParent.read(value)


def trace_id(fields: Fields) -> str | None:
    """The id of the trace that a request belongs to, as far as its sender says so."""
    parent = parent_of(fields)
    return None if parent is None else parent.trace_id


def trace_state(fields: Fields) -> Members:
    """The members of `tracestate`; none of them where anything is malformed (section 3.3)."""
    members = [part.strip(b" \t") for line in fields.all(TRACESTATE) for part in line.split(b",")]
    found = [_MEMBER.fullmatch(member.decode("latin-1")) for member in members if member]
    pairs = tuple((one["key"], one["value"]) for one in found if one is not None)
    whole = len(pairs) == len(found) <= MOST_MEMBERS and len(dict(pairs)) == len(pairs)
    return pairs if whole else ()


def sent_on(fields: Fields, parent: TraceParent) -> Fields:
    """The fields of a request with `parent` as where it comes from.

    The `tracestate` stays, byte for byte, with a trace that is continued; that of none, or of another, tells nothing.
    """
    line = (b"traceparent", str(parent).encode())
    if trace_id(fields) == parent.trace_id:
        return Fields(line if field[0].lower() == TRACEPARENT else field for field in fields)
    return fields.without({TRACEPARENT, TRACESTATE}).plus(line)
