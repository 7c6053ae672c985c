"""How sizes, lengths of time and texts are shown."""

import pytest

from proxy.words import amount, elapsed, none_of, printable, so_many, timestamp


@pytest.mark.parametrize(
    ("size", "text"),
    [(0, "0 B"), (1, "1 B"), (999, "999 B"), (1000, "1.0 KiB"), (1536, "1.5 KiB"), (12 << 20, "12 MiB"),
     (1 << 30, "1.0 GiB"), (1 << 63, "8.0 EiB"), (1 << 120, "10000000000 EiB")],
)  # fmt: skip
def test_amounts(size: int, text: str) -> None:
    assert amount(size) == text


@pytest.mark.parametrize(("seconds", "text"), [(7.9, "0:07"), (754, "12:34"), (3723, "1:02:03")])
def test_how_long_it_has_been(seconds: float, text: str) -> None:
    assert elapsed(seconds) == text


def test_nothing_is_shown_that_a_terminal_would_obey() -> None:
    assert printable("a\x1b[2Jé\n") == "a\ufffd[2Jé\ufffd"


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        pytest.param(0.0, "1970-01-01T00:00:00.000Z", id="the epoch"),
        pytest.param(1_700_000_000.1239, "2023-11-14T22:13:20.123Z", id="to the millisecond"),
    ],
)
def test_moments(seconds: float, text: str) -> None:
    assert timestamp(seconds) == text
    assert timestamp(seconds, "seconds") == f"{text[:19]}Z"


@pytest.mark.parametrize(
    ("names", "hint"),
    [
        pytest.param(["legacy", "other"], "`legasy` is none of `legacy`, `other`; did you mean `legacy`?", id="near"),
        pytest.param(["other"], "`legasy` is none of `other`", id="far"),
        pytest.param([], "there is none, and so no `legasy`", id="none"),
    ],
)
def test_what_there_is_in_place_of_what_was_written(names: list[str], hint: str) -> None:
    assert none_of("legasy", names) == hint


@pytest.mark.parametrize(
    ("number", "text"), [(0, "0 bytes"), (1, "1 byte"), (1.0, "1 byte"), (0.5, "0.5 bytes"), (10**7, "10000000 bytes")]
)
def test_one_is_singular(number: float, text: str) -> None:
    assert so_many(number, "byte") == text
