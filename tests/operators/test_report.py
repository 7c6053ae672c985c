"""What several processes tell together."""

from proxy.figures import single
from proxy.operators.report import Entry, Question, Report, ServerState, lasting, merged


def entry(time: int, **facts: object) -> Entry:
    return {"time": f"2026-01-01T00:00:{time:02}.000Z", **facts}


def server(name: str, left_alone_by: int = 0, reason: str | None = None) -> ServerState:
    return ServerState(
        origin="legacy",
        server=name,
        left_alone_by=left_alone_by,
        reason=reason,
        connections=3,
        idle=2,
        max_connections=8,
        waiting=1,
        held=3,
        used_by={"reports": 1, name: 1},
    )


def test_requests_are_listed_the_newest_first_and_so_many() -> None:
    reports = [Report(requests=[entry(5), entry(1)]), Report(requests=[entry(4), entry(2)]), Report(requests=[])]
    assert merged(reports, most=3) == {"requests": [entry(5), entry(4), entry(2)]}


def test_a_server_is_summed_over_those_who_know_it() -> None:
    one, two = [server("a", 1, "It refused."), server("b")], [server("a"), server("c")]
    found = merged([Report(servers=one), Report(servers=two)])["servers"]
    assert [state["server"] for state in found] == ["a", "b", "c"]
    assert found[0] == ServerState(
        origin="legacy",
        server="a",
        left_alone_by=1,
        reason="It refused.",
        connections=6,
        idle=4,
        max_connections=8,
        waiting=2,
        held=6,
        used_by={"reports": 2, "a": 2},
    )


def test_parts_that_nobody_tells_are_not_there() -> None:
    assert merged([Report(), Report()]) == {}
    assert Question(("figures", "requests", "servers")).of(Report()) == {}


def test_of_a_report_there_is_what_was_asked_for() -> None:
    report = Report(figures=[], requests=[entry(2, status=504, route="a"), entry(1, status=202)], servers=[server("a")])
    assert Question(("servers", "figures")).of(report) == {"figures": [], "servers": [server("a")]}
    assert Question(("requests",), {"status": "5xx"}).of(report) == {"requests": report["requests"][:1]}
    assert Question(("requests",), {"status": "202"}).of(report) == {"requests": report["requests"][1:]}
    assert Question(("requests",), {"status": "504", "route": "b"}).of(report) == {"requests": []}
    assert Question(("requests",), most=1).of(report) == {"requests": report["requests"][:1]}


def test_what_has_happened_lasts_and_how_things_stood_does_not() -> None:
    counted = single("deaths", "counter", "Deaths.", 2)
    report = Report(figures=[counted, single("n", "gauge", "N.", 1)], requests=[entry(1)], servers=[server("a")])
    assert lasting(report) == {"figures": [counted], "requests": [entry(1)]}
