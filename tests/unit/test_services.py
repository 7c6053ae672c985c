"""The folder in which services meet."""

import os
import stat
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from proxy import services
from proxy.services import Hindered, Services


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """One whose path is longer than a socket's address may be."""
    return tmp_path / ("long" * 30) / "store"


@pytest.fixture
def meeting(folder: Path) -> Iterator[Services]:
    meeting = Services(folder)
    yield meeting
    meeting.close()


def test_it_is_for_its_user_alone(meeting: Services, folder: Path) -> None:
    with meeting.join("one"):
        modes = [
            stat.S_IMODE(path.stat().st_mode) for path in (folder, folder / "services", folder / "services" / "one")
        ]
    assert modes == [0o700, 0o700, 0o600]


def test_the_living_are_found_and_the_dead_removed(meeting: Services, folder: Path) -> None:
    meeting.join("dead").close()
    with meeting.alone(), meeting.join("one"):
        [found] = meeting.living()
        found.close()
        assert [path.name for path in (folder / "services").iterdir()] == ["one"]
    meeting.remove("one")
    meeting.remove("one")


def test_one_that_takes_long_to_start_is_waited_for_and_named(
    meeting: Services, folder: Path, quiet_log: list[dict[str, object]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(services, "SOON", 0)
    other = Services(folder)
    with ExitStack() as start:
        start.enter_context(other.alone())
        monkeypatch.setattr(services, "sleep", lambda _: start.close() if len(quiet_log) else None)
        with meeting.alone():
            pass
    other.close()
    told = {"event": "waiting for another service to start", "pid": os.getpid(), "seconds": services.LONGEST_START}
    assert quiet_log == [told | {"log_level": "warning"}]


def test_one_that_does_not_come_to_the_end_of_its_start_is_an_error_that_says_what_to_do(
    meeting: Services, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(services, "LONGEST_START", 0)
    other = Services(folder)
    with other.alone(), pytest.raises(Hindered, match=f"Process {os.getpid()} has.*`kill -CONT {os.getpid()}`"):
        meeting.alone().__enter__()
    other.close()
    with meeting.alone():
        pass


def test_one_whose_process_cannot_be_seen_is_waited_for_too(
    meeting: Services, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(services, "LONGEST_START", 0)
    monkeypatch.setattr(services, "LOCKS", Path("/dev/null"))
    other = Services(folder)
    with other.alone(), pytest.raises(Hindered, match=r"Another process has.*`kill -CONT PID`"):
        meeting.alone().__enter__()
    other.close()


def test_who_is_of_another_user_is_not_talked_to(meeting: Services, monkeypatch: pytest.MonkeyPatch) -> None:
    with meeting.join("one"):
        monkeypatch.setattr(os, "geteuid", lambda: os.getuid() + 1)
        assert list(meeting.living()) == []


def test_what_is_no_socket_is_left_alone(meeting: Services, folder: Path) -> None:
    (folder / "services" / "file").write_text("mine")
    (folder / "services" / "loop").symlink_to("loop")
    assert list(meeting.living()) == []


def test_a_folder_that_cannot_be_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(OSError, match="file"):
        Services(tmp_path / "file")
