"""What an answer means for an operation, and which fields may be sent to whom."""

import json
from io import BytesIO

import pytest
from multidict import CIMultiDict
from yarl import URL

from proxy.fetch.following import (
    Answer,
    Arrived,
    Look,
    Monitor,
    Step,
    Stumbled,
    Wait,
    monitor_of,
    next_step,
    retry_after,
)
from proxy.fetch.order import content_of, field, order_for, referred, url_of

HOME = URL("http://h/a/b")
STATUS = URL("http://h/s")
NOW = 1_800_000_000.0


def answered(status: int, content: object = None, **fields: str) -> Answer:
    named = CIMultiDict({name.replace("_", "-"): value for name, value in fields.items()})
    return Answer(status, named, b"" if content is None else json.dumps(content).encode())


@pytest.mark.parametrize(
    ("method", "answer", "monitor"),
    [
        pytest.param("GET", answered(202, location="/s"), Monitor(STATUS), id="location"),
        pytest.param("GET", answered(202, location="../s"), Monitor(STATUS), id="relative"),
        pytest.param("GET", answered(202, location="http://u:p@h/s#x"), Monitor(STATUS), id="user dropped"),
        pytest.param("GET", answered(202), None, id="no location"),
        pytest.param("GET", answered(202, location="javascript:x"), None, id="no place"),
        pytest.param("GET", answered(202, location="http://[::"), None, id="no URL"),
        pytest.param("POST", answered(201, location="/s"), None, id="created"),
        pytest.param("GET", answered(404, location="/s"), None, id="not found"),
        pytest.param("GET", answered(202, location="/s", asyncresult="202"), None, id="an outcome"),
        pytest.param(
            "POST", answered(202, location="/r", operation_location="/s"),
            Monitor(STATUS, is_document=True, result=URL("http://h/r")), id="Azure",
        ),
        pytest.param(
            "PUT", answered(200, azure_asyncoperation="/s"),
            Monitor(STATUS, is_document=True, result=HOME), id="Azure's PUT",
        ),
    ],
)  # fmt: skip
def test_a_promise(method: str, answer: Answer, monitor: Monitor | None) -> None:
    assert monitor_of(method, HOME, answer) == monitor


PLAIN = Monitor(STATUS)
DOCUMENT = Monitor(STATUS, is_document=True, result=HOME)


@pytest.mark.parametrize(
    ("monitor", "answer", "step"),
    [
        pytest.param(PLAIN, answered(202, retry_after="7"), Wait(PLAIN, 7.0), id="under way"),
        pytest.param(PLAIN, answered(202, location="/t"), Wait(Monitor(URL("http://h/t")), None), id="has moved"),
        pytest.param(PLAIN, answered(200), Arrived(200), id="result"),
        pytest.param(PLAIN, answered(404), Arrived(404), id="gone"),
        pytest.param(PLAIN, answered(303, location="/r"), Look(URL("http://h/r")), id="elsewhere"),
        pytest.param(PLAIN, answered(303), Arrived(303), id="nowhere"),
        pytest.param(PLAIN, answered(503, retry_after="9"), Stumbled(9.0), id="in trouble"),
        pytest.param(PLAIN, answered(503, asyncresult="503"), Arrived(503), id="the outcome is a 503"),
        pytest.param(PLAIN, answered(200, asyncresult="404"), Arrived(404), id="OData's wrapped outcome"),
        pytest.param(PLAIN, answered(202, asyncresult="yes"), Wait(PLAIN, None), id="nonsense"),
        pytest.param(DOCUMENT, answered(200, {"status": "Running"}), Wait(DOCUMENT, None), id="Azure: runs"),
        pytest.param(DOCUMENT, answered(202, {"status": "Running"}), Wait(DOCUMENT, None), id="Azure: runs, 202"),
        pytest.param(DOCUMENT, answered(200, {"status": "Succeeded"}), Look(HOME), id="Azure: done"),
        pytest.param(
            DOCUMENT, answered(200, {"status": "Succeeded", "resourceLocation": "/r"}), Look(URL("http://h/r")),
            id="Azure: done, elsewhere",
        ),
        pytest.param(
            Monitor(STATUS, is_document=True), answered(200, {"status": "Succeeded"}), Arrived(200), id="Azure: that is all"
        ),
        pytest.param(DOCUMENT, answered(200, {"status": "Failed"}), Arrived(500), id="Azure: failed"),
        pytest.param(DOCUMENT, answered(200, ["?"]), Arrived(200), id="Azure: no state"),
        pytest.param(DOCUMENT, Answer(200, {}, b"<html>"), Arrived(200), id="Azure: no JSON"),
        pytest.param(DOCUMENT, answered(404), Arrived(404), id="Azure: gone"),
    ],
)  # fmt: skip
def test_a_step(monitor: Monitor, answer: Answer, step: Step) -> None:
    assert next_step(monitor, answer, NOW) == step


@pytest.mark.parametrize(
    ("said", "seconds"),
    [
        ("", None), ("soon", None), ("-1", None), ("0", 0.0), ("120", 120.0), ("999999999999", 3600.0),
        ("Mon, 01 Jan 99999999999999999999 00:00:00 GMT", None), ("Fri, 15 Jan 2027 08:00:05 +99999999999999", None),
        ("Fri, 15 Jan 2027 08:00:05 GMT", 5.0), ("Fri, 15 Jan 2027 08:00:05", 5.0), ("Fri, 15 Jan 2021 08:00:00 GMT", 0.0),
    ],
)  # fmt: skip
def test_retry_after(said: str, seconds: float | None) -> None:
    assert retry_after({"Retry-After": said}, NOW) == seconds


@pytest.mark.parametrize(
    ("text", "url"),
    [
        ("localhost:8080/x", "http://localhost:8080/x"), ("h", "http://h/"), ("http://h/%7e/../?a=%zz", "http://h/%7e/../?a=%zz"),
        ("http://h/ä b#c", "http://h/%C3%A4%20b"), ("bücher.de:81/ü", "http://xn--bcher-kva.de:81/%C3%BC"),
        ("http://b%C3%BCcher.de", "http://xn--bcher-kva.de"), ("http://ü%2F.de/", "http://%C3%BC%2F.de/"), ("http://h/?//ü", "http://h/?//%C3%BC"),
        ("https://[::1]/x@y", "https://[::1]/x@y"),
    ],
)  # fmt: skip
def test_a_url_stays_as_it_was_written(text: str, url: str) -> None:
    assert url_of(text) == (URL(url, encoded=True), None)


def test_a_location_may_name_a_host_that_is_not_ascii() -> None:
    for reference in ("http://bücher.de/s", "//bücher.de/s"):
        assert str(referred(HOME, reference)) == "http://xn--bcher-kva.de/s"
    assert referred(HOME, f"http://ü{'x' * 70}/") is None


@pytest.mark.parametrize(
    ("line", "pair"),
    [
        ("A: b", ("A", "b")), ("A:b", ("A", "b")), ("A: ", ("A", None)), ("A:", ("A", None)), ("A;", ("A", "")),
        ("A: b:c;", ("A", "b:c;")),
    ],
)  # fmt: skip
def test_a_field(line: str, pair: tuple[str, str | None]) -> None:
    assert field(line) == pair


def test_which_fields_go_where() -> None:
    content = content_of(["x"], [], BytesIO())
    order = order_for("http://h/", None, [("X-Key", "k"), ("Range", "bytes=0-"), ("Prefer", "x")], "me:pw", content)
    assert [name for name, _ in order.fields_for(URL("http://h:80/s"))] == [
        "User-Agent",
        "Accept",
        "Authorization",
        "X-Key",
    ]
    for elsewhere in ("https://h/s", "http://h:81/s", "http://i/s"):
        assert [name for name, _ in order.fields_for(URL(elsewhere))] == ["User-Agent", "Accept"]


def test_no_reference_leads_to_a_file() -> None:
    assert referred(HOME, "file:///etc/passwd") is None
