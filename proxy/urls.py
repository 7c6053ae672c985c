"""Where status URLs are: what a client is told, and which targets are meant by it."""

import re

from proxy.forwarded import Client
from proxy.operation import SHORT_ID
from proxy.target import path_of, segments


class StatusUrls:
    """Where the status URLs are."""

    def __init__(self, path: str, public_url: str | None) -> None:
        self._path = path
        self._prefix = path.encode()
        self._folder = [segment.lower() for segment in segments(self._prefix)]
        # Finds what makes another spelling: one of these characters, or else case alone. (A search that begins with few
        # characters is the cheaper.)
        self._may_be_disguised = re.compile(rb"%%|//|/\.|\\|;|/(?i:%b)" % re.escape(self._prefix[1:])).search
        self._public_url = public_url

    def href(self, id: str, client: Client, local: bytes) -> str:
        """The absolute URL of an operation, on the scheme, host and port that the client used.

        `local` is the authority of the address that the client reached, for one that named no host.
        """
        base = self._public_url or f"{client.scheme}://{(client.host or local).decode('ascii')}"
        return f"{base}{self._path}{id}"

    def id(self, target: bytes) -> str | None:
        """The id that a target in origin-form asks for; None if it is not a status URL."""
        if not target.startswith(self._prefix):
            return None
        return path_of(target)[len(self._prefix) :].decode("latin-1")

    def disguised(self, target: bytes) -> bytes | None:
        """What may be shown of a target that is none of ours, but is one to who decodes and normalises; else None.

        There are who do not tell upper case from lower, or have no use for parameters of segments (RFC 3986 section 3.3).
        A path that leads on from there has been one on its way.
        """
        if self._may_be_disguised(target) is None:
            return None
        way: list[bytes] = []
        for segment in segments(path_of(target)):
            if segment == b"..":
                del way[-1:]
                continue
            if len(way) == len(self._folder) and [one.lower() for one in way] == self._folder:
                return b"/" + b"/".join([*way, segment[:SHORT_ID]])
            way.append(segment)
        return None

    @property
    def shown(self) -> int:
        """How many characters of a status URL's path may be logged: it is a capability."""
        return len(self._path) + SHORT_ID
