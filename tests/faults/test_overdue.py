"""Fault table, row: keeper stopped (SIGSTOP): at its timeout at the latest, others settle what it runs (P2, P3)."""

from pathlib import Path

from tests.faults.conftest import Open
from tests.faults.ledger import Seen
from tests.faults.service import Service, service_settings
from tests.faults.status_url import look, outcome
from tests.faults.work import MIB


async def test_what_a_stopped_keeper_runs_is_settled_by_others_when_it_is_overdue(
    open_desk: Open, tmp_path: Path
) -> None:
    desk = await open_desk(timeout="2s")
    folder = tmp_path / "other"
    folder.mkdir()
    async with Service(service_settings(desk.origin.url, tmp_path / "store", timeout="2s"), folder) as other:
        with desk.origin.held():
            promise = await desk.later(size=MIB)
        with desk.service.stopped():
            assert await outcome(other.port, promise, seconds=15) in {Seen.FAILED, Seen.INTERRUPTED}
            settled = await look(other.port, promise)
        assert await desk.outcome(await desk.later(size=MIB)) is Seen.COMPLETED, "it is awake"
        assert await desk.look(promise) is settled
        assert await look(other.port, promise) is settled
    assert desk.origin.arrivals[promise.work.number] == 1
