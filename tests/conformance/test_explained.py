"""What `respond-async explain` says of a request is what a service with this configuration does."""

import json
from pathlib import Path
from typing import Final

import pytest

from proxy.config import load_with_source
from proxy.explain import Explanation, explain, imagine
from tests.conftest import StartProxy
from tests.raw_client import Field, request

CHUNKED: Final[Field] = (b"Transfer-Encoding", b"chunked")
HERE: Final = b"1.1 respond-async"


def explained(file: Path, text: str, fields: list[Field]) -> Explanation:
    config = load_with_source(file, {}).config
    return explain(config, imagine(text, fields, config, "127.0.0.1"))


@pytest.mark.parametrize(
    ("text", "fields", "status"),
    [
        pytest.param("GET /" + "a" * 5000, [], 414, id="long target"),
        pytest.param("GET /", [(b"X-Long", b"v" * 5000)], 431, id="long field"),
        pytest.param("GET /", [(b"A", b"")] * 1100, 431, id="many fields"),
        pytest.param("FOO /", [], 400, id="method that HTTP does not know"),
        pytest.param("get /", [], 400, id="method in another case"),
        pytest.param("CONNECT a.test:443", [], 501, id="CONNECT"),
        pytest.param("GET /a#b", [], 400, id="fragment"),
        pytest.param("GET /\x01", [], 400, id="control character"),
        pytest.param("GET a.test", [], 400, id="no path"),
        pytest.param("GET /", [(b"Host", b"a.test"), (b"Host", b"a.test")], 400, id="two Hosts"),
        pytest.param("GET /", [(b"Host", b"a@b")], 400, id="Host with a user"),
        pytest.param("POST /", [(b"Content-Length", b"5"), CHUNKED], 400, id="two framings"),
        pytest.param("POST /", [(b"Content-Length", b"5"), (b"Content-Length", b"5")], 400, id="two lengths"),
        pytest.param("POST /", [(b"Content-Length", b"abc")], 400, id="length that is none"),
        pytest.param("POST /", [(b"Content-Length", b"-1")], 400, id="negative length"),
        pytest.param("POST /", [(b"Content-Length", b"999999999")], 413, id="long content"),
        pytest.param("POST /", [(b"Transfer-Encoding", b"gzip")], 400, id="coding"),
        pytest.param("GET /", [(b"Via", b", ".join([HERE] * 8))], 502, id="loop"),
        pytest.param("GET /", [(b"Via", b", ".join([HERE] * 7))], 200, id="seven passages"),
        pytest.param("GET /" + "a" * 1900, [(b"X-Long", b"v" * 1900)], 200, id="long, but not too long"),
        pytest.param("GET /ä?b=ö", [(b"X-Text", b"\xff")], 200, id="beyond ASCII"),
        pytest.param("GET http://a.test/", [], 200, id="absolute form"),
        pytest.param("OPTIONS *", [], 200, id="asterisk"),
    ],
)
async def test_it_is_refused_by_both_with_the_same_words_or_by_neither(
    start_proxy: StartProxy, tmp_path: Path, text: str, fields: list[Field], status: int
) -> None:
    client = await (await start_proxy(limits={"max_fields": "4KiB"})).client()
    method, target = text.split()
    await client.send(request(method, target.encode(), fields))
    response = await client.response()
    assert response.status == status
    error = explained(tmp_path / "proxy.yaml", text, fields).error
    if status == 200:
        assert error is None
    else:
        told = json.loads(response.body)
        assert error is not None
        assert (error.status, error.code, error.detail) == (status, told["code"], told["detail"])
