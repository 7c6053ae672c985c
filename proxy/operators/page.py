"""The files of the operator page, read once. Browsers ask again for each, and are told where it is the same (RFC 9110 13.1.2)."""

from hashlib import blake2b
from importlib import resources
from pathlib import PurePath
from typing import Final, NamedTuple

FOLDER: Final = "page"
FIRST: Final = "index.html"
TYPES: Final = {
    ".css": b"text/css; charset=utf-8",
    ".html": b"text/html; charset=utf-8",
    ".js": b"text/javascript; charset=utf-8",
    ".svg": b"image/svg+xml",
}


class PageFile(NamedTuple):
    """One of them."""

    content: bytes
    type: bytes
    etag: bytes


def page_files() -> dict[str, PageFile]:
    """All of them, by the paths under which they are; the first one under `/` too."""
    found: dict[str, PageFile] = {}
    for file in (resources.files("proxy") / FOLDER).iterdir():
        kind = TYPES.get(PurePath(file.name).suffix)
        if kind is not None:
            found[f"/{FOLDER}/{file.name}"] = _page_file(file.read_bytes(), kind)
    return {**found, "/": found[f"/{FOLDER}/{FIRST}"]}


def _page_file(content: bytes, type: bytes) -> PageFile:
    return PageFile(content, type, b'"%b"' % blake2b(content, digest_size=16).hexdigest().encode())
