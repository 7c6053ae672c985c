"""What may be seen of status URLs in a log, however somebody has spelt them."""

from collections.abc import Callable

from hypothesis import given
from hypothesis import strategies as st

from proxy.message import Fields, RequestHead
from proxy.operation import ID_LENGTH, SHORT_ID
from proxy.target import readable_path, target_of
from proxy.urls import StatusUrls

ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
IDS = st.text(ALPHABET, min_size=22, max_size=32)
PATHS = st.sampled_from(["/.async/", "/jobs/", "/Jobs/now/", "/a%20b/"])
WORDS = st.text("abcXYZ019=,._-", max_size=5)
Spelling = Callable[[str], str]


def quoted(times: int, every: int) -> Spelling:
    """Spell every so many characters, slashes too, as so many decodings in a row will read them."""
    percent = "%" + "25" * (times - 1)
    return lambda path: (
        path[0]
        + "".join(
            f"{percent}{ord(one):02x}" if place % every == 0 and one != "%" else one
            for place, one in enumerate(path[1:])
        )
    )


def changed(old: str, new: str) -> Spelling:
    return lambda path: path[0] + path[1:].replace(old, new)


SPELLINGS = st.one_of(
    st.just(str.upper),
    st.just(str.swapcase),
    st.builds(quoted, st.integers(1, 2), st.integers(1, 5)),
    st.sampled_from(["//", "/./", "/;/", "\\", "/x/../", "/x;y/..;z/", "/%2e/"]).map(lambda new: changed("/", new)),
    WORDS.map(lambda word: changed("/", f";{word}/")),
)


def shown(urls: StatusUrls, target: bytes) -> str:
    """What the log has as the path (see `handler` and `account`)."""
    origin_form = target_of(RequestHead("GET", target, Fields(((b"Host", b"a"),)))).origin_form
    if urls.id(origin_form) is not None:
        return readable_path(origin_form)[: urls.shown]
    likeness = urls.likeness(origin_form)
    return readable_path(origin_form if likeness is None else likeness.shown)


@given(
    path=PATHS,
    id=IDS,
    spellings=st.lists(SPELLINGS, max_size=3),
    before=st.sampled_from(["", "http://a", "HTTP://other:80"]),
    after=st.sampled_from(["", "/", "?x=/y", ";z", "/../"]),
)
def test_of_no_status_url_is_more_shown_than_the_beginning_of_the_id(
    path: str, id: str, spellings: list[Spelling], before: str, after: str
) -> None:
    spelt = path
    for spelling in spellings:
        spelt = spelling(spelt)
    seen = shown(StatusUrls(path, None), f"{before}{spelt}{id}{after}".encode())
    assert id[: SHORT_ID + 1] not in seen


@given(
    path=PATHS,
    id=st.text(ALPHABET, min_size=ID_LENGTH, max_size=ID_LENGTH),
    spellings=st.lists(SPELLINGS, max_size=2),
    prefix=st.lists(st.text("abcXYZ019_.-", min_size=1, max_size=SHORT_ID).map("/{}".format), max_size=3).map("".join),
    blanks=st.lists(st.integers(0, 0x20).map("%{:02x}".format), max_size=3).map("".join),
    joined=st.text(ALPHABET + ".~", max_size=ID_LENGTH),
    after=st.sampled_from(["", "/", "?x=/y", ";z", "/../", "%20", "%22", "/x/y", "x", "-_9"]),
)
def test_nor_is_it_behind_a_prefix_or_between_blanks_or_inside_a_word(
    *, path: str, id: str, spellings: list[Spelling], prefix: str, blanks: str, joined: str, after: str
) -> None:
    spelt = path
    for spelling in spellings:
        spelt = spelling(spelt)
    urls, blank = StatusUrls(path, None), path.replace("/", f"{blanks}/{blanks}").removeprefix(blanks)
    for target in (f"{prefix}{spelt}{joined}{id}{after}", f"{prefix}{blank}{joined}{id}{after}"):
        assert id[: SHORT_ID + 1] not in shown(urls, target.encode())
