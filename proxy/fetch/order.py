"""What is asked for, and which of its fields may be sent to whom.

A URL stays as it was written: nothing is decoded, re-quoted or resolved. User and password in it become Authorization,
and are never part of what is sent or shown.
"""

import re
from base64 import b64encode
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Final, NamedTuple
from urllib.parse import quote, unquote

from yarl import URL

from proxy import __version__

Pair = tuple[str, str]
Given = tuple[str, str | None]  # None: without this field

SCHEMES: Final = ("http", "https")
AGENT: Final = f"respond-async/{__version__}"
# What tells nothing of whoever asks, and may be told anybody.
HARMLESS: Final = frozenset({"accept", "accept-charset", "accept-encoding", "accept-language", "user-agent"})
OF_THE_CONTENT: Final = frozenset({"content-length", "transfer-encoding"})
# What speaks of the first request alone. Host too: where a status URL is, it says itself.
OF_THE_REQUEST: Final = frozenset(
    {"expect", "host", "if-match", "if-modified-since", "if-none-match", "if-range", "if-unmodified-since",
     "prefer", "range", "te", "trailer", "transfer-encoding"}
)  # fmt: skip

_ASCII: Final = "".join(map(chr, range(0x21, 0x7F)))
_USER: Final = re.compile(r"(\w+://)([^/?#]*)@")
_HOST: Final = re.compile(r"^(\w+://|//)([^/?#]+)")
_WORDS: Final = re.compile(r"[\w.-]+(:[0-9]*)?")  # a host, perhaps with its port
_SCHEME: Final = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://")
_NAME: Final = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_UNSENDABLE: Final = re.compile(r"[\x00-\x08\x0a-\x1f\x7f\ud800-\udfff]")  # controls, and bytes that are not UTF-8


FORM: Final = "application/x-www-form-urlencoded"
JSON: Final = "application/json"


class Content(NamedTuple):
    """What a request carries."""

    data: bytes | Path  # a path: what is in that file
    kind: str  # Content-Type, unless one says so oneself


@dataclass(frozen=True, slots=True)
class Order:
    """A request, to be sent once."""

    method: str
    url: URL
    fields: tuple[Pair, ...]
    content: Content | None = None

    def fields_for(self, url: URL) -> list[Pair]:
        """The fields for a later request of the same fetch: all that still apply at the same origin, few elsewhere."""
        if same_origin(self.url, url):
            return [one for one in self.fields if not _is_of_the_request(one[0].lower())]
        return [one for one in self.fields if one[0].lower() in HARMLESS]

    @property
    def has_credentials(self) -> bool:
        return any(name.lower() in {"authorization", "cookie"} for name, _ in self.fields)


def order_for(
    url: str, method: str | None, fields: Sequence[Given], user: str | None, content: Content | None
) -> Order:
    """The request for what a command line says; `user` is name and password. Raises ValueError."""
    address, user_of_url = url_of(url)
    if method is not None and not _NAME.fullmatch(method):
        raise ValueError("a method is a token, such as PUT")
    given = {name.lower() for name, _ in fields}
    if made := OF_THE_CONTENT & {name.lower() for name, value in fields if value is not None}:
        raise ValueError(f"`{min(made)}` cannot be given: it is made for the content")
    lines = [one for one in _usual(user or user_of_url, content) if one[0].lower() not in given]
    lines += [(name, value) for name, value in fields if value is not None]
    return Order((method or ("GET" if content is None else "POST")).upper(), address, tuple(lines), content)


def _usual(user: str | None, content: Content | None) -> Iterator[Pair]:
    yield "User-Agent", AGENT
    yield "Accept", JSON if content is not None and content.kind == JSON else "*/*"
    if user is not None:
        yield "Authorization", f"Basic {b64encode(user.encode()).decode()}"
    if content is not None:
        yield "Content-Type", content.kind


def url_of(text: str) -> tuple[URL, str | None]:
    """A URL, and what it says of user and password. Raises ValueError."""
    text = text if _SCHEME.match(text) else f"http://{text}"
    found = _USER.match(text)
    written = _quoted(text)
    try:
        url = _read(written).with_fragment(None)
        usable = url.scheme in SCHEMES and bool(url.host)
    except ValueError as error:
        raise ValueError(f"the URL cannot be read: {error}") from error
    if not usable:
        raise ValueError("a URL begins with http:// or https:// and a host")
    return url, None if found is None else unquote(found[2])


def referred(base: URL, reference: str) -> URL | None:
    """Where a Location leads, relative ones too; None where that is no place to ask."""
    try:
        url = base.join(_read(_quoted(reference.strip())))
        usable = url.scheme in SCHEMES and bool(url.host)
    except ValueError:
        return None
    return url.with_fragment(None) if usable else None


def _quoted(reference: str) -> str:
    """As it is written, but in ASCII, and without user and password. Raises UnicodeError."""
    return quote(_USER.sub(r"\1", reference), safe=_ASCII)


def _read(reference: str) -> URL:
    """Raises ValueError."""
    return URL(_HOST.sub(_in_ascii, reference), encoded=True)


def _in_ascii(found: re.Match[str]) -> str:
    """The host of a URL as DNS has it (IDNA); what is none stays as it is."""
    host = unquote(found[2])
    is_name = not host.isascii() and _WORDS.fullmatch(host)
    return found[1] + (URL(f"http://{host}").raw_authority if is_name else found[2])


def same_origin(one: URL, other: URL) -> bool:
    return (one.scheme, one.host, one.port) == (other.scheme, other.host, other.port)


def content_of(data: Sequence[str], documents: Sequence[str], stdin: BinaryIO | None) -> Content | None:
    """Content as curl takes it, a form's or JSON: text, or `@FILE` or `@-` for what is in there. Raises ValueError."""
    if data and documents:
        raise ValueError("`--data` and `--json` do not go together")
    texts, between, kind = (documents, b"", JSON) if documents else (data, b"&", FORM)
    if not texts:
        return None
    if len(texts) == 1 and texts[0].startswith("@") and texts[0] != "@-":
        return Content(_file(texts[0]), kind)
    return Content(between.join(_piece(text, stdin) for text in texts), kind)


def field(text: str) -> Given:
    """A field as curl takes it: `Name: value`; `Name;` is one without value, `Name:` leaves a usual one out."""
    name, colon, value = text.partition(":")
    if not colon and not name.endswith(";"):
        raise ValueError(f"`{text}` is no field: write `Name: value`")
    name, value = name.removesuffix(";"), value.strip(" \t")
    if not _NAME.fullmatch(name) or _UNSENDABLE.search(value):
        raise ValueError(f"`{name}` cannot be sent: a field's name is a token, and its value UTF-8 without line ends")
    return name, None if colon and not value else value


def _is_of_the_request(name: str) -> bool:
    return name in OF_THE_REQUEST or name.startswith("content-")


def _piece(text: str, stdin: BinaryIO | None) -> bytes:
    if text == "@-":
        if stdin is None:
            raise ValueError("standard input (`@-`) is closed")
        return stdin.read()
    return _file(text).read_bytes() if text.startswith("@") else text.encode()


def _file(text: str) -> Path:
    path = Path(text[1:])
    try:
        if path.is_dir():
            raise ValueError(f"{path} is a folder: name a file")
        if not path.is_file():
            what = f"{path} is no file of the disk: have it as standard input, `@-`"
            raise ValueError(what if path.exists() else f"there is no file {path}")
        path.open("rb").close()
    except OSError as error:
        raise ValueError(f"{path} cannot be read: {error.strerror}") from error
    return path
