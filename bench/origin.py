"""An origin for what nginx cannot do: `python -m bench.origin PORT`.

`/slow/50` is answered after 50 ms, with the moment (CLOCK_MONOTONIC, in seconds) at which that was sent; `/never` is not
answered at all; any other request is read to its end, and then answered.
"""

import asyncio
import re
import sys
import time
from functools import partial
from typing import Final, cast

import uvloop

ROOM: Final = 1 << 20  # bytes read at once
SLOW: Final = re.compile(rb"[A-Z]+ /slow/(\d+) ")
LENGTH: Final = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)


class Peer(asyncio.BufferedProtocol):
    """One connection. The room to read into is everybody's: nothing stays there."""

    def __init__(self, room: bytearray) -> None:
        self._room = memoryview(room)
        self._transport: asyncio.Transport
        self._head = b""
        self._left = 0  # bytes of content still to come

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)

    def get_buffer(self, sizehint: int) -> memoryview:  # noqa: ARG002  # a protocol's signature
        return self._room

    def buffer_updated(self, nbytes: int) -> None:
        if self._left:
            self._left -= nbytes
        else:
            self._head += self._room[:nbytes]
            head, end, content = self._head.partition(b"\r\n\r\n")
            if not end:
                return
            self._head = head + end
            self._left = _length(head) - len(content)
        if not self._left:
            self._serve(self._head)
            self._head = b""

    def _serve(self, head: bytes) -> None:
        if slow := SLOW.match(head):
            asyncio.get_running_loop().call_later(int(slow[1]) / 1000, self._answer)
        elif not head.startswith(b"GET /never "):
            self._answer()

    def _answer(self) -> None:
        said = b"%.9f" % time.monotonic()
        self._transport.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(said), said))


def _length(head: bytes) -> int:
    found = LENGTH.search(head)
    return int(found[1]) if found else 0


async def main(port: int) -> None:
    peer = partial(Peer, bytearray(ROOM))
    await asyncio.get_running_loop().create_server(peer, "127.0.0.1", port, backlog=4096)
    await asyncio.Event().wait()


if __name__ == "__main__":
    uvloop.run(main(int(sys.argv[1])))
