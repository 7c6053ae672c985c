"""Which deadlines and limits a request meets on its way, in order of time."""

from collections.abc import Iterator
from typing import NamedTuple

from proxy.config import Config, RespondAsync
from proxy.config.scalars import duration_text, size_text
from proxy.explain.verdict import Explanation, Taken
from proxy.message import RequestHead
from proxy.plan import Race


class Term(NamedTuple):
    """A deadline or a limit."""

    key: str  # of the configuration; or what else it comes from
    value: str  # as the configuration has it
    bounds: str
    then: str  # what happens when it is met


def terms(config: Config, explanation: Explanation) -> list[Term]:
    """The terms of a request that has a route."""
    taken, plan = explanation.taken, explanation.plan
    found = [*_of_the_head(config)]
    if taken is None:
        return found
    later = taken.route.respond_async
    if explanation.kind == "upgrade":
        return [*found, *_before_the_answer(taken), *_of_a_tunnel(taken)]
    if isinstance(plan, Race) and later is not None:
        found += _of_the_content(config, explanation.request, _route(taken, "respond_async"), later.max_request_body)
        return [*found, *_of_a_race(config, taken, plan, later)]
    found += _of_the_content(config, explanation.request, _route(taken), taken.route.max_request_body)
    return [*found, *_before_the_answer(taken), *_of_an_answer(taken)]


def _of_the_head(config: Config) -> Iterator[Term]:
    limits = config.limits
    yield Term("limits.header_timeout", duration_text(limits.header_timeout), "until its head is there", "408")
    yield Term("limits.max_fields", size_text(limits.max_fields), "its fields", "431")


def _of_the_content(config: Config, request: RequestHead, section: str, most: int) -> Iterator[Term]:
    if not {b"content-length", b"transfer-encoding"} & request.fields.names.keys():
        return
    limits = config.limits
    yield Term(f"{section}.max_request_body", size_text(most), "its content", "413")
    yield Term("limits.body_timeout", duration_text(limits.body_timeout), "each gap in its content", "408")
    rate = f"{size_text(limits.min_upload_rate)} a second"
    yield Term("limits.min_upload_rate", rate, "the pace of its content, after `body_timeout`", "408")


def _before_the_answer(taken: Taken) -> Iterator[Term]:
    """Whose client waits until the head of the response is there."""
    route, origin = taken.route, taken.origin
    yield _turn(taken)
    yield Term(_origin(taken, "queue_timeout"), duration_text(origin.queue_timeout), "waiting for its turn", "503 busy")
    yield _connecting(taken)
    bounds = "from the request sent to the head of the response"
    yield Term(_route(taken, "timeout"), duration_text(route.timeout), bounds, "504 origin-timeout")


def _of_an_answer(taken: Taken) -> Iterator[Term]:
    silence = duration_text(taken.route.idle_timeout)
    yield Term(_route(taken, "idle_timeout"), silence, "each silence in the response", "the response is broken off")


def _of_a_tunnel(taken: Taken) -> Iterator[Term]:
    silence = duration_text(taken.route.idle_timeout)
    yield Term(_route(taken, "idle_timeout"), silence, "each silence of both sides, after a 101", "both are closed")


def _of_a_race(config: Config, taken: Taken, race: Race, later: RespondAsync) -> Iterator[Term]:
    """What may be answered later: until the 202, and after it."""
    most = config.limits.max_operations_per_client
    if most is not None:
        yield Term("limits.max_operations_per_client", str(most), "operations of its client", "429")
    yield _turn(taken)
    yield _connecting(taken)
    wait = duration_text(race.wait)
    yield Term(_key_of_wait(taken, race, later), wait, "from the request received to the head of the response", "202")
    section = _route(taken, "respond_async")
    if later.max_running is not None:
        bounds = "operations of the route that are sent at once"
        yield Term(f"{section}.max_running", str(later.max_running), bounds, "it waits for its turn")
    bounds = "operations of the route that wait for their turn"
    yield Term(f"{section}.max_queued", str(later.max_queued), bounds, "503 busy, in place of the 202")
    whole = duration_text(later.timeout)
    yield Term(f"{section}.timeout", whole, "the exchange, from its sending on", "it fails: 504 origin-timeout")
    silence = duration_text(taken.route.idle_timeout)
    yield Term(_route(taken, "idle_timeout"), silence, "each silence in the response", "it fails: 504 origin-timeout")
    largest = size_text(later.max_response_body)
    yield Term(f"{section}.max_response_body", largest, "the response's content", "it fails: 502 response-too-large")
    longest = duration_text(later.max_wait)
    yield Term(f"{section}.max_wait", longest, "each long poll of the status URL", "202, and the client asks again")
    yield Term(f"{section}.keep", duration_text(later.keep), "the result, once it is settled", "410 expired-operation")


def _turn(taken: Taken) -> Term:
    value = str(taken.origin.max_connections)
    return Term(_origin(taken, "max_connections"), value, "connections to the origin at once", "it waits for its turn")


def _connecting(taken: Taken) -> Term:
    value = duration_text(taken.origin.connect_timeout)
    return Term(_origin(taken, "connect_timeout"), value, "connecting, TLS included", "504 origin-timeout")


def _key_of_wait(taken: Taken, race: Race, later: RespondAsync) -> str:
    if race.honoured_wait is not None:
        return "Prefer: wait"
    return _route(taken, "respond_async", "wait" if race.wait == later.wait else "max_wait")


def _route(taken: Taken, *keys: str) -> str:
    return ".".join([f"routes[{taken.index}]", *keys])


def _origin(taken: Taken, key: str) -> str:
    return f"origins.{taken.route.origin}.{key}"
