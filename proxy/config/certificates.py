"""The certificates and keys that a configuration names: loaded, or in our words why they cannot be.

OpenSSL would ask whoever sits at the terminal for the pass phrase of an encrypted key, and hold up the whole process
meanwhile, also one that serves. It is never let do that.
"""

import os
import ssl
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple, NoReturn

from proxy.config.source import Loc

if TYPE_CHECKING:
    from proxy.config.origins import OriginTls
    from proxy.config.service import Config, ServerTls

KEY_OF_ANOTHER: Final = {
    "KEY_VALUES_MISMATCH",
    "KEY_TYPE_MISMATCH",
    "NO_CERTIFICATE_ASSIGNED",  # RSA and EC
    "UNKNOWN_CERTIFICATE_TYPE",  # one that no certificate of TLS can have, such as X25519
}
CERTIFICATES: Final = (b"-----BEGIN CERTIFICATE-----", b"-----BEGIN X509 CERT", b"-----BEGIN TRUSTED CERT")
KEY: Final = b"PRIVATE KEY-----"  # behind the kind of key

ENCRYPTED: Final = (
    "the key is encrypted, and nobody is asked for its pass phrase; name one that is not, as"
    " `openssl pkey -in ENCRYPTED.pem -out KEY.pem` writes it"
)


class Named(NamedTuple):
    """A file, and where the configuration names it."""

    loc: Loc
    file: Path


class Unusable(Exception):
    """A file that cannot be used for what it was named for."""

    def __init__(self, named: Named, what: str) -> None:
        super().__init__(f"Cannot use {named.file} (`{'.'.join(map(str, named.loc))}`): {what}.")
        self.loc = named.loc
        self.what = what  # without the file's name, which may be from the environment


class Unreadable(Unusable):
    """One that this user cannot read, who need not be the one that serves."""


class _Encrypted(Exception):
    """A key has a pass phrase."""


def for_clients(tls: "ServerTls") -> ssl.SSLContext:
    """What shows clients the service's certificate. Raises Unusable."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    _show(context, Named(("tls", "cert_file"), tls.cert_file), Named(("tls", "key_file"), tls.key_file))
    return context


def for_origin(name: str, tls: "OriginTls") -> ssl.SSLContext:
    """What trusts those that an origin's settings name, and shows the origin its certificate. Raises Unusable."""
    at = ("origins", name, "tls")
    context = _trusting(None if tls.ca_file is None else Named((*at, "ca_file"), tls.ca_file))
    if tls.client_cert is not None:
        cert = Named((*at, "client_cert"), tls.client_cert)
        _show(context, cert, cert if tls.client_key is None else Named((*at, "client_key"), tls.client_key))
    return context


def unusable(config: "Config") -> Iterator[Unusable]:
    """What there is to say against those that it names, one thing for each section."""
    sections: list[Callable[[], ssl.SSLContext]] = []
    if config.tls is not None:
        sections.append(partial(for_clients, config.tls))
    for name, origin in config.origins.items():
        if origin.tls.ca_file is not None or origin.tls.client_cert is not None:
            sections.append(partial(for_origin, name, origin.tls))
    for load in sections:
        try:
            load()
        except Unusable as error:
            yield error


def _trusting(authorities: Named | None) -> ssl.SSLContext:
    """Python's default for clients."""
    if authorities is None:
        return ssl.create_default_context()
    try:
        return ssl.create_default_context(cafile=authorities.file)
    except OSError as error:
        _must_hold_certificate(authorities)
        raise Unusable(authorities, f"a certificate in it is damaged{_by_openssl(error)}") from error


def _show(context: ssl.SSLContext, cert: Named, key: Named) -> None:
    try:
        context.load_cert_chain(cert.file, key.file, password=_nobody_to_ask)
    except _Encrypted as error:
        raise Unusable(key, ENCRYPTED) from error
    except OSError as error:  # ssl.SSLError among them
        _must_hold_certificate(cert)
        _must_hold_key(key, cert)
        raise _misfit(cert, key, error) from error


def _nobody_to_ask() -> NoReturn:
    raise _Encrypted


def _must_hold_certificate(named: Named) -> None:
    content = _content(named)
    if not any(one in content for one in CERTIFICATES):
        raise Unusable(named, f"holds no certificate in PEM form{', but a key' if KEY in content else ''}")


def _must_hold_key(named: Named, cert: Named) -> None:
    if KEY not in _content(named):
        unset = ", and there is no `client_key`" if named == cert else ""
        raise Unusable(named, f"holds no key in PEM form{unset}")


def _content(named: Named) -> bytes:
    try:
        return named.file.read_bytes()
    except OSError as error:
        raise Unreadable(named, f"cannot be read: {error.strerror}") from error


def _misfit(cert: Named, key: Named, error: OSError) -> Unusable:
    """What is wrong with two that hold what they are to hold."""
    reason = getattr(error, "reason", None)
    if reason in KEY_OF_ANOTHER and reason != _reason_without_key(cert):
        whose = f"the certificate in `{cert.loc[-1]}`, or the first one there"
        return Unusable(key, f"the key does not belong to {whose}; name the one that it was made with")
    if reason is not None:
        return Unusable(cert, f"the certificate cannot be used{_by_openssl(error)}")
    try:
        ssl.create_default_context(cafile=cert.file)
    except OSError:
        return Unusable(cert, "the certificate is damaged")
    return Unusable(key, "the key is damaged")


def _reason_without_key(cert: Named) -> str | None:
    """Why the certificate cannot be used, whatever the key; None where it can."""
    try:
        ssl.create_default_context(ssl.Purpose.CLIENT_AUTH).load_cert_chain(cert.file, os.devnull)
    except OSError as error:  # always, if only since there is no key
        return getattr(error, "reason", None)
    return None


def _by_openssl(error: OSError) -> str:
    """Its own words, where it has any."""
    reason = getattr(error, "reason", None)
    return f": {reason.replace('_', ' ').lower()}" if reason else ""
