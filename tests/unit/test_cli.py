"""The command line, in this process: what it hands on, and which exit code an error becomes."""

import errno
import os
import re
import runpy
import shlex
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from socket import socket

import click
import pytest
import yaml
from click.testing import CliRunner, Result

from proxy import supervisor
from proxy.cli import main
from proxy.config import Config
from proxy.listeners import Bound, CannotListen, Doors
from proxy.supervisor import CannotStart, Ready
from tests.conftest import settings_for
from tests.process.child import ROOT


@pytest.fixture
def file(tmp_path: Path) -> Path:
    file = tmp_path / "proxy.yaml"
    file.write_text(yaml.safe_dump(settings_for("http://127.0.0.1:9")))
    return file


def run(*arguments: object) -> Result:
    return CliRunner().invoke(main, [str(argument) for argument in arguments])


def test_help_names_every_command() -> None:
    output = run("-h").output
    assert all(
        f"\n  {command} " in output
        for command in ("check", "completion", "demo", "explain", "fetch", "operations", "schema", "serve")
    )


NEEDED = "origins: {backend: {url: http://127.0.0.1:9}}\nroutes: [{name: all, origin: backend}]\n"
ADVICE = "serve as one that can, or name another folder, such as `sqlite:data`, beside this file"


@pytest.mark.parametrize("store", ["sqlite:proxy.yaml", "sqlite:proxy.yaml/store"], ids=["in its place", "above it"])
def test_a_file_where_the_store_is_to_be_is_wrong_for_everybody(tmp_path: Path, store: str) -> None:
    file = tmp_path / "proxy.yaml"
    file.write_text(f"{NEEDED}store:\n  url: {store}\n")
    result = run("check", file)
    told = f"{file}:4: store.url: {file} is no folder; name another place, or move it away\n"
    assert (result.exit_code, result.stdout, result.stderr) == (1, "", told)


def test_a_file_where_a_socket_is_to_be_is_wrong_for_everybody(tmp_path: Path) -> None:
    file = tmp_path / "proxy.yaml"
    file.write_text(
        f"{NEEDED}listen:\n  - 127.0.0.1:0\n  - unix:{file}\nadmin: unix:{file}s\nstore: {{url: 'memory:'}}\n"
    )
    result = run("check", file)
    told = f"{file}:5: listen[1]: there is a file that is no socket; name another path, or move it away\n"
    assert (result.exit_code, result.stdout, result.stderr) == (1, "", told)


def test_a_link_to_where_nobody_can_look_is_not_known_to_be_in_the_way_of_a_socket(tmp_path: Path) -> None:
    file, link = tmp_path / "proxy.yaml", tmp_path / "s"
    link.symlink_to("a" * 300)
    file.write_text(f"{NEEDED}listen: unix:{link}\nstore: {{url: 'memory:'}}\n")
    result = run("check", file)
    assert (result.exit_code, result.stderr) == (0, "")


def test_check_notes_a_store_that_this_user_cannot_have(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "proxy.yaml"
    file.write_text(NEEDED + "store:\n  url: sqlite:store\n")
    monkeypatch.setattr(os, "access", lambda path, mode: mode in (os.F_OK, os.R_OK) and Path(path).exists())
    result = run("check", "--strict", file)
    assert (result.exit_code, result.stdout) == (0, f"{file}: fine\n"), "another user may be the one that serves"
    assert result.stderr == f"{file}:4: store.url: note: this user cannot write there; {ADVICE}\n"


def test_check_notes_that_the_default_store_is_not_for_this_user(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "proxy.yaml"
    file.write_text(NEEDED)
    monkeypatch.setattr(os, "access", lambda path, mode: mode == os.R_OK or (mode == os.F_OK and str(path) == "/"))
    told = f"store.url: note: this user cannot write to /var/lib/respond-async, its default; {ADVICE}"
    assert run("check", file).stderr == f"{file}:1: {told}\n"


def test_serve_hands_the_configuration_on(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    served: list[Config] = []

    def supervise(load: Callable[[], Config], _: Ready) -> None:
        served.append(load())

    monkeypatch.setattr(supervisor, "supervise", supervise)
    assert run("serve", "--config", file).exit_code == 0
    assert [route.name for route in served[0].routes] == ["everything"]


@pytest.mark.parametrize(
    ("error", "message"),
    [
        pytest.param(CannotListen("Cannot listen on :80: denied."), "Cannot listen on :80: denied.\n", id="address"),
        pytest.param(CannotStart("The folder is locked."), "The folder is locked.\n", id="store"),
    ],
)
def test_what_keeps_it_from_starting_is_3(
    file: Path, monkeypatch: pytest.MonkeyPatch, error: Exception, message: str
) -> None:
    def supervise(*_: object) -> None:
        raise error

    monkeypatch.setattr(supervisor, "supervise", supervise)
    result = run("serve", "--config", file)
    assert (result.exit_code, result.stderr) == (3, message)


@pytest.mark.parametrize(
    "command",
    [["check"], ["serve", "--config"], ["explain", "/", "--config"], ["operations", "list", "--config"]],
    ids=lambda command: command[0],
)
def test_a_configuration_that_is_not_for_this_user_is_wrong_as_one_that_is_missing(
    file: Path, monkeypatch: pytest.MonkeyPatch, command: list[str]
) -> None:
    def refuse(*_: object) -> None:
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))

    monkeypatch.setattr(os, "access", lambda *_: False)
    monkeypatch.setattr(Path, "open", refuse)
    result = run(*command, file)
    assert (result.exit_code, result.stderr) == (1, f"{file}:1: cannot be read: Permission denied\n")


@pytest.mark.parametrize("command", [["serve"], ["explain", "/"]], ids=["serve", "explain"])
def test_that_a_configuration_is_the_default_is_told_where_none_was_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, command: list[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    told = "config/proxy.yaml is the default: name another by `--config FILE`"
    missing = run(*command).stderr
    assert missing == f"config/proxy.yaml:1: cannot be read: No such file or directory\n{told}.\n"
    Path("proxy.yaml").write_text("rutes: []")
    assert run(*command).stderr.endswith(f"{told}, such as `--config proxy.yaml`.\n")
    assert "default" not in run(*command, "--config", "proxy.yaml").stderr


def test_a_defect_of_our_own_is_not_dressed_up(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def supervise(*_: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(supervisor, "supervise", supervise)
    assert isinstance(run("serve", "--config", file).exception, ZeroDivisionError)


def test_check_reads_the_environment(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = settings_for("${LEGACY_URL}")
    file.write_text(yaml.safe_dump(settings))
    assert run("check", file).exit_code == 1
    monkeypatch.setenv("LEGACY_URL", "http://127.0.0.1:9")
    assert run("check", file).exit_code == 0


def test_what_is_odd_is_told_and_is_wrong_where_one_is_strict(file: Path) -> None:
    settings = settings_for("http://127.0.0.1:9", respond_async={"keep": "5s"}) | {"drain_timeout": "1h"}
    file.write_text(yaml.safe_dump(settings | {"store": {"url": "sqlite:data"}}))
    odd = f"{file}:11: routes[0].respond_async.keep: warning: is shorter than `max_wait` (1m, its default)"
    fine = run("check", file)
    assert (fine.exit_code, fine.stdout) == (0, f"{file}: fine\n")
    assert fine.stderr.startswith(odd)
    strict = run("check", "--strict", file)
    assert (strict.exit_code, strict.stdout) == (1, "")
    assert strict.stderr.startswith(odd.replace("warning: ", ""))


@pytest.mark.parametrize(
    ("arguments", "where"),
    [
        pytest.param(["check", "x"], "proxy.config.findings.findings", id="check"),
        pytest.param(["fetch", "h"], "proxy.fetch.order_for", id="fetch"),
        pytest.param(["operations", "list"], "proxy.config.load", id="operations"),
    ],
)
def test_ctrl_c_is_130_from_a_commands_first_moment_on(
    monkeypatch: pytest.MonkeyPatch, arguments: list[str], where: str
) -> None:
    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(where, interrupted)
    result = run(*arguments)
    assert (result.exit_code, result.output) == (130, "")


def test_what_is_wrong_comes_before_what_is_odd(file: Path) -> None:
    settings = settings_for("http://127.0.0.1:9", respond_async={"keep": "5s"}) | {"store": {"ulr": "sqlite:data"}}
    file.write_text(yaml.safe_dump(settings))
    result = run("check", file)
    assert (result.exit_code, result.stdout) == (1, "")
    wrong, odd = result.stderr.splitlines()
    assert "store.ulr: unknown key; did you mean `url`?" in wrong
    assert "respond_async.keep: warning: " in odd


def test_a_configuration_without_its_option_is_told_where_it_goes(file: Path) -> None:
    result = run("serve", file)
    assert result.exit_code == 2
    assert f"write `respond-async serve --config {file}`" in result.stderr


def test_the_schema_is_the_one_that_is_shipped() -> None:
    assert run("schema").stdout == (ROOT / "config/schema.json").read_text()


def test_the_demo_serves_its_own_configuration(monkeypatch: pytest.MonkeyPatch) -> None:
    served: list[Config] = []

    def supervise(load: Callable[[], Config], ready: Ready) -> None:
        served.append(load())
        admin = served[0].admin
        assert admin is not None
        ready(Doors([Bound("listen", served[0].listen[0], (sock,)), Bound("admin", admin, (sock,))], None))

    monkeypatch.setattr(supervisor, "supervise", supervise)
    with socket() as sock:
        sock.bind(("127.0.0.1", 0))
        result = run("demo", "--port", "0")
        assert f"http://127.0.0.1:{sock.getsockname()[1]}/reports/ledger.csv" in result.output
    assert result.exit_code == 0
    assert [str(address) for address in served[0].listen] == ["127.0.0.1:0"]
    folder = served[0].store.url.folder
    assert folder is not None
    assert not folder.exists(), "it is temporary"


@pytest.mark.parametrize(
    ("options", "admin"),
    [
        pytest.param([], "127.0.0.1:8081", id="beside 8080"),
        pytest.param(["--port", "9000"], "127.0.0.1:9001", id="the one after the proxy's"),
        pytest.param(["--port", "0"], "127.0.0.1:0", id="free, as the proxy's is"),
        pytest.param(["--admin-port", "9999"], "127.0.0.1:9999", id="as told"),
    ],
)
def test_the_demo_has_its_operator_page_where_one_looks_for_it(
    options: list[str], admin: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    served: list[Config] = []
    monkeypatch.setattr(supervisor, "supervise", lambda load, *_: served.append(load()))
    assert run("demo", *options).exit_code == 0
    assert str(served[0].admin) == admin


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--port", "28205", "--admin-port", "28205"], "`--port` and `--admin-port` must be two ports"),
        (["--backend-only", "--admin-port", "3"], "`--backend-only` runs no proxy"),
    ],
)
def test_the_demo_takes_no_ports_that_it_cannot_have(options: list[str], said: str) -> None:
    result = run("demo", *options)
    assert (result.exit_code, said in result.stderr) == (2, True)


def test_the_demo_says_what_of_its_own_cannot_be_written(monkeypatch: pytest.MonkeyPatch) -> None:
    def write_text(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Path, "write_text", write_text)
    result = run("demo")
    assert result.exit_code == 3
    assert re.fullmatch(r"Cannot write /.+/demo\.yaml: No space left on device\.\n", result.stderr)


@pytest.mark.parametrize(("key", "option"), [("listen", "--port"), ("admin", "--admin-port")])
def test_the_demo_says_when_its_port_is_taken(key: str, option: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def supervise(*_: object) -> None:
        raise CannotListen(f"Cannot listen on 127.0.0.1:8080 (`{key}`): Address already in use.")

    monkeypatch.setattr(supervisor, "supervise", supervise)
    result = run("demo")
    assert (result.exit_code, "curl" in result.output) == (3, False), "there is nothing to try"
    told = f"Cannot listen on 127.0.0.1:8080 (`{option}`): Address already in use. Take another port; 0 is any that is free.\n"
    assert result.output.endswith(told)


def test_the_module_is_the_command(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(sys, "argv", ["respond-async", "--version"])
    monkeypatch.setattr(signal, "signal", lambda *_: None)  # Ctrl-C goes on to be pytest's
    with pytest.raises(SystemExit) as ended:
        runpy.run_module("proxy", run_name="__main__")
    assert ended.value.code == 0
    assert capsys.readouterr().out.startswith("respond-async, version ")


# Examples, and what completes them.


def names_of_commands(group: click.Group = main) -> Iterator[str]:
    for name, command in group.commands.items():
        yield name
        if isinstance(command, click.Group):
            yield from (f"{name} {inner}" for inner in names_of_commands(command))


def parse(words: list[str]) -> None:
    """As the program would, up to running a command. Raises click's UsageError, KeyError for no command."""
    command: click.Command = main
    context = click.Context(main, **main.context_settings)
    while isinstance(command, click.Group):
        command = command.commands[words.pop(0)]
    command.make_context(command.name, words, parent=context)


EXAMPLE = re.compile(r"^ +(?:eval \"\$\()?respond-async (.*?)(?: > .*|\)\")?$", re.MULTILINE)


@pytest.mark.parametrize("name", list(names_of_commands()))
def test_the_examples_of_every_command_are_commands(name: str) -> None:
    examples = EXAMPLE.findall(run(*name.split(), "-h").stdout)
    assert examples
    for example in examples:
        assert example.startswith(name)
        parse(shlex.split(example))


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_a_script_completes(shell: str) -> None:
    script = run("completion", shell)
    assert script.exit_code == 0
    assert f"_RESPOND_ASYNC_COMPLETE={shell}_complete" in script.stdout


def test_bash_completes_what_it_is_told() -> None:
    script = f"""
        {run("completion", "bash").stdout}
        COMP_WORDS=(respond-async operations ca); COMP_CWORD=2
        _respond_async_completion respond-async
        echo "${{COMPREPLY[@]}}"
    """
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    done = subprocess.run(
        ["bash", "-c", script], env={"PATH": path}, capture_output=True, text=True, timeout=20, check=False
    )
    assert (done.stdout, done.stderr) == ("cancel\n", "")
