"""A proxy whose origin leads back to it does not go in circles for ever (RFC 9110 section 7.6)."""

from tests.conftest import StartProxy, settings_for
from tests.exchange.problems import assert_problem
from tests.raw_client import RawClient
from tests.scripted_origin import ScriptedOrigin


async def test_an_origin_that_is_the_proxy_itself(start_proxy: StartProxy, unused_port: int) -> None:
    proxy = await start_proxy(settings_for(f"http://127.0.0.1:{unused_port}"), listen=f"127.0.0.1:{unused_port}")
    response = await (await proxy.client()).exchange("GET", b"/")
    assert_problem(response, 502, "loop-detected", "proxy_loop_detected")


async def test_some_proxies_of_one_name_may_stand_in_line(client: RawClient, origin: ScriptedOrigin) -> None:
    via = [(b"Via", b"1.1 respond-async, 1.1 other")] * 3
    assert (await client.exchange("GET", b"/", via)).status == 200
    assert len(origin.requests) == 1
