"""The commands that the documents show are run, page by page, and print what is shown there."""

import asyncio
import shutil
import sys
from collections.abc import Iterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Final

import pytest

from proxy.demo import LegacyBackend
from tests.documents.blocks import PAGES, ROOT, blocks
from tests.documents.session import NOT_RUN, Session, is_run
from tests.documents.shell import Step, is_as_shown, steps

SECONDS: Final = 3.0  # of a report here: longer than any wait that is shown, and a moment to look at it
SIDE_BY_SIDE: Final = 3


def commands(page: Path) -> Iterator[Step]:
    for block in blocks(page):
        if block.language == "console":
            yield from steps(block.text)


WITH_COMMANDS: Final = [page for page in PAGES if any(map(is_run, commands(page)))]


async def read(page: Path, folder: Path, seconds: float) -> None:
    async with AsyncExitStack() as stack:
        backend = stack.enter_context(LegacyBackend(seconds, say=lambda _: None))
        session = Session(folder, backend, stack)
        await session.begin()
        for block in blocks(page):
            await session.follow(block)


async def read_patiently(page: Path, factory: pytest.TempPathFactory, turns: asyncio.Semaphore) -> None:
    async with turns:
        try:
            await read(page, folder_for(page, factory), SECONDS)
        except (AssertionError, TimeoutError):  # what is to run still is over on a busy machine: then with more time
            await read(page, folder_for(page, factory), 5 * SECONDS)


async def read_all(factory: pytest.TempPathFactory) -> list[BaseException | None]:
    """What came of each page. Most of the time they wait for reports: so some are read side by side."""
    turns = asyncio.Semaphore(SIDE_BY_SIDE)
    readers = (read_patiently(page, factory, turns) for page in WITH_COMMANDS)
    return await asyncio.gather(*readers, return_exceptions=True)


def folder_for(page: Path, factory: pytest.TempPathFactory) -> Path:
    """A folder with what commands expect of a checkout."""
    folder = factory.mktemp(page.stem)
    (folder / ".venv").symlink_to(sys.prefix)
    (folder / "config").symlink_to(ROOT / "config")
    shutil.copytree(ROOT / "deploy", folder / "deploy")  # a copy: commands may write there
    return folder


@pytest.fixture(scope="module")
def outcomes(tmp_path_factory: pytest.TempPathFactory) -> dict[Path, BaseException | None]:
    return dict(zip(WITH_COMMANDS, asyncio.run(read_all(tmp_path_factory)), strict=True))


@pytest.mark.timeout(300)  # of the first, which waits for all
@pytest.mark.parametrize("page", WITH_COMMANDS, ids=lambda page: str(page.relative_to(ROOT)))
def test_commands_print_what_is_shown(page: Path, outcomes: dict[Path, BaseException | None]) -> None:
    if outcome := outcomes[page]:
        raise outcome


def test_nothing_is_shown_below_a_command_that_is_not_run() -> None:
    shown = [step for page in PAGES for step in commands(page) if step.shown.strip() and not is_run(step)]
    assert shown == []


@pytest.mark.parametrize("beginning", NOT_RUN)
def test_nothing_is_exempted_that_no_page_shows(beginning: str) -> None:
    left_out = [step for page in PAGES for step in commands(page) if not is_run(step)]
    assert any(step.command.startswith(beginning) for step in left_out)


@pytest.mark.parametrize(
    ("printed", "shown", "same"),
    [
        pytest.param("Date: Sun, 22 Nov 2026 21:14:24 GMT", "Date: Tue, 24 Nov 2026 19:47:00 GMT", True, id="dates"),
        pytest.param("200 after 4.001 s", "200 after 10.2 s", True, id="seconds"),
        pytest.param("200 after 4.001 s", "202 after 4.001 s", False, id="not the status"),
        pytest.param("a\nb\nc\nd", "a\n…\nd", True, id="lines that are left out"),
        pytest.param("a\nb\nc", "a\n…\nd", False, id="not what follows"),
        pytest.param('{"links": [1, 2]}', '{"links": […]}', True, id="a part of a line that is left out"),
        pytest.param("a\nb", "a", False, id="nothing more than what is shown"),
    ],
)
def test_what_is_printed_is_compared(printed: str, shown: str, same: bool) -> None:  # noqa: FBT001
    assert is_as_shown(printed, shown) is same
