"""Log lines on their way to standard error, which may be slow, full or gone.

Whoever logs must neither wait nor fail for it: a thread writes, or, where there must be no threads, only what is taken
at once is written. What does not fit into the queue, or cannot be written, is dropped and counted.
"""

import atexit
import json
import os
import select
import threading
from collections import deque
from collections.abc import Callable
from typing import Final

STANDARD_ERROR: Final = 2
LONGEST_QUEUE: Final = 10_000  # lines
GATHERING: Final = 0.05  # seconds from the first line of some to their writing
LAST_WORDS: Final = 1.0  # seconds for what is queued when the process ends
WHOLE: Final = select.PIPE_BUF  # bytes that a pipe which takes anything takes at once


class LogWriter:
    """Takes lines from any thread, and has `write` called with them in one of its own. One for a process.

    Lines are gathered for a moment: a thread that is woken for each of them costs more than the lines themselves.
    """

    def __init__(self, write: Callable[[bytes], None]) -> None:
        self.dropped = 0  # lines
        self._told = 0  # of those, how many the log speaks of
        self._write = write
        self._lines: deque[str] = deque()
        self._lock = threading.Lock()  # of the count of those dropped
        self._news = threading.Event()  # whether there are lines, or the end
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._write_lines, name="log-writer", daemon=True)
        self._thread.start()
        atexit.register(self.close)

    def put(self, line: str) -> None:
        """Have the line written some time soon."""
        if len(self._lines) >= LONGEST_QUEUE:
            self._drop(1)
            return
        self._lines.append(line)
        if not self._news.is_set():
            self._news.set()

    def close(self) -> None:
        """Write what is queued, if it is taken within a moment. Can be called again."""
        atexit.unregister(self.close)
        self._closing.set()
        self._news.set()
        self._thread.join(LAST_WORDS)

    def _write_lines(self) -> None:
        closing = False
        while not closing:
            self._news.wait()
            closing = self._closing.wait(GATHERING)
            self._news.clear()  # before the lines are taken, so that none that comes now is overlooked
            if lines := self._taken():
                self._write_or_drop(lines)
        if self._lines or self.dropped > self._told:  # what came during the last write, or was lost and not told
            self._write_or_drop(self._taken())

    def _taken(self) -> list[str]:
        return [self._lines.popleft() for _ in range(len(self._lines))]

    def _write_or_drop(self, lines: list[str]) -> None:
        dropped = self.dropped
        try:
            self._write(_bytes(lines, dropped - self._told))
            self._told = dropped
        except OSError:  # full, or gone
            self._drop(len(lines))

    def _drop(self, lines: int) -> None:
        with self._lock:
            self.dropped += lines

    # What structlog calls, by level.
    debug = info = warning = error = critical = msg = put


class DirectWriter:
    """Writes lines to standard error itself, as far as that takes them without waiting."""

    def __init__(self) -> None:
        self.dropped = 0  # lines since the last that was written
        self._taker = select.poll()
        self._taker.register(STANDARD_ERROR, select.POLLOUT)

    def put(self, line: str) -> None:
        """Write the line, or drop it."""
        data = _bytes([line], self.dropped)
        try:
            if len(data) > WHOLE or not self._taker.poll(0):
                raise BlockingIOError
            os.write(STANDARD_ERROR, data)
            self.dropped = 0
        except OSError:
            self.dropped += 1

    # What structlog calls, by level.
    debug = info = warning = error = critical = msg = put


def _bytes(lines: list[str], missing: int) -> bytes:
    """Lines, after one that tells how many are missing before them."""
    if missing:
        lines = [json.dumps({"event": "log lines dropped", "lines": missing}), *lines]
    return "\n".join([*lines, ""]).encode("utf-8", "backslashreplace")


def to_standard_error(data: bytes) -> None:
    """Write all of it. Not by sys.stderr: its lock, held by a thread that cannot write, would break the process's end."""
    view = memoryview(data)
    while view:
        view = view[os.write(STANDARD_ERROR, view) :]
