"""The product as a process of its own, as an operator runs it: a configuration file, signals, a log, an exit code.

    async with Child(settings, tmp_path) as child:
        async with child.client() as client: ...
        child.signal(SIGTERM)
        assert await child.exit_code() == 0

Rules: no port is chosen beforehand, the log says which one it became; a child that is left is killed, by its own id.
"""

from __future__ import annotations

import asyncio
import json
import os
import resource
import sys
from contextlib import suppress
from pathlib import Path
from signal import SIGHUP, SIGTERM
from typing import TYPE_CHECKING, Any, Final, Self

import yaml
from prometheus_client.parser import text_string_to_metric_families

from tests.conftest import settings_for
from tests.raw_client import RawClient, Response, Signal

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from signal import Signals
    from types import TracebackType

    from tests.conftest import Settings

ROOT: Final = Path(__file__).parents[2]
LIMIT: Final = 10.0  # seconds for one wait

Line = dict[str, Any]


class Child:
    """`python -m proxy serve` with these settings, serving from `async with` on."""

    def __init__(
        self,
        settings: Settings,
        folder: Path,
        *,
        reads_log: bool = True,
        environ: Mapping[str, str] | None = None,
        descriptors: int | None = None,
        program: tuple[str, ...] = ("-m", "proxy"),
    ) -> None:
        """Without `reads_log`, nobody reads on after the child has begun to serve, until its end is waited for.

        Each of its processes has at most so many `descriptors`.
        """
        self._reads_on = asyncio.Event()
        if reads_log:
            self._reads_on.set()
        self.lines: list[Line] = []
        self.stderr = ""
        self._file = folder / "proxy.yaml"
        self._settings = settings
        self._environ = {**os.environ, **(environ or {})}
        self._changed = Signal()
        self._descriptors = descriptors
        self._program = program

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def port(self) -> int:
        return int(self._event("serving")["listen"][0].rpartition(":")[2])

    @property
    def admin_port(self) -> int:
        return int(self._event("serving")["admin"].rpartition(":")[2])

    @property
    def workers(self) -> list[int]:
        """The process ids of the workers, in the order in which they were started; of the dead too."""
        return [line["pid"] for line in self.lines if line["event"] == "worker started"]

    def client(self) -> RawClient:
        """A new connection, not yet made."""
        return RawClient(port=self.port)

    async def ask(
        self, method: str, target: bytes, *fields: tuple[bytes, bytes], body: bytes | None = None
    ) -> Response:
        """One exchange on a connection of its own."""
        async with self.client() as client:
            return await client.exchange(method, target, fields, body)

    async def operator_asks(self, target: bytes) -> Response:
        """The same at the address for operators."""
        async with RawClient(port=self.admin_port) as client:
            return await client.exchange("GET", target, [(b"Host", b"localhost")])

    def signal(self, number: Signals) -> None:
        self._process.send_signal(number)

    async def begins_to_drain(self, number: Signals = SIGTERM) -> None:
        """Signal it to stop, and wait until the worker that answers operators has heard of it."""
        self.signal(number)
        async with asyncio.timeout(LIMIT):
            while (await self.operator_asks(b"/readyz")).status != 503:
                pass

    async def logged(self, event: str, number: int = 1) -> Line:
        """The first line about this event, or that of this number, once it is there."""
        await self._until(lambda: self.count(event) >= number or self._reader.done(), f"log line {event!r}")
        return self._event(event, number)

    async def logs_more(self, than: int) -> None:
        """Until there are more lines than so many."""
        await self._until(lambda: len(self.lines) > than, f"more than {than} log lines")

    def count(self, event: str) -> int:
        return len(self._all(event))

    def configure(self, settings: Settings) -> None:
        """Write the file again, for a reload to find."""
        self._file.write_text(yaml.safe_dump(settings))

    async def reload(self, settings: Settings) -> None:
        """Write the file again, and have it read; until the old workers have been told to retire."""
        before = self.count("reloaded")
        self.configure(settings)
        self.signal(SIGHUP)
        await self.logged("reloaded", before + 1)

    async def figures(self) -> dict[tuple[str, ...], float]:
        """The metrics, by name and the values of their labels."""
        families = text_string_to_metric_families((await self.operator_asks(b"/metrics")).body.decode())
        return {(one.name, *one.labels.values()): one.value for family in families for one in family.samples}

    async def stop(self) -> None:
        """Have it stop, unless it has, and see that it does so well."""
        with suppress(ProcessLookupError):
            self.signal(SIGTERM)
        assert await self.exit_code() == 0

    async def exit_code(self) -> int:
        """How it ended, once it has."""
        self._reads_on.set()
        async with asyncio.timeout(LIMIT):
            await self._reader
            return await self._process.wait()

    async def __aenter__(self) -> Self:
        self.configure(self._settings)
        command = [sys.executable, *self._program, "serve", "--config", str(self._file)]
        self._process = await asyncio.create_subprocess_exec(
            *command, cwd=ROOT, env=self._environ, stderr=asyncio.subprocess.PIPE, preexec_fn=self._limit
        )
        self._reader = asyncio.create_task(self._read())
        try:
            await self.logged("serving")
        except BaseException:
            await self._end()
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._end()
        if error is not None:
            error.add_note(f"the child's log:\n{self.stderr}")
        else:
            assert "Traceback" not in self.stderr, self.stderr

    def _limit(self) -> None:
        if self._descriptors is not None:
            resource.setrlimit(resource.RLIMIT_NOFILE, (self._descriptors, self._descriptors))

    async def _end(self) -> None:
        self._reads_on.set()
        with suppress(ProcessLookupError):
            self._process.kill()
        await self._process.wait()
        await self._reader

    async def _read(self) -> None:
        assert self._process.stderr is not None
        async for raw in self._process.stderr:
            self.stderr += raw.decode()
            if raw.startswith(b"{"):
                self.lines.append(json.loads(raw))
            self._changed.notify()
            if self._all("serving"):
                await self._reads_on.wait()
        self._changed.notify()

    def _all(self, event: str) -> list[Line]:
        return [line for line in self.lines if line["event"] == event]

    def _event(self, event: str, number: int = 1) -> Line:
        lines = self._all(event)
        assert len(lines) >= number, f"no {event!r}: {self.stderr}"
        return lines[number - 1]

    async def _until(self, condition: Callable[[], bool], what: str) -> None:
        await self._changed.until(condition, LIMIT, what, lambda: self.stderr)


def stored_settings(origin_url: str, folder: Path, **route: Any) -> Settings:  # noqa: ANN401  # what YAML can hold
    """The settings of the other tests, with a store that survives and an address for operators."""
    stored = {"admin": "127.0.0.1:0", "store": {"url": f"sqlite://{folder / 'store'}"}}
    return settings_for(origin_url, **route) | stored


def path_of(response: Response) -> bytes:
    """The path of a 202's status URL."""
    assert response.status == 202, (response.status, response.body)
    location = response.field(b"location") or b""
    return b"/" + location.split(b"/", 3)[3]
