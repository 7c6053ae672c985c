"""Somebody who comes from elsewhere, as far as one machine allows it, and asks a front server through curl."""

import asyncio
from asyncio.subprocess import DEVNULL, PIPE
from dataclasses import dataclass
from pathlib import Path
from typing import Final, NamedTuple

from tests.deploy.front import HOST, Front

ADDRESS: Final = "127.0.0.2"  # not the front server's own, 127.0.0.1, from which the product hears
LIMIT: Final = 20  # seconds for one exchange


class Answer(NamedTuple):
    version: str
    status: int
    fields: list[tuple[str, str]]
    body: bytes

    def all(self, name: str) -> list[str]:
        return [value for key, value in self.fields if key.lower() == name.lower()]

    def field(self, name: str) -> str:
        [value] = self.all(name)
        return value


@dataclass(frozen=True)
class Visitor:
    """curl, with HTTP/1.1 or HTTP/2 over TLS."""

    front: Front
    folder: Path
    version: str = "--http1.1"

    async def ask(self, target: str, *fields: str, method: str = "GET", body: bytes | None = None) -> Answer:
        """One exchange; `target` is a path or a whole URL."""
        url = target if target.startswith("https:") else self.front.url + target
        head = self.folder / "head"
        command = [
            "curl", "--silent", "--show-error", "--max-time", str(LIMIT), "--path-as-is", "--globoff", self.version,
            "--interface", ADDRESS, "--resolve", f"{HOST}:{self.front.port}:127.0.0.1", "--cacert", str(self.front.cert),
            "--dump-header", str(head), "--request", method,
        ]  # fmt: skip
        for field in fields:
            command += ["--header", field]
        if body is not None:
            command += ["--data-binary", "@-", "--header", "Content-Type: application/octet-stream"]
        stdin = DEVNULL if body is None else PIPE
        curl = await asyncio.create_subprocess_exec(*command, url, stdin=stdin, stdout=PIPE, stderr=PIPE)
        content, trouble = await curl.communicate(body)
        assert curl.returncode == 0, trouble.decode()
        return _read(head.read_bytes().decode("latin-1"), content)


def _read(heads: str, body: bytes) -> Answer:
    """The last of the heads: others are interim ones."""
    start, *lines = heads.rstrip("\r\n").split("\r\n\r\n")[-1].split("\r\n")
    version, status, *_ = start.split(" ")
    pairs = [line.partition(":") for line in lines]
    return Answer(version, int(status), [(name, value.strip()) for name, _, value in pairs], body)
