"""What all sections of the configuration share: frozen, no unknown keys, empty means default, errors in plain words.

Attributes are named as the keys. Durations are float seconds and sizes int bytes, and defaults are written as in the
file; what requests need stands ready as a plain attribute. The texts below the keys, and those of the sections, are what
editors show and what `make reference` writes into docs/configuration.md.

pydantic finds the errors; here they get our words, level by level, so that an unknown key is compared with the keys of
its own section. Errors travel as pydantic's own ValidationError, whose details carry a reason and a hint (see Refused).
"""

from collections.abc import Iterable, Iterator, Mapping
from typing import Final, NamedTuple, Self

from pydantic import BaseModel, ConfigDict, ModelWrapValidatorHandler, ValidationError, model_validator
from pydantic_core import ErrorDetails, InitErrorDetails, PydanticCustomError

from proxy.config.scalars import Refused
from proxy.config.source import Loc
from proxy.words import listed, nearest

_KIND: Final = "configuration"  # of errors that are in our words already

UNKNOWN: Final = "unknown key"
NO_MAPPING: Final = "must be a mapping"
NO_LIST: Final = "must be a list"

_WORDS: Final = {
    "missing": "is required",
    "model_type": NO_MAPPING,
    "dict_type": NO_MAPPING,
    "tuple_type": NO_LIST,
    "frozen_set_type": NO_LIST,
    "greater_than": "must be more than zero",
    "greater_than_equal": "must be zero or more",
    "less_than_equal": "is too large",
}


class Wrong(NamedTuple):
    """What is wrong at a place of a section."""

    loc: Loc
    reason: str
    hint: str = ""
    other: Loc = ()  # what it does not fit together with, from the top of the file


class Section(BaseModel):
    """A mapping of the file."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    @classmethod
    def contradictions(cls, data: Mapping[str, object]) -> Iterable[Wrong]:  # noqa: ARG003 - for those who have any
        """What in the data does not fit together, found even where its shape is wrong."""
        return ()

    @model_validator(mode="wrap")
    @classmethod
    def _in_plain_words(cls, data: object, handler: ModelWrapValidatorHandler[Self]) -> Self:
        data = cls._without_empty(data)
        wrong = list(cls.contradictions(data)) if isinstance(data, Mapping) else []
        try:
            section = handler(data)
        except ValidationError as error:
            raise _refusal(cls.__name__, [*_in_words(error, cls.model_fields), *wrong]) from error
        if wrong:
            raise _refusal(cls.__name__, wrong)
        return section

    @classmethod
    def _without_empty(cls, data: object) -> object:
        """The data without those keys after which nothing is written: they have their defaults."""
        if data is None:
            return {}
        if not isinstance(data, Mapping):
            return data
        return {key: value for key, value in data.items() if value is not None or not cls._has_default(key)}

    @classmethod
    def _has_default(cls, key: object) -> bool:
        """Whether the key is known and None is none of its values."""
        field = cls.model_fields.get(str(key))
        return field is not None and field.default is not None


def wrongs(error: ValidationError) -> Iterator[Wrong]:
    """The errors of a section, as it raised them."""
    return _in_words(error, ())


def _refusal(section: str, wrong: Iterable[Wrong]) -> ValidationError:
    return ValidationError.from_exception_data(section, [_detail(one) for one in wrong])


def _detail(wrong: Wrong) -> InitErrorDetails:
    said = PydanticCustomError(_KIND, "{reason}", {"reason": wrong.reason, "hint": wrong.hint, "other": wrong.other})
    return InitErrorDetails(type=said, loc=wrong.loc, input=None)


def _in_words(error: ValidationError, keys: Iterable[str]) -> Iterator[Wrong]:
    for detail in error.errors(include_url=False):
        other = detail["ctx"]["other"] if detail["type"] == _KIND else ()
        yield Wrong(detail["loc"], *_words(detail, keys), other)


def _words(detail: ErrorDetails, keys: Iterable[str]) -> tuple[str, str]:
    """Reason and hint."""
    kind, context = detail["type"], detail.get("ctx", {})
    if kind == _KIND:
        return context["reason"], context["hint"]
    if kind == "extra_forbidden":
        return UNKNOWN, nearest(str(detail["loc"][-1]), keys) or f"here are {listed(keys)}"
    if isinstance(refused := context.get("error"), Refused):
        return refused.reason, refused.hint
    if detail["input"] is None:
        return "must not be empty", ""
    if isinstance(detail["input"], dict | list) and kind not in _WORDS:
        return "must be a single value", ""
    return _WORDS.get(kind) or detail["msg"].replace("Input should be", "must be").replace("'", "`"), ""
