"""Where status URLs are said to be, and which targets are taken for one."""

import pytest

from proxy.forwarded import Client
from proxy.urls import Likeness, StatusUrls

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
    shown = f"/.async/{ID}"[: URLS.shown].encode()
    assert URLS.likeness(target.encode()) == Likeness(shown, is_disguise=True)


@pytest.mark.parametrize(
    ("path", "target", "shown"),
    [
        pytest.param("/.async/", f"/.ASYNC/{ID}", b"/.ASYNC/Ab-_Ab-_", id="of the usual path"),
        pytest.param("/Jobs/now/", f"/jobS/NOW/{ID}?x", b"/jobS/NOW/Ab-_Ab-_", id="of another one"),
        pytest.param("/jobs/", f"/%4aOBS;x//{ID}", b"/JOBS/Ab-_Ab-_", id="and other things as well"),
    ],
)
def test_in_another_case_it_is_shown_as_little_of(path: str, target: str, shown: bytes) -> None:
    assert StatusUrls(path, None).likeness(target.encode()) == Likeness(shown, is_disguise=True)


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
        pytest.param(f"/x/.async/{ID[1:]}".encode(), id="deeper, with too little for an id"),
        pytest.param(b"/x/3fa85f64-5717-4562-b3fc-2c963f66afa6", id="deeper, elsewhere, with an id of another kind"),
        pytest.param(f"/x/.async/y/{ID}".encode(), id="deeper, and an id further on"),
        pytest.param(f"/.asyncx%20/{ID}".encode(), id="an id in another folder"),
        pytest.param(f"/x?/.async/{ID}".encode(), id="in a query"),
    ],
)
def test_no_other_spelling(target: bytes) -> None:
    assert URLS.likeness(target) is None


@pytest.mark.parametrize(
    ("target", "shown"),
    [
        pytest.param(f"/.async%20/{ID}", b"/.async/Ab-_Ab-_", id="a blank"),
        pytest.param(f"/.async%00/{ID}/x", b"/.async/Ab-_Ab-_", id="an end of text"),
        pytest.param(f"/%0a.async%250A/%09{ID}%20?x", b"/.async/Ab-_Ab-_", id="line ends"),
        pytest.param(f"/r1/.async/{ID}?x", b"/r1/.async/Ab-_Ab-_", id="a prefix"),
        pytest.param(f"/r1//.ASYNC;x/{ID}/.async/{ID}", b"/r1/.ASYNC/Ab-_Ab-_", id="and another spelling"),
        pytest.param(f"/a/../b/.async/x/../{ID}", b"/b/.async/Ab-_Ab-_", id="dot-segments behind it"),
        pytest.param(f"/r1/.async/%22{ID}%22", b'/r1/.async/"Ab-_Ab-_', id="in quotes"),
        pytest.param(f"/r1/.async/{ID}ed", b"/r1/.async/Ab-_Ab-_", id="with letters behind it"),
        pytest.param(f"/r1/.async/of-{ID}_", b"/r1/.async/of-Ab-_A", id="inside a word"),
        pytest.param(f"/r1/.async/report.{ID}.json", b"/r1/.async/report.Ab-_Ab-_", id="inside a name"),
        pytest.param(f"/r1/.async/{'x' * 23}.{ID}{ID}", f"/r1/.async/{'x' * 23}.Ab-_Ab-_".encode(), id="twice"),
    ],
)
def test_behind_a_prefix_or_with_blanks_an_id_is_shown_as_little_of(target: str, shown: bytes) -> None:
    assert URLS.likeness(target.encode()) == Likeness(shown, is_disguise=False)


def test_a_status_path_may_be_quoted_itself() -> None:
    likeness = StatusUrls("/a%20b/", None).likeness(f"/a%2520b/{ID}".encode())
    assert likeness == Likeness(b"/a b/Ab-_Ab-_", is_disguise=True)


def test_the_longest_path_is_read_soon() -> None:
    assert URLS.likeness(b"/%" + b"25" * 30_000) is None
    assert URLS.likeness(b"/x/.." * 10_000 + f"/.async/{ID}".encode()) is not None
    assert URLS.likeness(b"/x/..%20" * 10_000 + f"/y/.async/{ID}".encode()) is not None
