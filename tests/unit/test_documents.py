"""The documents: what they show loads, exists, and says what the code says."""

import re
from collections.abc import Iterator
from itertools import chain
from pathlib import Path
from typing import Final

import pytest
from pydantic import BaseModel

from proxy.cli import main
from proxy.config import Limits, Match, OriginSettings, OriginTls, RespondAsync, Route, StoreSettings, load
from proxy.demo import TOUR
from proxy.errors import ProxyError

ROOT: Final = Path(__file__).parents[2]
DOCUMENTS: Final = {
    str(file.relative_to(ROOT)): file.read_text()
    for file in sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/*.md"), *ROOT.glob("deploy/**/*.md")])
}
HTTP: Final = DOCUMENTS["docs/http.md"]
OPERATIONS: Final = DOCUMENTS["docs/operations.md"]
SOURCE: Final = "".join(file.read_text() for file in ROOT.glob("proxy/**/*.py"))

FENCE: Final = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
INDENTED: Final = re.compile(r"^    (.*)$", re.MULTILINE)
SPAN: Final = re.compile(r"`([^`]+)`")
LINK: Final = re.compile(r"\[[^]]+\]\(([^)\s]+)\)")
HEADING: Final = re.compile(r"^#+ (.*)$", re.MULTILINE)


def blocks(text: str, language: str) -> Iterator[str]:
    return (content for kind, content in FENCE.findall(text) if kind == language)


def code(text: str) -> Iterator[str]:
    """What a document shows as code: blocks, fenced or indented, and spans."""
    rest = FENCE.sub("", text)
    return chain((content for _, content in FENCE.findall(text)), INDENTED.findall(rest), SPAN.findall(rest))


def words_after(command: str) -> set[str]:
    """The words that follow a command, wherever a document shows it."""
    pattern = re.compile(rf"(?<![\w:-]){command} ([a-z]+)(?![\w-])")
    return {word for text in DOCUMENTS.values() for piece in code(text) for word in pattern.findall(piece)}


def anchor(heading: str) -> str:
    """The name that a heading can be linked to by."""
    return re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-")


def kinds(kind: type[ProxyError]) -> Iterator[type[ProxyError]]:
    """Every kind of error of `proxy.errors` that has a code of its own."""
    if "code" in vars(kind):
        yield kind
    for child in kind.__subclasses__():
        if child.__module__ == ProxyError.__module__:
            yield from kinds(child)


# What is shown.


@pytest.mark.parametrize("document", ["README.md", "docs/http.md"])
def test_configurations_that_are_shown_load(document: str, tmp_path: Path) -> None:
    for block in blocks(DOCUMENTS[document], "yaml"):
        (tmp_path / "proxy.yaml").write_text(block)
        assert load(tmp_path / "proxy.yaml", {}).routes


def test_the_readme_shows_a_configuration() -> None:
    assert list(blocks(DOCUMENTS["README.md"], "yaml"))


def test_subcommands_that_are_shown_exist() -> None:
    assert {"serve", "check"} <= words_after("respond-async") <= set(main.commands)


def test_make_targets_that_are_shown_exist() -> None:
    targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    assert {"run", "test", "serve"} <= words_after("make") <= targets


def test_the_tour_of_the_readme_is_the_one_that_the_demo_prints() -> None:
    shown = re.findall(r"^    \$ (.*)$", DOCUMENTS["README.md"], re.MULTILINE)
    assert shown == [line for line in TOUR.splitlines() if "curl -" in line]


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


@pytest.mark.parametrize("document", ["docs/http.md", "SECURITY.md"])
def test_keys_that_are_named_exist(document: str) -> None:
    named = re.findall(r"`((?:limits|store|origin|route)(?:\.\w+)*)\.(\w+)\b", DOCUMENTS[document])
    assert named
    assert [(section, key) for section, key in named if key not in SECTIONS[section].model_fields] == []


def test_metrics_are_documented_as_they_are() -> None:
    documented = re.findall(r"\brespond_async_\w+?(?=_total\b|\b)", OPERATIONS)
    assert set(documented) == set(re.findall(r'"(respond_async_\w+)"', SOURCE))


def test_log_events_are_documented_as_they_are() -> None:
    calls = re.findall(r'(?:\blog|get_logger\(\))\.(\w+)\(\s*"([a-z ]+)"', SOURCE)
    logged = {(event, "error" if level == "exception" else level) for level, event in calls}
    assert set(re.findall(r"^\| `([a-z ]+)` \| (info|warning|error) \|", OPERATIONS, re.MULTILINE)) == logged


def test_the_way_through_the_code_passes_every_module() -> None:
    modules = {file.stem for file in ROOT.glob("proxy/[!_]*.py")}
    packages = {f"{file.parent.name}/" for file in ROOT.glob("proxy/*/__init__.py")}
    text = DOCUMENTS["CONTRIBUTING.md"].partition("Who may import whom")[0]
    rows = "".join(re.findall(r"^\| (`.*?) \|", text, re.MULTILINE))
    assert set(SPAN.findall(rows)) == modules | packages
