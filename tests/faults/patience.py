"""Waiting for what sets no event: processes, files, the kernel's counts."""

import asyncio
from collections.abc import Callable

LIMIT = 15.0  # seconds


async def until(condition: Callable[[], bool], what: str, seconds: float = LIMIT) -> None:
    """Wait until it holds; not longer than the limit, and then fail with the name of what was waited for."""
    try:
        async with asyncio.timeout(seconds):
            while not condition():  # noqa: ASYNC110  # nobody sets an event for it
                await asyncio.sleep(0.01)
    except TimeoutError:
        raise TimeoutError(f"no {what} within {seconds} s") from None
