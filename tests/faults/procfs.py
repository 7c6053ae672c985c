"""What the kernel knows of a process: its children, its memory, its descriptors, its time."""

import os
import re
from collections.abc import Iterable, Sequence
from contextlib import suppress
from itertools import count, islice
from pathlib import Path
from typing import Final

TICKS: Final = os.sysconf("SC_CLK_TCK")


def is_there(pid: int) -> bool:
    """Whether it runs; one that has ended and whose parent has not yet asked how does not."""
    try:
        return _stat(pid)[0] not in ("Z", "X")
    except (FileNotFoundError, ProcessLookupError):
        return False


def children(pid: int) -> list[int]:
    """Those that it started and that are still there."""
    found = map(int, Path(f"/proc/{pid}/task/{pid}/children").read_text().split())
    return [child for child in found if is_there(child)]


def with_variable(name: str, value: str) -> list[int]:
    """Those that were started with this environment variable, and what they have forked."""
    wanted, found = f"{name}={value}".encode(), []
    for folder in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):  # it ended a moment ago, or is another user's
            if wanted in (folder / "environ").read_bytes().split(b"\0"):
                found.append(int(folder.name))
    return found


def resident(pid: int, line: str) -> int:
    """A figure of the process's memory, in bytes: VmRSS now, VmHWM at its highest since `forget_the_highest`."""
    return _kilobytes(Path(f"/proc/{pid}/status"), line)


def proportional(pid: int) -> int:
    """Its memory, in bytes, where each page that it shares with others counts for its part."""
    return _kilobytes(Path(f"/proc/{pid}/smaps_rollup"), "Pss")


def highest(pids: Iterable[int]) -> int:
    """The most memory that these have had since `forget_the_highest`, in bytes."""
    return sum(resident(pid, "VmHWM") for pid in pids)


def forget_the_highest(pids: Sequence[int]) -> int:
    """The memory in use now, from which the highest is counted on."""
    for pid in pids:
        Path(f"/proc/{pid}/clear_refs").write_text("5")
    return highest(pids)


def descriptors(pid: int) -> set[int]:
    """Those that it has open."""
    return {int(file.name) for file in Path(f"/proc/{pid}/fd").iterdir()}


def unused_descriptor(pid: int, skip: int = 0) -> int:
    """The lowest that it has not open, after so many others: who may have none above it can open so many more."""
    taken = descriptors(pid)
    return next(islice((number for number in count() if number not in taken), skip, None))


def seconds_of_work(pid: int) -> float:
    """Processor time that it has taken."""
    fields = _stat(pid)
    return (int(fields[11]) + int(fields[12])) / TICKS


def _stat(pid: int) -> list[str]:
    """The fields after the name, which may contain anything, from the state on."""
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()


def _kilobytes(file: Path, line: str) -> int:
    match = re.search(rf"^{line}:\s+([0-9]+) kB$", file.read_text(), re.MULTILINE)
    return int(match[1]) * 1024 if match else 0  # a process that is about to end has no memory any more
