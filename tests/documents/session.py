"""What a reader of a page has before them: a folder, a shell, a backend and a service.

A page is read from its beginning: blocks with a title become files, and commands are run one after the other in one
shell, against the service of the demo, or against the page's own once it shows `respond-async serve`. The addresses of
the pages (backend 8000, proxy 8080, admin 8081) become those that are free.
"""

import re
from contextlib import AsyncExitStack
from itertools import count
from pathlib import Path
from typing import Any, Final

import yaml

from proxy.demo import LegacyBackend, demo_config
from tests.documents.blocks import Block
from tests.documents.shell import Shell, Step, is_as_shown, steps
from tests.process.child import Child

ENVIRON: Final = {"ORIGIN_URL": "http://10.0.0.5:8000", "REPORTS_KEY": "k", "LEGACY_KEY": "k"}

# Commands that cannot be run here, by how they begin after assignments.
NOT_RUN: Final = {
    "docker": "needs a daemon, and images from elsewhere",
    "git": "is about a repository, not about the product",
    "install": "changes the machine",
    "journalctl": "needs a machine that systemd has started",
    "kubectl": "needs a cluster",
    "make": "takes minutes, or runs until it is ended; its targets are compared with the Makefile",
    "python3 -m pip install": "changes the environment that runs this",
    "respond-async demo": "is what the commands are run against",
    "systemctl": "needs a machine that systemd has started",
    "useradd": "changes the machine",
    ".venv/bin/pytest": "is what runs this",
    ".venv/bin/ruff": "is run by `make test`, before this",
}
_ASSIGNMENTS: Final = re.compile(r"(?:\w+=\S* )*")
_FUNCTION: Final = re.compile(r"^(\w+)\(\) {")
_SERVE: Final = re.compile(r"respond-async serve --config (\S+)(?: 2>(\S+))?")


def is_run(step: Step) -> bool:
    return not _ASSIGNMENTS.sub("", step.command, count=1).startswith(tuple(NOT_RUN))


class Session:
    """A reader at work, from `begin` on until the stack is closed."""

    def __init__(self, folder: Path, backend: LegacyBackend, stack: AsyncExitStack) -> None:
        self._folder = folder
        self._stack = stack
        self._services = count(1)
        self._log = ""  # the file that has the log, where the page says so
        self._readers: list[str] = []  # the functions of the page that look into it
        self._addresses = {"127.0.0.1:8000": f"127.0.0.1:{backend.port}"}
        self._demo = demo_config(backend.port, port=0, admin_port=0, folder=folder / "data")

    async def begin(self) -> None:
        self._shell = await self._stack.enter_async_context(Shell(self._folder, ENVIRON))
        await self._serve(self._demo)

    async def follow(self, block: Block) -> None:
        if block.title:
            file = self._folder / block.title
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(self._here(block.text))
        if block.language == "console":
            for step in filter(is_run, steps(block.text)):
                await self._take(block, step)

    async def _take(self, block: Block, step: Step) -> None:
        if found := _SERVE.fullmatch(step.command):
            await self._serve((self._folder / found[1]).read_text())
            self._log = found[2] or ""
        else:
            printed = await self._run(step)
            assert is_as_shown(printed, step.shown), (
                f"{block}: {step.command}\nprinted:\n{printed}\nshown:\n{step.shown}"
            )

    async def _run(self, step: Step) -> str:
        """What it prints."""
        if self._log and any(name in step.command for name in (self._log, *self._readers)):
            self._readers += _FUNCTION.findall(step.command)
            return await self._read_log(step)
        return await self._shell.run(self._here(step.command))

    async def _read_log(self, step: Step) -> str:
        """What it prints once the log has what is shown: requests do not wait for the log."""
        while True:
            lines = len(self._child.lines)
            (self._folder / self._log).write_text(self._child.stderr)
            printed = await self._shell.run(self._here(step.command))
            if is_as_shown(printed, step.shown):
                return printed
            try:
                await self._child.logs_more(lines)
            except TimeoutError:
                return printed

    async def _serve(self, configuration: str) -> None:
        """Have the service run with this configuration, at addresses of its own."""
        settings: dict[str, Any] = yaml.safe_load(configuration)
        folder = self._folder / f"service-{next(self._services)}"
        folder.mkdir()
        child = Child({**settings, "listen": "127.0.0.1:0", "admin": "127.0.0.1:0"}, folder, environ=ENVIRON)
        self._child = await self._stack.enter_async_context(child)
        self._addresses["127.0.0.1:8080"] = f"127.0.0.1:{child.port}"
        self._addresses["127.0.0.1:8081"] = f"127.0.0.1:{child.admin_port}"

    def _here(self, text: str) -> str:
        for shown, here in self._addresses.items():
            text = text.replace(shown, here)
        return text
