"""Where status URLs are said to be, and which targets are taken for one."""

import pytest

from proxy.forwarded import Client
from proxy.urls import StatusUrls

ID = "Ab-_" * 6
LOCAL = b"127.0.0.1:8080"
URLS = StatusUrls("/.async/", None)


def client(scheme: str = "http", host: bytes = b"api.example.com") -> Client:
    return Client(scheme=scheme, host=host, address="192.0.2.1")


@pytest.mark.parametrize(
    ("urls", "who", "href"),
    [
        pytest.param(URLS, client(), f"http://api.example.com/.async/{ID}", id="the client's host"),
        pytest.param(URLS, client("https", b"h:8443"), f"https://h:8443/.async/{ID}", id="scheme and port"),
        pytest.param(URLS, client(host=b"[::1]:80"), f"http://[::1]:80/.async/{ID}", id="IPv6"),
        pytest.param(URLS, client(host=b""), f"http://127.0.0.1:8080/.async/{ID}", id="none named"),
        pytest.param(
            StatusUrls("/.async/", "https://public.example"),
            client(),
            f"https://public.example/.async/{ID}",
            id="public",
        ),
        pytest.param(StatusUrls("/jobs/now/", None), client(), f"http://api.example.com/jobs/now/{ID}", id="elsewhere"),
    ],
)
def test_href(urls: StatusUrls, who: Client, href: str) -> None:
    assert urls.href(ID, who, LOCAL) == href


@pytest.mark.parametrize(
    ("target", "id"),
    [
        pytest.param(f"/.async/{ID}".encode(), ID, id="one of ours"),
        pytest.param(f"/.async/{ID}?x=/.async/y".encode(), ID, id="with a query"),
        pytest.param(b"/.async/", "", id="the folder"),
        pytest.param(b"/.async/a/b", "a/b", id="below one"),
        pytest.param(b"/.async/\xff", "\xff", id="not ASCII"),
        pytest.param(b"/.async", None, id="without its slash"),
        pytest.param(b"/.asyncx/a", None, id="another folder"),
        pytest.param(b"/x/.async/a", None, id="deeper"),
        pytest.param(b"/x?/.async/a", None, id="in a query"),
        pytest.param(b"/%2easync/a", None, id="quoted"),
        pytest.param(b"*", None, id="the server as such"),
    ],
)
def test_id(target: bytes, id: str | None) -> None:
    assert URLS.id(target) == id


def test_what_it_names_it_knows() -> None:
    href = URLS.href(ID, client(), LOCAL)
    assert URLS.id(href.removeprefix("http://api.example.com").encode()) == ID


def test_a_log_shows_too_little_to_ask_with() -> None:
    assert URLS.shown == len("/.async/") + 8 < len(f"/.async/{ID}") - 10


@pytest.mark.parametrize(
    "target",
    [
        pytest.param(f"//.async/{ID}", id="an empty segment"),
        pytest.param(f"/.async//{ID}", id="one of ours, with an empty id"),
        pytest.param(f"/%2easync/{ID}?x", id="quoted"),
        pytest.param(f"/%252525%32easync/{ID}", id="quoted more than once"),
        pytest.param(f"/.%61sync%2f{ID}", id="quoted slash"),
        pytest.param(f"/x/../.async/{ID}/", id="dot-segments"),
        pytest.param(f"/../.async/./{ID}", id="above the root"),
        pytest.param(f"/\\.async\\{ID}", id="backslashes"),
        pytest.param(f"/%2easync/{ID}/../..", id="left again"),
        pytest.param(f"/.async;x/{ID}", id="a parameter"),
        pytest.param(f"/;/.async%3bx=1;y/;v=2/{ID};z", id="parameters"),
        pytest.param(f"/x/..;x/.async/{ID}", id="dot-segments with parameters"),
        pytest.param(f"/%2e%61%73ync/%41b{ID[2:]}", id="the id too"),
    ],
)
def test_another_spelling_shows_as_little(target: str) -> None:
    shown = URLS.disguised(target.encode())
    assert shown == f"/.async/{ID}"[: URLS.shown].encode()


@pytest.mark.parametrize(
    ("path", "target", "shown"),
    [
        pytest.param("/.async/", f"/.ASYNC/{ID}", b"/.ASYNC/Ab-_Ab-_", id="of the usual path"),
        pytest.param("/Jobs/now/", f"/jobS/NOW/{ID}?x", b"/jobS/NOW/Ab-_Ab-_", id="of another one"),
        pytest.param("/jobs/", f"/%4aOBS;x//{ID}", b"/JOBS/Ab-_Ab-_", id="and other things as well"),
    ],
)
def test_in_another_case_it_is_shown_as_little_of(path: str, target: str, shown: bytes) -> None:
    assert StatusUrls(path, None).disguised(target.encode()) == shown


@pytest.mark.parametrize(
    "target",
    [
        pytest.param(b"/", id="root"),
        pytest.param(b"*", id="the server as such"),
        pytest.param(b"/reports/7%20a/./b?/.async/x", id="another path"),
        pytest.param(b"/x/.async/a", id="deeper"),
        pytest.param(b"//.asyncx/a", id="another folder"),
        pytest.param(b"/x/%2e%2e/.async", id="the folder as a file"),
        pytest.param(b"/%zz%", id="nothing that is quoted"),
    ],
)
def test_no_other_spelling(target: bytes) -> None:
    assert URLS.disguised(target) is None


def test_a_status_path_may_be_quoted_itself() -> None:
    assert StatusUrls("/a%20b/", None).disguised(f"/a%2520b/{ID}".encode()) == b"/a b/Ab-_Ab-_"


def test_the_longest_path_is_read_soon() -> None:
    assert URLS.disguised(b"/%" + b"25" * 30_000) is None
    assert URLS.disguised(b"/x/.." * 10_000 + f"/.async/{ID}".encode()) is not None
