"""What a request leaves behind: nothing that only the garbage collector could find."""

import gc
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from proxy.response import Response
from tests.raw_client import Field, RawClient

Garbage = list[str]  # names of types


@contextmanager
def collected() -> Iterator[Garbage]:
    """The types of ours, and of the parser's, that are found in cycles of what is made within."""
    garbage: Garbage = []
    gc.collect()
    gc.disable()
    gc.set_debug(gc.DEBUG_SAVEALL)
    try:
        yield garbage
        gc.collect()
        types = [type(thing) for thing in gc.garbage]
        garbage += [kind.__name__ for kind in types if kind.__module__.startswith(("proxy.", "httptools."))]
    finally:
        gc.set_debug(0)
        gc.garbage.clear()
        gc.enable()


@pytest.mark.parametrize(
    ("method", "fields", "content"),
    [
        pytest.param("GET", [], b"", id="without content"),
        pytest.param("POST", [], b"content", id="with content"),
        pytest.param("GET", [(b"Prefer", b"respond-async, wait=10")], b"", id="answered in time"),
    ],
)
async def test_a_request_leaves_no_cycles(client: RawClient, method: str, fields: list[Field], content: bytes) -> None:
    await client.exchange(method, b"/", fields, content)
    with collected() as garbage:
        for _ in range(10):
            assert (await client.exchange(method, b"/", fields, content)).status == 200
    assert garbage == []


def test_cycles_are_found() -> None:
    with collected() as garbage:
        Response(4096, lenient=False)
    assert set(garbage) == {"Response", "HttpResponseParser"}
