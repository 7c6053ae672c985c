"""Who may ask as an operator: whoever has the token or, where none is set, whoever is on this machine.

Without a token two things are kept out that a browser on this machine could be made to do: a page of somebody else's
that has its own name resolve to a loopback address (DNS rebinding), and one that asks across sites.
"""

import base64
import re
from hmac import compare_digest
from typing import Final

from proxy.config.addresses import Address, is_loopback
from proxy.message import Fields
from proxy.operation import credential_of
from proxy.operators.refusal import Refusal

CHALLENGE: Final = 'Basic realm="respond-async", Bearer realm="respond-async"'
FOREIGN: Final = (b"cross-site", b"same-site")  # values of Sec-Fetch-Site: the page that asks is not ours
AUTHORITY: Final = re.compile(r"(?:\[([0-9a-fA-F:.]+)\]|([^:\[\]]+))(?::[0-9]*)?")


class Gate:
    """Lets operators in."""

    def __init__(self, token: str | None, address: Address | None) -> None:
        """`address` is where they ask."""
        self._token = None if token is None else token.encode()
        self._takes_any_host = token is not None or address is None or address.unix_path is not None

    def check(self, fields: Fields, authority: bytes) -> None:
        """Raises Refusal, by the fields of a request, and the authority that it is for (RFC 9110 section 7.2)."""
        if self._token is not None and not self._knows_token(credential_of(fields) or b""):
            raise Refusal(
                401,
                "This needs the service's `admin_token`: as `Authorization: Bearer TOKEN`, or as a password by any user.",
                {"WWW-Authenticate": CHALLENGE},
            )
        if not self._takes_any_host and not _names_this_machine(authority or fields.first(b"host")):
            raise Refusal(
                403,
                "Ask by a loopback address or name, such as http://127.0.0.1 or http://localhost;"
                " by other names only where `admin_token` is set.",
            )
        if fields.first(b"sec-fetch-site") in FOREIGN and fields.first(b"sec-fetch-mode") != b"navigate":
            raise Refusal(403, "This is not for pages of other sites.")

    def _knows_token(self, authorization: bytes) -> bool:
        given = _shown_secret(authorization)
        return self._token is not None and given is not None and compare_digest(given, self._token)


def _names_this_machine(authority: bytes | None) -> bool:
    """Whether an authority does so, surely; without one, nobody was led here by a name."""
    if authority is None:
        return True
    found = AUTHORITY.fullmatch(authority.decode("latin-1"))
    return found is not None and is_loopback((found[1] or found[2]).lower().removesuffix("."))


def _shown_secret(authorization: bytes) -> bytes | None:
    """A bearer's token, or the password of Basic (RFC 7617), whoever the user is."""
    scheme, _, value = authorization.partition(b" ")
    match scheme.lower():
        case b"bearer":
            return value.strip()
        case b"basic":
            return _password(value.strip())
        case _:
            return None


def _password(credentials: bytes) -> bytes | None:
    try:
        return base64.b64decode(credentials, validate=True).partition(b":")[2]
    except ValueError:  # also where it is not ASCII
        return None
