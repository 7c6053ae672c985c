"""What a service answers, as far as it is read and shown; whatever listens there may have answered something else."""

from collections.abc import Mapping, Sequence
from types import NoneType
from typing import Any, Final, TypeGuard

Json = dict[str, Any]
Kind = type | tuple["Kind", ...] | Sequence["Kind"] | Mapping[str, "Kind"]
"""A type; in a tuple, one of several; in a list, what each of a list is; or by the names of a document's members."""

Shape = Mapping[str, Kind]

DEEPEST: Final = 16  # documents and lists in one another
LARGEST: Final = 1 << 63  # what numbers there are can be

_NUMBER: Final = (int, float)
_MAYBE: Final = (*_NUMBER, NoneType)

PROBLEM: Final[Shape] = {"title": str, "status": int, "detail": str}  # RFC 9457
OPERATION: Final[Shape] = {
    "id": str,
    "state": str,
    "route": str,
    "method": str,
    "target": str,
    "age": _NUMBER,
    "waited": _MAYBE,
    "duration": _MAYBE,
    "left": _MAYBE,
    "bytes": _MAYBE,
    "size": _MAYBE,
    "status": (int, NoneType),
    "progress": (str, NoneType),
    "error": ({"code": str, "detail": str}, NoneType),
    "why": str,
}
COUNTS: Final[Shape] = dict.fromkeys(("queued", "running", "completed", "failed", "dismissed", "settled"), int)
PAGE: Final[Shape] = {"operations": [OPERATION], "counts": COUNTS, "next": (str, NoneType), "time": str}
ENDED: Final[Shape] = {"dismissed": int, "removed": int}
RECENT: Final[Shape] = {"requests": [{"time": str, "status": int, "method": str, "path": str, "end": str}]}
REQUESTS: Final[Shape] = {"requests": [{"id": str, "bytes": int}], "operations": [OPERATION]}
ROUTES: Final[Shape] = {"routes": [{"name": str}]}


def is_like(document: object, shape: Shape) -> TypeGuard[Json]:
    """Whether it has at least these members, of these kinds, and nothing anywhere that could not be shown."""
    return _is_of(document, shape) and _is_plain(document)


def _is_of(value: object, kind: Kind) -> bool:
    match kind:
        case type():
            return isinstance(value, kind)
        case Mapping():
            return isinstance(value, dict) and all(
                name in value and _is_of(value[name], its) for name, its in kind.items()
            )
        case tuple():
            return any(_is_of(value, one) for one in kind)
        case _:
            return isinstance(value, list) and all(_is_of(one, kind[0]) for one in value)


def _is_plain(value: object, depth: int = DEEPEST) -> bool:
    """JSON has no limits, and Python's reading of it no number and infinity."""
    match value:
        case dict():
            return depth > 0 and all(_is_plain(one, depth - 1) for one in value.values())
        case list():
            return depth > 0 and all(_is_plain(one, depth - 1) for one in value)
        case int() | float():
            return -LARGEST < value < LARGEST
        case _:
            return True
