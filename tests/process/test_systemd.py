"""What systemd is told, on a socket such as it listens on."""

import asyncio
import os
import re
import socket
from collections.abc import Iterator
from pathlib import Path
from signal import SIGCONT, SIGHUP, SIGSTOP, SIGTERM

import pytest

from tests.conftest import Settings
from tests.process.child import Child, stored_settings
from tests.scripted_origin import ScriptedOrigin

PERIOD = 0.2  # seconds within which the watchdog wants to hear of it


class Systemd:
    """The receiving side of the notify protocol."""

    def __init__(self, address: str) -> None:
        self._sock = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._sock.settimeout(0)
        self._sock.bind("\0" + address[1:] if address.startswith("@") else address)
        self.environ = {"NOTIFY_SOCKET": address}

    async def told(self, limit: float = 10) -> list[str]:
        """The lines of the next message."""
        data = await asyncio.wait_for(asyncio.get_running_loop().sock_recv(self._sock, 4096), limit)
        return data.decode().splitlines()

    async def told_of(self, line: str) -> list[str]:
        """The lines of the next message that has this one."""
        while line not in (lines := await self.told()):
            pass
        return lines

    async def is_told_nothing(self, seconds: float) -> bool:
        """Whether nothing comes within that time, but for one that may have been on its way."""
        heard = 0
        try:
            async with asyncio.timeout(seconds):
                while heard < 2:
                    await self.told()
                    heard += 1
        except TimeoutError:
            return True
        return False

    def close(self) -> None:
        self._sock.close()


@pytest.fixture(params=["path", "abstract"])
def systemd(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Systemd]:
    systemd = Systemd(f"{tmp_path}/notify" if request.param == "path" else f"@respond-async-test-{os.getpid()}")
    yield systemd
    systemd.close()


@pytest.fixture
def settings(origin: ScriptedOrigin, tmp_path: Path) -> Settings:
    return stored_settings(origin.url, tmp_path) | {"workers": 2}


async def test_it_is_told_of_start_reload_and_stop(systemd: Systemd, settings: Settings, tmp_path: Path) -> None:
    async with Child(settings, tmp_path, environ=systemd.environ) as child:
        assert await systemd.told() == ["READY=1", "STATUS=Serving with 2 workers."]
        await child.reload(settings | {"workers": 1})
        reloading, since, _ = await systemd.told()
        assert (reloading, bool(re.fullmatch(r"MONOTONIC_USEC=\d+", since))) == ("RELOADING=1", True)
        assert await systemd.told() == ["READY=1", "STATUS=Serving with 1 worker."]
        child.configure(settings | {"workers": 0})
        child.signal(SIGHUP)
        assert (await systemd.told())[0] == "RELOADING=1"
        assert await systemd.told() == ["READY=1", "STATUS=The new configuration was refused."]
        child.signal(SIGTERM)
        assert await systemd.told() == ["STOPPING=1", "STATUS=Draining."]
        assert await child.exit_code() == 0


@pytest.mark.parametrize("systemd", ["path"], indirect=True)
async def test_the_watchdog_is_told_nothing_while_a_worker_hangs(
    systemd: Systemd, settings: Settings, tmp_path: Path
) -> None:
    environ = systemd.environ | {"WATCHDOG_USEC": str(int(PERIOD * 1_000_000))}
    async with Child(settings, tmp_path, environ=environ) as child:
        await systemd.told_of("READY=1")
        for _ in range(3):
            assert await systemd.told() == ["WATCHDOG=1"]
        os.kill(child.workers[0], SIGSTOP)
        assert await systemd.is_told_nothing(5 * PERIOD)
        os.kill(child.workers[0], SIGCONT)
        assert await systemd.told() == ["WATCHDOG=1"]
        await child.stop()


@pytest.mark.parametrize("systemd", ["path"], indirect=True)
async def test_a_systemd_that_is_gone_is_no_matter(systemd: Systemd, settings: Settings, tmp_path: Path) -> None:
    systemd.close()
    async with Child(settings, tmp_path, environ=systemd.environ) as child:
        await child.stop()
