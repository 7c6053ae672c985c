"""Whether a request is answered now, or perhaps later."""

import pytest

from proxy.config import Route
from proxy.message import Fields, RequestHead
from proxy.plan import Plan, Race, Sync, decide
from proxy.prefer import Preferences

SLOW = Route.model_validate({"name": "slow", "origin": "o", "respond_async": {"wait": "2s", "max_wait": "60s"}})
PLAIN = Route.model_validate({"name": "plain", "origin": "o"})
ASYNC = Preferences(respond_async=True)
LATER = Race(2.0, None)


def request(method: str = "POST", *names: bytes) -> RequestHead:
    return RequestHead(method, b"/", Fields((name, b"x") for name in names))


@pytest.mark.parametrize(
    ("preferences", "plan"),
    [
        pytest.param(Preferences(), Sync(), id="not asked for"),
        pytest.param(Preferences(wait=3), Sync(), id="wait alone"),
        pytest.param(ASYNC, LATER, id="the route's wait"),
        pytest.param(ASYNC._replace(wait=0), Race(0.0, 0), id="at once"),
        pytest.param(ASYNC._replace(wait=3), Race(3.0, 3), id="the client's wait"),
        pytest.param(ASYNC._replace(wait=60), Race(60.0, 60), id="the longest wait"),
        pytest.param(ASYNC._replace(wait=61), Race(60.0, None), id="capped, so not honoured as given"),
    ],
)
def test_the_wait_is_the_clients_or_the_routes(preferences: Preferences, plan: Plan) -> None:
    assert decide(preferences, SLOW, request()) == plan


def test_a_route_without_respond_async_is_synchronous() -> None:
    assert decide(ASYNC, PLAIN, request()) == Sync()


def test_what_may_be_read_as_a_status_url_makes_no_operation() -> None:
    plan = decide(ASYNC, SLOW, request(), disguised=True)
    assert isinstance(plan, Sync)
    assert plan.why.endswith("a request to what may be read as a status URL is never answered later.")


@pytest.mark.parametrize("method", ["CONNECT", "TRACE", "OPTIONS"])
def test_some_methods_are_never_asynchronous(method: str) -> None:
    assert decide(ASYNC, SLOW, request(method)) == Sync()


@pytest.mark.parametrize("method", ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "REPORT"])
def test_all_other_methods_may_be(method: str) -> None:
    assert decide(ASYNC, SLOW, request(method, b"Accept", b"If-Match")) == LATER


@pytest.mark.parametrize("method", ["GET", "POST"])
def test_an_upgrade_is_never_asynchronous(method: str) -> None:
    assert decide(ASYNC, SLOW, request(method, b"Accept", b"UPGRADE")) == Sync()


@pytest.mark.parametrize("name", [b"Range", b"if-range", b"If-None-Match", b"IF-MODIFIED-SINCE"])
@pytest.mark.parametrize(("method", "plan"), [("GET", Sync()), ("HEAD", Sync()), ("POST", LATER)])
def test_partial_and_conditional_reads_are_synchronous(method: str, plan: Plan, name: bytes) -> None:
    assert decide(ASYNC, SLOW, request(method, b"Accept", name)) == plan
