"""What Grafana and Prometheus are given in `deploy/` asks for metrics that there are, and Prometheus takes it."""

import json
import re
import shutil
import subprocess
from collections.abc import Iterator
from itertools import combinations
from pathlib import Path
from typing import Any, Final

import pytest
import yaml
from prometheus_client.parser import text_string_to_metric_families

from tests.conftest import StartProxy, settings_for
from tests.raw_client import RawClient
from tests.scripted_origin import ScriptedOrigin

ROOT: Final = Path(__file__).parents[2]
DASHBOARD: Final = json.loads((ROOT / "deploy/grafana/respond-async.json").read_text())
ALERTS: Final = ROOT / "deploy/prometheus/alerts.yaml"
SCRAPING: Final = ROOT / "deploy/prometheus/prometheus.yaml"
RULES: Final = [rule for group in yaml.safe_load(ALERTS.read_text())["groups"] for rule in group["rules"]]
OPERATIONS: Final = (ROOT / "docs/operations.md").read_text()

TOKEN: Final = "a-token-of-operators"
WIDTH: Final = 24  # columns of a dashboard
OF_PROMETHEUS: Final = {"instance", "job", "le"}  # labels that are not the product's
GENERATED: Final = re.compile(r"_(bucket|sum|count)$")  # of histograms
METRIC: Final = re.compile(r"(?<!\")\b(respond_async_\w+)(?:\{([^}]*)\})?")
ROW: Final = re.compile(r"^\| ((?:`respond_async_\w+`(?:, )?)+) \| \w+ \| (.*?) \|", re.MULTILINE)

needs_promtool = pytest.mark.skipif(shutil.which("promtool") is None, reason="promtool is not installed")


def documented() -> dict[str, set[str]]:
    """The labels of every metric that the documentation has."""
    return {
        name: set(re.findall(r"`(\w+)`", labels))
        for names, labels in ROW.findall(OPERATIONS)
        for name in re.findall(r"`(\w+)`", names)
    }


def dashboards_queries() -> Iterator[str]:
    panels = [target["expr"] for panel in DASHBOARD["panels"] for target in panel.get("targets", ())]
    variables = [one["query"]["query"] for one in DASHBOARD["templating"]["list"] if one["type"] == "query"]
    yield from [*panels, *variables, *(one["expr"] for one in DASHBOARD["annotations"]["list"])]


def metrics_of(query: str) -> Iterator[tuple[str, set[str]]]:
    """The metrics that a query names, each with the labels that it selects by."""
    for name, selectors in METRIC.findall(query):
        yield GENERATED.sub("", name), set(re.findall(r"(\w+)(?:=~|!~|!=|=)", selectors))


ASKED: Final = [
    *(pytest.param(query, id=f"dashboard: {query[:60]}") for query in dashboards_queries()),
    *(pytest.param(rule["expr"], id=f"alert: {rule['alert']}") for rule in RULES if "respond_async" in rule["expr"]),
]


@pytest.mark.parametrize("query", ASKED)
def test_every_query_names_metrics_and_labels_that_are_documented(query: str) -> None:
    known, asked = documented(), list(metrics_of(query))
    assert asked
    assert [name for name, _ in asked if name not in known] == []
    assert [
        (name, labels - known[name] - OF_PROMETHEUS) for name, labels in asked if labels - known[name] - OF_PROMETHEUS
    ] == []


async def test_the_product_exposes_every_metric_that_is_asked_for(
    start_proxy: StartProxy, origin: ScriptedOrigin
) -> None:
    proxy = await start_proxy(settings_for(origin.url), admin="127.0.0.1:0", admin_token=TOKEN)
    async with RawClient(port=proxy.admin_port) as client:
        bearer = (b"Authorization", f"Bearer {TOKEN}".encode())
        text = (await client.exchange("GET", b"/metrics", [bearer])).body.decode()
    families = {
        f"{one.name}_total" if one.type == "counter" else one.name for one in text_string_to_metric_families(text)
    }
    of_the_supervisor = {"respond_async_workers", "respond_async_worker_deaths_total"}
    asked = {name for query in ASKED for name, _ in metrics_of(str(query.values[0]))}
    assert asked - families - of_the_supervisor == set()


def test_every_metric_is_on_the_dashboard() -> None:
    assert documented().keys() - {name for query in dashboards_queries() for name, _ in metrics_of(query)} == set()


def test_panels_of_the_dashboard_do_not_overlap() -> None:
    places = [panel["gridPos"] for panel in DASHBOARD["panels"]]
    assert [place for place in places if place["x"] + place["w"] > WIDTH] == []
    assert [(one, other) for one, other in combinations(places, 2) if overlap(one, other)] == []


def overlap(one: dict[str, int], other: dict[str, int]) -> bool:
    apart_across = one["x"] + one["w"] <= other["x"] or other["x"] + other["w"] <= one["x"]
    return not (apart_across or one["y"] + one["h"] <= other["y"] or other["y"] + other["h"] <= one["y"])


def test_every_panel_has_an_id_of_its_own_and_the_chosen_data_source() -> None:
    panels: list[dict[str, Any]] = DASHBOARD["panels"]
    assert len({panel["id"] for panel in panels}) == len(panels)
    sources = [target["datasource"] for panel in panels for target in panel.get("targets", ())]
    assert {source["uid"] for source in sources} == {"${datasource}"}


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: str(rule["alert"]))
def test_every_alert_says_how_grave_it_is_and_what_to_do(rule: dict[str, Any]) -> None:
    assert rule["labels"]["severity"] in {"warning", "critical"}
    assert "{{ $labels." in rule["annotations"]["summary"]
    assert rule["annotations"]["description"].count(".") >= 2


@needs_promtool
@pytest.mark.parametrize(
    "arguments",
    [
        pytest.param(("check", "rules", ALERTS), id="the rules are well-formed"),
        pytest.param(
            ("test", "rules", Path(__file__).with_name("alerts_test.yaml")), id="the rules do what they should"
        ),
        pytest.param(("check", "config", "--syntax-only", SCRAPING), id="the scrape configuration is well-formed"),
    ],
)
def test_prometheus_takes_it(arguments: tuple[str | Path, ...]) -> None:
    done = subprocess.run(["promtool", *arguments], capture_output=True, text=True, timeout=30, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
