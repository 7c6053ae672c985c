"""Where operators ask, from a configuration or as they say it."""

from dataclasses import dataclass, field, replace

from yarl import URL

from proxy.config import Config
from proxy.config.addresses import Address, address
from proxy.config.scalars import must_be_ascii


@dataclass(frozen=True, slots=True)
class Place:
    """An address for operators."""

    url: str  # without a slash at the end
    socket: str | None = None  # of the file system, where it is one
    token: str | None = field(default=None, repr=False)

    def __str__(self) -> str:
        return self.url if self.socket is None else f"unix:{self.socket}"


def place_of(config: Config, token: str | None) -> Place:
    """The `admin` of a configuration; a token that is given goes before its own. Raises ValueError where there is none."""
    if config.admin is None:
        raise ValueError("its `admin` is off: nobody can be asked")
    if config.admin_token is not None and token is None:
        token = config.admin_token.get_secret_value()
    return replace(_place(config.admin), token=token)


def place_at(text: str, token: str | None) -> Place:
    """What an operator names: a URL, or an address as `admin` has it. Raises ValueError."""
    if text.lower().startswith(("http://", "https://")):
        return Place(_url(text), token=token)
    return replace(_place(address(text)), token=token)


def _url(text: str) -> str:
    if "@" in text:  # never shown
        raise ValueError("takes no user and no password: it is the token that is asked for")
    if not text.isprintable() or set(text) & set(" ?#"):
        raise ValueError("must be a URL without spaces, query and fragment, as in `http://127.0.0.1:8081`")
    try:
        url = URL(text)
    except ValueError as error:
        raise ValueError(f"is no URL: {error}") from error
    must_be_ascii(text.partition("//")[2].partition("/")[0])
    if not url.host:
        raise ValueError("must name a host after `//`, as in `http://127.0.0.1:8081`")
    return text.rstrip("/")


def _place(admin: Address) -> Place:
    if admin.unix_path is not None:
        return Place("http://localhost", admin.unix_path)
    if not admin.port:
        raise ValueError("its port is any free one: the log has which it became (`serving`)")
    return Place(f"http://{admin.from_here}")
