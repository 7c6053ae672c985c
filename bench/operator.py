"""Somebody who watches: the page's stream of events is open, and Prometheus asks for the metrics once a second."""

import socket
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from typing import Final

from bench.running import CannotMeasure

PAUSE: Final = 1.0  # seconds between two scrapes: fifteen times as often as is usual
PATIENCE: Final = 20.0  # seconds without a byte
ROOM: Final = 1 << 16  # bytes read at once
GOOD: Final = b"HTTP/1.1 200 "


@contextmanager
def watched(port: int) -> Iterator[None]:
    """Watch for as long as this lasts. Raises CannotMeasure if there was nothing to see."""
    over = threading.Event()
    with _asked(port, "/events") as stream, ThreadPoolExecutor(2) as threads:
        events, metrics = threads.submit(_read, stream), threads.submit(_scrape, port, over)
        try:
            yield
        finally:
            over.set()
            with suppress(OSError):  # it has ended already
                stream.shutdown(socket.SHUT_RDWR)
    for seen in (events.result(), metrics.result()):
        if not seen.startswith(GOOD):
            raise CannotMeasure(f"no 200 at the address for operators, port {port}: {seen!r}")


def _scrape(port: int, over: threading.Event) -> bytes:
    """How the last answer began; the first comes at once."""
    while True:
        with _asked(port, "/metrics") as connection:
            seen = _read(connection)
        if over.wait(PAUSE):
            return seen


def _asked(port: int, path: str) -> socket.socket:
    """A connection on which this was asked for, and nothing more will be."""
    connection = socket.create_connection(("127.0.0.1", port), PATIENCE)
    connection.sendall(f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n".encode())
    return connection


def _read(connection: socket.socket) -> bytes:
    """How the answer begins, once it has ended; it is not kept."""
    began = b""
    with suppress(OSError):
        while piece := connection.recv(ROOM):
            began = began or piece[: len(GOOD)]
    return began
