"""Where operations and their bodies live. This opens a store.

In reading order: `tokens` (ids that are names of files), `listing` (lists of operations, as they are asked for),
`protocol` (what every store promises), `faults` (what breaks below one), `watch` (who waits for a settling), `bodies`
and `growth` (bodies in rows and files, and how far they have come), `memory` (the store for trying out).

The store in a folder: `threads` and `files` (bodies on disk), `keepers` (which processes are alive), `rows` (operations
as rows), `database` (its schema), `folder` (what is where, and made ready), `queries`, `lists` and `changes` (what is
asked of the database and changed in it), `lane` (in which thread), `known` (what need not be asked), `sqlite` (all of it
together).
"""

from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Literal

from proxy.store.bodies import LONGEST_INLINE, inline_content, inlined
from proxy.store.listing import ANY, SETTLED, UNSETTLED, Page, Wanted
from proxy.store.memory import open_memory
from proxy.store.protocol import UNKNOWN, UNLIMITED, Quotas, Sink, Store, Usage
from proxy.store.sqlite import open_sqlite

__all__ = [
    "ANY",
    "LONGEST_INLINE",
    "SETTLED",
    "UNKNOWN",
    "UNLIMITED",
    "UNSETTLED",
    "Page",
    "Quotas",
    "Sink",
    "Store",
    "Usage",
    "Wanted",
    "inline_content",
    "inlined",
    "open_store",
]


def open_store(
    kind: Literal["sqlite", "memory"], folder: Path | None, max_size: int, keeper: str
) -> AbstractAsyncContextManager[Store]:
    """A store of this kind, for the process whose id, new at each start, is `keeper`.

    `folder` is where a sqlite store lives; `max_size` in bytes is the size of all that Usage.bytes counts from which on it
    takes no more operations, and beyond which no body grows. Opening raises StoreUnavailable with a detail for the operator: what is wrong where, and what to do.
    """
    if kind == "memory":
        return open_memory(max_size, keeper)
    if folder is None:
        raise ValueError("a sqlite store needs a folder")
    return open_sqlite(folder, max_size, keeper)
