"""Range and If-Range on a stored result (contract 4, RFC 9110 section 14)."""

import pytest
import structlog

from tests.operations.house import House, both_stores, document, eventually, names
from tests.raw_client import Field, Pattern
from tests.scripted_origin import ScriptedOrigin, answer, read_all, stall

ETAG, DATE = b'"v1"', b"Sun, 06 Nov 1994 08:49:37 GMT"
VALIDATORS: list[Field] = [(b"ETag", ETAG), (b"Last-Modified", DATE), (b"Content-Type", b"text/plain")]
TEN = b"0123456789"


@pytest.fixture
async def ten(house: House, origin: ScriptedOrigin) -> bytes:
    """The path of a result of ten bytes."""
    origin.script(read_all(), answer(200, VALIDATORS, TEN))
    path = await house.accepted()
    await house.outcome(path)
    return path


@both_stores
@pytest.mark.parametrize(
    ("range_", "content_range", "body"),
    [
        pytest.param(b"bytes=0-0", b"bytes 0-0/10", b"0", id="the first byte"),
        pytest.param(b"bytes=2-5", b"bytes 2-5/10", b"2345", id="from to"),
        pytest.param(b"bytes=7-", b"bytes 7-9/10", b"789", id="from"),
        pytest.param(b"bytes=-3", b"bytes 7-9/10", b"789", id="the last"),
        pytest.param(b"bytes=-100", b"bytes 0-9/10", TEN, id="more than all of the last"),
        pytest.param(b"bytes=9-100", b"bytes 9-9/10", b"9", id="beyond the end"),
        pytest.param(b"bytes=0-", b"bytes 0-9/10", TEN, id="all"),
        pytest.param(b"Bytes=1-1", b"bytes 1-1/10", b"1", id="the unit in another case"),
        pytest.param(b"bytes=1-" + b"9" * 40, b"bytes 1-9/10", TEN[1:], id="an enormous end"),
    ],
)
async def test_a_range_is_a_206(house: House, ten: bytes, range_: bytes, content_range: bytes, body: bytes) -> None:
    response = await house.ask("GET", ten, (b"Range", range_))
    assert (response.status, response.reason, response.body) == (206, b"Partial Content", body)
    assert response.fields_named(b"content-range") == [content_range]
    assert response.fields_named(b"content-length") == [b"%d" % len(body)]
    assert response.fields_named(b"etag") == [ETAG]
    assert response.fields_named(b"content-type") == [b"text/plain"]
    assert response.fields_named(b"asyncresult") == [b"200"]
    assert b"no-store" in response.fields_named(b"cache-control")


@pytest.mark.parametrize("range_", [b"bytes=10-", b"bytes=10-20", b"bytes=-0", b"bytes=%s-" % (b"9" * 40)])
async def test_a_range_outside_is_416_and_names_the_size_and_is_the_clients_doing(
    house: House, ten: bytes, range_: bytes, quiet_log: list[structlog.types.EventDict]
) -> None:
    response = await house.ask("GET", ten, (b"Range", range_))
    assert (response.status, response.field(b"content-range")) == (416, b"bytes */10")
    assert response.field(b"content-type") == b"application/problem+json"
    assert document(response)["status"] == 416
    assert b"asyncresult" not in names(response)
    await eventually(lambda: quiet_log[-1].get("status") == 416)
    assert (quiet_log[-1]["error"], quiet_log[-1]["end"]) == ("range-not-satisfiable", "CS")


@pytest.mark.parametrize(
    "range_",
    [b"bytes=5-2", b"bytes=0-1,4-5", b"lines=1-2", b"bytes=", b"bytes=-", b"bytes=a-b", b"bytes 0-1", b"bytes=0x1-2"],
)
async def test_what_is_no_single_range_gets_all(house: House, ten: bytes, range_: bytes) -> None:
    response = await house.ask("GET", ten, (b"Range", range_))
    assert (response.status, response.body, response.fields_named(b"content-range")) == (200, TEN, [])


async def test_ranges_on_two_lines_get_all(house: House, ten: bytes) -> None:
    response = await house.ask("GET", ten, (b"Range", b"bytes=0-1"), (b"Range", b"bytes=0-1"))
    assert (response.status, response.body) == (200, TEN)


@pytest.mark.parametrize(
    ("if_range", "status"),
    [
        pytest.param(ETAG, 206, id="the same tag"),
        pytest.param(DATE, 206, id="the same date"),
        pytest.param(b'"v2"', 200, id="another tag"),
        pytest.param(b'W/"v1"', 200, id="a weak tag"),
        pytest.param(b"Sun, 06 Nov 1994 08:49:38 GMT", 200, id="another date"),
        pytest.param(b"nonsense", 200, id="neither"),
        pytest.param(b"", 200, id="nothing"),
    ],
)
async def test_if_range_wants_the_same_result(house: House, ten: bytes, if_range: bytes, status: int) -> None:
    response = await house.ask("GET", ten, (b"Range", b"bytes=0-1"), (b"If-Range", if_range))
    assert (response.status, response.body) == (status, TEN[:2] if status == 206 else TEN)


@pytest.mark.parametrize("other", [ETAG, b'"v2"', DATE, b""])
async def test_if_range_on_two_lines_gets_all(house: House, ten: bytes, other: bytes) -> None:
    for lines in ([ETAG, other], [other, ETAG]):
        fields = [(b"If-Range", line) for line in lines]
        response = await house.ask("GET", ten, (b"Range", b"bytes=0-1"), *fields)
        assert (response.status, response.body) == (200, TEN)


async def test_if_range_never_holds_without_a_validator(house: House, origin: ScriptedOrigin) -> None:
    origin.script(read_all(), answer(200, body=TEN))
    path = await house.accepted()
    await house.outcome(path)
    assert (await house.ask("GET", path, (b"Range", b"bytes=0-1"), (b"If-Range", ETAG))).body == TEN


async def test_head_ignores_range(house: House, ten: bytes) -> None:
    response = await house.ask("HEAD", ten, (b"Range", b"bytes=0-1"))
    assert (response.status, response.field(b"content-length")) == (200, b"10")
    assert response.fields_named(b"content-range") == []


@pytest.mark.parametrize("status", [201, 203, 404, 500])
async def test_only_a_200_has_ranges(house: House, origin: ScriptedOrigin, status: int) -> None:
    origin.script(read_all(), answer(status, VALIDATORS, TEN))
    path = await house.accepted()
    await house.outcome(path)
    response = await house.ask("GET", path, (b"Range", b"bytes=0-1"))
    assert (response.status, response.body) == (status, TEN)


async def test_an_empty_result_has_no_range(house: House, origin: ScriptedOrigin) -> None:
    origin.script(read_all(), answer(200))
    path = await house.accepted()
    await house.outcome(path)
    assert (await house.ask("GET", path, (b"Range", b"bytes=0-1"))).status == 200


async def test_a_running_operation_has_no_range(house: House, origin: ScriptedOrigin) -> None:
    origin.script(read_all(), stall())
    response = await house.ask("GET", await house.accepted(), (b"Range", b"bytes=0-1"))
    assert (response.status, response.fields_named(b"content-range")) == (202, [])


@both_stores
@pytest.mark.parametrize(
    ("first", "stop"), [(0, 1), (65_530, 65_545), (1_000_000, 2_500_000), (2_999_999, 3_000_000), (0, 3_000_000)]
)
async def test_a_range_of_a_large_result_is_exact(house: House, origin: ScriptedOrigin, first: int, stop: int) -> None:
    whole = b"".join(Pattern(3_000_000))
    origin.script(read_all(), answer(200, body=whole))
    path = await house.accepted()
    await house.outcome(path, keep=False)
    response = await house.ask("GET", path, (b"Range", b"bytes=%d-%d" % (first, stop - 1)))
    assert (response.status, response.body == whole[first:stop]) == (206, True)
    assert response.field(b"content-range") == b"bytes %d-%d/3000000" % (first, stop - 1)


async def test_pieces_put_together_are_the_whole(house: House, origin: ScriptedOrigin) -> None:
    whole = b"".join(Pattern(300_000))
    origin.script(read_all(), answer(200, body=whole, framing="chunked"))
    path = await house.accepted()
    await house.outcome(path)
    client, gathered = await house.client(), b""
    while len(gathered) < len(whole):
        asked = b"bytes=%d-%d" % (len(gathered), len(gathered) + 69_999)
        gathered += (await client.exchange("GET", path, [(b"Range", asked)])).body
    assert gathered == whole
