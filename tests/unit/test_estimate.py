"""What is told of operations that are not settled."""

from dataclasses import replace

import pytest

from proxy.estimate import Estimate, of_queued, of_running, of_stranded, span
from proxy.operation import Progress, State
from proxy.outlook import Outlook
from proxy.picture import Picture
from tests.store.samples import MIB, running

BEGAN = 1000.0
OPERATION = replace(running(), began=BEGAN, created=BEGAN + 2, retry_after=1.0)
QUEUED = replace(OPERATION, state=State.QUEUED, began=None, created=BEGAN)
NOTHING = Outlook(Picture({}))
AN_INSTANT = Outlook(Picture.of([0.1] * 20))
DAYS = Outlook(Picture.of([1e6] * 20))
A_MINUTE = Outlook(Picture.of([60.0] * 20))


def told(age: float, outlook: Outlook = NOTHING, progress: Progress | None = None) -> Estimate:
    return of_running(replace(OPERATION, progress=progress), BEGAN + age, outlook)


@pytest.mark.parametrize(
    ("age", "outlook", "progress", "words", "retry_after"),
    [
        pytest.param(0, NOTHING, None, "running for 0 s", 1, id="nothing is known"),
        pytest.param(36.9, NOTHING, None, "running for 36 s", 3, id="but its age"),
        pytest.param(0, A_MINUTE, None, "about 60 s left", 62, id="a past"),
        pytest.param(20, A_MINUTE, None, "about 40 s left", 42, id="a past, a while later"),
        pytest.param(59.9, A_MINUTE, None, "about 1 s left", 3, id="nearly done"),
        pytest.param(90, A_MINUTE, None, "running for 90 s, longer than usual", 9, id="longer than ever"),
        pytest.param(0.5, AN_INSTANT, None, "running for 0 s", 1, id="longer than ever, but by no second"),
        pytest.param(1, AN_INSTANT, None, "running for 1 s, longer than usual", 1, id="by one"),
        pytest.param(5e5, DAYS, None, "running for 500000 s", 600, id="as long as any that it knows"),
        pytest.param(20, NOTHING, Progress(0, 80 * MIB, BEGAN + 19), "running for 20 s", 2, id="nothing has come yet"),
        pytest.param(
            20, A_MINUTE, Progress(12 * MIB, None, BEGAN), "12 MiB received, about 40 s left", 42, id="no length"
        ),
        pytest.param(
            20, NOTHING, Progress(12 * MIB, None, BEGAN), "12 MiB received", 2, id="nor a past"
        ),
        pytest.param(
            20, A_MINUTE, Progress(MIB, 80 * MIB, BEGAN + 19.5), "1.0 MiB of 80 MiB, about 40 s left", 42, id="no rate yet"
        ),
        pytest.param(
            20, A_MINUTE, Progress(12 * MIB, 80 * MIB, BEGAN + 17), "12 MiB of 80 MiB, about 17 s left", 9, id="half-way"
        ),
        pytest.param(
            100, NOTHING, Progress(60 * MIB, 80 * MIB, BEGAN + 70), "60 MiB of 80 MiB, about 10 s left", 10, id="the end"
        ),
        pytest.param(
            90, A_MINUTE, Progress(80 * MIB, 80 * MIB, BEGAN), "80 MiB of 80 MiB, about 1 s left", 1, id="all of it"
        ),
        pytest.param(
            100, NOTHING, Progress(1, 1 << 60, BEGAN), "1 B of 1.0 EiB", 10, id="in ages"
        ),
        pytest.param(-3600, NOTHING, None, "running for 0 s", 1, id="a clock that was set back"),
    ],
)  # fmt: skip
def test_of_running(age: float, outlook: Outlook, progress: Progress | None, words: str, retry_after: int) -> None:
    estimate = told(age, outlook, progress)
    assert (estimate.words, estimate.retry_after) == (words, retry_after)


@pytest.mark.parametrize(
    ("estimate", "tells"),
    [
        pytest.param(told(5), False, id="its age alone"),
        pytest.param(told(5, A_MINUTE), True, id="what is left"),
        pytest.param(told(95, A_MINUTE), True, id="that it takes longer than usual"),
        pytest.param(told(5, progress=Progress(1, None, BEGAN)), True, id="how much has come"),
        pytest.param(of_queued(QUEUED, BEGAN, NOTHING, 3, 1), True, id="its place in the line"),
    ],
)
def test_the_words_are_progress_if_they_tell_more_than_its_age(estimate: Estimate, tells: bool) -> None:  # noqa: FBT001
    assert estimate.progress == (estimate.words if tells else None)


@pytest.mark.parametrize(
    ("age", "outlook", "before", "at_once", "words", "retry_after"),
    [
        pytest.param(0, NOTHING, 3, 2, "queued, 3 before it", 1, id="nothing is known"),
        pytest.param(40, NOTHING, 0, 2, "next in line", 4, id="but its age"),
        pytest.param(0, A_MINUTE, 3, 2, "queued, 3 before it, about 3 min left", 62, id="a past"),
        pytest.param(0, A_MINUTE, 39, 2, "queued, 39 before it, about 21 min left", 125, id="a long line"),
        pytest.param(0, A_MINUTE, 10**9, 1, "queued, 1000000000 before it", 62, id="a line without end"),
    ],
)
def test_of_queued(  # noqa: PLR0917
    age: float, outlook: Outlook, before: int, at_once: int, words: str, retry_after: int
) -> None:
    estimate = of_queued(QUEUED, BEGAN + age, outlook, before, at_once)
    assert (estimate.words, estimate.retry_after) == (words, retry_after)


@pytest.mark.parametrize(
    ("before", "words"),
    [(0, "next in line, the origin cannot be reached"), (3, "queued, 3 before it, the origin cannot be reached")],
)
def test_nobody_knows_when_an_origin_that_cannot_be_reached_is_back(before: int, words: str) -> None:
    estimate = of_stranded(QUEUED, BEGAN + 40, before)
    assert estimate == Estimate(4, words, words, stranded=True)


@pytest.mark.parametrize(("least", "retry_after"), [(0.001, 1), (2.5, 3), (60.0, 60)])
def test_the_routes_own_retry_after_is_the_least(least: float, retry_after: int) -> None:
    assert of_running(replace(OPERATION, retry_after=least), BEGAN, NOTHING).retry_after == retry_after


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0, "1 s"), (4.4, "4 s"), (19.6, "20 s"), (37, "35 s"), (117, "115 s"), (119, "2 min"), (120, "2 min"), (3600, "60 min"),
     (7200, "2 h"), (172_800, "2 d")],
)  # fmt: skip
def test_spans(seconds: float, text: str) -> None:
    assert span(seconds) == text
