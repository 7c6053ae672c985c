"""The schema as JSON Schema, so that editors complete and check a configuration while it is written.

`python -m proxy.config > config/schema.json` writes it again after a change of the models.

The texts below the keys are read from the models' source here, and not by pydantic when it makes the models: that
would be a good part of every start's time, for what only editors ask for.
"""

import ast
import inspect
from collections.abc import Container, Iterator
from itertools import pairwise
from typing import Any, Final

from proxy.config import origins, routes, service
from proxy.config.service import Config

Schema = dict[str, Any]

_NOTHING: Final = {"type": "null"}
_INTERPOLATED: Final = {"type": "string", "pattern": r"\$\{"}
_NARROW: Final = {"pattern", "enum"}


def json_schema() -> Schema:
    """A JSON Schema (2020-12) of the file: what load() takes, as far as JSON Schema can say it."""
    schema = Config.model_json_schema(mode="serialization")  # serialised is how the file writes it: `2s`, not 2.0
    texts = dict(_texts())
    for section in (schema, *schema["$defs"].values()):
        required, told = section.get("required", ()), texts[section["title"]]
        section["description"] = _on_one_line(section["description"])
        section["properties"] = {
            key: {"description": told[key], **_as_written(key, kind, required)}
            for key, kind in section["properties"].items()
        }
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **schema}


def _texts() -> Iterator[tuple[str, dict[str, str]]]:
    """The sections by name, with the text that stands below each of their keys."""
    for module in (service, origins, routes):
        for section in ast.parse(inspect.getsource(module)).body:
            if isinstance(section, ast.ClassDef):
                yield section.name, dict(_texts_of(section))


def _texts_of(section: ast.ClassDef) -> Iterator[tuple[str, str]]:
    for key, text in pairwise(section.body):
        if isinstance(key, ast.AnnAssign) and isinstance(text, ast.Expr):
            yield ast.unparse(key.target), _on_one_line(ast.literal_eval(text.value))


def _on_one_line(text: str) -> str:
    """The text of a docstring, without the line breaks that only the source has."""
    return " ".join(text.split())


def _as_written(key: str, schema: Schema, required: Container[str]) -> Schema:
    """A key's schema, with `${NAME}` where a scalar may stand, and with nothing where the key has a default."""
    schema.pop("title", None)
    default = schema.pop("default", None)
    kinds = [_with_items(kind) for kind in schema.get("anyOf", [schema]) if kind != _NOTHING]
    if any(_is_narrow(kind) for kind in kinds):
        kinds.append(_INTERPOLATED)
    if key not in required:
        kinds.append(_NOTHING)
    said = {} if default is None else {"default": default}
    return {**said, **({"anyOf": kinds} if len(kinds) > 1 else kinds[0])}


def _with_items(schema: Schema) -> Schema:
    items = schema.get("items", {})
    return {**schema, "items": {"anyOf": [items, _INTERPOLATED]}} if _is_narrow(items) else schema


def _is_narrow(schema: Schema) -> bool:
    """Whether it takes some scalars and refuses others."""
    return not _NARROW.isdisjoint(schema) or schema.get("type") in {"integer", "number", "boolean"}
