"""What one value of the configuration may be: durations, sizes, names, paths, field lines.

A scalar of the file arrives as text and its key's type reads it here, so YAML's own guesses (`off` as false, `1:30` as
ninety) never happen. A value that has its Python type already passes as it is: seconds as float, bytes as int.

What cannot be read raises Refused. Its reason never repeats the value, which may be a secret; its hint may do so, and
is shown only for values that stand in the file itself.
"""

import os
import re
import warnings
from collections.abc import Callable, Sized
from pathlib import Path
from stat import S_ISREG
from typing import Annotated, Final, TypeVar

from pydantic import (
    BeforeValidator,
    Field,
    InstanceOf,
    PlainSerializer,
    SecretStr,
    TypeAdapter,
    ValidationInfo,
    WithJsonSchema,
)

from proxy.grammar import TOKEN

T = TypeVar("T")


class Refused(ValueError):
    """A value that its key does not take."""

    def __init__(self, reason: str, hint: str = "") -> None:
        super().__init__(reason, hint)
        self.reason = reason  # never contains the value
        self.hint = hint  # may contain it

    def __str__(self) -> str:
        return f"{self.reason}; {self.hint}" if self.hint else self.reason


def read_by(parse: Callable[[str], T]) -> BeforeValidator:
    """Reads text; what is no text is left to the type that is annotated."""
    return BeforeValidator(lambda value: parse(value) if isinstance(value, str) else value)


def not_empty(value: Sized) -> Sized:
    """An AfterValidator: pydantic's own min_length counts wrong items as absent."""
    if not value:
        raise Refused("must not be empty")
    return value


def written(pattern: str, *examples: str) -> WithJsonSchema:
    """How the value is written in the file, for the JSON Schema."""
    schema = {"type": "string", "pattern": f"^({pattern})$"}
    return WithJsonSchema({**schema, "examples": list(examples)} if examples else schema)


# Durations and sizes.

_NUMBER: Final = re.compile(r"[0-9]+(\.[0-9]+)?")
_DURATION: Final = re.compile(r"([0-9]{1,9}(?:\.[0-9]{1,9})?)(ms|s|m|h)")
_SECONDS: Final = {"h": 3600, "m": 60, "s": 1, "ms": 0.001}
_LONG_UNITS: Final = {
    **dict.fromkeys(("ms", "msec"), 0.001),
    **dict.fromkeys(("s", "sec", "secs", "second", "seconds"), 1),
    **dict.fromkeys(("m", "min", "mins", "minute", "minutes"), 60),
    **dict.fromkeys(("h", "hr", "hrs", "hour", "hours"), 3600),
    **dict.fromkeys(("d", "day", "days"), 86400),
    **dict.fromkeys(("w", "week", "weeks"), 7 * 86400),
}
_PART: Final = rf"([0-9]{{1,9}}(?:\.[0-9]{{1,9}})?) ?({'|'.join(sorted(_LONG_UNITS, key=len, reverse=True))})"
_ALMOST_A_PART: Final = re.compile(_PART, re.IGNORECASE)
_ALMOST_A_DURATION: Final = re.compile(rf"(?:{_PART} ?)+", re.IGNORECASE)
_YEAR: Final = 366 * 24 * 3600  # longer ones are mistakes, and overflow dates
_SIZE: Final = re.compile(r"([0-9]{1,12})(B|KiB|MiB|GiB|TiB)")
_ALMOST_A_SIZE: Final = re.compile(r"([0-9]+) ?([kmgt])i?b?", re.IGNORECASE)
_BYTES: Final = {"TiB": 1 << 40, "GiB": 1 << 30, "MiB": 1 << 20, "KiB": 1 << 10, "B": 1}
_MOST: Final = 1 << 60  # what file systems and databases count without trouble


def duration(text: str) -> float:
    """Seconds in `500ms`, `2s`, `15m` or `1h`."""
    if found := _DURATION.fullmatch(text):
        return float(found[1]) * _SECONDS[found[2]]
    raise Refused("must be a duration with its unit, such as `500ms`, `2s`, `15m` or `1h`", _duration_hint(text))


def _duration_hint(text: str) -> str:
    """What was meant by a bare number, `7d`, `1h30m` or `5 min`."""
    if _NUMBER.fullmatch(text):
        return f"did you mean `{text}s`?"
    if not _ALMOST_A_DURATION.fullmatch(text):
        return ""
    seconds = sum(float(count) * _LONG_UNITS[unit.lower()] for count, unit in _ALMOST_A_PART.findall(text))
    return f"did you mean `{duration_text(seconds)}`?"


def duration_text(seconds: float) -> str:
    """A duration as one writes it: in seconds, or in the largest unit that needs no fraction."""
    unit = next((unit for unit in ("h", "m", "s") if seconds % _SECONDS[unit] == 0), "ms") if seconds else "s"
    return f"{seconds / _SECONDS[unit]:.6f}".rstrip("0").rstrip(".") + unit


def size(text: str) -> int:
    """Bytes in `512B`, `64KiB`, `10MiB`, `1GiB` or `1TiB`."""
    if found := _SIZE.fullmatch(text):
        return int(found[1]) * _BYTES[found[2]]
    raise Refused("must be a size with its unit, such as `512B`, `64KiB`, `10MiB` or `1GiB`", _size_hint(text))


def _size_hint(text: str) -> str:
    if text.isdecimal():
        return f"did you mean `{text}B`?"
    found = _ALMOST_A_SIZE.fullmatch(text)
    return f"did you mean `{found[1]}{found[2].upper()}iB`?" if found else ""


def size_text(count: int) -> str:
    """A size in the largest unit that needs no fraction."""
    unit = next(unit for unit, each in _BYTES.items() if count % each == 0)
    return f"{count // _BYTES[unit]}{unit}"


_WRITTEN_DURATION: Final = written(_DURATION.pattern, "500ms", "2s", "15m", "1h")
_AS_DURATION: Final = PlainSerializer(duration_text, return_type=str)

Duration = Annotated[float, Field(gt=0, le=_YEAR), read_by(duration), _AS_DURATION, _WRITTEN_DURATION]
DurationOrZero = Annotated[float, Field(ge=0, le=_YEAR), read_by(duration), _AS_DURATION, _WRITTEN_DURATION]
Size = Annotated[
    int,
    Field(gt=0, le=_MOST),
    read_by(size),
    PlainSerializer(size_text, return_type=str),
    written(_SIZE.pattern, "64KiB", "10MiB", "1GiB"),
]


# Numbers, flags, names.

_TOKEN: Final = re.compile(TOKEN)
_MOST_DIGITS: Final = 9  # of a number that anything is counted by
_ALMOST_FLAGS: Final = {"true": {"yes", "y", "on", "1", "true"}, "false": {"no", "n", "off", "0", "false"}}


def flag(text: str) -> bool:
    if text not in {"true", "false"}:
        meant = next((flag for flag, words in _ALMOST_FLAGS.items() if text.lower() in words), None)
        raise Refused("must be `true` or `false`", f"did you mean `{meant}`?" if meant else "")
    return text == "true"


def count(text: str) -> int:
    if not re.fullmatch("-?[0-9]+", text):
        raise Refused("must be a whole number")
    digits = text.lstrip("-0")
    if text.startswith("-"):
        return -1 if digits else 0  # by how much is no matter: its key says what the least is
    if len(digits) > _MOST_DIGITS:
        raise Refused("is too large")
    return int(digits or "0")


def share(text: str) -> float:
    if not _NUMBER.fullmatch(text):
        raise Refused("must be a number from 0 to 1, such as `0.1`")
    return float(text)


def workers(text: str) -> int:
    """A number of processes; `auto` is one for each processor."""
    return os.cpu_count() or 1 if text == "auto" else count(text)


def token(text: str) -> str:
    """A name by RFC 9110 section 5.6.2."""
    if not _TOKEN.fullmatch(text.encode()):
        raise Refused("must be a token of RFC 9110: letters, digits and !#$%&'*+-.^_`|~ only")
    return text


def method(text: str) -> str:
    return token(text).upper()


Flag = Annotated[bool, read_by(flag)]
Count = Annotated[int, Field(gt=0), read_by(count)]
CountOrZero = Annotated[int, Field(ge=0), read_by(count)]
Share = Annotated[float, Field(ge=0, le=1), read_by(share)]
Workers = Annotated[
    int,
    Field(gt=0, le=1000),
    read_by(workers),
    WithJsonSchema({"anyOf": [{"type": "integer", "exclusiveMinimum": 0, "maximum": 1000}, {"enum": ["auto"]}]}),
]
Token = Annotated[str, read_by(token)]
Method = Annotated[str, read_by(method)]


# Secrets.

_SECRET: Final = re.compile("[!-~]{16,}")


def secret(text: str) -> SecretStr:
    """Something that nobody should guess, and that fits into a field of HTTP."""
    if not _SECRET.fullmatch(text):
        raise Refused("must be at least 16 characters, of ASCII and without spaces, as `openssl rand -hex 24` prints")
    return SecretStr(text)


Secret = Annotated[SecretStr, read_by(secret), written(_SECRET.pattern)]


# Paths and patterns.

_PATH: Final = re.compile(r"/[A-Za-z0-9._~!$&'()*+,;=:@%/-]*")  # RFC 3986 section 3.3
_HOST: Final = re.compile(r"[A-Za-z0-9_-]+(\.[A-Za-z0-9_-]+)*|\[[0-9A-Fa-f:.]+\]")
_HOST_PATTERN: Final = re.compile(rf"(\*\.)?({_HOST.pattern})")
_IN_ASCII: Final = re.compile(r"[A-Za-z0-9*._-]+(:[0-9]*)?")


def path(text: str) -> str:
    """The beginning of a request target's path, as it stands on the wire."""
    if not _PATH.fullmatch(text):
        raise Refused("must begin with `/`; what a URL's path cannot contain is percent-encoded")
    return text


def prefix(text: str) -> str:
    """A path that is put before another one, or taken away."""
    if path(text).endswith("/"):
        bare = text.rstrip("/")
        raise Refused("must not end with `/`", f"did you mean `{bare}`?" if bare else "")
    return text


def folder(text: str) -> str:
    """A path below which others live."""
    if not path(text).endswith("/") or not text.strip("/"):
        raise Refused("must begin and end with `/`, with a name between, as in `/.async/`")
    return text


def regex(text: str) -> re.Pattern[str]:
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # what re only warns of is a mistake as well
        try:
            re.compile(text.encode())  # paths are matched as bytes, whose patterns know no `\\u0061`
            return re.compile(text)
        except (re.error, OverflowError, RecursionError, Warning) as error:
            raise Refused("must be a regular expression of Python's `re`", str(error)) from error


def must_be_ascii(authority: str) -> None:
    """Refuse a host, perhaps with its port, that is not in ASCII as DNS has it."""
    if not authority.isascii():
        meant = _in_ascii(authority)
        raise Refused("must name its host in ASCII", f"write it as `{meant}`" if meant else "")


def _in_ascii(authority: str) -> str:
    """What DNS has for it; empty where there is no such name."""
    name, colon, port = authority.partition(":")
    try:
        encoded = name.encode("idna")
        is_same = (
            encoded.decode("idna").lower() == name.lower()
        )  # Python's IDNA of 2003 makes `ss` of `ß`: another host
    except UnicodeError:
        return ""
    found = f"{encoded.decode()}{colon}{port}"
    return found if is_same and _IN_ASCII.fullmatch(found) else ""


def host(text: str) -> str:
    """A host in lower case."""
    return _host(text, _HOST)


def host_pattern(text: str) -> str:
    """A host, or `*.` and a domain for all hosts below it."""
    return _host(text, _HOST_PATTERN)


def _host(text: str, pattern: re.Pattern[str]) -> str:
    if ":" not in text:  # a port is wrong however its host is written
        must_be_ascii(text)
    if not pattern.fullmatch(text):
        raise Refused("must be a host without port, such as `api.example.com`")
    return text.lower()


def absolute(text: str, info: ValidationInfo) -> Path:
    """A path of the file system; relative ones are relative to the validation's context, the configuration's folder."""
    if "\0" in text:
        raise Refused("must not contain a NUL")
    return Path(os.path.normpath(Path(info.context or "").absolute() / text))


def existing_file(value: object, info: ValidationInfo) -> object:
    if not isinstance(value, str):
        return value
    file = absolute(value, info)
    try:
        is_there = S_ISREG(file.stat().st_mode)
    except PermissionError:  # another user may be the one that serves: who loads it says that this one cannot
        is_there = True
    except (FileNotFoundError, NotADirectoryError):
        is_there = False
    except OSError as error:  # such as a name that is too long
        raise Refused(f"cannot be looked for: {error.strerror}") from error
    if not is_there:
        raise Refused("there is no such file", f"looked for {file}")
    return file


UrlPath = Annotated[str, read_by(path), written(_PATH.pattern)]
Prefix = Annotated[str, read_by(prefix), written(_PATH.pattern)]
Folder = Annotated[str, read_by(folder), written(r"/.+/")]
Regex = Annotated[InstanceOf[re.Pattern[str]], read_by(regex), WithJsonSchema({"type": "string", "format": "regex"})]
Host = Annotated[str, read_by(host), written(_HOST.pattern)]
HostPattern = Annotated[str, read_by(host_pattern), written(_HOST_PATTERN.pattern)]
File = Annotated[InstanceOf[Path], BeforeValidator(existing_file), written(".+")]


# Field lines.

_CONTROL: Final = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]")  # RFC 9110 section 5.5 leaves the tab

# Framing is re-made for every hop (RFC 9112 section 6), and the others speak of one hop only (RFC 9110 section 7.6.1).
UNTOUCHABLE: Final = frozenset(
    b"connection content-length http2-settings keep-alive proxy-connection te trailer transfer-encoding upgrade".split()
)


def field_name(text: str) -> bytes:
    name = token(text).encode()
    if name.lower() in UNTOUCHABLE:
        raise Refused("the proxy itself makes the fields of framing and of the connection", f"leave {text} out")
    return name


def lower_field_name(text: str) -> bytes:
    return field_name(text).lower()


def field_value(text: str) -> bytes:
    if _CONTROL.search(text):
        raise Refused("must not contain control characters")
    return text.strip(" \t").encode()


def field_lines(value: object) -> object:
    """Name and value of each field of a mapping, in its order."""
    if isinstance(value, tuple):  # made in Python; a list of the file is none
        return value
    lines = tuple(_FIELD_MAPPING.validate_python(value).items())
    if len({name.lower() for name, _ in lines}) < len(lines):
        raise Refused("names a field twice: case does not count in field names")
    return lines


_FIELD_MAPPING: Final = TypeAdapter(dict[Annotated[bytes, read_by(field_name)], Annotated[bytes, read_by(field_value)]])
_WRITTEN_FIELDS: Final = {"type": "object", "additionalProperties": {"type": ["string", "number", "boolean"]}}

FieldName = Annotated[bytes, read_by(lower_field_name), WithJsonSchema({"type": "string"})]
FieldLines = Annotated[tuple[tuple[bytes, bytes], ...], BeforeValidator(field_lines), WithJsonSchema(_WRITTEN_FIELDS)]
