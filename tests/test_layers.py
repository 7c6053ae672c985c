"""Who may import whom, read from the source: a table in reading order, in which nobody looks ahead."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

from proxy.config import load

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "proxy"
EXAMPLES = sorted(ROOT.glob("config/**/*.yaml"))
ENVIRON = {"ORIGIN_URL": "http://10.0.0.5:8000", "REPORTS_KEY": "k", "LEGACY_KEY": "k"}

# Rings from the inside out. A module may import what is in a ring before its own, and what stands before it in its own.
RINGS = {
    "values": ["words", "errors", "message", "grammar"],
    "configuration": ["config"],
    "decisions": [
        "prefer", "target", "forwarded", "tracecontext", "request_id", "location", "fields", "accept", "upgrade", "routes", "plan", "operation", "urls", "picture", "outlook", "estimate", "wrong", "reasons", "ranges", "pages", "problem", "monitor",
        "broker",
    ],
    "clock": ["clock"],
    "counts": ["tally"],
    "store": ["store"],
    "logs": ["logwriter", "figures", "meters", "observe"],
    "origin side": ["spool", "response", "deadline", "connection", "health", "servers", "pool", "places", "checks", "origin", "exchange"],
    "client side": ["inflow", "client", "parser", "intake", "wire", "front", "relay", "tunnel"],
    "accounts": ["ledger", "tracing", "account", "access", "recent", "metrics", "books", "chronicle"],
    "keepers": ["pace", "custody", "keeper", "reaper"],
    "requests": ["status", "context", "later", "forward", "recovery", "handler"],
    "process": ["acceptor", "listeners", "gauges", "operators", "complaints", "admin", "reception", "spans", "server"],
    "service": [
        "reactor", "channel", "worker", "crew", "census", "inquiries", "services", "handover", "notify", "supervisor", "demo",
    ],
    "commands": ["trouble", "fetch", "explain", "remote", "commands", "cli", "__main__"],
}  # fmt: skip

PURE = {*RINGS["values"], *RINGS["configuration"], *RINGS["decisions"]}
IMPURE = {"asyncio", "aiohttp", "sqlite3", "structlog", "time", "random", "socket", "httptools", "uvloop"}

# Which libraries are known to which modules. A ring that is not named knows none of them.
KNOWS = {
    "aiohttp": {"fetch", "remote"},
    "yarl": {"fetch", "remote"},  # aiohttp's own, and so as declared as that
    "httptools": {"parser", "response"},
    "sqlite3": {"store"},
    "pydantic": {"config"},
    "yaml": {"config"},
    "click": {"cli", "commands"},
    "uvloop": {"worker"},
    "aiohappyeyeballs": {"servers"},
    "opentelemetry": {"spans"},
}


def module_of(file: Path) -> str:
    """`store/sqlite.py` belongs to `store`, `wire.py` is `wire`."""
    return file.relative_to(PACKAGE).parts[0].removesuffix(".py")


def imports(file: Path) -> Iterator[tuple[str, str]]:
    """Every (module, name) that the file imports, wherever in it; `import a.b` is ("a.b", "")."""
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Import):
            yield from ((alias.name, "") for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{file}: a relative import"
            yield from ((node.module or "", alias.name) for alias in node.names)


def own(file: Path) -> set[str]:
    """The modules of the product that the file imports, without its own."""
    found = set()
    for module, name in imports(file):
        if module == "proxy" and name != "__version__":
            found.add(name)
        elif module.startswith("proxy."):
            found.add(module.split(".")[1])
    return found - {module_of(file)}


def foreign(file: Path) -> set[str]:
    return {module.split(".")[0] for module, _ in imports(file)} - {"proxy"}


FILES = [file for file in sorted(PACKAGE.rglob("*.py")) if file != PACKAGE / "__init__.py"]
ORDER = [module for ring in RINGS.values() for module in ring]


@pytest.fixture(params=FILES, ids=lambda file: str(file.relative_to(PACKAGE)))
def file(request: pytest.FixtureRequest) -> Path:
    file: Path = request.param
    return file


def test_every_module_has_its_place() -> None:
    assert sorted({module_of(file) for file in FILES}) == sorted(ORDER)


def test_nobody_looks_ahead(file: Path) -> None:
    assert own(file) <= set(ORDER[: ORDER.index(module_of(file))])


def test_decisions_have_no_world(file: Path) -> None:
    if module_of(file) in PURE:
        assert foreign(file) & IMPURE == set()


def test_a_library_is_known_to_few(file: Path) -> None:
    known = {library for library, modules in KNOWS.items() if module_of(file) in modules}
    assert foreign(file) & KNOWS.keys() <= known


def test_aiohttp_asks_and_does_not_answer(file: Path) -> None:
    assert "web" not in {name for module, name in imports(file) if module.split(".")[0] == "aiohttp"}


def test_a_store_knows_operations_and_errors_only(file: Path) -> None:
    if module_of(file) == "store":
        assert own(file) <= {"operation", "errors", "message"}


def test_what_explains_is_made_of_decisions(file: Path) -> None:
    """So it says what is decided, and needs nothing of what carries it out. A parser decides, too."""
    if module_of(file) == "explain":
        assert own(file) <= PURE | {"parser"}


def test_only_the_clock_reads_the_clock() -> None:
    readers = {module_of(file) for file in FILES if ("time", "") in imports(file) or ("time", "time") in imports(file)}
    assert readers == {"clock", "demo"}


def test_docstrings_say_what_each_file_is_for(file: Path) -> None:
    assert ast.get_docstring(ast.parse(file.read_text()))


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda example: example.name)
def test_every_example_configuration_loads(example: Path) -> None:
    assert load(example, ENVIRON).routes


def test_there_are_examples() -> None:
    assert len(EXAMPLES) > 1
