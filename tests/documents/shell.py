"""A shell that runs what the documents show, one command after the other, and what it should print.

What differs from one run to the next is compared by its form: ids, dates, seconds, sizes of answers, ports. `…` stands
for anything; alone on a line, for any number of lines.
"""

import asyncio
import os
import re
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import TracebackType
from typing import Final, NamedTuple, Self

LIMIT: Final = 60.0  # seconds for one command
END: Final = "-- end of command --"
PROMPT: Final = "$ "

# What is not the same twice, and what stands for it.
_FORMS: Final = {
    r"\b\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z": "TIME",
    r"\b\w{3}, \d\d \w{3} \d{4} \d\d:\d\d:\d\d GMT": "DATE",
    r"(?<=/\.async/)[\w-]{24}": "ID",
    r'(?<="id": ")[\w-]{8,32}': "ID",
    r'(?<="operation": ")[\w-]{8}': "ID",
    r"(?<= operation )[\w-]{8}(?=\.)": "ID",
    r"\b\d+ milliseconds": "N milliseconds",
    r"(?<=127\.0\.0\.1:)\d+": "PORT",
    r"\b\d+(\.\d+)? s\b": "N s",
    r'(?<="seconds": )[\d.]+': "N",
    r"(?<=Retry-After: )\d+": "N",
    r"(?<=Content-Length: )\d+": "N",
}


class Step(NamedTuple):
    """A command and what is shown below it."""

    command: str
    shown: str


def steps(text: str) -> Iterator[Step]:
    """The commands of a block: what follows `$ `, with the lines that a backslash joins to it."""
    lines = text.splitlines()
    while lines:
        line = lines.pop(0)
        assert line.startswith(PROMPT), f"a block of `console` begins with `$ `, and not with {line!r}"
        command = line.removeprefix(PROMPT)
        while command.endswith("\\"):
            command += "\n" + lines.pop(0)
        shown = []
        while lines and not lines[0].startswith(PROMPT):
            shown.append(lines.pop(0))
        yield Step(command, "\n".join(shown))


def is_as_shown(printed: str, shown: str) -> bool:
    """Whether a command printed what the document shows, but for what differs each time."""
    expected = "".join(map(_pattern, _of_one_form(shown).strip("\n").splitlines(keepends=True)))
    return bool(re.fullmatch(expected, _of_one_form(printed).strip("\n")))


def _of_one_form(text: str) -> str:
    for form, name in _FORMS.items():
        text = re.sub(form, name, text)
    return text


def _pattern(line: str) -> str:
    if line.strip() == "…":
        return r"(?s:.*)"
    return re.escape(line).replace("…", ".*")


class Shell:
    """A bash in a folder, from `async with` on."""

    def __init__(self, folder: Path, environ: Mapping[str, str]) -> None:
        path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
        self._folder = folder
        self._environ = {**os.environ, "LC_ALL": "C.UTF-8", "PATH": path, **environ}

    async def __aenter__(self) -> Self:
        reading, writing = os.pipe()  # asyncio's own would be a socket, which /dev/stderr cannot be opened as
        self._printed = asyncio.StreamReader()
        protocol = asyncio.StreamReaderProtocol(self._printed)
        self._pipe, _ = await asyncio.get_running_loop().connect_read_pipe(lambda: protocol, os.fdopen(reading, "rb"))
        self._bash: Process = await asyncio.create_subprocess_exec(
            "bash", "--norc", stdin=PIPE, stdout=writing, stderr=writing, cwd=self._folder, env=self._environ
        )
        os.close(writing)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._bash.stdin
        self._bash.stdin.close()
        if error is not None:
            self._bash.kill()
        await self._bash.wait()
        self._pipe.close()

    async def run(self, command: str) -> str:
        """What the command prints, on either of its outputs."""
        assert self._bash.stdin
        self._bash.stdin.write(f"{command}\necho; echo '{END}'\n".encode())
        async with asyncio.timeout(LIMIT):
            printed = await self._printed.readuntil(f"{END}\n".encode())
        return printed.decode().removesuffix(f"\n{END}\n").replace("\r\n", "\n")
