"""X-Request-Id as far as it is kept, by which a request is found in the log and by operators."""

import re
from typing import Final

LONGEST: Final = 128  # bytes of a client's that are kept; the origin gets it whole
BROKEN: Final = re.compile(rb"([\xc2-\xf4]|[\xe0-\xf4][\x80-\xbf]|[\xf0-\xf4][\x80-\xbf]{2})\Z")  # a character of UTF-8
ESCAPED: Final = re.compile(rb"\\x([0-9a-f]{2})")


def cut(id: bytes) -> bytes:
    """What is kept of one that is too long: the last character whole, or not at all."""
    return BROKEN.sub(b"", id[:LONGEST])


def readable(id: bytes) -> str:
    """What of it is not UTF-8 is escaped, in ASCII that anybody can type."""
    return id.decode("utf-8", "backslashreplace")


def as_kept(text: str) -> str:
    """A readable one, which may be too long, as it is where it was kept."""
    whole = ESCAPED.sub(lambda found: bytes.fromhex(found[1].decode()), text.encode())
    return text if len(whole) <= LONGEST else readable(cut(whole))
