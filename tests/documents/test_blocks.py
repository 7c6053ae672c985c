"""Every block of the documents is of a language that is known here, and is what it says: nothing is shown that does not work.

Commands (`console`) are run by test_commands. `text` is for what nobody runs or reads by program: drawings, tables,
what a command prints.
"""

import configparser
import json
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final

import pytest
import yaml

from proxy.config import load
from reference.places import anchor
from tests.documents.blocks import PAGES, ROOT, Block, blocks, indented
from tests.documents.session import ENVIRON
from tests.documents.shell import PROMPT, steps

OPERATIONS: Final = (ROOT / "docs/operations.md").read_text()
ROW: Final = re.compile(r"^\| `([a-z ]+)` \| (?:debug|info|warning|error) \| (.*?) \|", re.MULTILINE)
METRIC: Final = re.compile(r"\brespond_async_\w+?(?=(?:_bucket|_sum|_count|_total)?\b)")


def fields(cell: str) -> set[str]:
    """The fields of an event, by its cell in the table; or by the tables of the section that the cell leads to."""
    if found := re.fullmatch(r"\[.*\]\(#(.+)\)", cell):
        section = next(
            text
            for text in re.split(r"^#+ ", OPERATIONS, flags=re.MULTILINE)
            if anchor(text.partition("\n")[0]) == found[1]
        )
        cell = "".join(re.findall(r"^\| (`.*?) \|", section, re.MULTILINE))
    return set(re.findall(r"`(\w+)`", cell))


EVENTS: Final = {event: fields(cell) for event, cell in ROW.findall(OPERATIONS)}
ALWAYS: Final = {"event", "level", "timestamp"}

START: Final = re.compile(r"(HTTP/1\.[01] \d{3} [^\n]+|[A-Z]+ \S+ HTTP/1\.[01])")
FIELD: Final = re.compile(r"[A-Za-z0-9-]+: \S.*|…")


def configuration(text: str, folder: Path) -> None:
    """What the product loads. A fragment gets what it lacks: origins that its routes name, and a route."""
    shown = yaml.safe_load(text)
    named = [route.get("origin", "legacy") for route in shown.get("routes", [])]
    added: dict[str, object] = {}
    if "origins" not in shown:
        added["origins"] = {name: {"url": "http://10.0.0.5:8000"} for name in [*named, "legacy"]}
    if "routes" not in shown:
        added["routes"] = [{"name": "all", "origin": next(iter(shown.get("origins", ["legacy"])))}]
    file = folder / "proxy.yaml"
    file.write_text(text + (yaml.safe_dump(added) if added else ""))
    assert load(file, ENVIRON).routes


def json_text(text: str, _: Path) -> None:
    """One document, or a line each; `…` stands for what is left out."""
    for document in documents(text):
        if isinstance(document, dict) and "event" in document:
            assert document.keys() - ALWAYS <= EVENTS[document["event"]]


def documents(text: str) -> Iterator[Any]:
    whole = re.sub(r"(?:, )?…(?=[,}\]])", "", text)
    try:
        yield json.loads(whole)
    except json.JSONDecodeError:
        yield from map(json.loads, filter(str.strip, whole.splitlines()))


def message(text: str, folder: Path) -> None:
    head, _, content = text.partition("\n\n")
    start, *fields = head.splitlines()
    assert START.fullmatch(start)
    assert [field for field in fields if not FIELD.fullmatch(field)] == []
    if content and "json" in head:
        json_text(content, folder)


def program(text: str, folder: Path) -> None:
    """A program that stands alone; one with a title is run by the page's commands."""
    (folder / "program.py").write_text(text)
    subprocess.run([sys.executable, "program.py"], cwd=folder, timeout=20, check=True)


def commands(text: str, folder: Path) -> None:
    for step in steps(text):
        subprocess.run(["bash", "-n", "-c", step.command], cwd=folder, timeout=20, check=True)


def nothing_to_run(text: str, _: Path) -> None:
    assert PROMPT not in text, "commands stand in a block of `console`"


def query(text: str, folder: Path) -> None:
    """Prometheus' own reading of it; and it asks for metrics that there are."""
    assert set(METRIC.findall(text)) <= set(METRIC.findall(OPERATIONS))
    if not (promtool := shutil.which("promtool")):
        pytest.skip("promtool, which reads queries, is not installed")
    rules = {"groups": [{"name": "shown", "rules": [{"record": "shown", "expr": text}]}]}
    (folder / "rules.yaml").write_text(yaml.safe_dump(rules))
    subprocess.run([promtool, "check", "rules", "rules.yaml"], cwd=folder, timeout=20, check=True)


def unit(text: str, _: Path) -> None:
    configparser.ConfigParser(strict=False, interpolation=None).read_string(text)


TREATMENT: Final[dict[str, Callable[[str, Path], None]]] = {
    "console": commands,
    "http": message,
    "ini": unit,
    "json": json_text,
    "promql": query,
    "python": program,
    "text": nothing_to_run,
    "yaml": configuration,
}
SHOWN: Final = [pytest.param(block, id=str(block)) for page in PAGES for block in blocks(page)]


@pytest.mark.parametrize("block", SHOWN)
def test_a_block_is_what_it_says(block: Block, tmp_path: Path) -> None:
    if block.origin:  # and tested where that file is
        assert block.text in (ROOT / block.origin).read_text(), f"{block} is no part of {block.origin}"
        return
    assert block.language in TREATMENT, (
        f"{block}: say which of {', '.join(TREATMENT)} it is, or which file it is part of"
    )
    if block.title and block.language == "python":
        compile(block.text, block.title, "exec")
    else:
        TREATMENT[block.language](block.text, tmp_path)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_a_block_is_fenced_and_has_a_language(page: Path) -> None:
    assert indented(page) == []
