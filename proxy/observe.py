"""What operators see: structured log lines and metrics. Never credentials, never a whole status URL."""

import logging
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from itertools import accumulate
from json import JSONEncoder
from math import inf
from typing import Final

import structlog

from proxy.config import LogSettings
from proxy.figures import HISTOGRAM, Family, pieces
from proxy.logwriter import DirectWriter, LogWriter
from proxy.words import escaped, timestamp

_JSON: Final = JSONEncoder(default=repr)
_with_traceback: Final = structlog.processors.format_exc_info


def configure_logging(settings: LogSettings, writer: LogWriter | DirectWriter) -> None:
    """Hand log lines to the writer: for people on a terminal, as JSON elsewhere."""
    rendered: list[structlog.types.Processor] = [_with_traceback, _rendered]
    if settings.format == "console" or (settings.format == "auto" and sys.stderr.isatty()):
        rendered = [_harmless, structlog.dev.ConsoleRenderer(sort_keys=False, colors=sys.stderr.isatty())]
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


def _harmless(_: object, __: str, line: structlog.types.EventDict) -> structlog.types.EventDict:
    """Nothing that a terminal would take for a command: clients choose what paths and ids are made of."""
    return {name: escaped(fact) if isinstance(fact, str) else fact for name, fact in line.items()}


def _rendered(_: object, __: str, line: structlog.types.EventDict) -> str:
    return as_json(line)


def exposition(figures: Iterable[Family]) -> Iterator[bytes]:
    """Figures in Prometheus' text format, piece by piece."""
    before = ""
    for family in pieces(figures):
        header = _header(family) if family["name"] != before else ""
        rows = _histogram(family) if family["type"] == HISTOGRAM else _numbers(family)
        yield "".join([header, *rows]).encode()
        before = family["name"]


def _header(family: Family) -> str:
    name = _sample(family)
    return f"# HELP {name} {family['documentation']}\n# TYPE {name} {family['type']}\n"


def _numbers(family: Family) -> Iterator[str]:
    name = _sample(family)
    for values, (number,) in family["rows"]:
        labels = _labels(family["labels"], values)
        yield f"{name}{{{labels}}} {_number(number)}\n" if labels else f"{name} {_number(number)}\n"


def _histogram(family: Family) -> Iterator[str]:
    """Each bucket with all that are below its bound."""
    name, bounds = family["name"], [repr(float(bound)) for bound in family["bounds"]]
    for values, (*buckets, total) in family["rows"]:
        labels = _labels(family["labels"], values)
        for bound, count in zip([*bounds, "+Inf"], accumulate(buckets), strict=True):
            yield f'{name}_bucket{{le="{bound}",{labels}}} {_number(count)}\n'
        yield f"{name}_count{{{labels}}} {_number(sum(buckets))}\n{name}_sum{{{labels}}} {_number(total)}\n"


def _sample(family: Family) -> str:
    return f"{family['name']}_total" if family["type"] == "counter" else family["name"]


def _labels(names: Sequence[str], values: Sequence[str]) -> str:
    return ",".join(f'{name}="{_escaped(value)}"' for name, value in zip(names, values, strict=True))


def _escaped(value: str) -> str:
    return value.replace("\\", r"\\").replace("\n", r"\n").replace('"', r"\"")


def _number(number: float) -> str:
    return "+Inf" if number == inf else repr(float(number))
