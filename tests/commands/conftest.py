"""Fetching in this process: what was written where, and how it ended."""

import asyncio
import io
from collections.abc import Callable, Coroutine, Iterator
from pathlib import Path
from typing import Any, Final, NamedTuple

import pytest

from proxy.fetch import Ended, Terms, order_for, run
from proxy.fetch.order import Content
from tests.raw_client import LIMIT, Signal

Fetch = Callable[..., Coroutine[Any, Any, "Fetched"]]

TIMEOUT: Final = 4000.0  # seconds of `--timeout`, which nobody waits for


class Fetched(NamedTuple):
    """How a fetch ended."""

    code: int
    out: bytes
    err: str
    why: str  # it has no outcome; empty where it has one


class Terminal(io.StringIO):
    """A terminal's standard error."""

    def __init__(self) -> None:
        super().__init__()
        self._changed = Signal()

    def isatty(self) -> bool:
        return True

    def write(self, text: str) -> int:
        self._changed.notify()
        return super().write(text)

    async def shows(self, text: str) -> None:
        """Wait until it has shown this."""
        await self._changed.until(lambda: text in self.getvalue(), LIMIT, f"{text!r} on the terminal", self.getvalue)


class Screen(io.BytesIO):
    """A terminal's standard output."""

    def isatty(self) -> bool:
        return True


@pytest.fixture(autouse=True)
def _terminals_draw(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm")


def at_once() -> Iterator[float]:
    """Patience for three attempts, without pauses."""
    return iter((0.0, 0.0, 0.0))


@pytest.fixture
def fetch() -> Fetch:
    """Fetches a URL; keywords are those of `order_for` and of `Terms`."""

    async def fetch(
        url: str,
        *,
        method: str | None = None,
        fields: tuple[tuple[str, str | None], ...] = (),
        user: str | None = None,
        content: bytes | Path | None = None,
        stdout: io.BytesIO | None = None,
        stderr: io.StringIO | None = None,
        **terms: Any,  # noqa: ANN401  # as Terms takes them
    ) -> Fetched:
        sent = None if content is None else Content(content, "text/plain")
        out = io.BytesIO() if stdout is None else stdout
        err = io.StringIO() if stderr is None else stderr
        settings: dict[str, Any] = {"prefer": "respond-async", "patience": at_once, "poll": 1} | terms
        try:
            code = await run(order_for(url, method, fields, user, sent), Terms(**settings), out, err)
        except Ended as end:
            return Fetched(end.code, out.getvalue(), err.getvalue(), str(end))
        return Fetched(code, out.getvalue(), err.getvalue(), "")

    return fetch


@pytest.fixture
def fetch_too_late(fetch: Fetch, monkeypatch: pytest.MonkeyPatch) -> Fetch:
    """Fetches a URL, and `--timeout` is over as soon as the terminal shows what is `shown`."""
    timeout = asyncio.timeout
    given: list[asyncio.Timeout] = []  # by `--timeout`

    def noted(seconds: float | None) -> asyncio.Timeout:
        made = timeout(seconds)
        if seconds == TIMEOUT:
            given.append(made)
        return made

    monkeypatch.setattr(asyncio, "timeout", noted)

    async def fetch_too_late(url: str, shown: str = "waiting for the outcome", **terms: Any) -> Fetched:  # noqa: ANN401
        screen = Terminal()
        fetching = asyncio.create_task(fetch(url, stderr=screen, timeout=TIMEOUT, **terms))
        await screen.shows(shown)
        given.pop().reschedule(asyncio.get_running_loop().time())
        return await fetching

    return fetch_too_late


def names_in(folder: Path) -> set[str]:
    return {file.name for file in folder.iterdir()}
