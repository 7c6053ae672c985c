"""A desk before a service that is a process of its own."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest

from tests.faults.counting_origin import CountingOrigin
from tests.faults.desk import Desk
from tests.faults.disk import may_mount, small_disk
from tests.faults.service import Service, service_settings

Open = Callable[..., Awaitable[Desk]]


@pytest.fixture
async def open_desk(tmp_path: Path) -> AsyncIterator[Open]:
    """Opens a desk; keywords are those of `service_settings`."""
    async with AsyncExitStack() as stack:

        async def open_desk(store: Path = tmp_path / "store", **terms: Any) -> Desk:  # noqa: ANN401
            origin = await stack.enter_async_context(CountingOrigin())
            settings = service_settings(origin.url, store, **terms)
            return Desk(await stack.enter_async_context(Service(settings, tmp_path)), origin)

        yield open_desk


@pytest.fixture
async def desk(open_desk: Open) -> Desk:
    return await open_desk()


@pytest.fixture
def mounts() -> None:
    """For tests that mount something."""
    if not may_mount():
        pytest.skip("only root may mount a small disk, and this is not root or may not either")


@pytest.fixture
async def disk(tmp_path: Path, mounts: None) -> AsyncIterator[Path]:
    """A disk of 16 MiB."""
    with small_disk(tmp_path / "disk") as folder:
        yield folder
