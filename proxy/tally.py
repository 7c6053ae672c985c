"""Counts over all processes of a service, such as the connections that are open.

The numbers lie in memory that the processes share from their fork on: a cell for each, which its owner alone writes and
everybody reads. So there are no locks, and a process that dies in the middle leaves nothing broken: whoever notices the
death clears its cell. A sum taken while others count may be off by what they are counting just then.
"""

from mmap import mmap
from typing import Final

CELL: Final = 8  # bytes, aligned: the processors that Linux runs on read and write them whole


class Tally:
    """One number of a service, counted by several processes. Made before they are forked."""

    def __init__(self, slots: int) -> None:
        self._cells = memoryview(mmap(-1, slots * CELL)).cast("q")

    def cell(self, slot: int) -> "Cell":
        """The cell of the process that has this slot, at zero."""
        self.clear(slot)
        return Cell(self, self._cells[slot : slot + 1])

    def total(self) -> int:
        """What all have counted together."""
        return sum(self._cells)

    def clear(self, slot: int) -> None:
        """Forget what the owner of this slot has counted, because it is dead or new."""
        self._cells[slot] = 0


class Cell:
    """One process's share in a tally."""

    def __init__(self, tally: Tally, own: memoryview) -> None:
        self._own = own
        self.total = tally.total

    def add(self) -> None:
        self._own[0] += 1

    def remove(self) -> None:
        self._own[0] -= 1
