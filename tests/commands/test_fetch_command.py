"""`respond-async fetch` as a shell sees it: options, standard output, Ctrl-C."""

import asyncio
import errno
import os
import resource
import signal
import socket
import ssl
import sys
from asyncio.subprocess import DEVNULL, PIPE
from base64 import b64encode
from pathlib import Path
from threading import Thread

import pytest
from click.testing import CliRunner, Result

from proxy.cli import main
from tests.commands.conftest import names_in
from tests.conftest import self_signed
from tests.process.child import ROOT
from tests.scripted_origin import ScriptedOrigin, answer, read_all


async def run(*arguments: str, stdin: bytes = b"") -> Result:
    """In a thread: the command has an event loop of its own."""
    return await asyncio.to_thread(CliRunner().invoke, main, ["fetch", *arguments], stdin)


def fields_of(origin: ScriptedOrigin) -> dict[bytes, bytes]:
    return {name.lower(): value for name, value in origin.requests[-1].fields}


@pytest.mark.parametrize(
    ("wait", "sent"), [("0", b"0"), ("20", b"20"), ("20s", b"20"), ("2m", b"120"), ("1000ms", b"1")]
)
async def test_a_wait_is_written_in_seconds_or_as_a_duration(origin: ScriptedOrigin, wait: str, sent: bytes) -> None:
    assert (await run(origin.url, "--wait", wait, "--timeout", "1h")).exit_code == 0
    assert fields_of(origin)[b"prefer"] == b"respond-async, wait=" + sent


async def test_a_form_is_sent_as_curl_sends_it(origin: ScriptedOrigin) -> None:
    result = await run(
        origin.url, "-d", "a=1", "-d", "@-", "-H", "X-One: 1", "-H", "Accept:", "--wait", "3", stdin=b"b=\n"
    )
    assert result.exit_code == 0
    assert '"method": "POST"' in result.output
    fields = fields_of(origin)
    assert origin.requests[0].body == b"a=1&b=\n"
    assert fields[b"content-type"] == b"application/x-www-form-urlencoded"
    assert fields[b"prefer"] == b"respond-async, wait=3"
    assert fields[b"x-one"] == b"1"
    assert b"accept" not in fields


async def test_json_of_a_file(origin: ScriptedOrigin, tmp_path: Path) -> None:
    file = tmp_path / "order.json"
    file.write_bytes(b'{"item": 42}\n')
    assert (await run(origin.url, "--json", f"@{file}", "-X", "put")).exit_code == 0
    fields = fields_of(origin)
    assert (origin.requests[0].method, origin.requests[0].body) == ("PUT", b'{"item": 42}\n')
    assert (fields[b"content-type"], fields[b"accept"]) == (b"application/json", b"application/json")


async def test_a_prefer_of_ones_own_is_the_only_one(origin: ScriptedOrigin) -> None:
    assert (await run(origin.url, "-H", "Prefer: return=minimal")).exit_code == 0
    assert origin.requests[0].fields_named(b"prefer") == [b"return=minimal"]


async def test_a_password_is_asked_for(origin: ScriptedOrigin) -> None:
    result = await run(origin.url, "-u", "me", stdin=b"secret\n")
    assert "Password of me:" in result.stderr
    assert "secret" not in result.output
    assert fields_of(origin)[b"authorization"] == b"Basic " + b64encode(b"me:secret")


async def test_whoever_gives_no_password_leaves(origin: ScriptedOrigin) -> None:
    result = await run(origin.url, "-u", "me")
    assert result.exit_code == 130
    assert not origin.requests


async def test_where_nobody_can_be_asked_for_a_password_that_is_wrong_usage(origin: ScriptedOrigin) -> None:
    command = [sys.executable, "-m", "proxy", "fetch", "-u", "me", origin.url]
    process = await asyncio.create_subprocess_exec(
        *command, cwd=ROOT, stdin=DEVNULL, stdout=PIPE, stderr=PIPE, start_new_session=True
    )
    _, err = await process.communicate()
    said = err.decode().splitlines()[-1]
    assert (process.returncode, said) == (
        2, "Error: no terminal to ask for the password at; give `-u me:PASSWORD`",
    )  # fmt: skip
    assert b"Warning" not in err
    assert not origin.requests


async def test_a_host_that_is_not_ascii_is_asked_for_as_dns_has_it() -> None:
    result = await run("http://bücher.invalid:1/ü")
    assert (result.exit_code, "the host xn--bcher-kva.invalid was not found" in result.stderr) == (6, True)


async def test_user_and_password_of_the_url(origin: ScriptedOrigin) -> None:
    await run(origin.url.replace("//", "//me:p%40ss@") + "/x y#part")
    assert fields_of(origin)[b"authorization"] == b"Basic " + b64encode(b"me:p@ss")
    assert origin.requests[0].target == b"/x%20y"


async def test_a_file_takes_its_place_and_keeps_its_mode(origin: ScriptedOrigin, tmp_path: Path) -> None:
    origin.script(read_all(), answer(200, body=b"new"))
    file, link = tmp_path / "result", tmp_path / "link"
    file.write_text("old")
    file.chmod(0o640)
    link.symlink_to(file)
    assert (await run(origin.url, "-o", str(link))).exit_code == 0
    assert (file.read_bytes(), file.stat().st_mode & 0o777, link.is_symlink()) == (b"new", 0o640, True)


async def test_a_pipe_is_written_to_and_not_replaced(origin: ScriptedOrigin, tmp_path: Path) -> None:
    origin.script(read_all(), answer(200, body=b"through"))
    pipe, read = tmp_path / "pipe", []
    os.mkfifo(pipe)
    reader = Thread(target=lambda: read.append(pipe.read_bytes()))
    reader.start()
    assert (await run(origin.url, "-o", str(pipe))).exit_code == 0
    reader.join()
    assert read == [b"through"]


@pytest.mark.parametrize(
    "output",
    ["/dev/full", "/proc/nothing", "/", "/no/such/folder/x", pytest.param(f"/{'a' * 300}/x", id="too long a name")],
)
async def test_what_cannot_be_written_is_23(origin: ScriptedOrigin, output: str) -> None:
    result = await run(origin.url, "-o", output)
    assert result.exit_code == 23
    assert len(origin.requests) == (1 if output in {"/dev/full", "/proc/nothing"} else 0), (
        "what can be known before is no use later"
    )
    assert f"{output} cannot be written: " in result.stderr


async def test_a_socket_cannot_be_written(origin: ScriptedOrigin, tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as sock:
        sock.bind(str(tmp_path / "socket"))
        result = await run(origin.url, "-o", str(tmp_path / "socket"))
    assert (result.exit_code, "cannot be written" in result.stderr) == (23, True)


@pytest.mark.parametrize("size", [1 << 20, 2000], ids=["while it comes", "at its end"])
async def test_a_full_disk_is_23_and_leaves_what_was_there(origin: ScriptedOrigin, tmp_path: Path, size: int) -> None:
    origin.script(read_all(), answer(200, body=b"x" * size))
    file = tmp_path / "result"
    file.write_text("old")
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, limits[1]))
    try:
        result = await run(origin.url, "-o", str(file))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert (result.exit_code, "cannot be written: File too large" in result.stderr) == (23, True)
    assert file.read_text() == "old"
    assert names_in(tmp_path) == {"result"}


@pytest.mark.parametrize(
    ("size", "where", "why"),
    [
        pytest.param(1_000_000, "| head -c 10", "Broken pipe", id="whoever reads leaves"),
        pytest.param(100, ">/dev/full", "No space left on device", id="a disk is full, and a buffer is not"),
    ],
)
async def test_what_standard_output_does_not_take_is_no_defect(
    origin: ScriptedOrigin, size: int, where: str, why: str
) -> None:
    origin.script(read_all(), answer(200, body=b"x" * size))
    command = f"env -u PYTHONUNBUFFERED {sys.executable} -m proxy fetch {origin.url} {where}; exit ${{PIPESTATUS[0]}}"
    process = await asyncio.create_subprocess_exec("bash", "-c", command, cwd=ROOT, stdout=PIPE, stderr=PIPE)
    _, err = await process.communicate()
    said = f"respond-async fetch: standard output cannot be written: {why}\n"
    assert (process.returncode, err.decode()) == (23, said)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        pytest.param(["ftp://h/"], "begins with http:// or https://", id="another scheme"),
        pytest.param(["http:///x"], "begins with http:// or https://", id="no host"),
        pytest.param(["h", "-H", "nonsense"], "`nonsense` is no field", id="no field"),
        pytest.param(["h", "-H", "a b: c"], "cannot be sent", id="no name"),
        pytest.param(["h", "-H", "a: b\r\nc: d"], "cannot be sent", id="two fields in one"),
        pytest.param(["h", "-d", "@/no/such"], "there is no file /no/such", id="no file"),
        pytest.param(["h", "-d", "@/"], "/ is a folder: name a file", id="a folder"),
        pytest.param(["h", "-d", "@/" + "a" * 300], "cannot be read: File name too long", id="too long a name"),
        pytest.param(["h", "-d", "@/dev/null"], "/dev/null is no file of the disk", id="a device"),
        pytest.param(["h", "-d", "a", "-d", "@/no/such"], "there is no file /no/such", id="no second file"),
        pytest.param(["h", "-d", "a", "--json", "b"], "do not go together", id="two kinds"),
        pytest.param(["h", "--resume", "-d", "a"], "no method and no content", id="resume with content"),
        pytest.param(["h", "--wait", "1", "-H", "prefer: x"], "beside a Prefer of your own", id="two Prefers"),
        pytest.param(["h", "--cacert", "/no/such"], "no certificates to trust", id="no authorities"),
        pytest.param(["http://h:99999"], "the URL cannot be read: Port out of range", id="no port"),
        pytest.param(["http://[::1"], "the URL cannot be read: Invalid IPv6 URL", id="no address"),
        pytest.param(["h", "-X", "GE T"], "a method is a token", id="no method"),
        pytest.param(["h", "-X", ""], "a method is a token", id="an empty method"),
        pytest.param(["h", "-H", "a: \udcff"], "its value UTF-8 without line ends", id="no text in a field"),
        pytest.param(["h", "-d", "\udcff"], "what is given is not UTF-8", id="no text as content"),
        pytest.param(["http://h/\udcff"], "what is given is not UTF-8", id="no text in a URL"),
        pytest.param(["h", "-d", "abc", "-H", "Content-Length: 5"], "`content-length` cannot be given", id="length"),
        pytest.param(["h", "-H", "Transfer-Encoding: chunked"], "`transfer-encoding` cannot be given", id="coding"),
        pytest.param(
            ["h", "--timeout", "nan"], "'--timeout': must be seconds, such as `20`, or a duration", id="no number"
        ),
        pytest.param(["h", "--timeout", "0s"], "'--timeout': must be more than zero", id="no time"),
        pytest.param(["h", "--wait", "1.5s"], "'--wait': must be whole seconds", id="a part of a second"),
        pytest.param(["h", "--wait", "-1"], "'--wait': must be seconds", id="less than none"),
    ],
)
async def test_wrong_usage_is_2_and_explained(arguments: list[str], said: str) -> None:
    result = await run(*arguments)
    assert result.exit_code == 2
    assert said in result.stderr


@pytest.mark.parametrize("more", [[], ["-d", "a"]], ids=["alone", "one of two"])
async def test_a_file_that_cannot_be_read_is_told_before_anything_is_sent(
    origin: ScriptedOrigin, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, more: list[str]
) -> None:
    file = tmp_path / "order"
    file.touch()

    def refuse(*_: object) -> None:
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))

    monkeypatch.setattr(Path, "open", refuse)
    result = await run(origin.url, *more, "-d", f"@{file}")
    assert (result.exit_code, f"{file} cannot be read: Permission denied" in result.stderr) == (2, True)
    assert not origin.connections


async def test_a_certificate_is_trusted_where_it_is_told_to_be(certificate: tuple[Path, Path]) -> None:
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(*certificate)
    async with ScriptedOrigin(ssl=context) as origin:
        refused = await run(origin.url)
        assert refused.exit_code == 60
        said = f"the certificate of {origin.url[8:]} is not trusted: self-signed certificate; `--cacert` names others to trust"
        assert said in refused.stderr
        assert (await run(origin.url, "--cacert", str(certificate[0]))).exit_code == 0
        assert (await run(origin.url, "-k")).exit_code == 0


async def test_a_certificate_for_another_name_is_not_trusted(tmp_path: Path) -> None:
    cert, key = self_signed(tmp_path, "DNS:other.example")
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(cert, key)
    async with ScriptedOrigin(ssl=context) as origin:
        refused = await run(origin.url, "--cacert", str(cert))
        resumed = await run(f"{origin.url}/status", "--cacert", str(cert), "--resume")
    for result in (refused, resumed):
        assert result.exit_code == 60
        assert (
            "IP address mismatch, certificate is not valid for '127.0.0.1'; ask by a name that it is for"
            in result.stderr
        )
    assert f"Go on with: respond-async fetch --resume {origin.url}/status" in resumed.stderr


@pytest.mark.parametrize(("sign", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
async def test_who_ends_it_early_has_the_operation_cancelled_if_that_was_asked_for(
    origin: ScriptedOrigin, sign: signal.Signals, code: int
) -> None:
    later = [(b"Location", b"/status"), (b"Retry-After", b"60")]
    origin.script(read_all(), answer(202, later))
    command = [sys.executable, "-m", "proxy", "fetch", "--cancel", origin.url]
    process = await asyncio.create_subprocess_exec(*command, cwd=ROOT, stdout=PIPE, stderr=PIPE)
    await origin.request_received(2)
    process.send_signal(sign)
    out, err = await process.communicate()
    assert (process.returncode, out, err) == (code, b"", b"Cancelled.\n")
    assert (origin.requests[2].method, origin.requests[2].target) == ("DELETE", b"/status")
