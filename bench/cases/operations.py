"""Operations from end to end: ordered with `respond-async, wait=0`, the result fetched by a long poll, all of it durable.

How many in a second over 32 connections, beside the naive proxy's synchronous requests; how long a 202 takes when there
is one at a time; and, at half of that load, how long after the origin's last byte the client has its own.
"""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from typing import Final

import uvloop

from bench.client import LATER, PATIENT, Connection, connected
from bench.contenders import naive, nginx_origin, ours, own_origin, serving
from bench.rounds import Bench, Figures, Rounds, in_turn, percentile
from bench.running import Server
from bench.wrk import wrk

CONNECTIONS: Final = 32
SLOW: Final = 50  # milliseconds that the origin takes where the lag is measured
WAITING: Final = 256  # connections that have room for what is under way at half load


def measure(bench: Bench) -> Rounds:
    folder, cores = bench.folder / "operations", bench.cores
    with (
        serving(nginx_origin, folder / "nginx", 0, cores.load) as quick,
        serving(own_origin, folder / "origin", 0, cores.load) as slow,
        serving(naive, folder / "naive", quick.port, cores.proxy) as other,
        serving(ours, folder / "ours", quick.port, cores.proxy) as proxy,
        serving(ours, folder / "slow", slow.port, cores.proxy) as before_slow,
    ):
        measures = {
            "naive": partial(_synchronous, other, bench),
            "ours": partial(_figures, proxy, before_slow, bench),
        }
        return in_turn(bench.effort.rounds, measures)


def _synchronous(server: Server, bench: Bench) -> Figures:
    return {"requests/s": wrk(server.url, CONNECTIONS, bench.effort.seconds).rate}


def _figures(server: Server, before_slow: Server, bench: Bench) -> Figures:
    seconds = bench.effort.seconds
    return uvloop.run(_all(server, before_slow, seconds, bench.effort.once))


async def _all(server: Server, before_slow: Server, seconds: float, once: int) -> dict[str, float]:
    figures = await throughput(server, seconds)
    figures |= {f"{name}, POST": value for name, value in (await throughput(server, seconds, b"POST")).items()}
    figures |= await _one_at_a_time(server, once)
    return figures | await _lags(before_slow, figures["operations/s"] / 2, seconds)


async def throughput(server: Server, seconds: float, method: bytes = b"GET") -> dict[str, float]:
    """Operations in a second, and what they cost."""
    done = 0

    async def work(connection: Connection) -> None:
        nonlocal done
        while time.monotonic() < deadline:
            await connection.operate(b"/", method)
            done += 1

    async with _connected(server, CONNECTIONS) as connections:
        begun, work_before, own_before = time.monotonic(), server.seconds_of_work(), time.process_time()
        deadline = begun + seconds
        await asyncio.gather(*map(work, connections))
        taken, own = time.monotonic() - begun, time.process_time() - own_before
        work_done = server.seconds_of_work() - work_before
    return {
        "operations/s": done / taken,
        "CPU µs/operation": work_done / done * 1e6,
        "load client's share of its core": own / taken,
    }


async def _one_at_a_time(server: Server, times: int) -> dict[str, float]:
    taken = []
    async with _connected(server, 1) as (connection,):
        for _ in range(times):
            begun = time.monotonic()
            accepted = await connection.ask(b"/", LATER)
            taken.append((accepted.at - begun) * 1e3)
            (await connection.ask(accepted.monitor, PATIENT)).require(200)
    return {"accepted p50, ms": percentile(taken, 50), "accepted p99, ms": percentile(taken, 99)}


async def _lags(server: Server, rate: float, seconds: float) -> dict[str, float]:
    """From when the origin sent its answer to when the client had it, at so many operations a second."""
    lags: list[float] = []
    number = max(1, min(WAITING, int(rate)))

    async def work(place: int, connection: Connection) -> None:
        due = begun + place / rate
        while due < begun + seconds:
            await asyncio.sleep(due - time.monotonic())
            answer = await connection.operate(b"/slow/%d" % SLOW)
            lags.append((answer.at - float(answer.content)) * 1e3)
            due = max(due + number / rate, time.monotonic())

    async with _connected(server, number) as connections:
        begun = time.monotonic()
        await asyncio.gather(*(work(place, connection) for place, connection in enumerate(connections)))
        taken = time.monotonic() - begun
    return {
        "half load, operations/s": len(lags) / taken,
        "lag p50, ms": percentile(lags, 50),
        "lag p99, ms": percentile(lags, 99),
    }


@asynccontextmanager
async def _connected(server: Server, count: int) -> AsyncIterator[list[Connection]]:
    """Connections, and a limit for what is done with them."""
    async with asyncio.timeout(60), connected(server.port, count) as connections:
        yield connections
