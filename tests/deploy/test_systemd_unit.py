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


def may_mount() -> bool:
    return (
        shutil.which("unshare") is not None
        and subprocess.run(["unshare", "--mount", "true"], check=False).returncode == 0
    )


needs_systemd = pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="needs systemd-analyze")
needs_mounts = pytest.mark.skipif(not may_mount(), reason="needs the right to mount in a namespace of its own")
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


# What the unit takes from a process, as far as one can do that to itself.
CONFINED: Final = """
import ctypes, os, sys
libc = ctypes.CDLL(None)
libc.prctl(38, 1, 0, 0, 0)  # PR_SET_NO_NEW_PRIVS
libc.prctl(65, 1, 0, 0, 0)  # PR_SET_MDWE: no memory that is written to and executed; older kernels do not know it
os.umask(0o077)
command = [sys.executable, "-m", "proxy", *sys.argv[2:]]
os.execvp("strace", ["strace", "-qq", "-D", "-f", "-o", sys.argv[1], "-e", "signal=none", *command])
"""

# The same for files and rights: all read-only but one folder, of /proc the processes alone, no capability left.
BOXED: Final = """
import os, sys
box = '''
mount --bind "$1" "$1" && mount --bind . . && mount -o remount,ro,bind / &&     # . is for what measures coverage
mount -t proc -o subset=pid,hidepid=invisible proc /proc && shift &&
TMPDIR=/nonexistent exec setpriv --no-new-privs --bounding-set=-all --inh-caps=-all "$@"
'''
command = [sys.executable, "-m", "proxy", *sys.argv[2:]]
os.execvp("unshare", ["unshare", "--mount", "sh", "-c", box, "sh", sys.argv[1], *command])
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


@needs_mounts
async def test_in_the_boxes_of_two_units_the_next_takes_over_the_ports(
    origin: ScriptedOrigin, tmp_path: Path, unused_port: int
) -> None:
    settings = stored_settings(origin.url, tmp_path) | {"listen": f"127.0.0.1:{unused_port}"}
    (tmp_path / "store").mkdir()
    program = ("-c", BOXED, str(tmp_path / "store"))
    async with Child(settings, tmp_path, program=program) as old, Child(settings, tmp_path, program=program) as new:
        assert new.count("taken over") == 1
        await old.logged("handed over")
        old.signal(SIGTERM)
        assert await old.exit_code() == 0
        accepted = await new.ask("GET", b"/reports", (b"Prefer", b"respond-async, wait=0"))
        assert (await new.ask("GET", path_of(accepted), (b"Prefer", b"wait=10"))).status == 200
        await new.stop()


def test_durations_are_read_as_systemd_and_kubernetes_write_them() -> None:
    assert [seconds("45"), seconds("45s"), seconds("1m30s"), seconds("2h")] == [45, 45, 90, 7200]
