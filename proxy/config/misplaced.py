"""Keys that are known, but not where they were written."""

from collections.abc import Mapping
from typing import Final

from proxy.config.schema import (
    Config,
    FieldChanges,
    HealthCheck,
    Limits,
    LogSettings,
    Match,
    OriginSettings,
    OriginTls,
    RespondAsync,
    Route,
    ServerTls,
    StoreSettings,
)
from proxy.config.section import UNKNOWN, Section, Wrong

PLACES: Final[Mapping[str, type[Section]]] = {
    "the top level": Config,
    "`tls`": ServerTls,
    "`store`": StoreSettings,
    "`limits`": Limits,
    "`log`": LogSettings,
    "`origins.NAME`": OriginSettings,
    "`origins.NAME.tls`": OriginTls,
    "`origins.NAME.health_check`": HealthCheck,
    "`routes[]`": Route,
    "`routes[].match`": Match,
    "`routes[].request_headers` and `routes[].response_headers`": FieldChanges,
    "`routes[].respond_async`": RespondAsync,
}


def elsewhere(wrong: Wrong) -> Wrong:
    """The same, with a hint where an unknown key belongs: that it is known elsewhere is closer than any that resembles it."""
    places = [place for place, section in PLACES.items() if wrong.loc[-1:] and wrong.loc[-1] in section.model_fields]
    return wrong._replace(hint=f"it belongs to {' or '.join(places)}") if wrong.reason == UNKNOWN and places else wrong
