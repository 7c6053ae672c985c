"""Why a request ended as it did, in sentences for whoever reads the log, with the figures that decided it.

They name keys of the configuration, so that it is plain where to change something. Clients are told less (see `errors`).
"""

from typing import Final

from proxy.config import OriginSettings, Route
from proxy.errors import OriginTimeout, ProxyError, ResponseTooLarge
from proxy.operation import Operation, State
from proxy.plan import Race

DISGUISED: Final = "Its path is that of a status URL in another spelling, which makes it none."
LEAST_SERVER_ERROR: Final = 500  # for who answered: the rest is the client's doing
STOPPED: Final = "The proxy was stopped, and did not wait for it any longer (drain_timeout)."
OWN_ANSWER: Final = "The origin itself answered {status}."


def of(error: ProxyError) -> str:
    """What is to be said where nothing is known of the route."""
    title = f"{error.title()}."
    return error.why or (title if error.detail in ("", title) else f"{title} {error.detail}")


def shown(operation: Operation) -> str | None:
    """Why a status URL is answered as it is, where that is not the origin's own success."""
    match operation.state:
        case State.QUEUED:
            return f"Operation {operation.short_id} waits for its turn at the origin."
        case State.RUNNING:
            return f"Operation {operation.short_id} still runs: the origin's response is not complete."
        case State.FAILED if operation.failure is not None:
            return f"Operation {operation.short_id} failed: {operation.why or of(operation.failure.error())}"
        case State.COMPLETED if operation.head is not None and operation.head.status >= LEAST_SERVER_ERROR:
            return f"Operation {operation.short_id} completed. {OWN_ANSWER.format(status=operation.head.status)}"
        case _:
            return None


def left(seconds: float, phase: str) -> str:
    """Why nobody was answered, or not to the end."""
    return f"The client left after {seconds:.3g} s, {_LEFT[phase]}."


_LEFT: Final = {
    "R": "before its request was there",
    "Q": "while the request waited for its turn at the origin",
    "H": "before the origin had answered",
    "D": "before it had all of the response",
    "S": "before the operation was settled",
    "T": "while the connection was a tunnel",
}


class Reasons:
    """The sentences of one route."""

    def __init__(self, route: Route, origin: OriginSettings) -> None:
        self._route = route
        self._origin = origin
        of_route, of_origin = f"of route {route.name}", f"of origin {route.origin}"
        self._timeouts = {
            "connection_timeout": f"No connection within {origin.connect_timeout:g} s (connect_timeout {of_origin}).",
            "http_response_timeout": f"No response head within {route.timeout:g} s (timeout {of_route}).",
            "connection_read_timeout": f"No more of the response for {route.idle_timeout:g} s (idle_timeout {of_route}).",
            "connection_write_timeout": (
                f"The origin took no more of the request for {route.idle_timeout:g} s (idle_timeout {of_route})."
            ),
        }

    def failed(self, error: ProxyError, *, later: bool) -> str:
        """Why there is an error in place of a response, on the way of those that may be answered later or another."""
        if isinstance(error, OriginTimeout) and not error.why:
            return self._timeouts.get(error.error_type or "", "") or of(error)
        if isinstance(error, ResponseTooLarge) and later:
            return f"{error.detail.rstrip('.')} (respond_async.max_response_body of route {self._route.name})."
        return of(error)

    def accepted(self, race: Race, operation: Operation, *, full: bool) -> str:
        """Why the client has a 202. `full`: others wait for the origin, too."""
        what = "The origin had not answered" if operation.is_running else self._not_sent(full=full)
        promise = f"answered 202 with operation {operation.short_id}"
        if race.wait:
            return f"{what} after {race.wait:g} s ({self._wait(race)}); {promise}."
        more = "" if operation.is_running else f". {what} yet"
        return f"{self._no_wait(race)}{more}; {promise}."

    def too_long(self, seconds: float) -> str:
        """Why an operation's exchange was ended."""
        return (
            f"The origin's response was not complete within {seconds:g} s"
            f" (respond_async.timeout of route {self._route.name})."
        )

    @property
    def unclaimed(self) -> str:
        """Why an operation was dismissed that nobody would have asked for."""
        key = f"on_disconnect of route {self._route.name}: {self._route.on_disconnect}"
        return f"Its client left before the 202 was sent ({key})."

    def queued(self, *, full: bool) -> str:
        """Why an operation waits."""
        return f"{self._not_sent(full=full)} yet."

    def out_of_time(self, race: Race) -> str:
        """Why one that could not be an operation has no response."""
        seconds = race.wait + self._route.timeout
        return f"No response head within {seconds:g} s (wait and timeout of route {self._route.name})."

    def never_had_its_turn(self, seconds: float) -> str:
        """Why one that could not be an operation was never sent."""
        return f"{self._no_turn} within {seconds:g} s."

    def ignored(self, reason: str) -> str:
        """Why a client that might have had a 202 waited for the origin."""
        return f"The preference respond-async was ignored: {reason}"

    def idle_tunnel(self) -> str:
        """Why a tunnel was broken off."""
        return f"Not a byte either way for {self._route.idle_timeout:g} s (idle_timeout of route {self._route.name})."

    def _not_sent(self, *, full: bool) -> str:
        """Where there is room, it has but to connect."""
        later = self._route.respond_async
        limited = full or (later is not None and later.max_running is not None)
        return self._no_turn if limited else f"There was no connection to origin {self._route.origin}"

    @property
    def _no_turn(self) -> str:
        origin, later = self._origin, self._route.respond_async
        limits = f"max_connections {origin.max_connections}"
        if later is not None and later.max_running is not None:
            limits += f", max_running {later.max_running}"
        return f"The request had no turn at origin {self._route.origin} ({limits})"

    def _wait(self, race: Race) -> str:
        """Whose patience that was."""
        later = self._route.respond_async
        if race.honoured_wait is not None:
            return "the client's wait"
        key = "wait" if later is None or race.wait == later.wait else "max_wait"
        return f"{key} of route {self._route.name}"

    def _no_wait(self, race: Race) -> str:
        """Who would not have any: then it says nothing of the origin that it has not answered."""
        if race.honoured_wait is not None:
            return "The client asked not to wait (wait=0)"
        return f"Clients are not kept waiting ({self._wait(race)})"
