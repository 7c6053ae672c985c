"""Log lines on their way to a stream that is slow, full or gone."""

import json
import os
import threading

import pytest

from proxy import logwriter
from proxy.logwriter import LogWriter, to_standard_error


class Sink:
    """Refuses lines while it is full, and takes none while it is held."""

    def __init__(self) -> None:
        self.taken = b""
        self.full = False
        self.free = threading.Event()
        self.free.set()

    def __call__(self, data: bytes) -> None:
        self.free.wait(5)
        if self.full:
            raise OSError("no space left")
        self.taken += data


def test_lines_are_written_in_order() -> None:
    sink = Sink()
    writer = LogWriter(sink)
    for number in range(100):
        writer.put(str(number))
    writer.close()
    writer.close()
    assert sink.taken.split() == [b"%d" % number for number in range(100)]


def test_whoever_logs_does_not_wait_for_what_does_not_take_them() -> None:
    sink = Sink()
    sink.free.clear()
    writer = LogWriter(sink)
    for _ in range(logwriter.LONGEST_QUEUE + 10):
        writer.put("line")
    assert 9 <= writer.dropped <= 10, "all but what is queued, and perhaps the one that is being written"
    sink.free.set()
    writer.close()
    assert sink.taken.count(b"line\n") == logwriter.LONGEST_QUEUE + 10 - writer.dropped


def test_what_fails_is_tried_again_with_the_next_line_and_the_gap_is_told() -> None:
    sink = Sink()
    writer = LogWriter(sink)
    sink.full = True
    for number in range(1, 4):
        writer.put("lost")
        while writer.dropped < number:  # the test's time limit ends it
            pass
    sink.full = False
    writer.put("kept")
    writer.close()
    gap, line = sink.taken.splitlines()
    assert (json.loads(gap), line) == ({"event": "log lines dropped", "lines": 3}, b"kept")


def test_lines_go_to_standard_error_however_little_it_takes_at_once(
    capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    write = os.write
    monkeypatch.setattr(os, "write", lambda fd, data: write(fd, data[:3]))
    to_standard_error(b"0123456789")
    assert capfd.readouterr().err == "0123456789"
