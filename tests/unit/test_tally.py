"""Counts over several processes."""

import subprocess
import sys
from pathlib import Path

from proxy.tally import Tally

FORKS = """
import os
from proxy.tally import Tally

tally = Tally(4)
mine = tally.cell(0)
mine.add()
for slot in (1, 2, 3):
    if not os.fork():
        cell = tally.cell(slot)
        for _ in range(slot * 1000):
            cell.add()
        cell.remove()
        os._exit(0)
for _ in range(3):
    os.wait()
print(mine.total())
tally.clear(3)
print(tally.total())
"""


def test_nothing_is_counted_at_first() -> None:
    assert Tally(3).total() == 0


def test_every_cell_sees_the_sum() -> None:
    tally = Tally(2)
    first, second = tally.cell(0), tally.cell(1)
    first.add()
    first.add()
    second.add()
    second.remove()
    first.remove()
    assert (first.total(), second.total(), tally.total()) == (1, 1, 1)


def test_what_a_dead_process_counted_is_cleared_and_the_rest_stays() -> None:
    tally = Tally(2)
    tally.cell(0).add()
    tally.cell(1).add()
    tally.clear(1)
    assert tally.total() == 1


def test_a_cell_begins_at_zero_whoever_had_its_slot_before() -> None:
    tally = Tally(1)
    tally.cell(0).add()
    assert tally.cell(0).total() == 0


def test_processes_that_are_forked_share_it() -> None:
    command = [sys.executable, "-c", FORKS]
    done = subprocess.run(command, check=True, capture_output=True, text=True, cwd=Path(__file__).parents[2])
    assert done.stdout.split() == [str(1 + 999 + 1999 + 2999), str(1 + 999 + 1999)]
