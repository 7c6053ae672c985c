"""Whether somebody who asks is shown a page, or JSON."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.accept import prefers_page
from proxy.message import Fields

CHROMIUM = "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,*/*;q=0.8"


@pytest.mark.parametrize(
    "accept",
    [
        pytest.param(CHROMIUM, id="a browser's"),
        pytest.param("text/html", id="nothing else"),
        pytest.param("TEXT/HTML", id="upper case"),
        pytest.param("application/json;q=0.5, text/html;q=0.6", id="a little more"),
        pytest.param("text/*", id="any text, no JSON"),
        pytest.param("*/*, application/json;q=0.1, application/problem+json;q=0", id="the most specific range counts"),
        pytest.param("text/html; level=1 ; q=1, */*;q=0.2", id="parameters"),
        pytest.param("nonsense, ;;;, /, text/html", id="what cannot be read is dropped alone"),
        pytest.param("text/html;q=high, */*;q=0.8", id="a weight that is none"),
        pytest.param('text/html;q="1"', id="a weight in quotes"),
        pytest.param("text/html;q=, application/json;q=0.9", id="an empty weight"),
        pytest.param("text/html;q=-1", id="a weight below zero"),
        pytest.param("text/html;q=2, application/json;q=0.9", id="a weight above one"),
        pytest.param("text/html;q=1.0000, */*;q=0.8", id="a weight with too many digits"),
        pytest.param("text/html;q=0.00001", id="a small weight with too many digits"),
        pytest.param("text/html, image/gif, image/jpeg, *; q=.2, */*; q=.2", id="Java's"),
    ],
)
def test_a_client_that_would_rather_have_a_page_gets_one(accept: str) -> None:
    assert prefers_page(Fields([(b"Accept", accept.encode())]))


@pytest.mark.parametrize(
    "accept",
    [
        pytest.param("", id="empty"),
        pytest.param("*/*", id="curl's"),
        pytest.param("application/json", id="JSON"),
        pytest.param("application/json, text/html", id="the same weight"),
        pytest.param("text/html, application/problem+json", id="one kind of JSON with the same weight"),
        pytest.param("application/json;odata.metadata=minimal, text/html;q=0.9", id="OData's JSON"),
        pytest.param("text/html;q=0, */*;q=0.1", id="anything but a page"),
        pytest.param('application/json;profile="a;q=0", text/html;q=0.5', id="what looks like a weight in a string"),
        pytest.param("text/html;q=0", id="no page"),
        pytest.param("text/html;q=0.0, application/xml", id="no page, with a digit"),
        pytest.param("text/html;q=0.0000", id="no page, with too many digits"),
        pytest.param("text/html;q=2, application/json", id="a weight above one is one"),
        pytest.param("text/html, application/json;q=high", id="JSON with a weight that is none"),
        pytest.param("text/html;q=0.9, application/json;q=0.9999", id="a little more, with too many digits"),
        pytest.param("texthtml", id="no media type"),
    ],
)
def test_all_others_get_json(accept: str) -> None:
    assert not prefers_page(Fields([(b"Accept", accept.encode())]))


def test_without_the_field_it_is_json() -> None:
    assert not prefers_page(Fields())


def test_several_lines_are_one_list() -> None:
    assert prefers_page(Fields([(b"Accept", b"application/json;q=0.5"), (b"accept", b"text/html")]))


@given(st.lists(st.binary(max_size=60), max_size=4))
def test_nothing_that_a_client_sends_is_an_error(lines: list[bytes]) -> None:
    assert prefers_page(Fields([(b"Accept", line) for line in lines])) in (True, False)
