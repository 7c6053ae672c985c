"""The command line as a shell sees it: output, exit codes, and never a traceback."""

import os
import pty
import re
import shlex
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import suppress
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

import pytest
import yaml

from proxy import __version__
from tests.conftest import encrypted, settings_for
from tests.process.child import ROOT

Write = Callable[..., Path]


def run(*arguments: str | Path, program: tuple[str, ...] = (sys.executable, "-m", "proxy")) -> tuple[int, str, str]:
    """Exit code, standard output, standard error."""
    done = subprocess.run([*program, *arguments], cwd=ROOT, capture_output=True, text=True, timeout=20, check=False)
    assert "Traceback" not in done.stderr, done.stderr
    return done.returncode, done.stdout, done.stderr


def run_at_a_terminal(*arguments: str | Path) -> tuple[int, bytes, str]:
    """Exit code, what was written to the terminal that it is on, and standard error, which is elsewhere."""
    terminal, its_end = pty.openpty()
    command = ["setsid", "--ctty", "--wait", sys.executable, "-m", "proxy", *arguments]
    try:
        done = subprocess.run(
            command, cwd=ROOT, stdin=its_end, stderr=subprocess.PIPE, text=True, timeout=20, check=False
        )
        os.set_blocking(terminal, False)
        written = b""
        with suppress(BlockingIOError):
            written = os.read(terminal, 1000)
    finally:
        os.close(terminal)
        os.close(its_end)
    return done.returncode, written, done.stderr


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """Writes a good configuration with these changes."""

    def write(**changes: Any) -> Path:  # noqa: ANN401  # what YAML can hold
        file = tmp_path / "proxy.yaml"
        file.write_text(yaml.safe_dump(settings_for("http://127.0.0.1:9") | changes))
        return file

    return write


@pytest.fixture
def taken_port() -> Iterator[int]:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        sock.listen()
        yield sock.getsockname()[1]


def test_version_of_the_module_and_of_the_command() -> None:
    command = shutil.which("respond-async", path=str(Path(sys.executable).parent))
    assert command is not None
    told = (0, f"respond-async, version {__version__}\n", "")
    assert run("--version") == told
    assert run("--version", program=(command,)) == told


INTERRUPTS_ITSELF = """
import atexit, os, signal, sys

class Finder:
    def find_spec(self, name, *_):
        if name == "click":
            interrupt()

def interrupt():
    os.kill(os.getpid(), signal.SIGINT)

# Set either way: who is started in the background by a shell without job control inherits that it is ignored.
signal.signal(signal.SIGINT, signal.SIG_IGN if "ignored" in sys.argv else signal.default_int_handler)
if "importing" in sys.argv:
    sys.meta_path.insert(0, Finder())
if "exiting" in sys.argv:
    atexit.register(interrupt)
del sys.argv[1:]
sys.argv.append("schema")
from proxy.__main__ import main
main()
"""


@pytest.mark.parametrize(
    ("when", "code"),
    [
        pytest.param(["importing"], -signal.SIGINT, id="while it is imported"),
        pytest.param(["exiting"], -signal.SIGINT, id="when all is done"),
        pytest.param(["importing", "exiting", "ignored"], 0, id="where it is ignored"),
    ],
)
def test_ctrl_c_outside_of_a_command_ends_it_without_a_word(when: list[str], code: int) -> None:
    ended, _, err = run("-c", INTERRUPTS_ITSELF, *when, program=(sys.executable,))
    assert (ended, err) == (code, "")


def test_help_and_completion_load_nothing_that_serves_or_asks() -> None:
    code = "import sys, proxy.cli; print({'aiohttp', 'asyncio', 'pydantic', 'yaml'} & set(sys.modules))"
    assert run("-c", code, program=(sys.executable,)) == (0, "set()\n", "")


def test_what_serves_does_not_load_what_asks() -> None:
    code = "import sys, proxy.supervisor, proxy.worker; print('aiohttp' in sys.modules)"
    assert run("-c", code, program=(sys.executable,)) == (0, "False\n", "")


@pytest.mark.parametrize(
    "arguments",
    [["serv"], ["check"], ["check", "a", "b"], ["serve", "--conf=x"], ["serve", "--config"], ["serve", "x"], ["--nope"],
     ["demo", "--port=many"]],
    ids=" ".join,
)  # fmt: skip
def test_wrong_usage_is_2(arguments: list[str]) -> None:
    code, out, err = run(*arguments)
    assert (code, out) == (2, "")
    assert "Error: " in err


@pytest.mark.parametrize("buffered", ["", "1"], ids=["buffered", "unbuffered"])
@pytest.mark.parametrize("arguments", [["schema"], ["completion", "bash"], ["--help"], ["check"]], ids=" ".join)
def test_what_cannot_be_written_is_23(arguments: list[str], write: Write, buffered: str) -> None:
    files = [write()] if arguments == ["check"] else []
    with Path("/dev/full").open("wb") as full:
        done = subprocess.run(
            [sys.executable, "-m", "proxy", *arguments, *files],
            cwd=ROOT, env=os.environ | {"PYTHONUNBUFFERED": buffered}, stdout=full, stderr=subprocess.PIPE, check=False,
        )  # fmt: skip
    assert done.returncode == 23
    assert done.stderr.splitlines()[-1] == b"Cannot write to standard output: No space left on device."
    assert b"Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("command", "code", "told"),
    [
        pytest.param("schema >&-", 23, "Cannot write to standard output: it is closed.", id="schema"),
        pytest.param("fetch http://127.0.0.1:1/ >&-", 23, "Cannot write to standard output: it is closed.", id="fetch"),
        pytest.param("fetch http://127.0.0.1:1/ -o x >&-", 7, "Connection refused", id="fetch to a file"),
        pytest.param("fetch http://127.0.0.1:1/ <&-", 7, "Connection refused", id="fetch without content"),
        pytest.param("fetch http://127.0.0.1:1/ -d @- <&-", 2, "standard input (`@-`) is closed", id="content"),
    ],
)
def test_a_closed_standard_stream_is_told_to_who_needs_it(command: str, code: int, told: str) -> None:
    shell = f"{shlex.quote(sys.executable)} -m proxy {command}"
    done = subprocess.run(["sh", "-c", shell], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == code
    assert told in done.stderr.splitlines()[-1]
    assert "Traceback" not in done.stderr


def test_a_good_configuration_is_0(write: Write) -> None:
    file = write(drain_timeout="0s")
    assert run("check", file) == (0, f"{file}: fine\n", "")


@pytest.mark.parametrize("command", [["check"], ["serve", "--config"]], ids=["check", "serve"])
def test_a_bad_configuration_is_1_and_all_its_errors(tmp_path: Path, command: list[str]) -> None:
    file = tmp_path / "bad.yaml"
    file.write_text("listn: 127.0.0.1:0\norigins: {}\nroutes:\n  - name: a\n    origin: b\n    timeout: 5\n")
    code, out, err = run(*command, file)
    assert (code, out) == (1, "")
    lines = err.splitlines()
    assert {line.split(" ")[0] + line.split(" ")[1] for line in lines} >= {
        f"{file}:1:listn:",
        f"{file}:5:routes[0].origin:",
        f"{file}:6:routes[0].timeout:",
    }
    assert all(line.startswith(f"{file}:") for line in lines)
    assert "did you mean" in lines[0]


@pytest.mark.parametrize("command", [["check"], ["serve", "--config"]], ids=["check", "serve"])
def test_a_configuration_that_is_not_there_is_1(tmp_path: Path, command: list[str]) -> None:
    code, _, err = run(*command, tmp_path / "none.yaml")
    assert code == 1
    assert "none.yaml" in err


def test_a_port_that_is_taken_is_3(write: Write, taken_port: int) -> None:
    code, out, err = run("serve", "--config", write(listen=f"127.0.0.1:{taken_port}"))
    assert (code, out) == (3, "")
    assert f"Cannot listen on 127.0.0.1:{taken_port}" in err


def test_the_backend_of_the_demo_says_that_its_port_is_taken(taken_port: int) -> None:
    told = f"Cannot listen on 127.0.0.1:{taken_port} (`--port`): Address already in use. Take another port; 0 is any that is free.\n"
    assert run("demo", "--backend-only", "--port", str(taken_port)) == (3, "", told)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_the_backend_of_the_demo_answers_alone_until_it_is_told_to_stop(number: signal.Signals) -> None:
    command = [sys.executable, "-m", "proxy", "demo", "--backend-only", "--port", "0"]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as backend:
        try:
            assert backend.stdout is not None
            found = re.search(r"127\.0\.0\.1:(\d+)", backend.stdout.readline())
            assert found is not None
            client = HTTPConnection("127.0.0.1", int(found[1]), timeout=10)
            client.request("GET", "/")
            assert client.getresponse().read() == b"The slow page is /reports/ledger.csv\n"
            backend.send_signal(number)
            assert (backend.wait(timeout=20), backend.communicate()[1]) == (0, "")
        finally:
            backend.kill()


@pytest.mark.parametrize("workers", [1, 4])
def test_a_store_that_cannot_be_used_is_3(write: Write, tmp_path: Path, workers: int) -> None:
    (tmp_path / "file").write_text("in the way")
    code, out, err = run("serve", "--config", write(store={"url": f"sqlite://{tmp_path}/file"}, workers=workers))
    assert (code, out) == (3, "")
    told = f"The store's folder {tmp_path / 'file'} (`store.url`) cannot be used: File exists ({tmp_path / 'file'})."
    assert f"\n{told} " in err
    assert err.count("File exists") == 1, "it is told once"
    assert (tmp_path / "file").read_text() == "in the way"


def test_a_database_that_is_none_is_3(write: Write, tmp_path: Path) -> None:
    database = tmp_path / "store" / "operations.db"
    database.parent.mkdir()
    database.write_bytes(b"no database" * 1000)
    code, _, err = run("serve", "--config", write(store={"url": f"sqlite://{tmp_path}/store"}))
    assert code == 3
    assert str(database) in err


def test_a_key_that_is_none_is_3(write: Write, certificate: tuple[Path, Path], tmp_path: Path) -> None:
    key = tmp_path / "key.pem"
    key.write_text("rubbish")
    file = write(tls={"cert_file": str(certificate[0]), "key_file": str(key)})
    line = file.read_text().splitlines().index(f"  key_file: {key}") + 1
    said = f"{file}:{line}: tls.key_file: holds no key in PEM form\n"
    assert run("serve", "--config", file) == (3, "", said)
    code, _, found = run("check", file)
    assert (code, found[: len(said)]) == (1, said)


@pytest.mark.parametrize("whose", ["listeners", "origin"])
def test_an_encrypted_key_is_3_and_nobody_is_asked_for_its_pass_phrase(
    write: Write, certificate: tuple[Path, Path], tmp_path: Path, whose: str
) -> None:
    cert, key = str(certificate[0]), str(encrypted(certificate[1], tmp_path))
    tls = {"client_cert": cert, "client_key": key}
    changes: dict[str, dict[str, Any]] = {
        "listeners": {"tls": {"cert_file": cert, "key_file": key}},
        "origin": {"origins": {"legacy": {"url": "https://127.0.0.1:9", "tls": tls}}},
    }
    file = write(**changes[whose])
    code, typed, said = run_at_a_terminal("serve", "--config", file)
    assert (code, typed) == (3, b"")
    assert "_key" in said
    assert "is encrypted" in said
    assert "`openssl pkey -in ENCRYPTED.pem -out KEY.pem`" in said
    code, _, found = run("check", file)
    assert (code, found[: len(said)]) == (1, said)
