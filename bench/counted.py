"""The proxy in one process, for an instrument that counts what it does: `python -m bench.counted CONFIGURATION`.

At each SIGUSR1 it calls `getloadavg`, which it does nowhere else: callgrind is told to write down, and begin anew, there.
"""

import asyncio
import os
import signal
import sys
from pathlib import Path

import uvloop

from proxy.config import load
from proxy.logwriter import LogWriter, to_standard_error
from proxy.observe import configure_logging
from proxy.server import serving


async def main(file: Path) -> None:
    config = load(file, {})
    configure_logging(config.log, LogWriter(to_standard_error))
    loop, ended = asyncio.get_running_loop(), asyncio.Event()
    loop.add_signal_handler(signal.SIGUSR1, os.getloadavg)
    loop.add_signal_handler(signal.SIGTERM, ended.set)
    async with serving(config):
        await ended.wait()


if __name__ == "__main__":
    uvloop.run(main(Path(sys.argv[1])))
