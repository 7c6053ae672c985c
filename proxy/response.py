"""The responses on a connection to an origin, one after the other: what llhttp calls back, and what a reader awaits.

llhttp (through httptools) splits the stream; what it lets through and a proxy must not (see `_frame`) is refused here.
"""

import asyncio
from typing import Final

import httptools

from proxy.errors import OriginBrokeOff, OriginError, OriginMalformed
from proxy.grammar import number
from proxy.message import Field, Fields, ResponseHead, has_body, persists
from proxy.upgrade import chosen

VERSIONS: Final = {"1.0": (1, 0), "1.1": (1, 1)}
ENDLESS: Final = "The origin's response has too much chunk framing, or too long a trailer section."
SWITCHING_PROTOCOLS: Final = 101
FIRST_FINAL: Final = 200

_CONTROLS: Final = bytes({*range(0x20), 0x7F} - {0x09})  # all but the tab: RFC 9112 section 4, RFC 9110 section 5.5


class WentStale(OriginBrokeOff):
    """The origin closed the connection before its response was complete.

    Not a byte of it had come: where the connection had served before, the request may never have been read.
    """


class Response:
    """The response to the latest request on a connection as it arrives: its head, then the pieces of its body.

    There is one for each connection, because it and its parser refer to each other: made for each request, they would
    be left to the garbage collector.
    """

    __slots__ = (
        "_between", "_fields", "_lenient", "_max_fields", "_method", "_offers", "_overhead", "_parser", "_reason", "_waiter",
        "buffered", "complete", "error", "head", "length", "persistent", "pieces", "switched", "until_close", "untouched",
        "version",
    )  # fmt: skip

    def __init__(self, max_fields: int, *, lenient: bool) -> None:
        self._max_fields = max_fields
        self._lenient = lenient
        self._parser = self._new_parser()
        self._between = True  # whether the parser has seen the end of a response, and will take another
        self.pieces: list[bytes] = []
        self.begin("")
        self.persistent = self.complete = True  # before the first, all is as after one

    def begin(self, method: str, offers: tuple[bytes, ...] = ()) -> None:
        """Get ready for the response to the next request. The offers are the protocols that it asks to switch to."""
        if not self._between:
            self._parser = self._new_parser()
        self._between = False
        self._method = method
        self._offers = offers
        self._overhead = 0  # bytes of fields or framing since the last that was of use
        self._reason = b""
        self._fields: list[Field] = []
        self._waiter: asyncio.Future[None] | None = None
        self.untouched = True  # whether not a byte of it has come
        self.head: ResponseHead | None = None
        self.version = (1, 1)
        self.length: int | None = None  # of the body, where it is known in advance
        self.until_close = False  # whether the end of the stream is the end of the body
        self.persistent = False  # whether the origin will take another request on this connection
        self.pieces.clear()
        self.buffered = 0  # bytes in pieces
        self.complete = False  # the whole response has arrived
        self.switched = False  # what follows is another protocol: the pieces are the beginning of that
        self.error: OriginError | None = None

    def _new_parser(self) -> httptools.HttpResponseParser:
        parser = httptools.HttpResponseParser(self)
        if self._lenient:
            parser.set_dangerous_leniencies(
                lenient_headers=True,
                lenient_optional_lf_after_cr=True,
                lenient_optional_cr_before_lf=True,
                lenient_spaces_after_chunk_size=True,
            )
        return parser

    # What the parser calls.

    def on_message_begin(self) -> None:
        if self.complete:
            self.persistent = False  # what follows could be taken for the answer to the next request

    def on_status(self, reason: bytes) -> None:
        self._reason += reason

    def on_header(self, name: bytes, value: bytes) -> None:
        if self.head is None:  # else it is a trailer, which ends here (RFC 9110 section 6.5.1)
            self._fields.append((name, value.rstrip(b" \t")))

    def on_headers_complete(self) -> None:
        if self.complete:
            return
        status = self._parser.get_status_code()
        self.switched = status == SWITCHING_PROTOCOLS and self._switches()
        if status < FIRST_FINAL and not self.switched:
            self._interim(status)
            return
        head = ResponseHead(status, self._reason, Fields(self._fields))
        if self._overhead > self._max_fields:  # else there is no need to count
            self._measure(head)
        self._refuse_controls()
        self._frame(head)
        self.head, self._overhead = head, 0

    def on_body(self, piece: bytes) -> None:
        if self.complete:
            self.persistent = False  # surplus: a body on HEAD, say
            return
        self._overhead = 0
        self.pieces.append(piece)
        self.buffered += len(piece)

    def on_message_complete(self) -> None:
        if self.head is not None:
            self.complete = True
            self._between = self._parser.should_keep_alive()

    def _switches(self) -> bool:
        """Whether a 101 is one that was asked for."""
        return self._parser.should_upgrade() and bool(chosen(Fields(self._fields), self._offers))

    def _interim(self, status: int) -> None:
        """Drop a 1xx: `Expect` is answered by the proxy."""
        if status == SWITCHING_PROTOCOLS or status < 100:
            raise OriginMalformed("The origin's response has a status code that cannot be here.")
        self._reason, self._fields, self._overhead = b"", [], 0

    def _refuse_controls(self) -> None:
        """In a reason; llhttp itself refuses them in values, where it is not lenient."""
        text = b"".join([self._reason, *[value for _, value in self._fields]]) if self._lenient else self._reason
        if len(text.translate(None, _CONTROLS)) != len(text):
            raise OriginMalformed("The origin's response has a control character in its head.")

    def _measure(self, head: ResponseHead) -> None:
        size = len(head.reason) + sum(len(name) + len(value) + 4 for name, value in head.fields)
        if size > self._max_fields:
            raise self._head_too_large()

    def _frame(self, head: ResponseHead) -> None:
        """Find out where the body ends (RFC 9112 section 6.3), and refuse what two readers could read in two ways."""
        version = self._parser.get_http_version()
        codings = head.fields.members(b"transfer-encoding")
        if codings and (codings != [b"chunked"] or version == "1.0"):
            raise OriginMalformed("The origin's response has a Transfer-Encoding other than chunked.")
        if version not in VERSIONS:
            raise OriginMalformed("The origin's response is not HTTP/1.1 or HTTP/1.0.")
        self.version = VERSIONS[version]
        if not has_body(self._method, head.status):
            self.length, self.complete = 0, True
        elif (length := head.fields.first(b"content-length")) is not None:
            self.length = number(length)  # digits, once, and without Transfer-Encoding: llhttp has seen to it
        else:
            self.until_close = not codings
        self.persistent = not (self.until_close or self.switched) and persists(head.fields, self.version)

    # What the connection calls.

    def feed(self, data: bytes) -> None:
        """Take bytes from the origin. Whatever is wrong with them becomes `error`, unless the response had ended."""
        self.untouched = False
        self._overhead += len(data)
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade as upgrade:
            self.pieces.append(data[upgrade.args[0] :])
        except httptools.HttpParserError as exc:
            self._surplus_or_error(exc)
        if self._overhead > self._max_fields and self.error is None and not self.complete:
            self.error = self._head_too_large() if self.head is None else OriginMalformed(ENDLESS)
        self.wake()

    def end_of_stream(self, *, clean: bool) -> None:
        """The origin has closed: if cleanly, the end of a body that lasts until then, and a truncation of any other."""
        if self.complete or self.error is not None:
            return
        if self.until_close and clean:
            self.complete = True
        elif self.untouched:
            self.error = WentStale("The origin closed the connection without an answer.")
        else:
            self.error = OriginBrokeOff("The origin closed the connection before its response was complete.")
        self.wake()

    def abandon(self) -> None:
        """We have closed: the end of the stream is then no end of a body."""
        if not self.complete and self.error is None:
            self.error = OriginBrokeOff("The exchange was closed before its response was complete.")
        self.wake()

    def wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    def _surplus_or_error(self, exc: Exception) -> None:
        self.persistent = False
        if self.complete:
            return  # bytes after the end: the message stands, the connection does not (nginx delivers these too)
        cause = exc.__context__
        self.error = cause if isinstance(cause, OriginError) else OriginMalformed("The origin's response is not HTTP.")
        if cause is not self.error:
            self.error.__cause__ = exc

    def _head_too_large(self) -> OriginMalformed:
        what, most = "The header section of the origin's response", self._max_fields
        why = f"{what} has more than {most} bytes (limits.max_fields)."
        return OriginMalformed(f"{what} is too large.", error_type="http_response_header_section_size", why=why)

    # What the reader calls.

    def news(self) -> asyncio.Future[None]:
        """A future that is done as soon as more has come, or an end. One reader at a time."""
        self._waiter = asyncio.get_running_loop().create_future()
        return self._waiter
