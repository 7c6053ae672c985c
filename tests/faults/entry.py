"""`python -m tests.faults.entry serve …`: the product's command line, with the failpoints of `points` in place."""

import inspect
import os
import signal
import time
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from functools import wraps
from importlib import import_module
from pathlib import Path
from threading import Lock
from typing import Any, ClassVar

from proxy.cli import main
from proxy.clock import Clock
from tests.faults.points import CLOCK, ERRORS, FOLDER, POINTS, STEPS, TRACE, Point

Function = Callable[..., Any]


class Trap:
    """What happens at one point. Counts the passages of this process while the point is armed."""

    passages: ClassVar[Counter[str]] = Counter()
    lock: ClassVar = Lock()

    def __init__(self, name: str, folder: Path) -> None:
        self._name = name
        self._file = folder / name
        self._trace = folder / TRACE

    def enter(self) -> None:
        """What has to come instead of the function, or before it."""
        deed, due = self._due()
        if deed == "hold":
            while self._file.exists():
                time.sleep(0.005)  # in a thread of the store's: nobody else is held up
        elif due and deed in ERRORS:
            raise OSError(ERRORS[deed], os.strerror(ERRORS[deed]))

    def spring(self) -> None:
        """What happens to a process that is exactly here."""
        if self._trace.exists():
            with self._trace.open("a") as file:
                file.write(f"{self._name}\n")
        deed, due = self._due(counting=True)
        if due and deed in ("kill", "stop"):
            with suppress(FileNotFoundError):  # another process was faster
                self._file.unlink()
                os.kill(os.getpid(), signal.SIGKILL if deed == "kill" else signal.SIGSTOP)

    def _due(self, *, counting: bool = False) -> tuple[str, bool]:
        if (
            not self._file.exists()
        ):  # which takes no descriptor: a trap that is not armed must not be a fault of its own
            return "", False
        try:
            deed, passage = self._file.read_text().split()
        except FileNotFoundError:
            return "", False
        with self.lock:
            self.passages[self._name] += counting
            return deed, self.passages[self._name] + (not counting) >= int(passage)


def wrap(trap: Trap, point: Point, function: Function) -> Function:
    """The function with the trap before or after it. A call that has nothing to do is no passage."""

    @wraps(function)
    def wrapped(*args: Any, **kwargs: Any) -> Any:  # noqa: ANN401
        trap.enter()
        if point.when == "before" and _does_something(args):
            trap.spring()
        result = function(*args, **kwargs)
        if point.when == "after" and result != []:
            trap.spring()
        return result

    @wraps(function)
    async def wrapped_coroutine(*args: Any, **kwargs: Any) -> Any:  # noqa: ANN401
        trap.enter()
        result = await function(*args, **kwargs)
        if result != []:
            trap.spring()
        return result

    return wrapped_coroutine if inspect.iscoroutinefunction(function) else wrapped


def _does_something(args: tuple[Any, ...]) -> bool:
    return not args or args[-1] != []


def install(name: str, point: Point, folder: Path) -> None:
    owner: Any = import_module(point.module)
    *classes, attribute = point.function.split(".")
    for class_name in classes:
        owner = getattr(owner, class_name)
    setattr(owner, attribute, wrap(Trap(name, folder), point, getattr(owner, attribute)))


def shift_clock(folder: Path) -> None:
    """Let the wall clock be ahead by as many seconds as the file says."""
    now, file = Clock.now, folder / CLOCK

    def shifted(clock: Clock) -> float:
        return now(clock) + (float(file.read_text() or 0) if file.exists() else 0)

    Clock.now = shifted  # type: ignore[method-assign,assignment]


if __name__ == "__main__":
    folder = Path(os.environ[FOLDER])
    for name, point in (POINTS | STEPS).items():
        install(name, point, folder)
    shift_clock(folder)
    main()
