"""Keys that are known, but not where they were written, or not as deep; and sections and lists written as one value."""

import json
import re
from collections.abc import Mapping
from typing import Final

from proxy.config.origins import HealthCheck, OriginSettings, OriginTls
from proxy.config.routes import FieldChanges, Match, RespondAsync, Route
from proxy.config.section import NO_LIST, NO_MAPPING, UNKNOWN, Section, Wrong
from proxy.config.service import Config, Limits, LogSettings, ServerTls, StoreSettings
from proxy.config.source import Loc
from proxy.config.unreadable import KEY_WITHOUT_SPACE

PLAIN: Final = re.compile(r"[\w.*/, -]+")
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


def hinted(wrong: Wrong, data: object) -> Wrong:
    """The same, with a hint where an unknown key belongs: that it is known elsewhere is closer than any that resembles it.

    `data` is all of the file. Where something has the wrong shape, it may be the indentation that has.
    """
    hint = _other_place(wrong) or _other_indentation(wrong, data) or _other_shape(wrong, data)
    return wrong._replace(hint=hint) if hint else wrong


def _other_place(wrong: Wrong) -> str:
    places = [place for place, section in PLACES.items() if wrong.loc[-1:] and wrong.loc[-1] in section.model_fields]
    return f"it belongs to {' or '.join(places)}" if wrong.reason == UNKNOWN and places else ""


def _other_indentation(wrong: Wrong, data: object) -> str:
    match wrong:
        case Wrong(("origins", str(key)), reason) if reason == NO_MAPPING and key in OriginSettings.model_fields:
            return f"`{key}` is a key of one origin: indent it below the origin's name"
        case Wrong(("origins", str(key)), reason) if reason == NO_MAPPING and key in Config.model_fields:
            return f"`{key}` belongs to the top level: indent it less"
        case Wrong(("origins",), reason) if reason == NO_MAPPING:
            return "it has a name for each origin, and below that its `url`, without `-`"
        case Wrong(("routes",), reason) if reason == NO_LIST:
            return "each of its routes begins with `- `"
        case Wrong((str(key),), reason) if reason == UNKNOWN and _is_like_an_origin(data, key):
            return "it looks like an origin: indent it below `origins`"
    return ""


def _other_shape(wrong: Wrong, data: object) -> str:
    value = _value_at(wrong.loc, data)
    if not isinstance(value, str):
        return ""
    if wrong.reason == NO_MAPPING and KEY_WITHOUT_SPACE.match(value):  # which YAML takes for a text
        return "the space after the colon of its key is missing"
    return f"did you mean `[{_in_a_list(value)}]`?" if wrong.reason == NO_LIST else ""


def _in_a_list(text: str) -> str:
    """As it is written there; commas may stand between several."""
    return text if PLAIN.fullmatch(text) else json.dumps(text)


def _value_at(loc: Loc, data: object) -> object:
    for step in loc:
        entries = dict(enumerate(data)) if isinstance(data, list) else data
        data = entries.get(step) if isinstance(entries, Mapping) else None
    return data


def _is_like_an_origin(data: object, key: str) -> bool:
    value = data.get(key) if isinstance(data, Mapping) else None
    return isinstance(value, Mapping) and "url" in value and value.keys() <= OriginSettings.model_fields.keys()
