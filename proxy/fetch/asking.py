"""Requests, on aiohttp's client: exact bytes, no redirects of its own, no cookies kept, nothing decoded.

What aiohttp raises becomes `Ended` with curl's exit code, where nothing can be done about it. `TROUBLE` is what breaks a
request off, or keeps it from being sent.
"""

import ssl
from collections.abc import AsyncIterator, Iterable
from contextlib import ExitStack, asynccontextmanager
from io import BytesIO
from pathlib import Path
from typing import IO, Final

import aiohttp
from multidict import CIMultiDict
from yarl import URL

from proxy.fetch.ending import BROKEN_OFF, NO_TLS, NOT_CONNECTED, NOT_TRUSTED, TOO_LATE, UNKNOWN_HOST, Ended
from proxy.fetch.order import Order, Pair
from proxy.trouble import reason

TROUBLE: Final = (aiohttp.ClientError, TimeoutError, ConnectionError, UnicodeError)  # the last: no name of a host
HOPELESS: Final = (  # of these: the same however often one asks
    aiohttp.ClientConnectorCertificateError,
    aiohttp.InvalidURL,
    UnicodeError,
)
CONNECTING: Final = 30.0  # seconds
LONGEST_SILENCE: Final = 60.0  # seconds, in content that is on its way
LARGEST_HEAD: Final = 1 << 18  # bytes, of one field too
OURS: Final = ("Accept", "Accept-Encoding", "Content-Type", "User-Agent")  # that aiohttp would add by itself


class BrokeOff(aiohttp.ClientError):
    """The connection ended before there was a response."""


class Asker:
    """Sends requests, each of them once."""

    def __init__(self, session: aiohttp.ClientSession) -> None:
        self._session = session

    async def ask_first(self, order: Order, prefer: str | None) -> aiohttp.ClientResponse:
        """Send what was ordered. Its content goes out once, and its answer may take as long as it likes."""
        with ExitStack() as files:
            lines = [*order.fields, *([("Prefer", prefer)] if prefer else [])]
            return await self._send(order.method, order.url, lines, None, _readable(order, files))

    async def ask(
        self, order: Order, url: URL, more: Iterable[Pair] = (), *, method: str = "GET", silence: float
    ) -> aiohttp.ClientResponse:
        """A later request of the same fetch, with those fields of the first that may go there."""
        return await self._send(method, url, [*order.fields_for(url), *more], silence, None)

    async def _send(
        self, method: str, url: URL, fields: Iterable[Pair], silence: float | None, content: IO[bytes] | None
    ) -> aiohttp.ClientResponse:
        timeout = aiohttp.ClientTimeout(total=None, sock_connect=CONNECTING, sock_read=silence)
        headers = CIMultiDict(fields)
        return await self._session.request(
            method, url, headers=headers, data=content, allow_redirects=False, timeout=timeout
        )


@asynccontextmanager
async def asking(trust: ssl.SSLContext | bool) -> AsyncIterator[Asker]:  # noqa: FBT001  # aiohttp's way to say it
    """An Asker whose connections are closed at the end. `trust`: which certificates; False: any."""
    async with aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(ssl=trust),
        cookie_jar=aiohttp.DummyCookieJar(),
        auto_decompress=False,
        middlewares=[_sent_once],
        skip_auto_headers=OURS,
        max_line_size=LARGEST_HEAD,
        max_field_size=LARGEST_HEAD,
    ) as session:
        yield Asker(session)


async def _sent_once(request: aiohttp.ClientRequest, send: aiohttp.ClientHandlerType) -> aiohttp.ClientResponse:
    """Keeps aiohttp from sending a PUT or a DELETE again by itself, which it would do after the errors named here."""
    try:
        return await send(request)
    except aiohttp.ClientConnectorError:
        raise
    except (aiohttp.ClientOSError, aiohttp.ServerDisconnectedError) as error:
        raise BrokeOff from error


def trust_in(authorities: Path | None, *, insecure: bool) -> ssl.SSLContext | bool:
    """Which certificates are believed. Raises ValueError for a file that has none."""
    if insecure:
        return False
    if authorities is None:
        return True
    try:
        return ssl.create_default_context(cafile=authorities)
    except (OSError, ssl.SSLError) as error:
        raise ValueError(f"{authorities} has no certificates to trust: {error.strerror or error}") from error


def ended_by(trouble: BaseException, url: URL) -> Ended:
    """The end that this trouble is, if it is not overcome."""
    code, text = next((code, text) for kinds, code, text in _ENDS if isinstance(trouble, kinds))
    inner = trouble.os_error if isinstance(trouble, aiohttp.ClientConnectorError) else trouble
    host = f"[{url.host}]" if ":" in (url.host or "") else url.raw_host
    return Ended(code, text.format(host=host, server=f"{host}:{url.port}", reason=reason(inner, "`--cacert`")))


_ENDS: Final = (
    (
        aiohttp.ClientConnectorCertificateError,
        NOT_TRUSTED,
        "the certificate of {server} is not trusted: {reason}",
    ),
    (aiohttp.ClientSSLError, NO_TLS, "no TLS with {server}: {reason}"),
    ((aiohttp.ClientConnectorDNSError, UnicodeError), UNKNOWN_HOST, "the host {host} was not found: {reason}"),
    (aiohttp.InvalidURL, UNKNOWN_HOST, "the host {host} was not found: that is no name of a host"),
    (aiohttp.ClientConnectorError, NOT_CONNECTED, "no connection to {server}: {reason}"),
    (TimeoutError, TOO_LATE, "{server} has been silent for too long"),
    ((BrokeOff, ConnectionError), BROKEN_OFF, "{server} closed the connection"),
    (aiohttp.ClientPayloadError, BROKEN_OFF, "{server} broke off its response"),
    (BaseException, BROKEN_OFF, "what {server} sends cannot be used: {reason}"),
)


def _readable(order: Order, files: ExitStack) -> IO[bytes] | None:
    """The content, as something that is read while it is sent."""
    if order.content is None:
        return None
    data = order.content.data
    return files.enter_context(data.open("rb")) if isinstance(data, Path) else BytesIO(data)
