"""The line of a terminal's standard error that says what is going on, and the notes that stay there.

The line is drawn over itself, each second too, because a long poll may be silent for half a minute. Where standard
error is no terminal there is no line. Servers write part of it, so that only printable characters are shown.
"""

import asyncio
import os
import shutil
from collections.abc import Callable
from contextlib import suppress
from types import TracebackType
from typing import Final, Self, TextIO

from proxy.words import elapsed, printable

MOST_OF_A_SERVER: Final = 100  # characters
EVERY: Final = 1.0  # seconds from one drawing to the next
AGAIN: Final = "\r\x1b[K"  # begins the line again, empty


class Display:
    """A line within `with`, on the event loop; `tell` changes what it says."""

    def __init__(self, stream: TextIO, *, line: bool, notes: bool = True) -> None:
        self._stream = stream
        self._has_line = line
        self._has_notes = notes
        self._text: Callable[[], str] = str
        self._drawn = False
        self._next: asyncio.TimerHandle | None = None

    def tell(self, text: Callable[[], str]) -> None:
        """What the line says from now on; asked for anew whenever it is drawn."""
        self._text = text
        if self._has_line:
            self._draw()

    def hide(self) -> None:
        """No line from now on."""
        self._has_line = False
        self._stop()
        self._clear()

    def note(self, text: str) -> None:
        """A line that stays, unless it is to be quiet."""
        if self._has_notes:
            self.say(text)

    def say(self, text: str) -> None:
        """A line that stays in any case."""
        self._clear()
        print(printable(text), file=self._stream, flush=True)

    def __enter__(self) -> Self:
        self._began = asyncio.get_running_loop().time()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop()
        with suppress(OSError):  # the terminal may be gone, which is no reason to hide what went wrong
            self._clear()

    def _draw(self) -> None:
        self._stop()
        loop = asyncio.get_running_loop()
        text = f"{elapsed(loop.time() - self._began)}  {self._text()}"
        width = shutil.get_terminal_size().columns - 1
        print(AGAIN + printable(text)[:width], end="", file=self._stream, flush=True)
        self._drawn = True
        self._next = loop.call_later(EVERY, self._draw)

    def _stop(self) -> None:
        if self._next is not None:
            self._next.cancel()

    def _clear(self) -> None:
        if self._drawn:
            print(AGAIN, end="", file=self._stream, flush=True)
            self._drawn = False


def can_be_drawn_on(stream: TextIO) -> bool:
    """Whether it is a terminal that does what it is told; Emacs' shell does not, and says so."""
    return stream.isatty() and os.environ.get("TERM") != "dumb"


def told_by_server(text: str) -> str:
    return printable(text)[:MOST_OF_A_SERVER]
