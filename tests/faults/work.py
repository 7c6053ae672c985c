"""Requests that can be told apart wherever they turn up: each has a number, and its answer is a function of that.

The target says what the origin is to do: `/job/NUMBER/SIZE/MILLISECONDS/FRAMING`. Content and answer are made of
blocks that name the number and their place in it, so what is cut, mixed up or sent to somebody else shows.
"""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from random import Random
from typing import Final, Literal, Self, get_args

Framing = Literal["length", "chunked", "close"]

BLOCK: Final = 4096  # bytes
KIB: Final = 1024
MIB: Final = 1024 * KIB
# Empty, tiny, around the border between inline and file, larger than one piece, and large; most are small.
SIZES: Final = (0, 1, 64 * KIB - 1, 64 * KIB, 64 * KIB + 1, 300 * KIB, 2 * MIB)
_SHARES: Final = (30, 34, 8, 8, 8, 9, 3)
DELAYS: Final = (0.0, 0.02, 0.1, 0.3, 1.5)  # seconds
LONGEST_CONTENT: Final = 100_000  # bytes; above what is kept in memory


@dataclass(frozen=True)
class Work:
    """One request and what has to come of it."""

    number: int
    method: str = "GET"
    size: int = 1  # bytes of the answer
    delay: float = 0.0  # seconds until the answer
    framing: Framing = "length"

    @classmethod
    def any(cls, number: int, random: Random) -> Self:
        [size] = random.choices(SIZES, _SHARES)
        method = random.choice(("GET", "POST"))
        return cls(number, method, size, random.choice(DELAYS), random.choice(get_args(Framing)))

    @classmethod
    def of(cls, method: str, target: bytes) -> Self:
        """The work that a request is about."""
        _, _, number, size, milliseconds, framing = target.decode("ascii").split("/")
        assert framing in get_args(Framing), target
        return cls(int(number), method, int(size), int(milliseconds) / 1000, framing)  # type: ignore[arg-type]

    @property
    def target(self) -> bytes:
        return b"/job/%d/%d/%d/%b" % (self.number, self.size, round(self.delay * 1000), self.framing.encode("ascii"))

    @property
    def is_safe(self) -> bool:
        return self.method in ("GET", "HEAD")

    @property
    def content(self) -> bytes | None:
        """What is sent with the request."""
        if self.is_safe:
            return None
        return b"".join(blocks(-self.number, LONGEST_CONTENT if self.number % 16 == 0 else 100))

    @cached_property
    def answer(self) -> tuple[int, str]:
        """Length and checksum of the content that the answer has to have."""
        size = 0 if self.method == "HEAD" else self.size
        digest = hashlib.sha256()
        for block in blocks(self.number, size):
            digest.update(block)
        return size, digest.hexdigest()


def blocks(number: int, size: int) -> Iterator[bytes]:
    """`size` bytes that belong to this number alone."""
    for start in range(0, size, BLOCK):
        yield (b"%+014d %016d\n" % (number, start) * (BLOCK // 32))[: size - start]
