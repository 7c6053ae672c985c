"""Where the proxy can be reached: several addresses, IPv6, Unix sockets, TLS."""

import asyncio
import re
import socket
import ssl
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from functools import partial
from ipaddress import IPv6Address
from pathlib import Path
from typing import cast

import pytest

from proxy.acceptor import Acceptor
from proxy.config import Address, ServerTls
from proxy.listeners import CannotListen, Listener, bind, tls_context
from tests.conftest import StartProxy
from tests.raw_client import Pattern, RawClient, request
from tests.scripted_origin import ScriptedOrigin, answer, close, send


class Greeter(asyncio.Protocol):
    """Says hello to whoever connects."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        cast("asyncio.WriteTransport", transport).write(b"hello")
        transport.close()


@asynccontextmanager
async def greeting(address: Address) -> AsyncIterator[Listener]:
    listener = Listener(bind("listen", address), partial(Acceptor, factory=Greeter))
    listener.open()
    try:
        yield listener
    finally:
        listener.close()


async def greeted(client: RawClient) -> bool:
    async with client:
        return await client.receive(5) == b"hello"


def has_ipv6() -> bool:
    try:
        with socket.socket(socket.AF_INET6) as sock:
            sock.bind(("::1", 0))
    except OSError:
        return False
    return True


def link_local() -> str:
    """Such an address of this machine with its interface; empty: there is none."""
    with suppress(OSError):
        for line in Path("/proc/net/if_inet6").read_text().splitlines():
            digits, _, _, scope, _, interface = line.split()
            if scope == "20":
                return f"{IPv6Address(int(digits, 16))}%{interface}"
    return ""


LINK_LOCAL = link_local()


async def test_a_port_of_zero_becomes_the_one_that_was_chosen() -> None:
    async with greeting(Address("127.0.0.1", 0)) as listener:
        assert listener.address.port > 0
        assert await greeted(RawClient(port=listener.address.port))


async def test_a_closed_listener_accepts_nothing_more() -> None:
    async with greeting(Address("127.0.0.1", 0)) as listener:
        listener.close()
        with pytest.raises(ConnectionRefusedError):
            await greeted(RawClient(port=listener.address.port))


async def test_a_port_that_is_taken_is_named() -> None:
    async with greeting(Address("127.0.0.1", 0)) as listener:
        with pytest.raises(CannotListen, match=rf"127\.0\.0\.1:{listener.address.port} .*in use"):
            bind("listen", listener.address)


async def test_an_address_that_is_not_ours_is_named() -> None:
    with pytest.raises(CannotListen, match=r"192\.0\.2\.1:\d+ "):
        bind("listen", Address("192.0.2.1", 12345))


@pytest.mark.skipif(not has_ipv6(), reason="no IPv6 here")
async def test_ipv6() -> None:
    async with greeting(Address("::1", 0)) as listener:
        assert await greeted(RawClient("::1", listener.address.port))
        assert str(listener.address).startswith("[::1]:")


async def test_a_unix_socket_is_made_and_removed(tmp_path: Path) -> None:
    path = tmp_path / "s"
    async with greeting(Address(unix_path=str(path))):
        assert await greeted(RawClient(unix_path=path))
    assert not path.exists()


async def test_a_stale_unix_socket_is_replaced(tmp_path: Path) -> None:
    path = tmp_path / "s"
    with socket.socket(socket.AF_UNIX) as sock:
        sock.bind(str(path))
    assert path.is_socket()
    async with greeting(Address(unix_path=str(path))):
        assert await greeted(RawClient(unix_path=path))


async def test_a_unix_socket_that_somebody_listens_on_stays_theirs(tmp_path: Path) -> None:
    address = Address(unix_path=str(tmp_path / "s"))
    async with greeting(address):
        with pytest.raises(CannotListen, match="in use"):
            bind("listen", address)
        assert await greeted(RawClient(unix_path=tmp_path / "s"))


async def test_a_file_in_the_way_of_a_unix_socket_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "s"
    path.write_text("mine")
    with pytest.raises(CannotListen, match=r"\(`listen`\): there is a file that is no socket; name another path, "):
        bind("listen", Address(unix_path=str(path)))
    assert path.read_text() == "mine"


@pytest.mark.parametrize("host", ["a..b", "a" * 64], ids=["an empty label", "a long label"])
def test_a_host_that_no_name_can_be_is_refused(host: str) -> None:
    with pytest.raises(CannotListen, match=r"\(`admin`\): its host is no name that can be looked up\.$"):
        bind("admin", Address(host, 0))


@pytest.mark.skipif(not LINK_LOCAL, reason="no link-local address here")
async def test_a_link_local_address_with_its_interface() -> None:
    async with greeting(Address(LINK_LOCAL, 0)) as listener:
        assert await greeted(RawClient(LINK_LOCAL, listener.address.port))


async def test_a_folder_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(CannotListen, match="No such file"):
        bind("listen", Address(unix_path=str(tmp_path / "none" / "s")))


def test_a_path_that_another_service_has_bound_since_is_left_to_it(tmp_path: Path) -> None:
    path = tmp_path / "s"
    first = bind("listen", Address(unix_path=str(path)))
    first.close()
    second = bind("listen", Address(unix_path=str(path)))
    first.close()
    assert path.is_socket(), "closed a second time"
    path.unlink()
    third = bind("listen", Address(unix_path=str(path)))
    second.close()
    assert path.is_socket(), "it is the third one's"
    third.close()
    assert not path.exists()


def test_a_path_that_somebody_has_removed_is_no_matter(tmp_path: Path) -> None:
    bound = bind("listen", Address(unix_path=str(tmp_path / "s")))
    (tmp_path / "s").unlink()
    bound.close()


def test_a_certificate_that_cannot_be_used_is_named_with_its_key(certificate: tuple[Path, Path]) -> None:
    _, key = certificate
    with pytest.raises(CannotListen, match=re.escape(f"Cannot use {key} (`tls.cert_file`): holds no certificate")):
        tls_context(ServerTls(cert_file=key, key_file=key))


# The product over them.


async def test_all_addresses_lead_to_the_same_proxy(
    start_proxy: StartProxy, origin: ScriptedOrigin, tmp_path: Path
) -> None:
    proxy = await start_proxy(listen=["127.0.0.1:0", "127.0.0.1:0", f"unix:{tmp_path}/s"])
    first, second, _ = proxy.service.listeners
    clients = [RawClient(port=one.address.port) for one in (first, second)] + [RawClient(unix_path=tmp_path / "s")]
    async with AsyncExitStack() as stack:
        for client in clients:
            await stack.enter_async_context(client)
            assert (await client.exchange("GET", b"/")).status == 200
    assert len({first.address.port, second.address.port}) == 2


async def test_the_port_for_operators_is_named_too(start_proxy: StartProxy) -> None:
    async with greeting(Address("127.0.0.1", 0)) as taken:
        with pytest.raises(CannotListen, match=str(taken.address)):
            await start_proxy(admin=str(taken.address))


async def test_a_socket_on_which_so_many_wait_that_there_is_no_room_is_not_stale(tmp_path: Path) -> None:
    path = str(tmp_path / "s")
    with socket.socket(socket.AF_UNIX) as busy, socket.socket(socket.AF_UNIX) as waiting:
        busy.bind(path)
        busy.listen(0)
        waiting.connect(path)
        with pytest.raises(CannotListen, match="in use"):
            bind("listen", Address(unix_path=path))


async def test_over_a_unix_socket_the_client_has_no_address_and_status_urls_have_its_host(
    start_proxy: StartProxy, origin: ScriptedOrigin, tmp_path: Path
) -> None:
    await start_proxy(listen=f"unix:{tmp_path}/s")
    async with RawClient(unix_path=tmp_path / "s") as client:
        prefer = (b"Prefer", b"respond-async, wait=0")
        response = await client.exchange("GET", b"/", [(b"Host", b"api.test"), prefer])
        assert response.status == 202
        assert (response.field(b"location") or b"").startswith(b"http://api.test/.async/")
    received = await origin.request_received()
    assert received.fields_named(b"forwarded") == [b"for=unknown;host=api.test;proto=http"]


@pytest.fixture
def trusting(certificate: tuple[Path, Path]) -> ssl.SSLContext:
    context = ssl.create_default_context(cafile=certificate[0])
    context.set_alpn_protocols(["h2", "http/1.1"])
    return context


@pytest.fixture
def tls(certificate: tuple[Path, Path]) -> dict[str, dict[str, str]]:
    return {"tls": {"cert_file": str(certificate[0]), "key_file": str(certificate[1])}}


async def test_over_tls_it_is_http_1_1_and_status_urls_are_https(
    start_proxy: StartProxy, origin: ScriptedOrigin, trusting: ssl.SSLContext, tls: dict[str, dict[str, str]]
) -> None:
    proxy = await start_proxy(**tls)
    async with RawClient(port=proxy.port, ssl=trusting) as client:
        assert client.wire.transport.get_extra_info("ssl_object").selected_alpn_protocol() == "http/1.1"
        prefer = (b"Prefer", b"respond-async, wait=0")
        response = await client.exchange("POST", b"/", [prefer], Pattern(100_000).sha256.encode())
        assert (response.field(b"location") or b"").startswith(b"https://proxy.test/.async/")
    assert (await origin.request_received()).fields_named(b"x-forwarded-proto") == [b"https"]


async def test_large_bodies_pass_through_tls_both_ways(
    start_proxy: StartProxy, origin: ScriptedOrigin, trusting: ssl.SSLContext, tls: dict[str, dict[str, str]]
) -> None:
    body = Pattern(3_000_000)
    proxy = await start_proxy(**tls)
    async with RawClient(port=proxy.port, ssl=trusting) as client:
        origin.queue([answer(200, body=body)])
        await client.send(request("GET", b"/"))
        assert (await client.response(keep=False)).sha256 == body.sha256
        await client.send(request("POST", b"/", [(b"Content-Length", b"3000000")]))
        for piece in body:
            await client.send(piece)
        assert (await client.response()).status == 200
    assert (await origin.request_complete(2)).sha256 == body.sha256


async def test_a_broken_response_over_tls_does_not_look_whole(
    start_proxy: StartProxy, origin: ScriptedOrigin, trusting: ssl.SSLContext, tls: dict[str, dict[str, str]]
) -> None:
    origin.script(send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\none\r\n"), close())
    proxy = await start_proxy(**tls)
    async with RawClient(port=proxy.port, ssl=trusting) as client:
        response = await client.exchange("GET", b"/")
        assert (response.status, response.complete) == (200, False)


async def test_a_malformed_request_over_tls_is_answered(
    start_proxy: StartProxy, trusting: ssl.SSLContext, tls: dict[str, dict[str, str]]
) -> None:
    proxy = await start_proxy(**tls)
    async with RawClient(port=proxy.port, ssl=trusting) as client:
        await client.send(b"rubbish\r\n\r\n")
        response = await client.response()
        assert (response.status, response.field(b"connection")) == (400, b"close")


async def test_plain_http_on_a_tls_port_is_closed_and_the_port_stays_open(
    start_proxy: StartProxy, trusting: ssl.SSLContext, tls: dict[str, dict[str, str]]
) -> None:
    proxy = await start_proxy(**tls)
    client = await proxy.client()
    await client.send(request("GET", b"/"))
    await client.wire.until(lambda: client.wire.end is not None, "end of the connection")
    async with RawClient(port=proxy.port, ssl=trusting) as other:
        assert (await other.exchange("GET", b"/")).status == 200
