"""The documents: what they name exists, and is as the code has it. What they show is run and loaded by tests/documents."""

import ast
import re
import shlex
from collections.abc import Iterator
from itertools import chain
from pathlib import Path
from typing import Final

import pytest
from click.testing import CliRunner
from pydantic import BaseModel

from proxy.cli import main
from proxy.config import Limits, Match, OriginSettings, OriginTls, RespondAsync, Route, StoreSettings
from proxy.demo import TOUR
from proxy.errors import ProxyError
from reference.places import anchor
from tests.documents.blocks import PAGES, ROOT

DOCUMENTS: Final = {str(page.relative_to(ROOT)): page.read_text() for page in PAGES}
HTTP: Final = DOCUMENTS["docs/http.md"]
OPERATIONS: Final = DOCUMENTS["docs/operations.md"]
SOURCE: Final = "".join(file.read_text() for file in ROOT.glob("proxy/**/*.py"))

FENCE: Final = re.compile(r"^```[^\n]*\n(.*?)^```$", re.MULTILINE | re.DOTALL)
SPAN: Final = re.compile(r"`([^`]+)`")
LINK: Final = re.compile(r"\[[^]]+\]\(([^)\s]+)\)")
HEADING: Final = re.compile(r"^#+ (.*)$", re.MULTILINE)


def code(text: str) -> Iterator[str]:
    """What a document shows as code: blocks and spans."""
    return chain(FENCE.findall(text), SPAN.findall(FENCE.sub("", text)))


def words_after(command: str) -> set[str]:
    """The words that follow a command, wherever a document shows one that is to be run."""
    pattern = re.compile(rf"(?:^|\$ |\$\(|sudo )(?:\S*/)?{command} ([a-z]+)(?![\w-])", re.MULTILINE)
    return {word for text in DOCUMENTS.values() for piece in code(text) for word in pattern.findall(piece)}


def kinds(kind: type[ProxyError]) -> Iterator[type[ProxyError]]:
    """Every kind of error of `proxy.errors` that has a code of its own."""
    if "code" in vars(kind):
        yield kind
    for child in kind.__subclasses__():
        if child.__module__ == ProxyError.__module__:
            yield from kinds(child)


# What is shown.


def test_subcommands_that_are_shown_exist() -> None:
    assert {"serve", "check"} <= words_after("respond-async") <= set(main.commands)


COMMANDS: Final = sorted(
    {
        found[1].removesuffix(" 2").strip()  # where it went on with `2>`
        for text in DOCUMENTS.values()
        for piece in code(text)
        for found in re.finditer(r"(?:\A|^\$ )(respond-async [a-z][^|>;…\n]*)", piece, re.MULTILINE)
    }
)


@pytest.mark.parametrize("command", COMMANDS)
def test_options_that_are_shown_exist(command: str) -> None:
    """With `--help` behind it, nothing is done, but all that goes before is read."""
    _, *arguments = shlex.split(command)
    result = CliRunner().invoke(main, [*arguments, "--help"])
    assert result.exit_code == 0, result.output


def test_make_targets_that_are_shown_exist() -> None:
    targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    assert {"run", "test", "serve"} <= words_after("make") <= targets


def test_the_tour_is_the_one_that_the_demo_prints() -> None:
    shown = re.findall(r"^\$ (.*curl -.*)$", DOCUMENTS["docs/index.md"], re.MULTILINE)
    assert shown == [line for line in TOUR.splitlines() if "curl -" in line]


def test_the_first_minute_of_the_readme_is_the_beginning_of_the_tour() -> None:
    shown = re.findall(r"^\$ (.*curl -.*)$", DOCUMENTS["README.md"], re.MULTILINE)
    assert [line.partition(" | ")[0] for line in shown if line.partition(" | ")[0] not in TOUR] == []


def test_the_readme_leads_to_every_page() -> None:
    pages = {name for name in DOCUMENTS if name.startswith("docs/")}
    assert pages <= set(LINK.findall(DOCUMENTS["README.md"]))


LINKS: Final = [
    pytest.param(name, target, id=f"{name} to {target}")
    for name, text in DOCUMENTS.items()
    for target in LINK.findall(FENCE.sub("", text))
    if "://" not in target
]


@pytest.mark.parametrize(("document", "target"), LINKS)
def test_relative_links_lead_somewhere(document: str, target: str) -> None:
    path, _, fragment = target.partition("#")
    file = (ROOT / document).parent / path if path else ROOT / document
    assert file.exists()
    assert not fragment or fragment in {anchor(heading) for heading in HEADING.findall(file.read_text())}


# What is said.

ROWS: Final = dict(re.findall(r"^\| `([a-z-]+)` \| (\d{3} \| .*) \|$", HTTP.partition("# Errors\n")[2], re.MULTILINE))


@pytest.mark.parametrize("kind", list(kinds(ProxyError)), ids=lambda kind: kind.code)
def test_every_error_is_documented_with_its_status_and_its_type(kind: type[ProxyError]) -> None:
    status, error_types = ROWS[kind.code].split(" | ")[:2]
    assert int(status) == kind.status
    documented = SPAN.findall(error_types)
    assert kind.error_type in documented if kind.error_type else not documented


def test_no_error_is_documented_that_does_not_exist() -> None:
    assert set(ROWS) == {kind.code for kind in kinds(ProxyError)}


SECTIONS: Final[dict[str, type[BaseModel]]] = {
    "limits": Limits,
    "store": StoreSettings,
    "origin": OriginSettings,
    "origin.tls": OriginTls,
    "route": Route,
    "route.match": Match,
    "route.respond_async": RespondAsync,
}


@pytest.mark.parametrize("document", [page for page in DOCUMENTS if page.startswith("docs/")])
def test_keys_that_are_named_exist(document: str) -> None:
    named = re.findall(r"`((?:limits|store|origin|route)(?:\.\w+)*)\.(\w+)\b", DOCUMENTS[document])
    assert [(section, key) for section, key in named if key not in SECTIONS[section].model_fields] == []


def test_metrics_are_documented_as_they_are() -> None:
    documented = re.findall(r"\brespond_async_\w+?(?=_total\b|_bucket\b|\b)", OPERATIONS)
    assert set(documented) == set(re.findall(r'"(respond_async_\w+)"', SOURCE))


def test_log_events_are_documented_as_they_are() -> None:
    calls = re.findall(r'(?:\b_?log|get_logger\(\))\.(\w+)\(\s*"([a-z ]+)"', SOURCE)
    logged = {(event, "error" if level == "exception" else level) for level, event in calls}
    assert set(re.findall(r"^\| `([a-z ]+)` \| (info|warning|error) \|", OPERATIONS, re.MULTILINE)) == logged


def test_the_way_through_the_code_passes_every_module() -> None:
    modules = {file.stem for file in ROOT.glob("proxy/[!_]*.py")}
    packages = {f"{file.parent.name}/" for file in ROOT.glob("proxy/*/__init__.py")}
    text = DOCUMENTS["CONTRIBUTING.md"].partition("Who may import whom")[0]
    rows = "".join(re.findall(r"^\| (`.*?) \|", text, re.MULTILINE))
    assert set(SPAN.findall(rows)) == modules | packages


@pytest.mark.parametrize(
    "package", [*ROOT.glob("proxy/*/__init__.py"), ROOT / "reference/__init__.py"], ids=lambda file: file.parent.name
)
def test_a_package_tells_of_each_of_its_modules(package: Path) -> None:
    modules = {file.stem for file in package.parent.glob("[!_]*.py")}
    assert modules <= set(SPAN.findall(ast.get_docstring(ast.parse(package.read_text())) or ""))


def test_those_are_named_who_go_on_after_any_defect() -> None:
    said = re.search(r"`except Exception` stands only(?:.|\n  )*", DOCUMENTS["CONTRIBUTING.md"])
    catching = {file.stem for file in ROOT.glob("proxy/**/*.py") if "except Exception" in file.read_text()}
    assert said is not None
    assert set(SPAN.findall(said[0])) - {"except Exception"} == catching
