"""The places that a configuration names: where to listen, where an origin is, where the store lives, who is trusted.

They are read once, when the configuration is, into small values whose parts stand ready as attributes. A wrong one
raises Refused, by its rules.
"""

import os
import re
from dataclasses import dataclass, replace
from ipaddress import IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from pathlib import Path
from typing import Annotated, Final, Literal, NamedTuple

from pydantic import (
    AfterValidator,
    BeforeValidator,
    InstanceOf,
    PlainSerializer,
    PlainValidator,
    ValidationInfo,
    WithJsonSchema,
)

from proxy.config.scalars import Refused, absolute, must_be_ascii, not_empty, read_by, written

_INTERFACE: Final = r"%[A-Za-z0-9._-]+"
_AUTHORITY: Final = re.compile(rf"(?:\[([0-9A-Fa-f:.]+(?:{_INTERFACE})?)\]|([A-Za-z0-9._-]*))(?::([0-9]{{1,5}}))?")
_URL: Final = re.compile(r"(https?)://([^/?#]*)(.*)", re.IGNORECASE | re.DOTALL)
IN_THE_WAY: Final = "there is a file that is no socket; name another path, or move it away"
_MAX_PORT: Final = 65535
_WEB_SOCKET: Final = {"ws": "http", "wss": "https"}
_OWN_PORT: Final = {"http": 80, "https": 443}
# Hosts that mean every address of a machine, and by which of them it reaches itself.
_EVERYWHERE: Final = {"": "127.0.0.1", "0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104  # they are told apart


def is_loopback(host: str) -> bool:
    """Whether a host, an IPv6 address without brackets, is surely this machine."""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost" or host.endswith(".localhost")  # RFC 6761 section 6.3


def in_the_way(path: str) -> bool:
    """Whether something is where a socket is to be, so far as this user can tell."""
    try:
        return os.path.lexists(path) and not Path(path).is_socket()
    except OSError:  # a link to where this user cannot look
        return False


@dataclass(frozen=True, slots=True)
class Address:
    """Where to listen: a TCP host and port, or a Unix socket."""

    host: str = ""  # empty: all interfaces; IPv6 without brackets
    port: int = 0  # 0: any free one
    unix_path: str | None = None  # None: TCP

    def __str__(self) -> str:
        return f"{_bracketed(self.host)}:{self.port}" if self.unix_path is None else f"unix:{self.unix_path}"

    @property
    def is_everywhere(self) -> bool:
        """Whether it is every address of this machine."""
        return self.unix_path is None and self.host in _EVERYWHERE

    @property
    def from_here(self) -> "Address":
        """Where this machine finds what listens there."""
        return replace(self, host=_EVERYWHERE[self.host]) if self.is_everywhere else self

    @property
    def is_local(self) -> bool:
        """Whether nobody but this machine can reach it, as far as its name tells."""
        return self.unix_path is not None or is_loopback(self.host)


@dataclass(frozen=True, slots=True)
class OriginUrl:
    """Where an origin is: the scheme it speaks at a TCP host and port, or HTTP at a Unix socket."""

    scheme: Literal["http", "https"]
    host: str  # lower case, IPv6 without brackets
    port: int
    authority: bytes  # its own Host value: the port only where it is not the scheme's
    unix_path: str | None = None  # where to connect instead, if not None

    def __str__(self) -> str:
        return f"{self.scheme}://{self.authority.decode()}" if self.unix_path is None else f"unix:{self.unix_path}"


@dataclass(frozen=True, slots=True)
class StoreUrl:
    """Which store, and the absolute folder in which it lives; memory has none."""

    kind: Literal["sqlite", "memory"]
    folder: Path | None = None

    def __str__(self) -> str:
        return f"{self.kind}:" if self.folder is None else f"{self.kind}://{self.folder}"


class _HttpUrl(NamedTuple):
    scheme: Literal["http", "https"]
    host: str
    port: int | None
    rest: str  # path, query and fragment


def address(text: str) -> Address:
    """A place to listen: `127.0.0.1:8080`, `[::1]:8080`, `:8080` (all interfaces) or `unix:/run/x.sock`.

    A link-local one is another on each interface, and has it behind a `%` (RFC 4007 section 11).
    """
    if text.startswith("unix:"):
        return Address(unix_path=_socket(text))
    if text.isdecimal():
        raise Refused("must name host and port", f"did you mean `127.0.0.1:{text}`, or `:{text}` for all interfaces?")
    host, port = _host_and_port(text)
    if port is None:
        raise Refused("must name host and port, as in `127.0.0.1:8080`")
    if _is_of_an_interface(host) and "%" not in host:
        raise Refused("is link-local, and needs its interface", f"as in `[{host}%eth0]:{port}`")
    return Address(host, port)


def address_or_off(text: str) -> Address | None:
    return None if text == "off" else address(text)


def origin_url(text: str) -> OriginUrl:
    """An origin: `http://host:port`, `https://host`, or `unix:/path` for HTTP over that socket."""
    if text.startswith("unix:"):
        return OriginUrl("http", "localhost", 80, b"localhost", _socket(text))
    url = _http_url(text)
    if url.rest not in {"", "/"}:
        raise Refused("must end after host and port: a path before the target is the route's `add_path`")
    own_port = _OWN_PORT[url.scheme]
    port = own_port if url.port is None else url.port
    authority = _bracketed(url.host) if port == own_port else f"{_bracketed(url.host)}:{port}"
    return OriginUrl(url.scheme, url.host, port, authority.encode())


def servers(urls: tuple[OriginUrl, ...]) -> tuple[OriginUrl, ...]:
    """The servers of one origin: all are spoken to in the same way, and each stands there once."""
    if len({url.scheme for url in urls}) > 1:
        raise Refused("must have the same scheme for all its servers")
    if len(set(urls)) < len(urls):
        raise Refused("names a server twice")
    return urls


def public_url(text: str) -> str:
    """Scheme and authority that clients use, without a slash at the end."""
    url = _http_url(text)
    if url.rest not in {"", "/"}:
        raise Refused("must end after host and port: where status URLs live is `status_path`")
    return f"{url.scheme}://{_bracketed(url.host)}" + ("" if url.port is None else f":{url.port}")


def collector_url(text: str) -> str:
    """Where a collector of traces takes OTLP over HTTP, without a slash at the end."""
    url, end = _http_url(text), "/v1/traces"
    if url.rest.endswith(end):
        raise Refused(f"must end before `{end}`, which is added")
    if not re.fullmatch(r"[^?#\s]*", url.rest):
        raise Refused("must have no query, fragment or space")
    return text.rstrip("/")


def store_url(value: object, info: ValidationInfo) -> object:
    """A store: `sqlite:///absolute/folder`, `sqlite:folder` relative to the configuration's, or `memory:`."""
    if not isinstance(value, str):
        return value
    if value == "memory:":
        return StoreUrl("memory")
    kind, _, place = value.partition(":")
    place = place.removeprefix("//") if place.startswith("///") else place
    if kind != "sqlite" or not place or place.startswith("//"):
        raise Refused("must be `sqlite:///absolute/folder`, `sqlite:relative/folder` or `memory:`")
    return StoreUrl("sqlite", absolute(place, info))


def network(value: object) -> IPv4Network | IPv6Network:
    """A network, or a single address as a network of one."""
    try:
        return ip_network(str(value))
    except ValueError as error:
        raise Refused("must be an IP network or address, such as `10.0.0.0/8`", _network_hint(value)) from error


def _network_hint(value: object) -> str:
    try:
        return f"did you mean `{ip_network(str(value), strict=False)}`?"
    except ValueError:
        return ""


def _http_url(text: str) -> _HttpUrl:
    found = _URL.fullmatch(text)
    if not found:
        raise Refused("must begin with `http://` or `https://`", _url_hint(text))
    if "@" in found[2]:
        raise Refused("must not contain a user or password")
    host, port = _host_and_port(found[2])
    if "%" in host:
        raise Refused("must not name an interface")
    if not host or port == 0:
        raise Refused("must name a host after `//`, and no port 0")
    return _HttpUrl("https" if found[1].lower() == "https" else "http", host, port, found[3])


def _url_hint(text: str) -> str:
    scheme, _, rest = text.partition("://")
    if rest and scheme.lower() in _WEB_SOCKET:
        meant = f"{_WEB_SOCKET[scheme.lower()]}://{rest}"
        return f"did you mean `{meant}`? WebSocket begins as HTTP, and is let through by a route's `upgrade: true`"
    found = None if rest else _AUTHORITY.fullmatch(text.partition("/")[0])
    return f"did you mean `http://{text}`?" if found and found[0] else ""


def _host_and_port(text: str) -> tuple[str, int | None]:
    must_be_ascii(text)
    found = _AUTHORITY.fullmatch(text)
    if not found or int(found[3] or 0) > _MAX_PORT:
        raise Refused("has no valid host and port, such as `127.0.0.1:8080` or `[::1]:8080`")
    return _ipv6(found[1]) if found[1] else found[2].lower(), int(found[3]) if found[3] else None


def _is_of_an_interface(host: str) -> bool:
    return ":" in host and IPv6Address(host).is_link_local


def _ipv6(text: str) -> str:
    try:
        return str(IPv6Address(text))
    except ValueError as error:
        raise Refused("has no valid IPv6 address in its brackets") from error


def _bracketed(host: str) -> str:
    return f"[{host}]" if ":" in host else host


def _socket(text: str) -> str:
    path = text.removeprefix("unix:")
    if not path.startswith("/") or path.startswith("//") or "\0" in path:
        raise Refused("must give its socket as an absolute path, as in `unix:/run/x.sock`")
    return path


_AS_TEXT: Final = PlainSerializer(str, return_type=str)
_ADDRESS: Final = rf"unix:/.+|(\[[0-9A-Fa-f:.]+({_INTERFACE})?\]|[A-Za-z0-9._-]*):[0-9]{{1,5}}"
_WRITTEN_ADDRESS: Final = {"type": "string", "pattern": f"^({_ADDRESS})$"}
_WRITTEN_SERVER: Final = {"type": "string", "pattern": r"^(https?://[^/?#@]+/?|unix:/.+)$"}
_WRITTEN_LISTEN: Final = [_WRITTEN_ADDRESS, {"type": "array", "items": _WRITTEN_ADDRESS, "minItems": 1}]

Listen = Annotated[
    tuple[Annotated[InstanceOf[Address], read_by(address)], ...],
    AfterValidator(not_empty),
    BeforeValidator(lambda value: [value] if isinstance(value, str | Address) else value),
    PlainSerializer(lambda addresses: [str(each) for each in addresses], return_type=list[str]),
    WithJsonSchema({"anyOf": _WRITTEN_LISTEN}),
]
AddressOrOff = Annotated[InstanceOf[Address] | None, read_by(address_or_off), _AS_TEXT, written(f"off|{_ADDRESS}")]
Origin = Annotated[
    tuple[Annotated[InstanceOf[OriginUrl], read_by(origin_url)], ...],
    AfterValidator(servers),
    AfterValidator(not_empty),
    BeforeValidator(lambda value: [value] if isinstance(value, str | OriginUrl) else value),
    PlainSerializer(lambda urls: [str(each) for each in urls], return_type=list[str]),
    WithJsonSchema({"anyOf": [_WRITTEN_SERVER, {"type": "array", "items": _WRITTEN_SERVER, "minItems": 1}]}),
]
PublicUrl = Annotated[str, read_by(public_url), written(r"https?://[^/?#@]+/?")]
Collector = Annotated[str, read_by(collector_url), written(r"https?://[^?#@\s]+")]
Store = Annotated[InstanceOf[StoreUrl], BeforeValidator(store_url), _AS_TEXT, written("sqlite:.+|memory:")]
Network = Annotated[IPv4Network | IPv6Network, PlainValidator(network), written("[0-9A-Fa-f.:/]+")]
