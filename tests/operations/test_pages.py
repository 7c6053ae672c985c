"""What a browser gets where a program gets JSON: the same status and fields, and a page (contract 4 and 6)."""

import re
from base64 import b64encode
from hashlib import sha256

import pytest

from tests.operations.conftest import Start
from tests.operations.house import AT_ONCE, House, document, names, status_path
from tests.raw_client import Field, Response
from tests.scripted_origin import ScriptedOrigin, answer, close, read_all, stall

BROWSER: Field = (b"Accept", b"text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8")
OF_A_PAGE = {b"content-security-policy", b"x-content-type-options", b"referrer-policy"}


def is_a_page(response: Response) -> bool:
    return response.field(b"content-type") == b"text/html; charset=utf-8" and response.body.startswith(
        b"<!DOCTYPE html>"
    )


def facts(response: Response) -> dict[str, str]:
    found = re.findall(r"<dt>(.*?)</dt><dd>(.*?)</dd>", response.body.decode())
    return {name: re.sub(r"<.*?>", "", value) for name, value in found}


@pytest.mark.usefixtures("connects_in_time")
async def test_a_running_operation_is_a_page_with_the_same_status_and_fields(
    house: House, origin: ScriptedOrigin
) -> None:
    origin.script(read_all(), stall())
    path = await house.accepted("POST", b"/reports?token=secret")
    page, told = await house.ask("GET", path, BROWSER), await house.ask("GET", path)
    assert is_a_page(page)
    assert document(told)["status"] == "running"
    assert page.status == told.status == 202
    assert set(names(page)) - set(names(told)) == OF_A_PAGE
    assert {name for name in names(told) if page.field(name) != told.field(name)} <= {
        b"content-type",
        b"content-length",
        b"date",
    }
    assert facts(page)["Asked"].startswith("POST http://")
    assert facts(page)["Asked"].endswith("/reports")
    assert facts(page)["Status"].startswith("running for ")
    assert b"secret" not in page.body


async def test_the_page_may_use_its_own_style_and_script_only(house: House, origin: ScriptedOrigin) -> None:
    origin.script(read_all(), stall())
    page = await house.ask("GET", await house.accepted(), BROWSER)
    policy = page.field(b"content-security-policy") or b""
    assert policy.startswith(b"default-src 'none';")
    for element in (b"style", b"script"):
        (content,) = re.findall(b"<%b>(.*?)</%b>" % (element, element), page.body, re.DOTALL)
        assert b"%b-src 'sha256-%b'" % (element, b64encode(sha256(content).digest())) in policy


async def test_without_scripts_it_refreshes_itself_as_often_as_retry_after_says(
    house: House, origin: ScriptedOrigin
) -> None:
    origin.script(read_all(), stall())
    page = await house.ask("GET", await house.accepted(), BROWSER)
    (seconds,) = re.findall(rb'<noscript><meta http-equiv="refresh" content="(\d+)"></noscript>', page.body)
    assert seconds == page.field(b"retry-after")


async def test_a_target_cannot_bring_markup_into_the_page(house: House, origin: ScriptedOrigin) -> None:
    origin.script(read_all(), stall())
    path = await house.accepted("POST", b'/<script>alert(1)</script>/"&\xff')
    page = await house.ask("GET", path, BROWSER)
    assert b"<script>alert" not in page.body
    assert facts(page)["Asked"].endswith("/&lt;script&gt;alert(1)&lt;/script&gt;/&quot;&amp;?")


async def test_the_page_of_a_queued_operation_says_that_it_waits(start: Start, origin: ScriptedOrigin) -> None:
    origin.script(read_all(), stall())
    house = await start({"max_running": 1, "max_queued": 5})
    await house.accepted()
    page = await house.ask("GET", await house.accepted(), BROWSER)
    assert b"<h1>Waiting for its turn</h1>" in page.body
    assert facts(page)["Status"].startswith("next in line")


async def test_head_tells_of_the_page_too(house: House, origin: ScriptedOrigin) -> None:
    origin.script(read_all(), stall())
    path = await house.accepted()
    got, head = await house.ask("GET", path, BROWSER), await house.ask("HEAD", path, BROWSER)
    assert (head.status, head.body) == (202, b"")
    assert names(head) == names(got)


async def test_the_result_is_the_origins_whoever_asks(house: House, origin: ScriptedOrigin) -> None:
    origin.script(read_all(), answer(200, [(b"Content-Type", b"application/json")], b'{"total": 7}'))
    path = await house.accepted()

    await house.outcome(path)
    result = await house.ask("GET", path, BROWSER)
    assert (result.field(b"content-type"), result.body) == (b"application/json", b'{"total": 7}')


@pytest.mark.usefixtures("connects_in_time")
async def test_the_202_itself_is_for_programs(house: House, origin: ScriptedOrigin) -> None:
    origin.script(read_all(), stall())
    assert document(await house.ask("POST", b"/", AT_ONCE, BROWSER))["status"] == "running"


@pytest.mark.parametrize("method", ["GET", "HEAD"])
async def test_a_failed_operation_is_a_page_that_says_why(house: House, origin: ScriptedOrigin, method: str) -> None:
    origin.script(read_all(), close())
    path = status_path(await house.ask("POST", b"/", AT_ONCE))

    await house.outcome(path)
    page, told = await house.ask(method, path, BROWSER), await house.ask("GET", path)
    assert (page.status, page.field(b"asyncresult")) == (502, b"502")
    assert page.field(b"proxy-status") == told.field(b"proxy-status")
    if method == "GET":
        problem = document(told)
        assert facts(page) == {"Status": "502", "Code": "origin-broke-off", "Asked for": path.decode()}
        assert f"<h1>{problem['title']}</h1>\n<p>{problem['detail']}</p>" in page.body.decode()


async def test_an_error_of_the_proxys_is_a_page_too(house: House) -> None:
    page = await house.ask("PATCH", b"/.async/" + b"A" * 24, BROWSER)
    assert is_a_page(page)
    assert (page.status, page.field(b"allow")) == (405, b"GET, HEAD, DELETE, OPTIONS")
    assert facts(page)["Code"] == "method-not-allowed"


async def test_an_unsatisfiable_range_is_told_a_browser_as_a_page(house: House, origin: ScriptedOrigin) -> None:
    origin.script(read_all(), answer(200, [], b"content"))
    path = await house.accepted()

    await house.outcome(path)
    page = await house.ask("GET", path, BROWSER, (b"Range", b"bytes=100-"))
    assert is_a_page(page)
    assert (page.status, page.field(b"content-range")) == (416, b"bytes */7")
