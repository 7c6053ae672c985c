"""Disks that are small, full, or closed to writing: a tmpfs of 16 MiB where we may mount one."""

import os
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from tests.faults.work import MIB

SIZE: Final = 16 * MIB


def may_mount() -> bool:
    """Whether this user may mount things, as root may outside of most containers."""
    if os.geteuid() != 0:
        return False
    with tempfile.TemporaryDirectory() as folder:  # one of our own: what is mounted hides what is below
        mounted = subprocess.run(["mount", "-t", "tmpfs", "tmpfs", folder], check=False, capture_output=True)
        if mounted.returncode == 0:
            subprocess.run(["umount", folder], check=True)
    return mounted.returncode == 0


@contextmanager
def small_disk(folder: Path) -> Iterator[Path]:
    """The folder as a disk of 16 MiB."""
    folder.mkdir(exist_ok=True)
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={SIZE}", "tmpfs", folder], check=True)
    try:
        yield folder
    finally:
        subprocess.run(["umount", "--lazy", folder], check=True)


@contextmanager
def filled(folder: Path) -> Iterator[None]:
    """Meanwhile, there is no room left on the disk of this folder."""
    filler = folder / "filler"
    _fill(filler)
    try:
        yield
    finally:
        filler.unlink()


@contextmanager
def read_only(folder: Path) -> Iterator[None]:
    """Meanwhile, whoever opens something in this folder finds it read-only; what is open stays as it was."""
    subprocess.run(["mount", "--bind", folder, folder], check=True)
    try:
        subprocess.run(["mount", "-o", "remount,bind,ro", folder], check=True)
        yield
    finally:
        subprocess.run(["umount", "--lazy", folder], check=True)


def _fill(filler: Path) -> None:
    """Take all the room there is, down to the last byte."""
    with filler.open("wb", buffering=0) as file:
        for size in (MIB, 4096, 1):
            try:
                while file.write(bytes(size)) == size:
                    pass
            except OSError:
                continue
