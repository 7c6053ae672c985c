"""`respond-async fetch` before the product, and before servers that know 202 in their own way."""

import asyncio
import json
from base64 import b64encode
from collections.abc import Callable
from itertools import repeat
from pathlib import Path

import pytest

from proxy.fetch import progress
from tests.commands.conftest import Fetch, Screen, Terminal, names_in
from tests.conftest import Proxy, StartProxy, settings_for
from tests.raw_client import Field, Pattern
from tests.scripted_origin import (
    Request,
    Script,
    ScriptedOrigin,
    answer,
    close,
    read_all,
    reset,
    send,
    stall,
    wait_for,
)

JSON = (b"Content-Type", b"application/json")


def accepted(location: bytes = b"/status", *more: Field) -> Script:
    """A 202 that names a status URL."""
    return [read_all(), answer(202, [(b"Location", location), *more], b"later")]


def by_target(**scripts: list[Script]) -> Callable[[Request], Script]:
    """One script after the other for each path, the last again and again; `_` is the first path."""

    def choose(request: Request) -> Script:
        mine = scripts[request.target.partition(b"?")[0].strip(b"/").decode() or "_"]
        return mine.pop(0) if len(mine) > 1 else mine[0]

    return choose


# Before the product.


async def test_a_fast_answer_is_written_as_it_is(proxy: Proxy, origin: ScriptedOrigin, fetch: Fetch) -> None:
    origin.script(read_all(), answer(200, body=b"\x00\xffdone\r\n"))
    fetched = await fetch(f"http://127.0.0.1:{proxy.port}/report?q=%7e")
    assert (fetched.code, fetched.out, fetched.err) == (0, b"\x00\xffdone\r\n", "")
    request = await origin.request_received()
    assert (request.method, request.target) == ("GET", b"/report?q=%7e")
    assert request.field(b"prefer") == b"respond-async"


async def test_an_operation_is_followed_to_its_result(proxy: Proxy, origin: ScriptedOrigin, fetch: Fetch) -> None:
    gate = asyncio.Event()
    origin.script(read_all(), wait_for(gate), answer(201, [(b"Content-Type", b"text/csv")], b"a,b\n"))
    fetching = asyncio.create_task(
        fetch(f"http://127.0.0.1:{proxy.port}/", content=b"x=1", prefer="respond-async, wait=0", include=True)
    )
    await origin.request_complete()
    gate.set()
    fetched = await fetching
    head, _, body = fetched.out.partition(b"\r\n\r\n")
    assert (fetched.code, body) == (0, b"a,b\n")
    assert head.startswith(b"HTTP/1.1 201 Created\r\n")
    assert b"\r\nAsyncResult: 201\r\n" in head
    assert origin.requests[0].method == "POST"
    assert len(origin.requests) == 1, "once, whatever is asked of the status URL"


async def test_an_operations_failure_is_its_exit_code(
    proxy: Proxy, origin: ScriptedOrigin, fetch: Fetch, tmp_path: Path
) -> None:
    origin.script(read_all(), close())
    file = tmp_path / "result"
    file.write_text("of yesterday")
    fetched = await fetch(f"http://127.0.0.1:{proxy.port}/", prefer="respond-async, wait=0", output=file)
    assert (fetched.code, json.loads(fetched.out)["code"]) == (22, "origin-broke-off")
    assert "The outcome is 502 Bad Gateway." in fetched.err
    assert file.read_text() == "of yesterday", "an error does not take the result's place"


async def test_the_owners_credential_is_sent_to_the_status_url(
    proxy: Proxy, origin: ScriptedOrigin, fetch: Fetch
) -> None:
    origin.script(read_all(), answer(200, body=b"mine"))
    fetched = await fetch(f"http://127.0.0.1:{proxy.port}/", prefer="respond-async, wait=0", user="me:p:w")
    assert (fetched.code, fetched.out) == (0, b"mine")
    assert origin.requests[0].field(b"authorization") == b"Basic " + b64encode(b"me:p:w")


async def test_a_status_url_is_resumed(
    proxy: Proxy, origin: ScriptedOrigin, fetch: Fetch, fetch_too_late: Fetch
) -> None:
    gate = asyncio.Event()
    origin.script(read_all(), wait_for(gate), answer(200, body=b"at last"))
    left = await fetch_too_late(f"http://127.0.0.1:{proxy.port}/", prefer="respond-async, wait=0")
    assert (left.code, left.out) == (28, b"")
    url = left.err.split("--resume ")[1].split()[0]
    gate.set()
    fetched = await fetch(url, resume=True)
    assert (fetched.code, fetched.out) == (0, b"at last")
    assert len(origin.requests) == 1


@pytest.mark.parametrize("cancel", [False, True])
async def test_whoever_leaves_before_a_202_is_told_that_there_is_nothing_to_come_back_to(
    origin: ScriptedOrigin,
    fetch_too_late: Fetch,
    cancel: bool,  # noqa: FBT001
) -> None:
    origin.script(read_all(), stall())
    fetched = await fetch_too_late(origin.url, "waiting for an answer", cancel=cancel)
    assert (fetched.code, fetched.why) == (28, "no outcome within 4000 s")
    assert "There was no 202 yet, and so there is no status URL to come back to.\n" in fetched.err
    assert "--resume" not in fetched.err


async def test_what_is_cancelled_closes_the_exchange_with_the_origin(
    proxy: Proxy, origin: ScriptedOrigin, fetch_too_late: Fetch
) -> None:
    origin.script(read_all(), stall())
    fetched = await fetch_too_late(f"http://127.0.0.1:{proxy.port}/", prefer="respond-async, wait=0", cancel=True)
    assert fetched.code == 28
    assert fetched.err.endswith("Cancelled.\n")
    await origin.connection_closed()


async def test_nothing_is_drawn_after_the_last_words(
    proxy: Proxy, fetch_too_late: Fetch, monkeypatch: pytest.MonkeyPatch, origin: ScriptedOrigin
) -> None:
    """Not even while connections are being closed."""
    monkeypatch.setattr(progress, "EVERY", 0.0)
    origin.script(read_all(), stall())
    url = f"http://127.0.0.1:{proxy.port}/"
    cancelled = await fetch_too_late(url, prefer="respond-async, wait=0", cancel=True)
    left = await fetch_too_late(url, prefer="respond-async, wait=0")
    assert cancelled.err.endswith("Cancelled.\n")
    assert "\r" not in left.err.partition("Go on with")[2]


async def test_a_result_that_is_gone_is_said_to_be(proxy: Proxy, fetch: Fetch) -> None:
    fetched = await fetch(f"http://127.0.0.1:{proxy.port}/.async/none", resume=True)
    assert fetched.code == 22
    assert "the operation was deleted, has expired, or is another's" in fetched.err


async def test_a_result_that_expires_meanwhile_is_said_to_have(origin: ScriptedOrigin, fetch: Fetch) -> None:
    waits = [read_all(), answer(202, [(b"Retry-After", b"0")])]
    origin.route(by_target(_=[accepted()], status=[waits, [read_all(), answer(410, body=b"gone")]]))
    fetched = await fetch(origin.url)
    assert (fetched.code, fetched.out) == (22, b"gone")
    assert "The status URL answers 410: the operation has expired, and its result with it." in fetched.err


@pytest.mark.parametrize("to_file", [False, True])
async def test_a_result_may_be_empty(
    proxy: Proxy,
    origin: ScriptedOrigin,
    fetch: Fetch,
    tmp_path: Path,
    to_file: bool,  # noqa: FBT001
) -> None:
    origin.script(read_all(), answer(200))
    file = tmp_path / "result"
    url = f"http://127.0.0.1:{proxy.port}/"
    fetched = await fetch(url, prefer="respond-async, wait=0", output=file if to_file else None)
    assert (fetched.code, fetched.out, fetched.err) == (0, b"", "")
    assert not to_file or file.read_bytes() == b""


async def test_a_large_result_appears_whole(
    start_proxy: StartProxy, origin: ScriptedOrigin, fetch: Fetch, tmp_path: Path
) -> None:
    proxy = await start_proxy(settings_for(origin.url))
    content = Pattern(3_000_000)
    origin.script(read_all(), answer(200, body=content))
    file = tmp_path / "result"
    fetched = await fetch(f"http://127.0.0.1:{proxy.port}/", prefer="respond-async, wait=0", output=file)
    assert (fetched.code, fetched.out) == (0, b"")
    assert file.read_bytes() == b"".join(content)
    assert names_in(tmp_path) == {"proxy.yaml", "result"}


async def test_a_terminal_sees_what_is_going_on_and_a_poll_that_was_held_is_followed_by_another(
    start_proxy: StartProxy, origin: ScriptedOrigin, fetch: Fetch
) -> None:
    proxy = await start_proxy(settings_for(origin.url, respond_async={"retry_after": "1h"}))
    gate = asyncio.Event()
    origin.script(read_all(), wait_for(gate), answer(200, body=b"x"))
    screen = Terminal()
    fetching = asyncio.create_task(
        fetch(f"http://127.0.0.1:{proxy.port}/", prefer="respond-async, wait=0", stderr=screen)
    )
    await screen.shows("running for")
    gate.set()
    fetched = await fetching
    assert "\r\x1b[K0:00  waiting for an answer" in fetched.err
    assert fetched.err.endswith("\r\x1b[K"), "the line is gone at the end"


async def test_the_line_is_not_drawn_into_a_result_on_the_same_terminal(origin: ScriptedOrigin, fetch: Fetch) -> None:
    origin.script(read_all(), answer(200, body=b"x"))
    fetched = await fetch(origin.url, stdout=Screen(), stderr=Terminal())
    assert fetched.err.endswith("waiting for an answer\r\x1b[K")


@pytest.mark.parametrize(
    ("script", "said"),
    [
        pytest.param([read_all(), answer(405)], "its status URL answers DELETE with 405", id="refused"),
        pytest.param([reset()], "closed the connection. It is at http://", id="broken"),
        pytest.param([read_all(), answer(410)], "Cancelled.", id="gone already"),
    ],
)
async def test_what_became_of_a_cancellation_is_told(
    origin: ScriptedOrigin, fetch_too_late: Fetch, script: Script, said: str
) -> None:
    waits = accepted(b"/status", (b"Retry-After", b"9"), (b"X-Progress", b"half of it"))
    origin.route(lambda request: script if request.method == "DELETE" else waits)
    fetched = await fetch_too_late(origin.url, "half of it", cancel=True)
    assert (fetched.code, said in fetched.err) == (28, True)


async def test_a_terminal_that_draws_nothing_is_none(
    origin: ScriptedOrigin, fetch: Fetch, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TERM", "dumb")
    origin.script(read_all(), answer(200, body=b"x"))
    assert (await fetch(origin.url, stderr=Terminal())).err == ""


async def test_the_quiet_are_told_nothing(origin: ScriptedOrigin, fetch: Fetch) -> None:
    origin.script(read_all(), answer(404))
    fetched = await fetch(origin.url, quiet=True, stderr=Terminal())
    assert (fetched.code, fetched.err) == (22, "")


async def test_the_servers_own_words_for_a_failure(origin: ScriptedOrigin, fetch: Fetch) -> None:
    origin.queue([read_all(), answer(b"HTTP/1.1 409 Not now\x01")])
    assert "The outcome is 409 Not now" in (await fetch(origin.url)).err
    origin.queue(accepted(), [read_all(), answer(200, [(b"AsyncResult", b"599")], b"x")])
    assert "The outcome is 599." in (await fetch(origin.url)).err


# Before other servers.


async def test_a_relative_location_and_a_redirect_to_the_result(origin: ScriptedOrigin, fetch: Fetch) -> None:
    origin.route(
        by_target(
            _=[accepted(b"jobs?id=1", (b"Retry-After", b"0"))],
            jobs=[
                [read_all(), answer(202, [(b"Retry-After", b"0")])],
                [read_all(), answer(303, [(b"Location", b"/result")])],
            ],
            result=[[read_all(), answer(200, body=b"there")]],
        )
    )
    fetched = await fetch(origin.url, method="put", content=b"x", fields=(("X-Api-Key", "k"),))
    assert (fetched.code, fetched.out) == (0, b"there")
    assert [(request.method, request.target) for request in origin.requests] == [
        ("PUT", b"/"), ("GET", b"/jobs?id=1"), ("GET", b"/jobs?id=1"), ("GET", b"/result"),
    ]  # fmt: skip
    assert {request.field(b"x-api-key") for request in origin.requests} == {b"k"}
    assert [request.field(b"prefer") for request in origin.requests[1:]] == [b"wait=1"] * 3
    assert [request.field(b"content-type") for request in origin.requests[1:]] == [None] * 3


async def test_credentials_stay_at_their_origin(origin: ScriptedOrigin, fetch: Fetch) -> None:
    async with ScriptedOrigin() as thief:
        stolen = thief.url.replace("//", "//user:secret@").encode() + b"/status"
        thief.script(read_all(), answer(200, body=b"bait"))
        origin.script(*accepted(stolen))
        fields = (("X-Api-Key", "k"), ("Cookie", "c=1"), ("Accept", "text/csv"), ("User-Agent", "mine"))
        fetched = await fetch(origin.url, user="me:pw", fields=fields)
        assert (fetched.code, fetched.out) == (0, b"bait")
        assert "which is not given the credentials" in fetched.err
        names = {name.lower() for name, _ in thief.requests[0].fields}
        assert names == {b"host", b"user-agent", b"accept", b"prefer"}
        assert origin.requests[0].field(b"authorization") is not None


async def test_redirects_without_end_end(origin: ScriptedOrigin, fetch: Fetch) -> None:
    origin.route(by_target(_=[accepted()], status=[[read_all(), answer(303, [(b"Location", b"/status")])]]))
    fetched = await fetch(origin.url)
    assert fetched.code == 47
    assert len(origin.requests) == 12


async def test_a_server_that_never_ends_is_asked_at_its_pace_until_the_time_is_up(
    origin: ScriptedOrigin, fetch_too_late: Fetch
) -> None:
    status = accepted(b"/status", (b"Retry-After", b"60"), (b"X-Progress", b"half of it"))
    origin.route(by_target(_=[accepted()], status=[status]))
    fetched = await fetch_too_late(origin.url, "half of it")
    assert fetched.code == 28
    assert len(origin.requests) == 2, "it wants a minute between two polls"


async def test_a_monitor_in_trouble_is_asked_again(origin: ScriptedOrigin, fetch: Fetch) -> None:
    origin.route(
        by_target(_=[accepted()], status=[[read_all(), answer(503)], [reset()], [read_all(), answer(200, body=b"ok")]])
    )
    fetched = await fetch(origin.url)
    assert (fetched.code, fetched.out) == (0, b"ok")


async def test_a_monitor_that_stays_in_trouble_is_believed_at_last(origin: ScriptedOrigin, fetch: Fetch) -> None:
    origin.route(by_target(_=[accepted()], status=[[read_all(), answer(503, body=b"sorry")]]))
    fetched = await fetch(origin.url)
    assert (fetched.code, fetched.out) == (22, b"sorry")
    assert len(origin.requests) == 5


async def test_a_monitor_that_cannot_be_reached_leaves_its_url(origin: ScriptedOrigin, fetch: Fetch) -> None:
    origin.route(by_target(_=[accepted()], status=[[reset()]]))
    fetched = await fetch(origin.url)
    assert (fetched.code, fetched.out) == (56, b"")
    assert f"Go on with: respond-async fetch --resume {origin.url}/status" in fetched.err


@pytest.mark.parametrize("method", ["POST", "PUT"])
async def test_a_first_request_that_breaks_off_is_never_sent_again(
    origin: ScriptedOrigin, fetch: Fetch, method: str
) -> None:
    origin.script(read_all(), reset())
    fetched = await fetch(origin.url, method=method, content=b"an order")
    assert (fetched.code, fetched.err) == (56, "")
    assert len(origin.requests) == 1


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        pytest.param([], "answers 202, which has no Location: there is no status URL to follow", id="none"),
        pytest.param(
            [(b"Location", b"ftp://h/x")], "a Location that cannot be asked, `ftp://h/x`", id="another scheme"
        ),
        pytest.param([(b"Location", b"http://[")], "a Location that cannot be asked, `http://[`", id="no URL"),
    ],
)
async def test_a_202_without_a_status_url_is_no_outcome(
    origin: ScriptedOrigin, fetch: Fetch, tmp_path: Path, fields: list[Field], said: str
) -> None:
    origin.script(read_all(), answer(202, fields, b"some day"))
    fetched = await fetch(origin.url, output=tmp_path / "result")
    assert (fetched.code, fetched.out) == (8, b"")
    assert said in fetched.why
    assert names_in(tmp_path) == set()


async def test_an_outcome_may_be_a_202_itself(origin: ScriptedOrigin, fetch: Fetch) -> None:
    outcome = [read_all(), answer(202, [(b"AsyncResult", b"202"), (b"Location", b"/x")], b"theirs")]
    origin.route(by_target(_=[accepted()], status=[outcome]))
    fetched = await fetch(origin.url)
    assert (fetched.code, fetched.out) == (0, b"theirs")


async def test_a_redirect_of_the_first_request_is_the_answer(origin: ScriptedOrigin, fetch: Fetch) -> None:
    origin.script(read_all(), answer(307, [(b"Location", b"/elsewhere")]))
    assert (await fetch(origin.url)).code == 0
    assert len(origin.requests) == 1


async def test_azures_documents_are_read(origin: ScriptedOrigin, fetch: Fetch) -> None:
    def document(**members: str) -> Script:
        pieces = [bytes([byte]) for byte in json.dumps(members).encode()]
        return [read_all(), answer(200, [JSON, (b"Retry-After", b"0")], pieces, "chunked")]

    half = [read_all(), answer(200, [(b"Content-Length", b"99")], b'{"status": "Succ'), close()]
    origin.route(
        by_target(
            _=[[read_all(), answer(201, [(b"Operation-Location", b"/operations")])]],
            operations=[half, document(status="Running"), document(status="Succeeded", resourceLocation="/result")],
            result=[[read_all(), answer(200, body=b"made")]],
        )
    )
    fetched = await fetch(origin.url)
    assert (fetched.code, fetched.out) == (0, b"made")


async def test_a_terminal_obeys_no_server(origin: ScriptedOrigin, fetch_too_late: Fetch) -> None:
    evil = (b"X-Progress", b"\x1b]0;pwned\x07" + b"x" * 500)
    origin.route(by_target(_=[accepted()], status=[accepted(b"/status", evil, (b"Retry-After", b"9"))]))
    fetched = await fetch_too_late(origin.url, "pwned")
    assert "\x1b]" not in fetched.err
    assert "x" * 100 not in fetched.err


# Downloads that break.

ETAG: Field = (b"ETag", b'"v1"')
WHOLE = bytes(range(256)) * 40


def cut_at(stop: int, *fields: Field) -> Script:
    """The first bytes of the whole, and the end of the connection."""
    length = (b"Content-Length", b"%d" % len(WHOLE))
    return [read_all(), answer(200, [length, *fields], WHOLE[:stop]), close()]


def rest_from(start: int, stop: int = len(WHOLE), *, said: bytes | None = None) -> Script:
    said = said or b"bytes %d-%d/%d" % (start, stop - 1, len(WHOLE))
    return [read_all(), answer(206, [(b"Content-Range", said), ETAG], WHOLE[start:stop])]


async def test_a_download_goes_on_where_it_broke(origin: ScriptedOrigin, fetch: Fetch) -> None:
    origin.queue(cut_at(5000, ETAG), [reset()], rest_from(5000, 7000), rest_from(7000))
    fetched = await fetch(origin.url, user="me:pw")
    assert (fetched.code, fetched.out) == (0, WHOLE)
    asked = [(request.field(b"range"), request.field(b"if-range")) for request in origin.requests]
    assert asked[1:] == [(b"bytes=5000-", b'"v1"'), (b"bytes=5000-", b'"v1"'), (b"bytes=7000-", b'"v1"')]
    assert {request.field(b"prefer") for request in origin.requests[1:]} == {None}
    assert all(request.field(b"authorization") for request in origin.requests)


async def test_a_stored_result_goes_on_without_a_validator(origin: ScriptedOrigin, fetch: Fetch) -> None:
    origin.queue(accepted(), cut_at(100, (b"AsyncResult", b"200")), rest_from(100))
    fetched = await fetch(origin.url)
    assert (fetched.code, fetched.out) == (0, WHOLE)
    assert origin.requests[-1].field(b"if-range") is None


@pytest.mark.parametrize("etag", [[], [(b"ETag", b'W/"v1"')]], ids=["none", "weak"])
async def test_what_may_have_changed_is_not_continued(
    origin: ScriptedOrigin, fetch: Fetch, etag: list[Field], tmp_path: Path
) -> None:
    origin.queue(cut_at(100, *etag))
    file = tmp_path / "result"
    fetched = await fetch(origin.url, output=file)
    assert fetched.code == 18
    cut = f"the result is cut after 100 of 10240 bytes: {origin.url[7:]} broke off its response"
    assert fetched.why == f"{cut}, and nothing makes sure that the rest would be of the same"
    assert names_in(tmp_path) == set(), "nothing that could be taken for a result"


async def test_a_file_begins_anew_with_what_is_there_now(origin: ScriptedOrigin, fetch: Fetch, tmp_path: Path) -> None:
    origin.queue(cut_at(5000, ETAG), [read_all(), answer(200, [(b"ETag", b'"v2"')], b"new")])
    file = tmp_path / "result"
    assert (await fetch(origin.url, output=file, include=True)).code == 0
    head, _, body = file.read_bytes().partition(b"\r\n\r\n")
    assert (b'"v2"' in head, body) == (True, b"new")


async def test_standard_output_cannot_begin_anew(origin: ScriptedOrigin, fetch: Fetch) -> None:
    origin.queue(cut_at(5000, ETAG), [read_all(), answer(200, [(b"ETag", b'"v2"')], b"new")])
    fetched = await fetch(origin.url)
    assert (fetched.code, fetched.out) == (18, WHOLE[:5000])


@pytest.mark.parametrize(
    "said",
    [b"bytes 4000-10239/10240", b"bytes 5000-10239/99999", b"bytes 5000-10239/*", b"lies"],
    ids=["another place", "another size", "no size", "nonsense"],
)
async def test_a_part_that_is_not_the_rest_is_refused(origin: ScriptedOrigin, fetch: Fetch, said: bytes) -> None:
    origin.queue(cut_at(5000, ETAG), rest_from(5000, said=said))
    fetched = await fetch(origin.url)
    assert (fetched.code, fetched.out) == (18, WHOLE[:5000])
    assert "answered with 206" in fetched.why


async def test_a_part_that_is_cut_without_a_sign_is_not_the_rest(origin: ScriptedOrigin, fetch: Fetch) -> None:
    origin.queue(cut_at(5000, ETAG), rest_from(5000, 5000), rest_from(5000))
    fetched = await fetch(origin.url)
    assert (fetched.code, fetched.out) == (0, WHOLE)


async def test_a_rest_that_is_asked_for_too_often_waits(origin: ScriptedOrigin, fetch: Fetch) -> None:
    origin.queue(cut_at(5000, ETAG), [read_all(), answer(503)], rest_from(5000))
    assert (await fetch(origin.url)).out == WHOLE


async def test_patience_has_an_end(origin: ScriptedOrigin, fetch: Fetch) -> None:
    origin.route(lambda _: [reset()] if len(origin.requests) > 1 else cut_at(10, ETAG))
    fetched = await fetch(origin.url)
    cut = f"the result is cut after 10 of 10240 bytes: {origin.url[7:]} closed the connection, again and again"
    assert (fetched.code, fetched.why) == (18, cut)
    assert len(origin.requests) == 4


async def test_more_than_was_promised_is_not_the_rest(origin: ScriptedOrigin, fetch: Fetch) -> None:
    longer = [read_all(), answer(206, [(b"Content-Range", b"bytes 5000-10239/10240"), ETAG], WHOLE[5000:] + b"!")]
    origin.queue(cut_at(5000, ETAG), longer)
    fetched = await fetch(origin.url)
    assert fetched.code == 18
    assert "more than the promised 10240 bytes" in fetched.why


async def test_what_is_no_http_is_broken_off(origin: ScriptedOrigin, fetch: Fetch) -> None:
    origin.script(read_all(), send(b"SSH-2.0-OpenSSH_9.2\r\n"), close())
    assert (await fetch(origin.url)).code == 56


async def test_codings_stay_as_they_are(origin: ScriptedOrigin, fetch: Fetch) -> None:
    origin.script(read_all(), answer(200, [(b"Content-Encoding", b"gzip")], b"no gzip at all"))
    fetched = await fetch(origin.url)
    assert (fetched.code, fetched.out) == (0, b"no gzip at all")
    assert origin.requests[0].field(b"accept-encoding") is None


async def test_a_head_request_has_a_head_only(origin: ScriptedOrigin, fetch: Fetch) -> None:
    origin.script(read_all(), answer(200, [(b"Content-Length", b"99")]))
    fetched = await fetch(origin.url, method="HEAD", include=True)
    assert (fetched.code, fetched.out) == (0, b"HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\n")


async def test_content_of_a_file_is_sent_as_it_is(origin: ScriptedOrigin, fetch: Fetch, tmp_path: Path) -> None:
    file = tmp_path / "order"
    file.write_bytes(b"a\r\n\x00b\n")
    origin.script(read_all(), answer(204))
    assert (await fetch(origin.url, content=file)).code == 0
    assert origin.requests[0].body == b"a\r\n\x00b\n"
    assert origin.requests[0].field(b"content-length") == b"6"


# Servers that are not there.


async def test_nobody_listens(unused_port: int, fetch: Fetch) -> None:
    fetched = await fetch(f"http://127.0.0.1:{unused_port}")
    assert (fetched.code, fetched.why) == (7, f"no connection to 127.0.0.1:{unused_port}: Connection refused")


async def test_no_tls_is_spoken_there(origin: ScriptedOrigin, fetch: Fetch) -> None:
    origin.on_accept(send(b"HTTP/1.1 400 Bad Request\r\n\r\n"), close())
    fetched = await fetch(origin.url.replace("http:", "https:"))
    said = f"no TLS with {origin.url[7:]}: what answers there is not TLS; is it http://?"
    assert (fetched.code, fetched.why) == (35, said)


async def test_a_status_url_without_tls_for_a_moment_is_asked_again(
    origin: ScriptedOrigin, fetch_too_late: Fetch
) -> None:
    """As where a balancer starts anew, and refuses in plain text meanwhile."""
    origin.on_accept(send(b"HTTP/1.0 503 Service Unavailable\r\n\r\n"), close())
    told = f"no TLS with {origin.url[7:]}: what answers there is not TLS; is it http://"  # all that fits
    url = origin.url.replace("http:", "https:") + "/status"
    assert (await fetch_too_late(url, told, resume=True, patience=lambda: repeat(3600.0))).code == 28


@pytest.mark.parametrize("host", ["no..such.example", "1.2.3.4.5"])
@pytest.mark.parametrize("resume", [False, True])
async def test_there_is_no_such_host(fetch: Fetch, host: str, resume: bool) -> None:  # noqa: FBT001
    fetched = await fetch(f"http://{host}/", resume=resume, patience=lambda: repeat(3600.0))
    assert (fetched.code, fetched.why) == (6, f"the host {host} was not found: that is no name of a host")


async def test_a_terminal_sees_why_a_status_url_is_asked_again(unused_port: int, fetch_too_late: Fetch) -> None:
    told = f"no connection to 127.0.0.1:{unused_port}: Connection refused; asking again"
    url = f"http://127.0.0.1:{unused_port}/status"
    fetched = await fetch_too_late(url, told, resume=True, patience=lambda: repeat(3600.0))
    assert (fetched.code, f"--resume {url}" in fetched.err) == (28, True)
