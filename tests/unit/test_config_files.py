"""The files that are shipped: default, examples, JSON Schema."""

import json
import re
import runpy
from pathlib import Path

import pytest

from proxy.config import json_schema, load
from proxy.config.section import Section

ROOT = Path(__file__).parents[2]
SHIPPED = sorted(ROOT.glob("config/**/*.yaml"))
ENVIRON = {"ORIGIN_URL": "http://10.0.0.5:8000", "REPORTS_KEY": "k", "LEGACY_KEY": "k"}


@pytest.mark.parametrize("file", SHIPPED, ids=lambda file: file.name)
def test_shipped_configurations_load(file: Path) -> None:
    assert load(file, ENVIRON).routes


def test_the_default_asks_for_the_origin_only() -> None:
    config = load(ROOT / "config/proxy.yaml", {"ORIGIN_URL": "http://10.0.0.5:8000"})
    assert [route.respond_async is not None for route in config.routes] == [True]
    assert [str(address) for address in config.listen] == ["0.0.0.0:8080"]


@pytest.mark.parametrize("file", SHIPPED, ids=lambda file: file.name)
def test_shipped_configurations_tell_editors_their_schema(file: Path) -> None:
    found = re.match(r"# yaml-language-server: \$schema=(\S+)\n", file.read_text())
    assert found
    assert (file.parent / found[1]).resolve() == ROOT / "config/schema.json"


def test_the_shipped_json_schema_is_that_of_the_models() -> None:
    again = "python -m proxy.config > config/schema.json"
    assert json.loads((ROOT / "config/schema.json").read_text()) == json_schema(), f"regenerate it: {again}"


def test_the_command_writes_the_shipped_json_schema(capsys: pytest.CaptureFixture[str]) -> None:
    runpy.run_module("proxy.config", run_name="__main__")
    assert capsys.readouterr().out == (ROOT / "config/schema.json").read_text()


def test_the_json_schema_knows_every_key() -> None:
    schema = json_schema()
    sections = {"Config": schema, **schema["$defs"]}
    assert {name: set(section["properties"]) for name, section in sections.items()} == {
        model.__name__: set(model.model_fields) for model in Section.__subclasses__()
    }


def test_every_key_has_a_description() -> None:
    schema = json_schema()
    for section in (schema, *schema["$defs"].values()):
        assert all(key["description"] for key in section["properties"].values())
