"""Asks a status URL, and judges the answer by what the operation's number says that it has to be."""

import asyncio
import json
from typing import Final

from tests.faults.ledger import SETTLED, Promise, Seen
from tests.faults.work import Work
from tests.raw_client import RawClient, Response, request

UNSETTLED: Final = frozenset({Seen.QUEUED, Seen.RUNNING})


def judge(response: Response, work: Work) -> Seen:
    """What this answer says, and whether it is true."""
    if not response.complete:
        return Seen.BROKEN_OFF
    result = response.field(b"asyncresult")
    if result is None:
        return _about_the_monitor(response)
    if result != b"%d" % response.status:
        return Seen.WRONG
    if response.status == 200:
        return Seen.COMPLETED if (response.size, response.sha256) == work.answer else Seen.WRONG
    return Seen.INTERRUPTED if json.loads(response.body)["code"] == "interrupted" else Seen.FAILED


def _about_the_monitor(response: Response) -> Seen:
    match response.status:
        case 202:
            return Seen.QUEUED if json.loads(response.body)["status"] == "queued" else Seen.RUNNING
        case 404 | 410:
            return Seen.GONE
        case 503:
            return Seen.UNAVAILABLE
        case _:
            return Seen.WRONG


async def look(port: int, promise: Promise, wait: int = 0) -> Seen:
    """What its status URL says now, or after a long poll of so many seconds."""
    fields = [(b"Prefer", b"wait=%d" % wait)] if wait else []
    async with RawClient(port=port, limit=wait + 10) as client:
        await client.send(request("GET", promise.path, fields))
        return judge(await client.response(), promise.work)


async def outcome(port: int, promise: Promise, seconds: float) -> Seen:
    """What it says as soon as it is settled or gone, or at the latest after so many seconds."""
    loop = asyncio.get_running_loop()
    deadline = loop.time() + seconds
    while (left := deadline - loop.time()) > 0:
        seen = await _look_anyway(port, promise, max(1, int(left)))
        if seen in SETTLED | {Seen.GONE, Seen.WRONG}:
            return seen
        if seen not in UNSETTLED:
            await asyncio.sleep(0.1)
    return await look(port, promise)


async def _look_anyway(port: int, promise: Promise, wait: int) -> Seen:
    try:
        return await look(port, promise, wait)
    except ConnectionError:  # a worker died a moment ago, and with it this connection
        return Seen.BROKEN_OFF
