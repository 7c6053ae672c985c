"""The sections of the configuration as text and table, from the JSON Schema that editors read."""

from collections.abc import Iterator, Mapping
from typing import Any, Final

from pydantic import TypeAdapter

from proxy.config import addresses, json_schema, scalars
from reference.places import anchor, headings, table

Schema = Mapping[str, Any]

# What a value is called, by the type that reads it; all other texts are just that.
_CALLED: Final = {
    scalars.Duration: "duration",
    scalars.Size: "size",
    scalars.File: "file",
    scalars.UrlPath: "path",
    scalars.Folder: "path",
    scalars.Host: "host",
    scalars.HostPattern: "host",
    scalars.Regex: "regular expression",
    addresses.Listen: "address",
    addresses.AddressOrOff: "address",
    addresses.Network: "network",
    addresses.Origin: "URL",
    addresses.PublicUrl: "URL",
    addresses.Store: "URL",
    addresses.Collector: "URL",
}
_TYPES: Final = {"integer": "number", "number": "number", "boolean": "flag", "object": "mapping"}
_NOTHING: Final = {"type": "null"}  # which can be written wherever there is a default
_INTERPOLATED: Final = r"\$\{"  # which can be written wherever there is a scalar


def sections(page: str) -> dict[str, str]:
    """What is to be written into each place of the page, which is named as the section's model."""
    schema = json_schema()
    models = {"Config": schema, **schema["$defs"]}
    values = _Values(headings(page))
    return {name: f"{model['description']}\n\n{_keys(model, values)}" for name, model in models.items()}


def _keys(model: Schema, values: "_Values") -> str:
    required = model.get("required", ())
    rows = (
        (f"`{key}`", values.words(said), "required" if key in required else _default(said), said["description"])
        for key, said in model["properties"].items()
    )
    return table(("key", "value", "default", "meaning"), rows)


def _default(said: Schema) -> str:
    match said.get("default"):
        case None:
            return "" if _is_section(said) else "unset"
        case []:
            return "none"
        case [only]:
            return f"`{only}`"
        case bool() as flag:
            return f"`{str(flag).lower()}`"
        case value:
            return f"`{value}`"


def _is_section(said: Schema) -> bool:
    return any("$ref" in kind for kind in said.get("anyOf", [said]))


class _Values:
    """How the values of keys are called."""

    def __init__(self, headings: Mapping[str, str]) -> None:
        self._headings = headings
        self._called = {form: name for type_, name in _CALLED.items() for form in _forms(_schema_of(type_))}

    def words(self, said: Schema) -> str:
        """Such as "size", or "`preserve`, `origin`"."""
        return " or ".join(
            dict.fromkeys(self._kind(kind) for kind in said.get("anyOf", [said]) if not _is_anywhere(kind))
        )

    def _kind(self, kind: Schema) -> str:
        match kind:
            case {"$ref": reference}:
                return self._section(reference.rpartition("/")[2])
            case {"type": "array", "items": items}:
                return f"list of {_several(self.words(items))}"
            case {"type": "object", "additionalProperties": {"$ref": _} as each}:
                return f"mapping of names to {_several(self._kind(each))}"
            case _:
                return self._scalar(kind)

    def _scalar(self, kind: Schema) -> str:
        if choices := kind.get("enum"):
            return " or ".join(f"`{choice}`" for choice in choices)
        return _TYPES.get(kind["type"]) or self._text(kind)

    def _section(self, model: str) -> str:
        return f"[section](#{anchor(self._headings.get(model, model))})"

    def _text(self, kind: Schema) -> str:
        return self._called.get(_form(kind), "text")


def _is_anywhere(kind: Schema) -> bool:
    """Whether it may stand for values of any kind, so that it tells nothing of this one."""
    return kind == _NOTHING or kind.get("pattern") == _INTERPOLATED


def _several(words: str) -> str:
    if words.startswith("["):
        return words.replace("[section]", "[sections]")
    return f"{words}{'es' if words.endswith('s') else 's'}"


def _schema_of(type_: Any) -> Schema:  # noqa: ANN401  # whatever can be annotated
    return TypeAdapter(type_).json_schema(mode="serialization")


def _forms(schema: Schema) -> Iterator[str]:
    """The patterns or formats by which a type's texts are known."""
    return filter(None, map(_form, schema.get("anyOf", [schema])))


def _form(kind: Schema) -> str:
    form: str = kind.get("pattern") or kind.get("format", "")
    return form
