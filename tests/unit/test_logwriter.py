"""Log lines on their way to a stream that is slow, full or gone."""

import json
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from proxy import logwriter
from proxy.logwriter import STANDARD_ERROR, WHOLE, DirectWriter, LogWriter, to_standard_error


class Sink:
    """Refuses lines while it is full, and takes none while it is held."""

    def __init__(self) -> None:
        self.taken = b""
        self.times = 0
        self.full = False
        self.held = threading.Event()
        self.free = threading.Event()
        self.free.set()

    def __call__(self, data: bytes) -> None:
        self.held.set()
        self.free.wait(5)
        self.times += 1
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
    writer.put("line")
    sink.held.wait(5)
    for _ in range(logwriter.LONGEST_QUEUE + 10):
        writer.put("line")
    assert writer.dropped == 10
    sink.free.set()
    writer.close()
    assert sink.taken.count(b"line\n") == logwriter.LONGEST_QUEUE + 1


def test_lines_that_come_together_are_written_together() -> None:
    sink = Sink()
    writer = LogWriter(sink)
    for _ in range(1000):
        writer.put("line")
    writer.close()
    assert sink.taken.count(b"line\n") == 1000
    assert sink.times < 500


def test_lines_of_many_threads_all_arrive_and_each_thread_keeps_its_order() -> None:
    sink = Sink()
    writer = LogWriter(sink)
    threads = [threading.Thread(target=put_hundred, args=(writer, name)) for name in "abcd"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    writer.close()
    for name in "abcd":
        mine = [line for line in sink.taken.decode().split() if line.startswith(name)]
        assert mine == [f"{name}{number}" for number in range(100)]


def put_hundred(writer: LogWriter, name: str) -> None:
    for number in range(100):
        writer.put(f"{name}{number}")


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


def test_a_gap_is_told_at_the_end_though_no_line_follows() -> None:
    sink = Sink()
    writer = LogWriter(sink)
    sink.full = True
    writer.put("lost")
    while not writer.dropped:  # the test's time limit ends it
        pass
    sink.full = False
    writer.close()
    assert json.loads(sink.taken) == {"event": "log lines dropped", "lines": 1}


def test_what_comes_or_is_lost_during_the_last_write_is_not_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(logwriter, "GATHERING", 5)  # nothing is written before it closes
    monkeypatch.setattr(logwriter, "LAST_WORDS", 5)
    sink = Sink()
    sink.free.clear()
    writer = LogWriter(sink)
    writer.put("line")
    closing = threading.Thread(target=writer.close)
    closing.start()
    sink.held.wait(5)
    for _ in range(logwriter.LONGEST_QUEUE + 10):
        writer.put("line")
    sink.free.set()
    closing.join()
    assert sink.taken.count(b"line\n") == logwriter.LONGEST_QUEUE + 1
    assert b'{"event": "log lines dropped", "lines": 10}\n' in sink.taken


def test_lines_go_to_standard_error_however_little_it_takes_at_once(
    capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    write = os.write
    monkeypatch.setattr(os, "write", lambda fd, data: write(fd, data[:3]))
    to_standard_error(b"0123456789")
    assert capfd.readouterr().err == "0123456789"


@contextmanager
def piped() -> Iterator[int]:
    """Standard error, for a while, is a pipe; this is its other end. No fixture: pytest would turn it back for the test."""
    before, (reading, writing) = os.dup(STANDARD_ERROR), os.pipe()
    os.dup2(writing, STANDARD_ERROR)
    os.close(writing)
    try:
        yield reading
    finally:
        os.dup2(before, STANDARD_ERROR)
        os.close(before)
        os.close(reading)


def test_without_a_thread_lines_are_written_as_long_as_they_are_taken() -> None:
    with piped() as pipe:
        writer, lines = DirectWriter(), 0
        while writer.dropped < 3:  # the pipe is full by then
            writer.put("x" * 1000)
            lines += 1
        taken = b""
        while taken.count(b"\n") < lines - 3:
            taken += os.read(pipe, 65_536)
        writer.put("kept")
        gap, line = os.read(pipe, 65_536).splitlines()
    assert (json.loads(gap), line, writer.dropped) == ({"event": "log lines dropped", "lines": 3}, b"kept", 0)


def test_without_a_thread_a_line_that_may_be_taken_in_part_is_not_written() -> None:
    writer = DirectWriter()
    writer.put("x" * WHOLE)
    assert writer.dropped == 1
