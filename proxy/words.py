"""How sizes, moments, lengths of time and other people's texts are shown to whoever reads them."""

from collections.abc import Iterable
from datetime import UTC, datetime
from difflib import get_close_matches
from typing import Final

UNITS: Final = ("B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB")
MOST_UNITS: Final = 10**10  # of the last, that are written out
ALIVE: Final = "respond-async is alive"  # what `/livez` answers, and nobody else is likely to


def amount(size: int) -> str:
    """A number of bytes, in the unit in which it is short."""
    number, unit = min(size / 1024 ** (len(UNITS) - 1), MOST_UNITS), UNITS[-1]
    for power, smaller in enumerate(UNITS[:-1]):
        if size < 1000 * 1024**power:
            number, unit = size / 1024**power, smaller
            break
    return f"{number:.1f} {unit}" if 0 < number < 10 and unit != "B" else f"{number:.0f} {unit}"


def so_many(number: float, noun: str) -> str:
    """`1 byte`, `2 bytes`, `0.5 seconds`."""
    shown = str(number) if isinstance(number, int) else f"{number:g}"
    return f"{shown} {noun}" if number == 1 else f"{shown} {noun}s"


def elapsed(seconds: float) -> str:
    """`0:07`, `12:34`, `1:02:03`."""
    minutes, second = divmod(int(seconds), 60)
    hours, minute = divmod(minutes, 60)
    return f"{hours}:{minute:02}:{second:02}" if hours else f"{minute}:{second:02}"


def printable(text: str) -> str:
    """The text without what a terminal would obey."""
    return "".join(char if char.isprintable() else "\N{REPLACEMENT CHARACTER}" for char in text)


def escaped(text: str) -> str:
    """The text, with an escape in place of each character that a terminal would obey."""
    if text.isprintable():
        return text
    return "".join(char if char.isprintable() else char.encode("unicode_escape").decode() for char in text)


def timestamp(seconds: float, precision: str = "milliseconds") -> str:
    """A moment, in seconds since the epoch, as RFC 3339 has it, in UTC."""
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec=precision).removesuffix("+00:00") + "Z"


def none_of(written: str, names: Iterable[str]) -> str:
    """A hint for who has written a name that is none of these."""
    known = list(names)
    if not known:
        return f"there is none, and so no `{written}`"
    return f"`{written}` is none of {listed(known)}; {nearest(written, known)}".removesuffix("; ")


def nearest(written: str, names: Iterable[str]) -> str:
    """A hint, if one of the names is nearly the one that was written."""
    close = get_close_matches(written, list(names), n=1)
    return f"did you mean `{close[0]}`?" if close else ""


def listed(names: Iterable[str]) -> str:
    return ", ".join(f"`{name}`" for name in names)
