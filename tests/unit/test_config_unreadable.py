"""Of a file that is not YAML, the message names the line that is wrong, and what to do there."""

from pathlib import Path

import pytest

from proxy.config import ConfigError, load

LINES = """\
listen: 127.0.0.1:8080
admin: off
store:
  url: sqlite:///tmp/store
origins:
  backend:
    url: http://127.0.0.1:8000
routes:
  - name: slow
    match:
      path: /reports
      methods: [GET, POST]
    origin: backend
    respond_async:
      wait: 2s
      timeout: 20s
      keep: 1h
      max_wait: 3s
  - name: quick
    origin: backend
    timeout: 20s
log:
  format: json
  level: "info"
""".splitlines()

ALIKE = "indent both alike, or end line"
ONE_OF_THEM = "indent it like one of them"
NO_COLON = "there is no colon; a key and its value are written `key: value`"
NO_SPACE = "the space after the colon is missing"


def said(folder: Path, number: int, written: str) -> str:
    """What is said of the file if this line is written so."""
    file = folder / "proxy.yaml"
    file.write_text("\n".join([*LINES[: number - 1], written, *LINES[number:]]))
    with pytest.raises(ConfigError) as caught:
        load(file, {})
    return str(caught.value).removeprefix(f"{file}:")


@pytest.mark.parametrize(
    ("number", "written", "expected"),
    [
        pytest.param(16, "    timeout: 20s", f"17: is not YAML: it is indented by 6 spaces, and line 16 by 4, though that has a value already; {ALIKE} 16 with its colon", id="two too few"),
        pytest.param(16, "     timeout: 20s", f"16: is not YAML: it is indented by 5 spaces, which fits neither line 15 (6) nor line 14 (4); {ONE_OF_THEM}", id="one too few"),
        pytest.param(16, "       timeout: 20s", f"16: is not YAML: it is indented by 7 spaces, and line 15 by 6, though that has a value already; {ALIKE} 15 with its colon", id="one too many"),
        pytest.param(16, "        timeout: 20s", f"16: is not YAML: it is indented by 8 spaces, and line 15 by 6, though that has a value already; {ALIKE} 15 with its colon", id="two too many"),
        pytest.param(15, "        wait: 2s", f"16: is not YAML: it is indented by 6 spaces, which fits neither line 15 (8) nor line 14 (4); {ONE_OF_THEM}", id="the first too many"),
        pytest.param(16, "    timeout: 20s\n    # a comment", f"18: is not YAML: it is indented by 6 spaces, and line 16 by 4, though that has a value already; {ALIKE} 16 with its colon", id="a comment between"),
        pytest.param(14, "    respond_async: true", f"15: is not YAML: it is indented by 6 spaces, and line 14 by 4, though that has a value already; {ALIKE} 14 with its colon", id="keys below a value"),
        pytest.param(2, " admin: off", f"2: is not YAML: it is indented by 1 space, and line 1 by 0, though that has a value already; {ALIKE} 1 with its colon", id="top level"),
        pytest.param(22, " log:", f"22: is not YAML: it is indented by 1 space, which fits neither line 19 (2) nor line 8 (0); {ONE_OF_THEM}", id="top level, later"),
        pytest.param(19, "   - name: quick", f"19: is not YAML: it is indented by 3 spaces, which fits neither line 14 (4) nor line 9 (2); {ONE_OF_THEM}", id="an entry"),
        pytest.param(20, "     origin: backend", f"20: is not YAML: it is indented by 5 spaces, and line 19 by 4, though that has a value already; {ALIKE} 19 with its colon", id="more than the key behind a dash"),
        pytest.param(19, "- name: quick", "19: is not YAML: it is an entry of a list, indented like line 8, which is a key; indent it like the entries before it", id="an entry among keys"),
        pytest.param(19, "  name: quick", "19: is not YAML: it is a key, indented like line 9, which begins an entry of a list; indent it otherwise, or begin it with `- `", id="a key among entries"),
    ],
)  # fmt: skip
def test_wrong_indentation_names_both_lines(tmp_path: Path, number: int, written: str, expected: str) -> None:
    assert said(tmp_path, number, written) == expected


@pytest.mark.parametrize(
    ("number", "written", "expected"),
    [
        pytest.param(19, "  - name:quick", NO_SPACE, id="no space, in an entry"),
        pytest.param(15, "      wait:2s", NO_SPACE, id="no space, first of a section"),
        pytest.param(16, "      timeout:20s", NO_SPACE, id="no space, later"),
        pytest.param(24, "  level:info", NO_SPACE, id="no space, at the end"),
        pytest.param(11, "      path:/reports", NO_SPACE, id="no space before a path"),
        pytest.param(19, "  -name: quick", "the space after `-` is missing", id="no space after a dash"),
        pytest.param(14, "    respond_async", NO_COLON, id="no colon"),
        pytest.param(2, "admin = off", NO_COLON, id="an equals sign"),
        pytest.param(1, "<<<<<<< HEAD", NO_COLON, id="a merge that failed"),
    ],
)
def test_a_key_without_its_colon_is_said_of_its_own_line(
    tmp_path: Path, number: int, written: str, expected: str
) -> None:
    assert said(tmp_path, number, written) == f"{number}: is not YAML: {expected}"


@pytest.mark.parametrize(
    ("number", "written", "where"),
    [
        pytest.param(7, "    url:http://127.0.0.1:8000", "6: origins.backend", id="an origin"),
        pytest.param(21, "    respond_async:\n      wait:2s", "21: routes[1].respond_async", id="respond_async"),
    ],
)
def test_a_section_that_is_one_key_without_space_is_told_so(
    tmp_path: Path, number: int, written: str, where: str
) -> None:
    told = "must be a mapping; the space after the colon of its key is missing"
    assert said(tmp_path, number, written) == f"{where}: {told}"


@pytest.mark.parametrize(
    ("number", "written", "expected"),
    [
        pytest.param(20, "    origin: 'backend", "20: is not YAML: a quote begins in this line and is never closed", id="quote"),
        pytest.param(20, '    origin: "backend', "20: is not YAML: a quote begins in this line and is closed only in line 24; close it here", id="quote that another closes"),
        pytest.param(12, "      methods: {GET, POST", "12: is not YAML: `{` is not closed: before line 13 there has to be `}`, or a comma", id="brace"),
        pytest.param(12, "      methods: [GET, POST", "12: is not YAML: `[` is not closed: before line 13 there has to be `]`, or a comma", id="bracket"),
        pytest.param(24, "  level: [info", "24: is not YAML: `[` begins in this line and is never closed", id="bracket to the end"),
        pytest.param(12, "      methods: [GET, POST}", "12: is not YAML: while parsing a flow sequence, expected ',' or ']', but got '}'; a comma is missing there, or quotes around a value with brackets or a colon", id="the wrong bracket"),
    ],
)  # fmt: skip
def test_what_is_not_closed_is_said_where_it_begins(tmp_path: Path, number: int, written: str, expected: str) -> None:
    assert said(tmp_path, number, written) == expected


@pytest.mark.parametrize(
    ("number", "written", "expected"),
    [
        pytest.param(11, "      host: *.example.com", "a value that begins with `*` needs quotes", id="host"),
        pytest.param(11, "      path: @x", "a value that begins with it needs quotes", id="at sign"),
        pytest.param(1, "listen: [::1]:8080", "a value with brackets that is no list, such as `[::1]:8080`, needs quotes", id="IPv6"),
        pytest.param(11, "      path_regex: [a-z]+/x", "it stands after the end of a value; a value with brackets or quotes within needs quotes around all of it", id="regular expression"),
        pytest.param(11, '      path_regex: "/\\d+"', "write the value in single quotes, or each of its backslashes twice", id="backslash"),
        pytest.param(16, "      timeout: 20s keep: 1h", "a value with a colon needs quotes, and each key a line of its own", id="two keys in a line"),
    ],
)  # fmt: skip
def test_a_value_that_needs_quotes_is_told_so(tmp_path: Path, number: int, written: str, expected: str) -> None:
    text = said(tmp_path, number, written)
    assert text.startswith(f"{number}: is not YAML: ")
    assert text.endswith(f"; {expected}")
