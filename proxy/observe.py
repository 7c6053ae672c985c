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
from proxy.words import timestamp

_JSON: Final = JSONEncoder(default=repr)
_with_traceback: Final = structlog.processors.format_exc_info


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
    now = timestamp(datetime.now(UTC).timestamp())
    first: structlog.types.EventDict = {"timestamp": now, "level": level, "event": line.pop("event")}
    first.update([fact for fact in line.items() if fact[1] is not None])
    return first


def _rendered(_: object, __: str, line: structlog.types.EventDict) -> str:
    return as_json(line)


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
