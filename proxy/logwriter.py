"""Log lines on their way to standard error, which may be slow, full or gone.

Whoever logs must neither wait nor fail for it: a thread writes, or, where there must be no threads, only what is taken
at once is written. What does not fit into the queue, or cannot be written, is dropped and counted.
"""

import atexit
import json
import os
import queue
import select
import threading
from collections.abc import Callable
from typing import Final

STANDARD_ERROR: Final = 2
LONGEST_QUEUE: Final = 10_000  # lines
LAST_WORDS: Final = 1.0  # seconds for what is queued when the process ends
WHOLE: Final = select.PIPE_BUF  # bytes that a pipe which takes anything takes at once


class LogWriter:
    """Takes lines from any thread, and has `write` called with them in one of its own. One for a process."""

    def __init__(self, write: Callable[[bytes], None]) -> None:
        self.dropped = 0  # lines
        self._told = 0  # of those, how many the log speaks of
        self._write = write
        self._lines: queue.Queue[str | None] = queue.Queue(LONGEST_QUEUE)
        self._thread = threading.Thread(target=self._write_lines, name="log-writer", daemon=True)
        self._thread.start()
        atexit.register(self.close)

    def put(self, line: str) -> None:
        """Have the line written some time soon."""
        try:
            self._lines.put_nowait(line)
        except queue.Full:
            self.dropped += 1

    def close(self) -> None:
        """Write what is queued, if it is taken within a moment. Can be called again."""
        atexit.unregister(self.close)
        if self._thread.is_alive():
            with self._lines.mutex:
                self._lines.queue.append(None)  # behind all lines, even where there is no room
                self._lines.not_empty.notify()
            self._thread.join(LAST_WORDS)

    def _write_lines(self) -> None:
        while (line := self._lines.get()) is not None:
            dropped = self.dropped
            try:
                self._write(_bytes(line, dropped - self._told))
                self._told = dropped
            except OSError:  # full, or gone
                self.dropped += 1

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
        data = _bytes(line, self.dropped)
        try:
            if len(data) > WHOLE or not self._taker.poll(0):
                raise BlockingIOError
            os.write(STANDARD_ERROR, data)
            self.dropped = 0
        except OSError:
            self.dropped += 1

    # What structlog calls, by level.
    debug = info = warning = error = critical = msg = put


def _bytes(line: str, missing: int) -> bytes:
    """A line, after one that tells how many are missing before it."""
    gap = json.dumps({"event": "log lines dropped", "lines": missing}) + "\n" if missing else ""
    return f"{gap}{line}\n".encode("utf-8", "backslashreplace")


def to_standard_error(data: bytes) -> None:
    """Write all of it. Not by sys.stderr: its lock, held by a thread that cannot write, would break the process's end."""
    view = memoryview(data)
    while view:
        view = view[os.write(STANDARD_ERROR, view) :]
