"""The stores that keep the same promises."""

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Literal

import pytest

from proxy.store import Store, open_store
from tests.store.samples import AMPLE, KEEPER

Open = Callable[[int], AbstractAsyncContextManager[Store]]


@pytest.fixture(params=["sqlite", "memory"])
def open_sized(request: pytest.FixtureRequest, tmp_path: Path) -> Open:
    kind: Literal["sqlite", "memory"] = request.param
    return lambda max_size: open_store(kind, tmp_path / "store", max_size, KEEPER)


@pytest.fixture
async def store(open_sized: Open) -> AsyncIterator[Store]:
    async with open_sized(AMPLE) as opened:
        yield opened
