"""A client for what is large: reads and forgets, or sends a file from the kernel's memory."""

import re
import socket
import time
from pathlib import Path
from typing import Final

from bench.running import CannotMeasure

ROOM: Final = 1 << 20  # bytes read at once
PATIENCE: Final = 60.0  # seconds without a byte


def download(port: int, target: str) -> float:
    """Bytes of content per second."""
    begun = time.perf_counter()
    with _connected(port) as sock:
        sock.sendall(f"GET {target} HTTP/1.1\r\nHost: bench\r\n\r\n".encode())
        size = _read_answer(sock)
    return size / (time.perf_counter() - begun)


def upload(port: int, file: Path) -> float:
    """Bytes of content per second, until it is all there, and answered."""
    begun, size = time.perf_counter(), file.stat().st_size
    with _connected(port) as sock, file.open("rb") as content:
        sock.sendall(f"PUT / HTTP/1.1\r\nHost: bench\r\nContent-Length: {size}\r\n\r\n".encode())
        sock.sendfile(content)
        _read_answer(sock)
    return size / (time.perf_counter() - begun)


def _connected(port: int) -> socket.socket:
    return socket.create_connection(("127.0.0.1", port), PATIENCE)


def _read_answer(sock: socket.socket) -> int:
    """The size of the content of a 200, once all of it was there."""
    room = memoryview(bytearray(ROOM))
    head = content = b""
    while b"\r\n\r\n" not in head:
        head += _received(sock, room)
    head, _, content = head.partition(b"\r\n\r\n")
    length = re.search(rb"\r\ncontent-length: *(\d+)", head, re.IGNORECASE)
    if not head.startswith(b"HTTP/1.1 200 ") or length is None:
        raise CannotMeasure(f"200 with a Content-Length was expected: {head!r}")
    left = int(length[1]) - len(content)
    while left > 0:
        left -= len(_received(sock, room))
    return int(length[1])


def _received(sock: socket.socket, room: memoryview) -> memoryview:
    size = sock.recv_into(room)
    if not size:
        raise CannotMeasure("the answer broke off")
    return room[:size]
