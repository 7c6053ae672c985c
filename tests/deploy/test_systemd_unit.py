"""The systemd unit: read by systemd's own tools, and held against what the product does. No systemd runs it here."""

import os
import re
import shlex
import shutil
import subprocess
import sys
from asyncio import Event
from collections.abc import Iterator
from pathlib import Path
from signal import SIGTERM
from typing import Final

import pytest

from proxy.cli import main
from proxy.config import Config
from tests.deploy.durations import LATE, default, seconds
from tests.process.child import Child, path_of, stored_settings
from tests.scripted_origin import ScriptedOrigin, answer, read_all, wait_for

ROOT: Final = Path(__file__).parents[2]
UNIT: Final = ROOT / "deploy/systemd/respond-async.service"
MOST_EXPOSED: Final = 15  # of 100, where 0 is a service that can do nothing
WORKER_HANGS: Final = 40  # seconds that it takes to find out and to replace it

needs_systemd = pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="needs systemd-analyze")
needs_strace = pytest.mark.skipif(shutil.which("strace") is None, reason="needs strace")


def settings() -> dict[str, list[str]]:
    """The unit's settings, each with all the values that it is given."""
    found: dict[str, list[str]] = {}
    for name, value in re.findall(r"^(\w+)=(.*)$", UNIT.read_text(), re.MULTILINE):
        found.setdefault(name, []).append(value)
    return found


SETTINGS: Final = settings()


def one(name: str) -> str:
    [value] = SETTINGS[name]
    return value


@pytest.fixture
def installed(tmp_path: Path) -> Path:
    """The unit as it is where the command is that of this environment."""
    command, *_ = shlex.split(one("ExecStart"))
    file = tmp_path / UNIT.name
    file.write_text(UNIT.read_text().replace(command, str(Path(sys.executable).with_name("respond-async"))))
    return file


def analyze(*arguments: str | Path) -> str:
    done = subprocess.run(["systemd-analyze", "--no-pager", *arguments], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


@needs_systemd
def test_systemd_has_nothing_to_say_against_it(installed: Path) -> None:
    assert analyze("verify", "--man=no", installed) == ""


@needs_systemd
def test_it_is_exposed_to_little(installed: Path) -> None:
    analyze("security", "--offline=true", f"--threshold={MOST_EXPOSED}", installed)


def test_its_command_line_exists() -> None:
    command, subcommand, *arguments = shlex.split(one("ExecStart"))
    assert Path(command).name == "respond-async"
    assert main.commands[subcommand].make_context(subcommand, [*arguments]).params


def test_systemd_waits_longer_than_the_service_drains() -> None:
    assert int(one("TimeoutStopSec")) > default("drain_timeout") + LATE


def test_a_worker_that_hangs_is_replaced_before_the_watchdog_takes_all() -> None:
    assert int(one("WatchdogSec")) > WORKER_HANGS


def test_the_store_is_where_it_may_write() -> None:
    store = Config.model_fields["store"].get_default(call_default_factory=True).url
    assert str(store).endswith(f"/var/lib/{one('StateDirectory')}")


def test_operations_show_where_it_is() -> None:
    assert f"](../{UNIT.relative_to(ROOT)})" in (ROOT / "docs/operations.md").read_text()


def calls(group: str) -> Iterator[str]:
    """The system calls of a group as systemd knows it, those of groups in it included."""
    lines = (line.strip() for line in analyze("syscall-filter", group).splitlines()[1:])
    for line in lines:
        if line.startswith("@"):
            yield from calls(line)
        elif line and not line.startswith("#"):
            yield line


def allowed() -> set[str]:
    """What the unit's filter leaves: its lines in their order."""
    left: set[str] = set()
    for line in SETTINGS["SystemCallFilter"]:
        named = {call for group in line.lstrip("~").split() for call in calls(group)}
        left = left - named if line.startswith("~") else left | named
    return left


# What the unit takes from a process as far as one can do that to itself: new rights, and memory that is written to and
# executed. The exact numbers are those of <linux/prctl.h>; a kernel that does not know one refuses it, which is all right.
CONFINED: Final = """
import ctypes, os, sys
libc = ctypes.CDLL(None)
libc.prctl(38, 1, 0, 0, 0)  # PR_SET_NO_NEW_PRIVS
libc.prctl(65, 1, 0, 0, 0)  # PR_SET_MDWE
os.umask(0o077)
command = [sys.executable, "-m", "proxy", *sys.argv[2:]]
os.execvp("strace", ["strace", "-qq", "-D", "-f", "-o", sys.argv[1], "-e", "signal=none", *command])
"""


@needs_systemd
@needs_strace
async def test_it_makes_no_system_call_that_is_not_allowed(origin: ScriptedOrigin, tmp_path: Path) -> None:
    trace, gate = tmp_path / "trace", Event()
    origin.script(read_all(), wait_for(gate), answer(200, body=b"x" * 200_000))  # more than the database takes
    later = (b"Prefer", b"respond-async, wait=0")
    program = ("-c", CONFINED, str(trace))
    async with Child(stored_settings(origin.url, tmp_path) | {"workers": 2}, tmp_path, program=program) as child:
        accepted = await child.ask("POST", b"/reports", later, body=b"y" * 200_000)
        await child.reload(stored_settings(origin.url, tmp_path))
        gate.set()
        done = await child.ask("GET", path_of(accepted), (b"Prefer", b"wait=10"))
        assert done.body == b"x" * 200_000
        assert (await child.ask("DELETE", path_of(accepted))).status == 200
        await child.figures()
        child.signal(SIGTERM)
        assert await child.exit_code() == 0
    made = set(re.findall(r"^\d+ +(\w+)\(", trace.read_text(), re.MULTILINE))
    assert {"execve", "bind", "flock", "clone"} <= made
    only_root = {"fchown"} if os.geteuid() == 0 else set()  # SQLite then sees to it that its files have one owner
    assert made - only_root - allowed() == set()


def test_durations_are_read_as_systemd_and_kubernetes_write_them() -> None:
    assert [seconds("45"), seconds("45s"), seconds("1m30s"), seconds("2h")] == [45, 45, 90, 7200]
