"""What `wire` and `parser` take from aiohttp, name by name: a release that changes one of these fails here first."""

import asyncio
from collections.abc import AsyncIterator, Callable
from importlib.metadata import version
from types import SimpleNamespace
from typing import Any

import pytest
from aiohttp import web
from aiohttp.http import HttpRequestParser
from aiohttp.http_exceptions import BadHttpMethod, HttpProcessingError, LineTooLong
from aiohttp.http_parser import HttpRequestParserPy
from aiohttp.streams import EMPTY_PAYLOAD, StreamReader
from aiohttp.web_protocol import MAX_MSG_QUEUE_SIZE, _ErrInfo

from proxy.client import ClientRequest
from proxy.clock import Clock
from proxy.config import Limits
from proxy.forwarded import Peer
from proxy.message import Fields, Reply, ResponseHead
from proxy.parser import GuardedParser, as_error, refused
from proxy.tally import Tally
from proxy.wire import ClientConnection, Server
from tests.raw_client import request

GET = request("GET", b"/")


class Transport(asyncio.Transport):
    """A transport that keeps what is written."""

    def __init__(self) -> None:
        super().__init__({"peername": ("192.0.2.1", 1234), "sockname": ("192.0.2.2", 80)})
        self.written = b""
        self.closed = False
        self.reads = True

    def write(self, data: bytes | bytearray | memoryview) -> None:
        self.written += bytes(data)

    def close(self) -> None:
        self.closed = True

    def is_closing(self) -> bool:
        return self.closed

    def can_write_eof(self) -> bool:
        return False

    def get_write_buffer_size(self) -> int:
        return 0

    def pause_reading(self) -> None:
        self.reads = False

    def resume_reading(self) -> None:
        self.reads = True


def peer(address: str | None) -> Peer:
    return Peer(str(address), b"", "http", trusted=False)


def refusal(client: object, error: Exception) -> Reply:
    return Reply(ResponseHead(500, b"No", Fields()), type(error).__name__.encode())


@pytest.fixture
async def gate() -> asyncio.Event:
    return asyncio.Event()


@pytest.fixture
async def server(gate: asyncio.Event) -> AsyncIterator[Server]:
    async def handler(client: object) -> None:
        await gate.wait()

    server = Server(handler, refusal, peer, Limits(), Clock(), admitted=Tally(1).cell(0))
    yield server
    gate.set()
    await server.shutdown(0.01)


@pytest.fixture
async def connection(server: Server) -> AsyncIterator[ClientConnection]:
    connection = server()
    connection.connection_made(Transport())
    await asyncio.sleep(0)  # lets aiohttp's own task wait for a request
    yield connection
    connection.connection_lost(None)


def parser(
    *, max_line_size: int = 8190, max_field_size: int = 8190, max_headers: int = 128, max_msg_queue_size: int = 0
) -> HttpRequestParser:
    protocol: Any = SimpleNamespace(pause_reading=lambda: None, resume_reading=lambda **_: None)
    return HttpRequestParser(
        protocol,
        asyncio.get_running_loop(),
        2**16,
        max_line_size=max_line_size,
        max_field_size=max_field_size,
        max_headers=max_headers,
        max_msg_queue_size=max_msg_queue_size,
    )


def test_the_release_is_one_that_this_was_tested_with() -> None:
    assert version("aiohttp").startswith("3.14.")


def test_the_parser_is_llhttp() -> None:
    assert HttpRequestParser is not HttpRequestParserPy


async def test_the_parser_has_the_methods_that_the_guard_passes_on(connection: ClientConnection) -> None:
    inner = connection._guard._parser
    assert type(inner) is HttpRequestParser
    for name in ("feed_data", "feed_eof", "message_consumed", "pause_reading", "set_upgraded"):
        assert callable(getattr(inner, name)), name
    assert id(connection._parser) == id(connection._guard)


async def test_the_parser_returns_messages_with_content_an_upgrade_and_what_follows() -> None:
    [(message, content)], upgraded, tail = parser().feed_data(request("POST", b"/a%2F", [(b"X", b"\xe9")], b"body"))
    assert (message.method, message.path, message.version, message.should_close) == ("POST", "/a%2F", (1, 1), False)
    assert message.raw_headers == ((b"Host", b"proxy.test"), (b"Content-Length", b"4"), (b"X", b"\xe9"))
    assert (content.is_eof(), content.total_bytes, content.read_nowait()) == (True, 4, b"body")
    assert (upgraded, tail) == (False, b"")


async def test_a_request_without_content_has_the_empty_payload() -> None:
    [(_, content)], _, _ = parser().feed_data(GET)
    assert content is EMPTY_PAYLOAD
    assert (content.is_eof(), content.total_bytes) == (True, 0)


async def test_the_parser_loses_the_requests_before_an_error_in_one_segment() -> None:
    """The reason for feeding head by head; once this fails, the guard can be simpler."""
    with pytest.raises(HttpProcessingError):
        parser().feed_data(GET + b"!\r\n\r\n")


async def test_the_parser_leaves_the_reader_of_malformed_content_waiting() -> None:
    inner = parser()
    head = request("POST", b"/", [(b"Transfer-Encoding", b"chunked")])
    [(_, content)], _, _ = inner.feed_data(head)
    with pytest.raises(HttpProcessingError):
        inner.feed_data(b"!\r\n")
    assert (content.is_eof(), content.exception()) == (False, None)


@pytest.mark.parametrize(
    ("data", "error"),
    [
        pytest.param(b"NOPE / HTTP/1.1\r\n\r\n", BadHttpMethod, id="method"),
        pytest.param(GET.replace(b"/ ", b"/" + b"a" * 200 + b" "), LineTooLong, id="request line"),
        pytest.param(request("GET", b"/", [(b"X", b"v" * 200)]), LineTooLong, id="field"),
    ],
)
async def test_errors_of_the_parser_have_their_classes(data: bytes, error: type[Exception]) -> None:
    with pytest.raises(error):
        parser(max_line_size=100, max_field_size=100).feed_data(data)


async def test_too_many_fields_are_known_by_their_message() -> None:
    with pytest.raises(HttpProcessingError) as caught:
        parser(max_headers=3).feed_data(request("GET", b"/", [(b"X", b"1")] * 4))
    assert as_error(caught.value).code == "fields-too-large"


async def test_the_parser_pauses_when_the_queue_is_full() -> None:
    inner = parser(max_msg_queue_size=MAX_MSG_QUEUE_SIZE)
    messages, _, _ = inner.feed_data(GET * (MAX_MSG_QUEUE_SIZE + 2))
    assert len(messages) == MAX_MSG_QUEUE_SIZE
    inner.message_consumed()
    inner.message_consumed()
    messages, _, _ = inner.feed_data(b"")
    assert len(messages) == 2


async def test_the_guard_takes_no_more_than_the_queue_holds_and_one() -> None:
    guard = GuardedParser(parser(max_msg_queue_size=MAX_MSG_QUEUE_SIZE), 1000)
    messages, _, _ = guard.feed_data(GET * 500)
    assert MAX_MSG_QUEUE_SIZE <= len(messages) <= MAX_MSG_QUEUE_SIZE + 1


async def test_the_protocol_has_the_attributes_that_are_used(connection: ClientConnection) -> None:
    assert isinstance(connection._waiter, asyncio.Future)
    assert connection._loop is asyncio.get_running_loop()
    assert len(connection._messages) == 0
    assert connection.writing_paused is False
    assert isinstance(connection._keepalive_handle, asyncio.TimerHandle | None)


async def test_what_is_put_into_the_queue_is_answered_in_place_of_a_request(connection: ClientConnection) -> None:
    connection._refuse(as_error(None))
    assert isinstance(refused(ValueError())[0], _ErrInfo)
    transport = connection.transport
    assert isinstance(transport, Transport)
    await until(lambda: bool(transport.written))
    assert transport.written.startswith(b"HTTP/1.1 500 No\r\n")
    assert transport.written.endswith(b"ProxyError")


async def test_the_waiter_is_there_only_while_no_request_is(connection: ClientConnection, gate: asyncio.Event) -> None:
    assert connection._waiter is not None
    connection.data_received(GET)
    await until(lambda: connection._waiter is None)
    gate.set()
    await until(lambda: connection._waiter is not None)


async def test_keep_alive_stops_the_timer_for_idle_connections(
    connection: ClientConnection, gate: asyncio.Event
) -> None:
    gate.set()
    connection.data_received(GET)
    await until(lambda: connection._keepalive_handle is not None)
    connection.keep_alive(val=True)
    assert connection._keepalive_handle is None


async def test_drain_helper_waits_until_writing_may_go_on(connection: ClientConnection) -> None:
    connection.pause_writing()
    assert connection.writing_paused
    waiting = asyncio.ensure_future(connection._drain_helper())
    await asyncio.sleep(0)
    assert not waiting.done()
    connection.resume_writing()
    await waiting


async def test_drain_helper_fails_when_the_connection_is_lost(server: Server) -> None:
    connection = server()
    connection.connection_made(Transport())
    connection.pause_writing()
    waiting = asyncio.ensure_future(connection._drain_helper())
    await asyncio.sleep(0)
    connection.connection_lost(OSError())
    with pytest.raises(ConnectionError):
        await waiting


async def test_a_lost_connection_cancels_its_handler(server: Server) -> None:
    cancelled = asyncio.Event()

    async def handler(_: object) -> None:
        try:
            await asyncio.Event().wait()
        finally:
            cancelled.set()

    server._handler = handler
    connection = server()
    connection.connection_made(Transport())
    connection.data_received(GET)
    await until(lambda: connection._current_request is not None)
    connection.connection_lost(None)
    async with asyncio.timeout(5):
        await cancelled.wait()


async def test_content_that_a_lost_connection_cut_off_raises(server: Server) -> None:
    loop = asyncio.get_running_loop()
    content: asyncio.Future[StreamReader] = loop.create_future()

    async def handler(client: ClientRequest) -> None:
        content.set_result(client._payload)
        await loop.create_future()

    server._handler = handler
    connection = server()
    connection.connection_made(Transport())
    connection.data_received(request("POST", b"/", [(b"Content-Length", b"4")]))
    stream = await content
    connection.connection_lost(None)
    with pytest.raises(ConnectionError):
        await stream.readany()


async def test_the_server_forgets_connections_that_are_lost(server: Server) -> None:
    connection = server()
    connection.connection_made(Transport())
    assert server.connections == [connection]
    connection.connection_lost(None)
    await until(lambda: server.connections == [])


def test_the_base_classes_are_what_they_were() -> None:
    assert issubclass(Server, web.Server)
    assert issubclass(ClientConnection, web.RequestHandler)


async def until(condition: Callable[[], bool]) -> None:
    """Lets the loop run until it holds; a hundred rounds are plenty where nothing waits for a socket."""
    for _ in range(100):
        if condition():
            return
        await asyncio.sleep(0)
    raise AssertionError("it never held")
