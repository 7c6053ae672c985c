"""What operators ask, and of which resource: each has a path, and the methods that it allows (RFC 9110 section 9.1)."""

from collections.abc import Awaitable, Callable, Mapping
from typing import NamedTuple
from urllib.parse import parse_qsl, unquote

from proxy.message import Fields, RequestHead
from proxy.operators.refusal import Refusal
from proxy.operators.responses import Response
from proxy.target import checked


class Request(NamedTuple):
    """What an operator asks. What comes of the target is decoded."""

    method: str
    authority: bytes  # that it is for; empty if it names none
    folder: str  # all of the path but its last segment
    name: str  # the last segment, in which slashes may have been encoded
    query: list[tuple[str, str]]
    fields: Fields

    @property
    def path(self) -> str:
        return f"{self.folder}/{self.name}"


Handler = Callable[[Request], Awaitable[Response]]
Methods = Mapping[str, Handler]


class Resources:
    """Finds who handles a request. A path that ends in `/*` stands for all that are one segment longer than its rest."""

    def __init__(self, by_path: Mapping[str, Methods], help: str) -> None:
        """`help` tells what there is to whoever asks for something else."""
        self._by_path = by_path
        self._help = help

    def handler(self, request: Request) -> Handler:
        """Raises Refusal: 404, or 405 with what is allowed."""
        methods = self._by_path.get(request.path) or self._by_path.get(f"{request.folder}/*")
        if methods is None:
            raise Refusal(404, self._help)
        if request.method not in methods:
            allowed = ", ".join(methods)
            raise Refusal(405, f"What is allowed here: {allowed}.", {"Allow": allowed})
        return methods[request.method]


def read_by(handler: Handler) -> Methods:
    """The methods of what can only be read; HEAD is GET without content (RFC 9110 section 9.3.2)."""
    return {"GET": handler, "HEAD": handler}


def request_of(head: RequestHead) -> Request:
    """Raises BadRequest, MethodNotImplemented."""
    target = checked(head)
    path, _, query = target.origin_form.decode("utf-8", "replace").partition("?")
    folder, _, name = path.rpartition("/")
    asked = parse_qsl(query, keep_blank_values=True)
    return Request(head.method, target.authority, unquote(folder), unquote(name), asked, head.fields)
