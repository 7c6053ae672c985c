"""The whole service as its operator has it: a command, fixed ports, a store folder; killed and started again at will.

    async with Service(settings, folder) as service:
        await service.kill()
        await service.start()

`tests.process.child.Child` is one process from start to end; this is what stays when processes come and go.
"""

import asyncio
import json
import os
import resource
import signal
import socket
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from random import Random
from typing import Any, Final, Self

import yaml

from tests.conftest import Settings
from tests.faults import procfs
from tests.faults.patience import LIMIT, until
from tests.faults.points import FOLDER, Failpoints
from tests.raw_client import Field, RawClient, Response

ROOT: Final = Path(__file__).parents[2]
KEPT_LOGS: Final = 10


def unused_ports(count: int) -> list[int]:
    """Ports on which nobody listens."""
    with ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for sock in sockets:
            sock.bind(("127.0.0.1", 0))
        return [sock.getsockname()[1] for sock in sockets]


def service_settings(
    origin_url: str,
    store: Path,
    route: Settings | None = None,
    origin: Settings | None = None,
    top: Settings | None = None,
    **respond_async: Any,  # noqa: ANN401  # what YAML can hold
) -> Settings:
    """One route on which everything may be answered later; ports that stay the same when it is started again.

    `route`, `origin` and `top` are more of the route, the origin, and the top level.
    """
    port, admin = unused_ports(2)
    return {
        "listen": f"127.0.0.1:{port}",
        "admin": f"127.0.0.1:{admin}",
        "store": {"url": f"sqlite://{store}"},
        "drain_timeout": "10s",
        "origins": {"legacy": {"url": origin_url, "keepalive_timeout": "1s"} | (origin or {})},
        "routes": [{"name": "everything", "origin": "legacy", "respond_async": respond_async} | (route or {})],
    } | (top or {})


class Service:
    """`respond-async serve` with these settings; its failpoints are in `points`."""

    def __init__(self, settings: Settings, folder: Path) -> None:
        self.settings = settings
        self.points = Failpoints(folder / "points")
        self.peak = 0  # bytes of memory, the most that one of its processes was seen to have had
        self.tracebacks: list[str] = []
        self.log = folder / "log-0"
        self._folder = folder
        self._starts = 0

    @property
    def port(self) -> int:
        return _port(self.settings["listen"])

    @property
    def admin_port(self) -> int:
        return _port(self.settings["admin"])

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def workers(self) -> list[int]:
        """The processes that serve; none where the one that was started serves itself."""
        return procfs.children(self.pid)

    @property
    def pids(self) -> list[int]:
        return [self.pid, *self.workers]

    @property
    def has_ended(self) -> bool:
        return not procfs.is_there(self.pid)

    @property
    def descriptors(self) -> int:
        """Open in all of its processes."""
        return sum(len(procfs.descriptors(pid)) for pid in self.pids)

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        try:
            await self.kill()
        finally:
            for pid in self._left_behind():
                os.kill(pid, signal.SIGKILL)
        if error is not None:
            error.add_note(f"the end of the service's log:\n{self._said()[-5000:]}")
        else:
            assert not self.tracebacks, self.tracebacks[0]

    # Its life.

    async def start(self) -> None:
        """Start it, on the same ports and store, and wait until it serves."""
        await self.launch()
        try:
            await self.until_serving()
        except BaseException as exc:
            exc.add_note(self._said()[-5000:])
            await self.kill()
            raise

    async def launch(self) -> None:
        """Only start the command."""
        self._starts += 1
        self.log = self._folder / f"log-{self._starts}"
        command = [sys.executable, "-m", "tests.faults.entry", "serve", "--config", str(self._write_settings())]
        environment = os.environ | {FOLDER: str(self.points.folder)}
        with self.log.open("wb") as log:
            self._process = await asyncio.create_subprocess_exec(*command, cwd=ROOT, stderr=log, env=environment)

    async def until_serving(self) -> None:
        await self.until_logged("serving")

    async def until_logged(self, event: str) -> None:
        """Wait until it has logged this."""
        await until(lambda: self.has_ended or self._has_logged(event), f"log line {event!r}")
        assert self._has_logged(event), f"it ended: {self._said()[-5000:]}"

    async def kill(self) -> None:
        """SIGKILL to the process that was started, and wait until all of its processes are gone."""
        if not self.has_ended:
            self.note_memory()
        with suppress(ProcessLookupError):
            self._process.kill()
        await self.ended()

    async def terminate(self) -> None:
        """SIGTERM, and wait until it is gone."""
        with suppress(ProcessLookupError):
            self._process.terminate()
        await self.ended()

    async def kill_worker(self, random: Random) -> None:
        """SIGKILL to one of its workers, and wait until there is another in its place."""
        before = self.workers
        victim = random.choice(before)
        os.kill(victim, signal.SIGKILL)
        await until(lambda: len(set(self.workers) - {victim}) >= len(before), "new worker")

    def successor(self) -> "Service":
        """Another service with the same settings, on the same ports and store; not yet started."""
        folder = self._folder / "next"
        folder.mkdir()
        return Service(self.settings, folder)

    async def reload(self, **changes: Any) -> None:  # noqa: ANN401  # what YAML can hold
        """SIGHUP after changes at the top level of its configuration, and wait until all of its workers are new."""
        self.settings |= changes
        self._write_settings()
        before = set(self.workers)
        self.signal(signal.SIGHUP)
        await until(lambda: len(set(self.workers) - before) == len(before), "new generation of workers")

    def doom(self, point: str, passage: int = 1) -> None:
        """Have the process die that passes there for the n-th time."""
        self._mortal = self.pids
        self.points.arm(point, passage=passage)

    async def struck(self, point: str) -> None:
        """Wait until it has died there, and serves again: by itself if it lost a worker, else started anew."""
        await until(lambda: self.points.has_fired(point), f"passage of {point}")
        await until(lambda: not all(map(procfs.is_there, self._mortal)), "death of who passed")
        if self.has_ended:
            await self.ended()
            await self.start()
        else:
            await until(lambda: len(self.pids) >= len(self._mortal), "another worker")

    async def ended(self) -> int:
        """Wait until all of its processes are gone; the exit code of the first."""
        async with asyncio.timeout(LIMIT):
            code = await self._process.wait()
        await until(lambda: not self._left_behind(), "end of all processes")
        self._keep_traceback()
        return code

    def signal(self, number: signal.Signals) -> None:
        self._process.send_signal(number)

    @contextmanager
    def stopped(self) -> Iterator[None]:
        """SIGSTOP to all of its processes, and SIGCONT afterwards."""
        pids = self.pids
        for pid in pids:
            os.kill(pid, signal.SIGSTOP)
        try:
            yield
        finally:
            for pid in filter(procfs.is_there, pids):
                os.kill(pid, signal.SIGCONT)

    @contextmanager
    def limited(self, kind: int, most: Callable[[int], int]) -> Iterator[None]:
        """Meanwhile, its processes may have no more of a resource than `most` gives for the id of each."""
        before = {pid: resource.prlimit(pid, kind) for pid in self.pids}
        for pid, (_, hard) in before.items():
            resource.prlimit(pid, kind, (most(pid), hard))
        try:
            yield
        finally:
            for pid in filter(procfs.is_there, before):
                resource.prlimit(pid, kind, before[pid])

    def note_memory(self) -> None:
        """Remember the most memory that one of its processes has had so far."""
        with suppress(OSError):  # it ends at this moment
            self.peak = max(self.peak, *(procfs.resident(pid, "VmHWM") for pid in self.pids))

    # Talking to it.

    def client(self, limit: float = LIMIT) -> RawClient:
        """A new connection, not yet made."""
        return RawClient(port=self.port, limit=limit)

    async def ask(self, method: str, target: bytes, *fields: Field, body: bytes | None = None) -> Response:
        """One exchange on a connection of its own."""
        async with self.client() as client:
            return await client.exchange(method, target, fields, body)

    async def operator_asks(self, target: bytes) -> Response:
        async with RawClient(port=self.admin_port) as client:
            return await client.exchange("GET", target, [(b"Host", b"localhost")])

    def lines(self) -> list[dict[str, Any]]:
        """Its log since it was started."""
        return [json.loads(line) for line in self._said().splitlines() if line.startswith("{") and line.endswith("}")]

    def _write_settings(self) -> Path:
        file = self._folder / "service.yaml"
        file.write_text(yaml.safe_dump(self.settings))
        return file

    def _has_logged(self, event: str) -> bool:
        return any(line["event"] == event for line in self.lines())

    def _left_behind(self) -> list[int]:
        """What is still there of all that was started for this service, whoever its parent is now."""
        return procfs.with_variable(FOLDER, str(self.points.folder))

    def _said(self) -> str:
        return self.log.read_text(errors="replace") if self.log.exists() else ""

    def _keep_traceback(self) -> None:
        """Keep what a defect left in the log, and remove the log where there is none: a soak makes a lot of it."""
        if "Traceback" in (said := self._said()):
            self.tracebacks.append(said[max(0, said.find("Traceback") - 500) :][:5000])
        elif self._starts > KEPT_LOGS:
            self.log.unlink(missing_ok=True)


def _port(address: str) -> int:
    return int(address.rpartition(":")[2])
