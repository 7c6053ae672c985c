"""Named places in the product where a process can be made to die, stop, hang or fail, from outside.

Nothing of it is in the product: `python -m tests.faults.entry` wraps the functions of this table before it runs the
command line, and workers that are forked inherit that. A place is armed by a file of its name in a folder that both
sides know, so it can be done at any moment, and the file is gone once it has fired.
"""

import errno
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

When = Literal["before", "after"]
Error = Literal["ENOSPC", "EIO"]
Deed = Literal["kill", "stop", "hold", Error]

ERRORS: Final = {"ENOSPC": errno.ENOSPC, "EIO": errno.EIO}
TRACE: Final = "trace"  # if there is a file of this name, the names of the places passed are added to it
CLOCK: Final = "clock"  # how many seconds the wall clock is ahead
FOLDER: Final = "FAULTS"  # the environment variable that names the folder


@dataclass(frozen=True)
class Point:
    """Where it is: a function of the product, and before or after it has done its work."""

    module: str
    function: str
    when: When


POINTS: Final = {
    "before-accept-commit": Point("proxy.store.changes", "insert", "after"),  # in the transaction
    "after-accept-commit": Point("proxy.store.sqlite", "SqliteStore.create", "after"),  # no 202 yet
    "first-byte-sent": Point("proxy.connection", "Connection.write", "after"),
    "in-body": Point("proxy.store.files", "PartFile.append", "after"),
    "before-publishing": Point("proxy.store.files", "PartFile._publish", "before"),
    "body-whole": Point("proxy.store.files", "PartFile.complete", "after"),  # and not yet settled
    "before-settle-commit": Point("proxy.store.changes", "settle", "after"),
    "settled": Point("proxy.store.sqlite", "SqliteStore.settle", "after"),  # nobody has been told
    "before-delete-commit": Point("proxy.store.changes", "delete", "after"),
    "before-expiry-commit": Point("proxy.store.changes", "sweep", "after"),
    "rows-dropped": Point("proxy.store.bodies", "Bodies.drop", "before"),  # committed; their files are still there
    "orphans-found": Point("proxy.store.sqlite", "SqliteStore.orphans", "after"),
    "taken-over": Point("proxy.store.sqlite", "SqliteStore.take_over", "after"),  # and not yet sent again
    "sent-durable": Point("proxy.store.sqlite", "SqliteStore.start", "after"),  # and no byte of it sent
    "sockets-asked-for": Point("proxy.handover", "_answer", "before"),  # they are under way, perhaps
    "sockets-taken": Point("proxy.handover", "Handover._inherit", "after"),
    "worker-ready": Point("proxy.server", "Service.listen", "before"),  # but for accepting
}

# These are what a power loss would show: the order in which things reach the disk.
STEPS: Final = {
    "fsync": Point("os", "fsync", "after"),
    "renamed": Point("pathlib", "Path.rename", "after"),
}

HAND_OVER: Final = ("sockets-asked-for", "sockets-taken", "worker-ready")

# Those that are passed where there is neither expiry, nor a dead process, nor a queue, nor a successor.
UNDER_LOAD: Final = tuple(
    name
    for name in POINTS
    if name not in ("before-expiry-commit", "orphans-found", "taken-over", "sent-durable", *HAND_OVER)
)


class Failpoints:
    """The folder, from the test's side."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(exist_ok=True)
        self.folder = folder

    def arm(self, point: str, deed: Deed = "kill", passage: int = 1) -> None:
        """Have it done by the first process that passes there for the n-th time. Errors are raised from then on."""
        assert point in POINTS, point
        file = self.folder / f".{point}"
        file.write_text(f"{deed} {passage}")
        file.rename(self.folder / point)  # so that nobody reads half of it

    def disarm(self, point: str) -> None:
        (self.folder / point).unlink(missing_ok=True)

    def has_fired(self, point: str) -> bool:
        return not (self.folder / point).exists()

    @contextmanager
    def armed(self, point: str, deed: Deed, passage: int = 1) -> Iterator[None]:
        self.arm(point, deed, passage)
        try:
            yield
        finally:
            self.disarm(point)

    def shift_clock(self, seconds: float) -> None:
        (self.folder / CLOCK).write_text(str(seconds))

    @contextmanager
    def traced(self) -> Iterator[list[str]]:
        """The places that were passed, in order, once the block is left."""
        file, passed = self.folder / TRACE, list[str]()
        file.touch()
        yield passed
        passed += file.read_text().split()
        file.unlink()
