"""What a request says of its trace, and what is said of it further on."""

import pytest

from proxy.message import Fields
from proxy.tracecontext import TraceParent, parent_of, sent_on, trace_id, trace_state

TRACE, SPAN = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
GOOD = f"00-{TRACE}-{SPAN}-01".encode()
OURS = TraceParent(TRACE, "b7ad6b7169203331", sampled=True)


def fields(*lines: tuple[bytes, bytes]) -> Fields:
    return Fields([(b"Host", b"h"), *lines])


@pytest.mark.parametrize(
    ("value", "sampled"),
    [
        pytest.param(GOOD, True, id="sampled"),
        pytest.param(GOOD[:-1] + b"0", False, id="not sampled"),
        pytest.param(GOOD[:-2] + b"03", True, id="a flag that version 00 does not know"),
        pytest.param(b"01" + GOOD[2:], True, id="a later version"),
        pytest.param(b"cc" + GOOD[2:] + b"-what-comes", True, id="a later version with more to say"),
    ],
)
def test_a_traceparent_is_read(value: bytes, sampled: bool) -> None:  # noqa: FBT001
    assert TraceParent.read(value) == (TRACE, SPAN, sampled)


@pytest.mark.parametrize(
    "value",
    [
        pytest.param(b"", id="empty"),
        pytest.param(b"ff" + GOOD[2:], id="the forbidden version"),
        pytest.param(GOOD + b"-more", id="more than version 00 has"),
        pytest.param(b"01" + GOOD[2:] + b".more", id="a later version with no dash before what comes"),
        pytest.param(GOOD.upper(), id="upper case"),
        pytest.param(GOOD.replace(TRACE.encode(), b"0" * 32), id="no trace"),
        pytest.param(GOOD.replace(SPAN.encode(), b"0" * 16), id="no span"),
        pytest.param(GOOD[:-1], id="too short"),
        pytest.param(GOOD[:-1] + b"x", id="not hexadecimal"),
        pytest.param(GOOD.replace(b"-", b"_"), id="other dashes"),
        pytest.param(GOOD + b"\n", id="a line break"),
        pytest.param(b"\xff" * 55, id="no text"),
    ],
)
def test_a_malformed_traceparent_is_as_none(value: bytes) -> None:
    assert TraceParent.read(value) is None
    assert trace_id(fields((b"traceparent", value))) is None


def test_a_traceparent_is_written_as_it_was_read() -> None:
    assert str(TraceParent.read(GOOD)).encode() == GOOD
    assert str(TraceParent.read(GOOD[:-2] + b"fe")).encode() == GOOD[:-1] + b"0"


@pytest.mark.parametrize("name", [b"traceparent", b"Traceparent", b"TRACEPARENT"])
def test_a_request_tells_its_trace_in_any_case_of_the_name(name: bytes) -> None:
    assert trace_id(fields((name, GOOD))) == TRACE


def test_a_request_without_the_field_has_no_trace() -> None:
    assert trace_id(fields()) is None


def test_two_traceparents_are_as_none() -> None:
    assert parent_of(fields((b"traceparent", GOOD), (b"Traceparent", GOOD))) is None


@pytest.mark.parametrize(
    ("lines", "members"),
    [
        pytest.param([], (), id="absent"),
        pytest.param([b"a=1"], (("a", "1"),), id="one"),
        pytest.param([b"a=1 , \tb=x y,,"], (("a", "1"), ("b", "x y")), id="spaces and empty members"),
        pytest.param([b"a=1", b"t0@sys=2"], (("a", "1"), ("t0@sys", "2")), id="two lines, a tenant"),
        pytest.param([b"a=1,a=2"], (), id="a key twice"),
        pytest.param([b"A=1"], (), id="a key in upper case"),
        pytest.param([b"a"], (), id="no value"),
        pytest.param([b"a=1=2"], (), id="an equals sign in the value"),
        pytest.param([b"a=\xfc"], (), id="a value that is not ASCII"),
        pytest.param([b"a=1,b"], (), id="one malformed of two"),
        pytest.param([b",".join(b"k%d=1" % number for number in range(33))], (), id="too many"),
    ],
)
def test_a_tracestate_is_read_whole_or_not_at_all(lines: list[bytes], members: tuple[tuple[str, str], ...]) -> None:
    assert trace_state(fields(*((b"tracestate", line) for line in lines))) == members


def test_a_continued_trace_keeps_its_place_and_its_state() -> None:
    state = (b"TraceState", b"vendor=opaque, t0@sys=x")
    got = sent_on(fields((b"Traceparent", GOOD), state, (b"X", b"y")), OURS)
    assert got == fields((b"traceparent", str(OURS).encode()), state, (b"X", b"y"))


@pytest.mark.parametrize("before", [(), ((b"traceparent", b"broken"),), ((b"traceparent", GOOD),) * 2])
def test_a_trace_that_begins_here_drops_the_state_of_none(before: tuple[tuple[bytes, bytes], ...]) -> None:
    got = sent_on(fields(*before, (b"tracestate", b"a=1"), (b"X", b"y")), OURS)
    assert got == fields((b"X", b"y"), (b"traceparent", str(OURS).encode()))
