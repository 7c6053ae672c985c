"""What is counted in one process: requests, operations, and how things stand there."""

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import chain
from typing import Final

from proxy.account import NO_ROUTE, PROMISED, RACE, Account
from proxy.errors import ProxyError
from proxy.figures import NO_TIME, SECONDS, ByRoute, Counted, Family, Took
from proxy.ledger import Course
from proxy.meters import ByLabels, Count, Counts, Durations, Gauge, Series
from proxy.operation import Operation, State

REQUEST_SECONDS: Final = "respond_async_request_seconds"
OPERATION_SECONDS: Final = "respond_async_operation_seconds"
PREFERENCES: Final = "respond_async_preferences"
ERRORS: Final = "respond_async_errors"
FAILURES: Final = "respond_async_operation_failures"


@dataclass(slots=True)
class _OfRoute:
    """What is counted of each request of a route, looked up once."""

    seconds: Series
    sent: Count
    received: Count
    waiting: Series
    origin: Series
    statuses: dict[int, Count] = field(default_factory=dict)


class Metrics:
    """What is counted, by Prometheus' conventions; labels have few values, never what a client sends."""

    def __init__(self) -> None:
        self._requests = Counts(
            "respond_async_requests", "Requests that have ended, by the status that was sent.", ("route", "status")
        )
        self._request_seconds = _seconds(REQUEST_SECONDS, "Time from a request's head to the end of its response.")
        self._preferences = Counts(
            PREFERENCES,
            "Requests with Prefer: respond-async that could be honoured, by what became of them.",
            ("route", "outcome"),
        )
        self._errors = Counts(ERRORS, "Requests that the proxy answered with an error of its own.", ("route", "code"))
        self._received = Counts("respond_async_received_bytes", "Content received from clients.", ("route",))
        self._sent = Counts("respond_async_sent_bytes", "Content sent to clients.", ("route",))
        self._queue_seconds = _seconds(
            "respond_async_queue_seconds", "Time that a request waited for its turn and a connection to its origin."
        )
        self._origin_seconds = _seconds(
            "respond_async_origin_seconds", "Time from sending a request to the head of the origin's response."
        )
        self._settled = Counts(
            "respond_async_operations_settled", "Operations that were settled, by how.", ("route", "state")
        )
        self._failures = Counts(FAILURES, "Operations that failed, by the code of the error.", ("route", "code"))
        self._operation_seconds = _seconds(OPERATION_SECONDS, "Time from an operation's 202 to its settling.")
        self._lag_seconds = _seconds(
            "respond_async_operation_lag_seconds",
            "Time from the last byte of the origin's response until the operation was durably settled.",
        )
        self._meters: list[Counts | Durations | Gauge] = [
            self._requests, self._request_seconds, self._preferences, self._errors, self._received, self._sent,
            self._queue_seconds, self._origin_seconds,
            self._settled, self._failures, self._operation_seconds, self._lag_seconds,
        ]  # fmt: skip
        self._routes: dict[str, _OfRoute] = {}

    def request(self, account: Account) -> None:
        """Count a request that is over."""
        route = account.route
        of_route = self._routes.get(route) or self._met(route)
        status = of_route.statuses.get(account.status) or self._met_status(of_route, route, account.status)
        status.value += 1
        of_route.seconds.add(account.seconds)
        of_route.sent.value += account.client.sent
        of_route.received.value += account.received
        if account.waiting is not None and account.end not in PROMISED:
            of_route.waiting.add(account.waiting)
            if account.answered:
                of_route.origin.add(account.origin or 0)
        if account.wrong is not None or account.plan == RACE:
            self._outcome(account)

    def _met(self, route: str) -> _OfRoute:
        self._routes[route] = met = _OfRoute(
            self._request_seconds.of(route),
            self._sent.of(route),
            self._received.of(route),
            self._queue_seconds.of(route),
            self._origin_seconds.of(route),
        )
        return met

    def _met_status(self, of_route: _OfRoute, route: str, status: int) -> Count:
        of_route.statuses[status] = met = self._requests.of(route, status)
        return met

    def _outcome(self, account: Account) -> None:
        if (error := account.error) is not None:
            self._errors.add(account.route, error)
        if (outcome := account.outcome) is not None:
            self._preferences.add(account.route, outcome)

    def refused(self, error: ProxyError) -> None:
        """Count what never became a request."""
        self._errors.add(NO_ROUTE, error.code)

    def settled(self, operation: Operation, course: Course) -> None:
        """Count an operation that was settled here."""
        route = operation.route
        self._settled.add(route, operation.state.value)
        self._operation_seconds.of(route).add(operation.seconds)
        if operation.failure is not None:
            self._failures.add(route, operation.failure.code)
        if course.queued is not None:
            self._queue_seconds.of(route).add(course.queued)
        if operation.state is State.COMPLETED and course.origin is not None:
            self._origin_seconds.of(route).add(course.origin)
        if course.lag is not None:
            self._lag_seconds.of(route).add(course.lag)

    def gauge(self, name: str, documentation: str, read: Callable[[], float], *, whole: bool = False) -> None:
        """Show a figure that is read when somebody looks. `whole`: it is not the process's part, but all of it."""
        self._meters.append(Gauge(name, documentation, (), lambda: {(): read()}, whole=whole))

    def gauges(
        self,
        name: str,
        documentation: str,
        labels: tuple[str, ...],
        read: Callable[[], ByLabels],
        *,
        whole: bool = False,
    ) -> None:
        """The same for some of one name, by the values of their labels."""
        self._meters.append(Gauge(name, documentation, labels, read, whole=whole))

    def figures(self) -> Iterator[Family]:
        """All of it as it stands, in pieces that are made as they are taken."""
        return chain.from_iterable(meter.pieces() for meter in self._meters)


def by_route(figures: Iterable[Family]) -> ByRoute:
    """The little of it that the last hour of each route is made of."""
    took: dict[str, dict[str, Took]] = {REQUEST_SECONDS: {}, OPERATION_SECONDS: {}}
    outcomes: Counter[tuple[str, str]] = Counter()
    failures: defaultdict[str, Counter[str]] = defaultdict(Counter)
    for family in figures:
        if family["name"] in took:
            took[family["name"]].update({route: _took(numbers) for (route,), numbers in family["rows"]})
        elif family["name"] == PREFERENCES:
            outcomes.update({(route, outcome): int(count) for (route, outcome), (count,) in family["rows"]})
        elif family["name"] in (ERRORS, FAILURES):
            for (route, code), (count,) in family["rows"]:
                failures[route][code] += int(count)
    return {
        route: Counted(
            accepted=outcomes[route, "accepted"],
            in_time=outcomes[route, "in_time"],
            requests=took[REQUEST_SECONDS].get(route, NO_TIME),
            operations=took[OPERATION_SECONDS].get(route, NO_TIME),
            failures=failures[route],
        )
        for route in sorted({*failures, *chain.from_iterable(took.values())})
    }


def _took(numbers: Sequence[float]) -> Took:
    """What a row of a histogram says."""
    return Took(list(map(int, numbers[:-1])), numbers[-1])


def _seconds(name: str, documentation: str) -> Durations:
    return Durations(name, documentation, "route", SECONDS)
