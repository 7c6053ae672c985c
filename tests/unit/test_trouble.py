"""What keeps one from an answer, in words."""

import errno
import socket
import ssl

import pytest

from proxy.trouble import reason


def certificate_error(code: int, message: str) -> ssl.SSLCertVerificationError:
    error = ssl.SSLCertVerificationError(1, "certificate verify failed")
    error.verify_code, error.verify_message = code, message
    return error


def tls_error(name: str) -> ssl.SSLError:
    error = ssl.SSLError(1, f"[SSL: {name}] whatever (_ssl.c:1000)")
    error.reason = name
    return error


@pytest.mark.parametrize(
    ("error", "said"),
    [
        pytest.param(OSError(errno.ECONNREFUSED, "Connect call failed ('::1', 1)"), "Connection refused", id="system"),
        pytest.param(socket.gaierror(-3, "Temporary failure in name resolution"), "Temporary failure in name resolution", id="resolver"),
        pytest.param(UnicodeError("label empty or too long"), "that is no name of a host", id="no name"),
        pytest.param(ValueError("400, message:\n  Bad line"), "400, message: Bad line", id="two lines"),
        pytest.param(certificate_error(18, "self-signed certificate"), "self-signed certificate; X names others to trust", id="issuer"),
        pytest.param(certificate_error(62, "Hostname mismatch."), "Hostname mismatch; ask by a name that it is for", id="name"),
        pytest.param(certificate_error(10, "certificate has expired"), "certificate has expired", id="expired"),
        pytest.param(tls_error("WRONG_VERSION_NUMBER"), "what answers there is not TLS; is it http://?", id="no TLS"),
        pytest.param(tls_error("TLSV1_ALERT_PROTOCOL_VERSION"), "tlsv1 alert protocol version", id="other TLS"),
    ],
)  # fmt: skip
def test_what_an_error_says(error: BaseException, said: str) -> None:
    assert reason(error, "X") == said
