"""Why a request ended as it did, in sentences for whoever reads the log, with the figures that decided it.

They name keys of the configuration as they stand there, with whose they are, so that it is plain where to change
something. Clients are told less (see `errors`).
"""

from typing import Final, Literal

from proxy.config import OriginSettings, Route
from proxy.errors import OriginError, OriginTimeout, OriginUnreachable, ProxyError, RequestTooLarge, ResponseTooLarge
from proxy.operation import Operation, State
from proxy.plan import Race

DISGUISED: Final = "Its path is that of a status URL in another spelling, or leads through one, which makes it none."
LEAST_SERVER_ERROR: Final = 500  # for who answered: the rest is the client's doing
STOPPED: Final = "The proxy was stopped, and did not wait for it any longer (drain_timeout)."
TOLD_TWICE: Final = "The proxy was told a second time to stop, and so broke it off at once."
MAY_BE_DONE: Final = "It had been sent, so the origin may have carried it out."
OWN_ANSWER: Final = "The origin itself answered {status}."
TLS: Final = ("tls_certificate_error", "tls_protocol_error")

# Why a request was not sent yet: the key of a bound that keeps it from its turn at the origin, "closing" if that is
# max_connections and some are still being closed; or "connecting", if it has its turn.
Hold = Literal["max_connections", "closing", "max_running", "connecting"]


def of(error: ProxyError) -> str:
    """What is to be said where nothing is known of the route."""
    title = f"{error.title()}."
    return error.why or (title if error.detail in ("", title) else f"{title} {error.detail}")


def with_cause(why: str, error: ProxyError) -> str:
    """Where no request was sent, also what lies behind that: an operation keeps its `why`, and not its error.

    Of other errors it might be what was sent.
    """
    return f"{why} Cause: {error.cause}" if isinstance(error, OriginUnreachable) and error.cause else why


def shown(operation: Operation) -> str | None:
    """Why a status URL is answered as it is, where that is not the origin's own success."""
    match operation.state:
        case State.QUEUED | State.RUNNING:
            return unsettled(operation, f"Operation {operation.short_id}")
        case State.FAILED if operation.failure is not None:
            return f"Operation {operation.short_id} failed: {operation.why or of(operation.failure.error())}"
        case State.COMPLETED if operation.head is not None and operation.head.status >= LEAST_SERVER_ERROR:
            return f"Operation {operation.short_id} completed. {OWN_ANSWER.format(status=operation.head.status)}"
        case _:
            return None


def expired(operation: Operation) -> str:
    """Why the result of a settled operation is gone."""
    key = f"respond_async.keep of route {operation.route}"
    return f"Operation {operation.short_id} was settled more than {operation.keep:g} s ago ({key}): its result is gone."


def unknown(operation: Operation | None) -> str:
    """Why a status URL shows nothing: there is no operation, or it may not be shown to whoever asks."""
    if operation is None:
        return "There is no operation with this id: it never was, was deleted, or has been forgotten."
    if operation.state is State.DISMISSED:
        return f"Operation {operation.short_id} is deleted. {operation.why}".rstrip()
    key = f"respond_async.owner of route {operation.route}"
    return f"Operation {operation.short_id} was asked for without the credential of the request that made it ({key})."


def unsettled(operation: Operation, it: str) -> str:
    """How an operation stands that is not settled; `it` is what it is called."""
    if operation.is_running:
        return f"{it} still runs: the origin's response is not complete."
    return f"{it} waits for its turn at the origin."


def no_turn(origin: str, settings: OriginSettings, *, closing: bool) -> str:
    """Why a request whose client waits had none; `closing`: some connections are still being closed."""
    within = f"within {settings.queue_timeout:g} s (queue_timeout of origin {origin})"
    return f"The request had no turn at origin {origin} {within}: {_in_use(origin, settings, closing=closing)}."


def left_alone(origin: str) -> str:
    """Why no connection was tried."""
    keys = f"unhealthy_after, unhealthy_for, health_check of origin {origin}"
    return f"Each server of origin {origin} has failed, several times or in its check, and is left alone for a while ({keys})."


def stranded(origin: str) -> str:
    """Why an operation waits, though its turn has come or may come soon."""
    return f"It waits until origin {origin} can be reached. {left_alone(origin)}"


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


def _in_use(origin: str, settings: OriginSettings, *, closing: bool) -> str:
    how = "in use, or still being closed" if closing else "in use"
    return f"all its connections were {how} (max_connections of origin {origin}: {settings.max_connections})"


class Reasons:
    """The sentences of one route."""

    def __init__(self, route: Route, origin: OriginSettings) -> None:
        self._route = route
        of_route, of_origin, it = f"of route {route.name}", f"of origin {route.origin}", f"Origin {route.origin}"
        connecting = f"{origin.connect_timeout:g} s (connect_timeout {of_origin})"
        silence = f"{route.idle_timeout:g} s (idle_timeout {of_route})"
        self._timeouts = {
            "dns_timeout": f"The origin's name was not resolved within {connecting}.",
            "connection_timeout": f"No connection within {connecting}.",
            "http_response_timeout": f"{it} sent no response head within {route.timeout:g} s (timeout {of_route}).",
            "connection_read_timeout": f"{it} sent no more of the response for {silence}.",
            "connection_write_timeout": f"{it} took no more of the request for {silence}.",
        }
        later = route.respond_async
        most = None if later is None else later.max_running
        self._bounds: dict[Hold, str] = {
            "max_connections": _in_use(route.origin, origin, closing=False),
            "closing": _in_use(route.origin, origin, closing=True),
            "max_running": f"no more operations of its route may be there (respond_async.max_running {of_route}: {most})",
        }

    def failed(self, error: ProxyError, *, later: bool, may_be_done: bool = False) -> str:
        """Why there is an error in place of a response, on the way of those that may be answered later or another.

        Where the origin may have carried out the request all the same, that is said: it changes something.
        """
        why = self._failed(error, later=later)
        return f"{why} {MAY_BE_DONE}" if may_be_done and isinstance(error, OriginError) else why

    def _failed(self, error: ProxyError, *, later: bool) -> str:
        match error:
            case ProxyError(why=why) if why:
                return why
            case OriginTimeout():
                return self._timeouts.get(error.error_type or "") or of(error)
            case OriginUnreachable():
                return self._timeouts.get(error.error_type or "") or self._unreachable(error)
            case RequestTooLarge():
                return self._too_large(error, "respond_async.max_request_body" if later else "max_request_body")
            case ResponseTooLarge():
                return self._too_large(error, "respond_async.max_response_body")
            case _:
                return of(error)

    def accepted(self, race: Race, held_by: Hold | None) -> str:
        """Why the client has a 202; of a request that was not sent yet, with what holds it (see `queued`)."""
        if race.wait:
            return f"{self._not_answered(held_by, self._within(race))}; answered 202."
        more = "" if held_by is None else f". {self._not_answered(held_by, 'yet')}"
        return f"{self._no_wait(race)}{more}; answered 202."

    def queued(self, held_by: Hold) -> str:
        """Why an operation waits."""
        return f"{self._not_answered(held_by, 'yet')}."

    def too_long(self, seconds: float) -> str:
        """Why an operation's exchange was ended."""
        what = f"The response of origin {self._route.origin} was not complete {seconds:g} s after the request was sent"
        return f"{what} ({self._key('respond_async.timeout')})."

    @property
    def unclaimed(self) -> str:
        """Why an operation was dismissed that nobody would have asked for."""
        return f"Its client left before the 202 was sent ({self._key('on_disconnect')}: {self._route.on_disconnect})."

    def out_of_time(self, race: Race, held_by: Hold | None) -> str:
        """Why one that could not be an operation has no response. What holds it is as for `accepted`."""
        seconds = race.wait + self._route.timeout
        within = f"within {seconds:g} s ({self._wait(race)}, and then {self._key('timeout')})"
        return f"{self._not_answered(held_by, within)}."

    def ignored(self, reason: str) -> str:
        """Why a client that might have had a 202 waited for the origin."""
        return f"The preference respond-async was ignored: {reason}"

    def idle_tunnel(self) -> str:
        """Why a tunnel was broken off."""
        return f"Not a byte either way for {self._route.idle_timeout:g} s ({self._key('idle_timeout')})."

    def _key(self, key: str) -> str:
        return f"{key} of route {self._route.name}"

    def _unreachable(self, error: ProxyError) -> str:
        key = "tls" if error.error_type in TLS else "url"
        return f"{of(error).rstrip('.')} ({key} of origin {self._route.origin})."

    def _too_large(self, error: ProxyError, key: str) -> str:
        return f"{error.detail.rstrip('.')} ({self._key(key)})."

    def _not_answered(self, held_by: Hold | None, when: str) -> str:
        match held_by:
            case None:
                return f"The origin had not answered {when}"
            case "connecting":
                return f"There was no connection to origin {self._route.origin} {when}"
            case bound:
                return f"The request had no turn at origin {self._route.origin} {when}: {self._bounds[bound]}"

    def _within(self, race: Race) -> str:
        return f"within {race.wait:g} s ({self._wait(race)})"

    def _wait(self, race: Race) -> str:
        """Whose patience that was."""
        later = self._route.respond_async
        if race.honoured_wait is not None:
            return f"the client's Prefer: wait={race.honoured_wait}"
        return self._key(f"respond_async.{'wait' if later is None or race.wait == later.wait else 'max_wait'}")

    def _no_wait(self, race: Race) -> str:
        """Who would not have any: then it says nothing of the origin that it has not answered."""
        if race.honoured_wait is not None:
            return f"The client asked not to wait (Prefer: wait={race.honoured_wait})"
        return f"Clients are not kept waiting ({self._wait(race)})"
