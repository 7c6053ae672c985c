"""The access line, and the ids of requests."""

from itertools import islice

import pytest
import structlog

from proxy.access import IDS_AT_ONCE, AccessLog, request_ids

Lines = list[structlog.types.EventDict]


def write(access: AccessLog, received: int | None = None, **error: str | None) -> None:
    access.line(
        status=200,
        method="GET",
        path="/a",
        seconds=0.00123456,
        sent=5,
        received=received,
        route="r",
        peer="192.0.2.1",
        request_id="id",
        error=error,
    )


def test_a_request_is_one_line(quiet_log: Lines) -> None:
    write(AccessLog())
    facts = {
        "status": 200,
        "method": "GET",
        "path": "/a",
        "seconds": 0.0012,
        "bytes": 5,
        "received": None,
        "route": "r",
    }
    assert quiet_log == [{"event": "request", "log_level": "info", **facts, "peer": "192.0.2.1", "id": "id"}]


def test_of_a_tunnel_both_directions_are_told(quiet_log: Lines) -> None:
    write(AccessLog(), received=7)
    assert (quiet_log[0]["bytes"], quiet_log[0]["received"]) == (5, 7)


def test_what_went_wrong_is_told_with_it(quiet_log: Lines) -> None:
    write(AccessLog(), error="client-left")
    assert quiet_log[0]["error"] == "client-left"


@pytest.mark.parametrize(("level", "enabled"), [("debug", True), ("info", True), ("warning", False)])
def test_it_knows_whether_anybody_wants_its_lines(level: str, *, enabled: bool) -> None:
    before = structlog.get_config()
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(level))
    try:
        assert AccessLog().enabled is enabled
    finally:
        structlog.configure(**before)


def test_ids_are_all_different_over_several_blocks() -> None:
    ids = list(islice(request_ids(), 3 * IDS_AT_ONCE))
    assert len(set(ids)) == len(ids)
    assert {len(bytes.fromhex(id.decode())) for id in ids} == {16}
