"""Where status URLs are: what a client is told, and which targets are meant by it."""

import re
from collections.abc import Iterable
from typing import Final, NamedTuple

from proxy.forwarded import Client
from proxy.operation import ID_LENGTH, SHORT_ID
from proxy.target import path_of, segments

BLANK: Final = bytes(range(0x21))  # what some trim from a name: control characters and the space

_AS_LONG_AS_ID: Final = re.compile(rb"[A-Za-z0-9_-]{%d}" % ID_LENGTH)  # one may be joined to what stands around it


class Likeness(NamedTuple):
    """How a target is like a status URL that is none."""

    shown: bytes  # what may be shown of it
    is_disguise: bool  # whether it is a status URL to who decodes and normalises


class StatusUrls:
    """Where the status URLs are."""

    def __init__(self, path: str, public_url: str | None) -> None:
        self._path = path
        self._prefix = path.encode()
        self._folder = [segment.lower() for segment in segments(self._prefix)]
        self._trimmed = [segment.strip(BLANK) for segment in self._folder]
        # Finds what makes another spelling: one of these characters, or else case alone; or the path behind another one.
        # (A search that begins with few characters is the cheaper.)
        self._may_be_like = re.compile(rb"%%|//|/\.|\\|;|/(?i:%b)" % re.escape(self._prefix[1:])).search
        self.public_url = public_url

    def href(self, id: str, client: Client, local: bytes) -> str:
        """The absolute URL of an operation: on `public_url`, or on what the client used.

        `local` is the authority of the address that the client reached, for one that named no host.
        """
        return f"{self.public_url or client.root(local)}{self._path}{id}"

    def id(self, target: bytes) -> str | None:
        """The id that a target in origin-form asks for; None if it is not a status URL."""
        if not target.startswith(self._prefix):
            return None
        return path_of(target)[len(self._prefix) :].decode("latin-1")

    def likeness(self, target: bytes) -> Likeness | None:
        """What a target that is none of ours has of one; None, as soon as may be, if it has nothing."""
        if self._may_be_like(target) is None:
            return None
        path = list(segments(path_of(target)))
        if (shown := self._disguised(path)) is not None:
            return Likeness(shown, is_disguise=True)
        shown = self._leading_to_id(path)
        return None if shown is None else Likeness(shown, is_disguise=False)

    def _disguised(self, path: Iterable[bytes]) -> bytes | None:
        """What may be shown of the path if it is one of ours to who decodes and normalises.

        There are who do not tell upper case from lower, or have no use for parameters of segments (RFC 3986 section 3.3).
        A path that leads on from there has been one on its way.
        """
        way: list[bytes] = []
        for segment in path:
            if segment == b"..":
                del way[-1:]
                continue
            if len(way) == len(self._folder) and [one.lower() for one in way] == self._folder:
                return b"/" + b"/".join([*way, segment[:SHORT_ID]])
            way.append(segment)
        return None

    def _leading_to_id(self, path: Iterable[bytes]) -> bytes | None:
        """What may be shown of the path if it has what may be an id behind the status path, wherever that is in it.

        So it is where a status URL was asked for below a prefix, or with a blank, or joined to a word: whoever sees the id
        can do better.
        """
        way: list[bytes] = []
        for segment in path:
            name = segment.strip(BLANK)
            if name == b"..":
                del way[-1:]
                continue
            if name in (b"", b"."):
                continue
            id = _AS_LONG_AS_ID.search(name)
            if id is not None and [one.lower() for one in way[-len(self._trimmed) :]] == self._trimmed:
                return b"/" + b"/".join([*way, name[: id.start() + SHORT_ID]])
            way.append(name)
        return None

    @property
    def shown(self) -> int:
        """How many characters of a status URL's path may be logged: it is a capability."""
        return len(self._path) + SHORT_ID
