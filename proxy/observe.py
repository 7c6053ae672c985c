"""What operators see: structured log lines and metrics. Never credentials, never a whole status URL."""

import logging
import sys
from collections.abc import Callable, Iterator

import structlog
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, Metric, generate_latest
from prometheus_client.registry import Collector

from proxy.config import LogSettings
from proxy.figures import Family, Figures
from proxy.logwriter import DirectWriter, LogWriter
from proxy.operation import Operation

SECONDS = (0.005, 0.025, 0.1, 0.5, 1, 2.5, 5, 10, 30, 60, 300, 1800)


def configure_logging(settings: LogSettings, writer: LogWriter | DirectWriter) -> None:
    """Hand log lines to the writer: for people on a terminal, as JSON elsewhere."""
    console = settings.format == "console" or (settings.format == "auto" and sys.stderr.isatty())
    as_json = [structlog.processors.format_exc_info, structlog.processors.JSONRenderer()]
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso"),
            _readable,
            *([structlog.dev.ConsoleRenderer(sort_keys=False)] if console else as_json),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(logging.getLevelNamesMapping()[settings.level.upper()]),
        logger_factory=lambda *_: writer,
        cache_logger_on_first_use=isinstance(writer, LogWriter),  # the other one's process forks, and may reload
    )


def _readable(_: object, __: str, line: structlog.types.EventDict) -> structlog.types.EventDict:
    """What happened when, before its facts, and no fact that is none."""
    first: structlog.types.EventDict = {name: line.pop(name) for name in ("timestamp", "level", "event")}
    first.update((name, value) for name, value in line.items() if value is not None)
    return first


class Metrics:
    """What is counted, in the registry of one service."""

    def __init__(self) -> None:
        self._registry = CollectorRegistry()
        self._requests = Counter(
            "respond_async_requests", "Requests answered.", ["route", "status"], registry=self._registry
        )
        self._request_seconds = Histogram(
            "respond_async_request_seconds",
            "Time from a request's head to the end of its response.",
            ["route"],
            buckets=SECONDS,
            registry=self._registry,
        )
        self._settled = Counter(
            "respond_async_operations_settled", "Operations settled.", ["route", "state"], registry=self._registry
        )
        self._seconds = Histogram(
            "respond_async_operation_seconds",
            "Time from an operation's 202 to its settling.",
            ["route"],
            buckets=SECONDS,
            registry=self._registry,
        )

    def request(self, route: str, status: int, seconds: float) -> None:
        """Count an answered request."""
        self._requests.labels(route, status).inc()
        self._request_seconds.labels(route).observe(seconds)

    def settled(self, operation: Operation) -> None:
        """Count an operation that was settled here, and log it."""
        self._settled.labels(operation.route, operation.state.value).inc()
        seconds = (operation.settled_at or operation.created) - operation.created
        self._seconds.labels(operation.route).observe(seconds)
        structlog.get_logger().info(
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

    def gauge(self, name: str, documentation: str, read: Callable[[], float]) -> None:
        """Show a figure that is read when somebody looks."""
        Gauge(name, documentation, registry=self._registry).set_function(read)

    def figures(self) -> Figures:
        """All of it as it stands. Not since when: that is lost in a sum."""
        return [
            Family(
                name=metric.name,
                type=metric.type,
                documentation=metric.documentation,
                samples=[(one.name, one.labels, one.value) for one in metric.samples if not _is_since_when(one.name)],
            )
            for metric in self._registry.collect()
        ]


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


def _is_since_when(sample: str) -> bool:
    return sample.endswith("_created")
