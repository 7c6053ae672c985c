"""A request that nobody has sent, as a command line describes it."""

import re
from collections.abc import Iterable
from dataclasses import replace
from typing import Final, NamedTuple

from proxy.config import Config
from proxy.grammar import number
from proxy.message import Field, Fields, RequestHead

WORDS: Final = re.compile(r"(?:(\S+)\s+)?(\S+)(?:\s+HTTP/1\.([01]))?")
FORM: Final[Field] = (b"Content-Type", b"application/x-www-form-urlencoded")


class Imagined(NamedTuple):
    """A request, and who sends it."""

    head: RequestHead
    peer: str  # IP address
    length: int | None  # of its content, as far as it is known


def imagine(text: str, given: Iterable[Field], config: Config, peer: str, length: int | None = None) -> Imagined:
    """The request for `POST /reports`, or for `/reports`, with these fields. Raises ValueError.

    Where there is no Host, it is as if somebody had asked at the first address that clients know.
    """
    found = WORDS.fullmatch(text.strip())
    if found is None:
        raise ValueError("a request is written as `POST /reports`, or as `/reports` for a GET")
    fields = Fields(given)
    if not fields.has(b"host"):
        fields = Fields(((b"Host", _own_authority(config)), *fields))
    announced = fields.first(b"content-length")
    if announced is None and length is not None and not fields.has(b"transfer-encoding"):
        fields = fields.plus((b"Content-Length", b"%d" % length))
    elif announced is not None and length is None:
        length = number(announced)
    version = (1, int(found[3] or 1))
    method = found[1] or ("GET" if length is None else "POST")
    return Imagined(RequestHead(method, found[2].encode(), fields, version), peer, length)


def _own_authority(config: Config) -> bytes:
    if config.public_url is not None:
        return config.public_url.partition("://")[2].encode()
    address = config.listen[0]
    if address.unix_path is not None:
        return b"localhost"
    near = address.from_here
    return str(replace(near, host=near.host.partition("%")[0])).encode()  # RFC 6874 section 4: a zone is never sent
