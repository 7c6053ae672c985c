"""Where status URLs are: what a client is told, and which targets are meant by it."""

from proxy.forwarded import Client
from proxy.operation import SHORT_ID
from proxy.target import may_be_normalised, normal, path_of


class StatusUrls:
    """Where the status URLs are."""

    def __init__(self, path: str, public_url: str | None) -> None:
        self._path = path
        self._prefix = path.encode()
        self._normal = normal(self._prefix) + b"/"
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
        """What may be shown of a target that is none of ours, but is one to who decodes and normalises; else None."""
        if may_be_normalised(target) is None or not (read := normal(path_of(target))).startswith(self._normal):
            return None
        return read[: len(self._normal) + SHORT_ID]

    @property
    def shown(self) -> int:
        """How many characters of a status URL's path may be logged: it is a capability."""
        return len(self._path) + SHORT_ID
