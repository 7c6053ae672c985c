"""Content that is received whole: in memory or in a file, the same bytes either way, and never lost to a full disk."""

import asyncio
import io
import tempfile
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from proxy.errors import BadRequest, ProxyError
from proxy.spool import IN_MEMORY, NO_CONTENT, Content, Remainder, Spool

PIECES = [bytes([65 + number]) * 30_000 for number in range(20)]
WHOLE = b"".join(PIECES)


class Source:
    """Content that comes in pieces, and perhaps ends badly."""

    present = True
    whole = None

    def __init__(self, pieces: list[bytes], length: int | None = None, error: Exception | None = None) -> None:
        self.length = length
        self._pieces = pieces
        self._error = error

    async def pieces(self) -> AsyncIterator[bytes]:
        for piece in self._pieces:
            yield piece
        if self._error is not None:
            raise self._error

    def close(self) -> None:
        raise AssertionError("the client's connection is not the spool's to close")


def is_empty(folder: Path) -> bool:
    return not any(folder.iterdir())


async def all_of(content: Content) -> bytes:
    return b"".join([piece async for piece in content.pieces()])


@pytest.mark.parametrize(
    ("pieces", "in_memory"),
    [
        pytest.param([], True, id="nothing"),
        pytest.param([b"a", b"b"], True, id="little"),
        pytest.param([b"x" * IN_MEMORY], True, id="just what memory takes"),
        pytest.param([b"x" * IN_MEMORY, b"y"], False, id="one byte more"),
        pytest.param([b"x" * (IN_MEMORY + 1)], False, id="one byte more at once"),
        pytest.param(PIECES, False, id="much"),
    ],
)
async def test_it_is_given_out_as_it_came_as_often_as_asked_for(
    tmp_path: Path, pieces: list[bytes], *, in_memory: bool
) -> None:
    spool = await Spool.receive(Source(pieces), tmp_path)
    assert spool.length == len(b"".join(pieces))
    assert spool.whole == (b"".join(pieces) if in_memory else None)
    assert [await all_of(spool), await all_of(spool)] == [b"".join(pieces)] * 2
    assert is_empty(tmp_path)  # its file has no name
    spool.close()
    spool.close()


async def test_an_error_of_the_source_is_not_hidden(tmp_path: Path) -> None:
    with pytest.raises(BadRequest):
        await Spool.receive(Source(PIECES, error=BadRequest()), tmp_path)


@pytest.mark.parametrize("length", [len(WHOLE), None])
async def test_a_folder_that_is_gone_costs_the_request_nothing(tmp_path: Path, length: int | None) -> None:
    content = await Spool.receive(Source(PIECES, length), tmp_path / "gone")
    assert isinstance(content, Remainder)
    assert (content.length, content.whole) == (length, None)
    assert await all_of(content) == WHOLE
    content.close()


@pytest.mark.parametrize("room", [0, 1, 70_000, 100_000])
async def test_a_full_disk_costs_the_request_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, room: int
) -> None:
    monkeypatch.setattr(tempfile, "TemporaryFile", lambda **_: SmallDisk(tmp_path, room))
    content = await Spool.receive(Source(PIECES), tmp_path)
    assert isinstance(content, Remainder)
    assert await all_of(content) == WHOLE
    content.close()


class SmallDisk(io.FileIO):
    """A file on a disk with so many bytes of room, which takes at most 20,000 at a time."""

    def __init__(self, folder: Path, room: int) -> None:
        super().__init__(folder / "spooled", "x+")
        self._room = room

    def write(self, data: "memoryview[int]") -> int:  # type: ignore[override]  # what the spool gives it
        fitting = min(len(data), 20_000, self._room - self.tell())
        if fitting <= 0:
            raise OSError(28, "No space left on device")
        return super().write(data[:fitting])


async def test_a_file_that_has_lost_its_end_is_an_error_and_not_an_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    disk = SmallDisk(tmp_path, 10**9)
    monkeypatch.setattr(tempfile, "TemporaryFile", lambda **_: disk)
    spool = await Spool.receive(Source(PIECES), tmp_path)
    disk.truncate(1000)
    with pytest.raises(ProxyError):
        await all_of(spool)
    spool.close()


async def test_a_spool_that_is_closed_while_its_file_is_made_leaves_nothing_open(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    disk, making = SmallDisk(tmp_path, 10**9), asyncio.Event()
    loop = asyncio.get_running_loop()

    def make(**_: object) -> SmallDisk:
        loop.call_soon_threadsafe(making.set)
        asyncio.run_coroutine_threadsafe(closed.wait(), loop).result(5)
        return disk

    closed = asyncio.Event()
    monkeypatch.setattr(tempfile, "TemporaryFile", make)
    receiving = asyncio.create_task(Spool.receive(Source(PIECES), tmp_path))
    await asyncio.wait_for(making.wait(), 5)
    receiving.cancel()
    with pytest.raises(asyncio.CancelledError):
        await receiving
    closed.set()
    async with asyncio.timeout(5):
        while not disk.closed:  # noqa: ASYNC110  # a thread of the loop's own does it
            await asyncio.sleep(0.01)


async def test_no_content_is_nothing_and_costs_nothing() -> None:
    assert (NO_CONTENT.present, NO_CONTENT.length, NO_CONTENT.whole) == (False, 0, b"")
    assert await all_of(NO_CONTENT) == b""
    NO_CONTENT.close()
