"""Whatever a configuration file contains, there is data, or a list of problems with lines."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.config import Config, ConfigError, Limits, RespondAsync, load
from proxy.config.source import LEAST
from proxy.words import listed

VALID = """\
listen: [127.0.0.1:8080]
limits: &limits {header_timeout: 10s}
origins:
  legacy: {url: "http://10.0.0.5:8000"}
routes:
  - name: all
    origin: legacy
    match: {path: /x}
    request_headers: {set: {X-A: b}}
    respond_async: {wait: 2s}
"""


def said(file: Path) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        load(file, {})
    assert caught.value.problems
    return [line.removeprefix(f"{file}:") for line in str(caught.value).splitlines()]


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        pytest.param(b"", [f"1: is empty; the least that it needs is {LEAST}"], id="empty"),
        pytest.param(b"# nothing\n---\n", [f"1: is empty; the least that it needs is {LEAST}"], id="a comment"),
        pytest.param(b"{}", [f"1: is empty; the least that it needs is {LEAST}"], id="no keys"),
        pytest.param(b"[]", [f"1: is empty; the least that it needs is {LEAST}"], id="an empty list"),
        pytest.param(b"- a\n", ["1: must be a mapping"], id="a list"),
        pytest.param(b"a", ["1: must be a mapping"], id="text"),
        pytest.param(b"a: 1\n\xff", ["2: is not UTF-8 text"], id="not UTF-8"),
        pytest.param(b"a: 1\nb: \x07", ["2: is not YAML: a character 0x7 must not occur"], id="control character"),
        pytest.param(b"\na: [1", ["2: is not YAML: `[` begins in this line and is never closed"], id="unclosed list"),
        pytest.param(b"a: b: c", ["1: is not YAML: mapping values are not allowed here; a value with a colon needs quotes, and each key a line of its own"], id="two colons"),
        pytest.param(b"a: 1\n\tb: 2", ["2: is not YAML: while scanning for the next token, found character '\\t' that cannot start any token; indent with spaces, not with tabs"], id="tab"),
        pytest.param(b"a:\n  b: 1\n c: 2", ["3: is not YAML: it is indented by 1 space, which fits neither line 2 (2) nor line 1 (0); indent it like one of them"], id="indentation"),
        pytest.param(b"store:\n  url: memory:", ['2: is not YAML: mapping values are not allowed here; write "memory:" with its quotes'], id="memory"),
        pytest.param(b"store: {url: memory:, max_size: 1GiB}", ['1: is not YAML: while parsing a flow mapping, expected \',\' or \'}\', but got \':\'; write "memory:" with its quotes'], id="memory in a flow mapping"),
        pytest.param(b"a: *b", ["1: is not YAML: found undefined alias 'b'"], id="unknown alias"),
        pytest.param(b"a: 1\n--- \nb: 2", ["2: is not YAML: expected a single document in the stream, but found another document"], id="two documents"),
        pytest.param(b'a: "\\UFFFFFFFF"', ["1: is not YAML: an escape or a version number is out of range"], id="impossible escape"),
        pytest.param(b'a: "\\U00FFFFFF"', ["1: is not YAML: an escape or a version number is out of range"], id="escape beyond Unicode"),
        pytest.param(b"[a," * 5000, ["1: is nested too deeply"], id="deeply nested"),
        pytest.param(b"a: " + b"[" * 60 + b"]" * 60, ["1: is nested too deeply, contains itself, or has too many values"], id="nested"),
        pytest.param(b"x: 1\na: &a [*a]", ["2: is nested too deeply, contains itself, or has too many values"], id="contains itself"),
        pytest.param(b"#" * (1 << 20) + b"\na: 1", ["1: is larger than 1 MiB"], id="large"),
    ],
)  # fmt: skip
def test_a_file_that_is_no_configuration_is_one_problem(tmp_path: Path, content: bytes, expected: list[str]) -> None:
    file = tmp_path / "proxy.yaml"
    file.write_bytes(content)
    assert said(file) == expected


def test_the_least_that_is_needed_is_enough(tmp_path: Path) -> None:
    file = tmp_path / "proxy.yaml"
    file.write_text("\n".join(LEAST.split("`")[1::2]))
    assert [route.name for route in load(file, {}).routes] == ["all"]


TAG = "has a YAML tag; leave it out, the key determines the type"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        pytest.param("name: a\n\nname: b", "3: name: is given twice, first in line 1", id="key given twice"),
        pytest.param("? [a]\n: 1", "1: has a key that is no text", id="list as a key"),
        pytest.param("log: {~: 1}", "1: log: has a key `~`, which is no text; write a name", id="nothing as a key"),
        pytest.param("log: {? : 1}", "1: log: has a key without a name", id="no key"),
        pytest.param("origins: {null: {url: 'unix:/x'}}\nroutes: [{name: a, origin: ~}, {name: b, origin: b}]", "1: origins: has a key `null`, which is no text; write a name", id="nothing as an origin that routes name"),
        pytest.param('"\\ud800": 1', "1: has a key that is no text", id="half a character as a key"),
        pytest.param('name: "\\ud800"', "1: name: is not UTF-8 text", id="half a character"),
        pytest.param("limits: !!python/object:a.b {}", f"1: limits: {TAG}", id="tag"),
        pytest.param("limits: {header_timeout: !!str 5s}", f"1: limits.header_timeout: {TAG}", id="tag of a text"),
        pytest.param("limits: {header_timeout: ! 5s}", f"1: limits.header_timeout: {TAG}", id="tag without a name"),
        pytest.param("limits: !!map {}", f"1: limits: {TAG}", id="tag of a mapping"),
        pytest.param("trusted_proxies: !!seq []", f"1: trusted_proxies: {TAG}", id="tag of a list"),
        pytest.param("!!str name: a", "1: has a key with a YAML tag; leave the tag out", id="tag of a key"),
        pytest.param("limits: {<<: {}}", f"1: limits.<<: unknown key; here are {listed(Limits.model_fields)}", id="merge key"),
        pytest.param('"a\\nb": 1', f"1: a\\nb: unknown key; here are {listed(Config.model_fields)}", id="a key of two lines is shown in one"),
        pytest.param("1: 1", f"1: 1: unknown key; here are {listed(Config.model_fields)}", id="number as a key"),
    ],
)  # fmt: skip
def test_what_yaml_allows_and_we_do_not_is_said(tmp_path: Path, text: str, expected: str) -> None:
    file = tmp_path / "proxy.yaml"
    rest = "" if "origins" in text else "\norigins: {a: {url: 'unix:/x'}}\nroutes: [{name: a, origin: a}]"
    file.write_text(text + rest)
    assert said(file) == [expected]


def test_a_byte_order_mark_is_nothing(tmp_path: Path) -> None:
    (tmp_path / "proxy.yaml").write_bytes(b"\xef\xbb\xbf" + VALID.encode())
    assert load(tmp_path / "proxy.yaml", {}).routes[0].name == "all"


def test_a_million_laughs_are_cut_off(tmp_path: Path) -> None:
    lines = ["a0: &a0 [x]", *(f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 9)}]" for i in range(1, 10))]
    (tmp_path / "proxy.yaml").write_text("\n".join(lines))
    assert "too many values" in said(tmp_path / "proxy.yaml")[0]


def test_aliases_are_followed(tmp_path: Path) -> None:
    text = VALID + "  - {name: rest, origin: legacy, respond_async: &a {wait: 5s}}\n"
    text += "  - {name: last, origin: legacy, respond_async: *a}\n"
    (tmp_path / "proxy.yaml").write_text(text)
    _, rest, last = load(tmp_path / "proxy.yaml", {}).routes
    assert rest.respond_async == last.respond_async == RespondAsync(wait=5)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("", "1: cannot be read: Is a directory"),
        ("lost.yaml", "1: cannot be read: No such file or directory"),
        ("\0", "1: cannot be read: embedded null"),
    ],
    ids=["folder", "not there", "impossible name"],
)
def test_a_file_that_cannot_be_read_is_said(tmp_path: Path, name: str, expected: str) -> None:
    with pytest.raises(ConfigError) as caught:
        load(tmp_path / name, {})
    assert expected in str(caught.value)


def _never_a_traceback(file: Path, content: bytes) -> None:
    file.write_bytes(content)
    try:
        outcome: object = load(file, {"A": "x"})
    except ConfigError as error:
        outcome = str(error).encode()
    assert outcome


@given(content=st.binary(max_size=200) | st.text(max_size=200).map(lambda text: text.encode("utf-8", "replace")))
def test_wild_bytes_never_make_a_traceback(tmp_path_factory: pytest.TempPathFactory, content: bytes) -> None:
    _never_a_traceback(tmp_path_factory.getbasetemp() / "wild.yaml", content)


PIECES = st.sampled_from(["[", "]", "{", "}", ":", " ", "\n", "- ", "&limits", "*limits", "!!", "${A}", "${", "~", '"', "0", "\\", "|", "%", "?", "legacy"])  # fmt: skip


@given(piece=PIECES | st.characters(), start=st.integers(0, len(VALID)), length=st.integers(0, 12))
def test_a_spoilt_configuration_never_makes_a_traceback(
    tmp_path_factory: pytest.TempPathFactory, piece: str, start: int, length: int
) -> None:
    text = VALID[:start] + piece + VALID[start + length :]
    _never_a_traceback(tmp_path_factory.getbasetemp() / "spoilt.yaml", text.encode("utf-8", "replace"))
