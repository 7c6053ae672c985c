"""What operators see: structured log lines and metrics. Never credentials, never a whole status URL."""

import logging
import sys
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime
from json import JSONEncoder
from typing import Final

import structlog
from prometheus_client import CollectorRegistry, Metric, generate_latest
from prometheus_client.registry import Collector

from proxy.config import LogSettings
from proxy.figures import Figures
from proxy.logwriter import DirectWriter, LogWriter
from proxy.meters import Counts, Durations, Gauge
from proxy.operation import Operation

_JSON: Final = JSONEncoder(default=repr)
_with_traceback: Final = structlog.processors.format_exc_info

SECONDS = (0.005, 0.025, 0.1, 0.5, 1, 2.5, 5, 10, 30, 60, 300, 1800)


def configure_logging(settings: LogSettings, writer: LogWriter | DirectWriter) -> None:
    """Hand log lines to the writer: for people on a terminal, as JSON elsewhere."""
    console = settings.format == "console" or (settings.format == "auto" and sys.stderr.isatty())
    rendered = [structlog.dev.ConsoleRenderer(sort_keys=False)] if console else [_with_traceback, _rendered]
    structlog.configure(
        processors=[_readable, *rendered],
        wrapper_class=structlog.make_filtering_bound_logger(logging.getLevelNamesMapping()[settings.level.upper()]),
        logger_factory=lambda *_: writer,
        cache_logger_on_first_use=isinstance(writer, LogWriter),  # the other one's process forks, and may reload
    )


def takes_json() -> Callable[[str], None] | None:
    """Takes lines of JSON that are ready to be written; None if lines are not that, or not made as configured here."""
    config = structlog.get_config()
    return config["logger_factory"]().put if config["processors"][-1] is _rendered else None


def as_json(facts: Mapping[str, object]) -> str:
    """Facts as lines have them."""
    return _JSON.encode(facts)


def _readable(_: object, level: str, line: structlog.types.EventDict) -> structlog.types.EventDict:
    """When something happened, how grave it is and what it is; then its facts, but for those that are none."""
    now = datetime.now(UTC).isoformat(timespec="microseconds").removesuffix("+00:00")
    first: structlog.types.EventDict = {"timestamp": f"{now}Z", "level": level, "event": line.pop("event")}
    first.update([fact for fact in line.items() if fact[1] is not None])
    return first


def _rendered(_: object, __: str, line: structlog.types.EventDict) -> str:
    return as_json(line)


class Metrics:
    """What is counted in one service."""

    def __init__(self) -> None:
        self._requests = Counts("respond_async_requests", "Requests answered.", ("route", "status"))
        self._request_seconds = Durations(
            "respond_async_request_seconds", "Time from a request's head to the end of its response.", "route", SECONDS
        )
        self._settled = Counts("respond_async_operations_settled", "Operations settled.", ("route", "state"))
        self._seconds = Durations(
            "respond_async_operation_seconds", "Time from an operation's 202 to its settling.", "route", SECONDS
        )
        self._log = structlog.get_logger().bind()  # as in AccessLog
        self._meters: list[Counts | Durations | Gauge] = [
            self._requests, self._request_seconds, self._settled, self._seconds,
        ]  # fmt: skip

    def request(self, route: str, status: int, seconds: float) -> None:
        """Count an answered request."""
        self._requests.add(route, status)
        self._request_seconds.observe(route, seconds)

    def settled(self, operation: Operation) -> None:
        """Count an operation that was settled here, and log it."""
        self._settled.add(operation.route, operation.state.value)
        seconds = (operation.settled_at or operation.created) - operation.created
        self._seconds.observe(operation.route, seconds)
        if self._log.is_enabled_for(logging.INFO):
            self._log_settled(operation, seconds)

    def gauge(self, name: str, documentation: str, read: Callable[[], float]) -> None:
        """Show a figure that is read when somebody looks."""
        self._meters.append(Gauge(name, documentation, read))

    def figures(self) -> Figures:
        """All of it as it stands."""
        return [meter.family() for meter in self._meters]

    def _log_settled(self, operation: Operation, seconds: float) -> None:
        log = self._log
        log.info(
            "operation settled",
            operation=operation.short_id,
            state=operation.state.value,
            status=operation.head.status if operation.head else None,
            error=operation.failure.code if operation.failure else None,
            error_type=operation.failure.error_type if operation.failure else None,
            detail=operation.failure.detail if operation.failure else None,
            bytes=operation.body.size if operation.body else None,
            seconds=round(seconds, 3),
            route=operation.route,
            method=operation.request.method,
        )


def exposition(figures: Figures) -> bytes:
    """Figures in Prometheus' text format."""
    registry = CollectorRegistry()
    registry.register(_Collected(figures))
    return generate_latest(registry)


class _Collected(Collector):
    """Figures, as a registry wants them."""

    def __init__(self, figures: Figures) -> None:
        self._figures = figures

    def collect(self) -> Iterator[Metric]:
        for family in self._figures:
            metric = Metric(family["name"], family["documentation"], family["type"])
            for name, labels, value in family["samples"]:
                metric.add_sample(name, labels, value)
            yield metric
