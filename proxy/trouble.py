"""What keeps those who ask over HTTP from an answer, in words: of the operating system, or of TLS."""

import os
import socket
import ssl
from typing import Final

NO_TLS: Final = "what answers there is not TLS; is it http://?"
NOT_TLS: Final = frozenset({"HTTP_REQUEST", "RECORD_LAYER_FAILURE", "WRONG_VERSION_NUMBER"})  # as OpenSSL has it
OTHER_NAME: Final = "ask by a name that it is for"
OTHER_ISSUER: Final = "{trusted_by} names others to trust"
# By OpenSSL's X509_V_ERR, of which Python has no names.
REMEDIES: Final = {
    18: OTHER_ISSUER,
    19: OTHER_ISSUER,
    20: OTHER_ISSUER,
    21: OTHER_ISSUER,
    62: OTHER_NAME,
    64: OTHER_NAME,
}


def reason(error: BaseException, trusted_by: str = "SSL_CERT_FILE") -> str:
    """What an error says, in one line; with what to do about it, where that is plain."""
    match error:
        case ssl.SSLCertVerificationError():
            remedy = REMEDIES.get(error.verify_code)
            said = error.verify_message.rstrip(".")
            return f"{said}; {remedy.format(trusted_by=trusted_by)}" if remedy else said
        case ssl.SSLError(reason=str(name)):
            return NO_TLS if name in NOT_TLS else name.lower().replace("_", " ")
        case UnicodeError():
            return "that is no name of a host"
        case socket.gaierror(strerror=str(text)):
            return text
        case OSError(errno=int(number)):
            return os.strerror(number)
        case _:
            return " ".join(str(error).split())
