"""The dashboard, the alerts and the page about them speak of metrics that there are."""

import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

import promql_parser
import pytest
import yaml

from adapters.metrics import catalogue
from adapters.metrics.cells import Metric
from entrypoints.http.operations import OPERATIONS
from entrypoints.http.problems import ALL
from tests.observability.conftest import Observed
from tests.observability.scrape import SUFFIXES

ROOT: Final = Path(__file__).parents[2]
ALERTS: Final = yaml.safe_load((ROOT / "deploy/prometheus/alerts.yaml").read_text())["groups"][0]["rules"]
PROMETHEUS: Final = yaml.safe_load((ROOT / "deploy/prometheus/prometheus.yml").read_text())
BOARD: Final = json.loads((ROOT / "deploy/grafana/wallet.json").read_text())
PAGE: Final = (ROOT / "docs/observability.md").read_text()

OF_PROMETHEUS: Final = {"instance", "job"}
"""Labels that every series gets where it is scraped."""

HTTP: Final = catalogue.http_metrics([(o.method, o.path) for o in OPERATIONS], list(ALL))
METRICS: Final[Mapping[str, Metric]] = {
    metric.name: metric for metric in (*catalogue.FIXED, HTTP.requests, HTTP.durations, HTTP.problems)
}
FACTS: Final = {"wallet_build_info": {"version", "python", "schema"}, "wallet_database_history_info": {"history"}}


def expressions() -> Iterator[tuple[str, str]]:
    for rule in ALERTS:
        yield rule["alert"], rule["expr"]
    for panel in BOARD["panels"]:
        for number, target in enumerate(panel.get("targets", ()), 1):
            yield f"{panel['title']} {number}", target["expr"]


def selectors(expression: str) -> list[Any]:
    """What an expression reads. Raises ``ValueError`` if it is none."""
    found: list[Any] = []

    def note(node: Any) -> bool:
        if isinstance(node, promql_parser.VectorSelector):
            found.append(node)
        return True

    tree = promql_parser.parse(expression.replace("$__rate_interval", "1m"))
    promql_parser.walk(tree, pre_visit=note)
    return found


def metric_of(name: str) -> Metric:
    base = next((name.removesuffix(s) for s in SUFFIXES if name.removesuffix(s) in METRICS), name)
    return METRICS[base]


def labels_of(metric: Metric) -> set[str]:
    return {*metric.labels, *(["worker"] if metric.of_worker else []), *(["le"] if metric.bounds else [])}


def complaints(expression: str, exposed: set[str]) -> list[str]:
    """What an expression asks for that there is not."""
    found = []
    for selector in selectors(expression):
        name = selector.name
        if name not in exposed | {"up"}:
            found.append(f"there is no {name}")
            continue
        for matcher in selector.matchers.matchers:
            label, wanted = matcher.name, matcher.value
            if label in OF_PROMETHEUS:
                continue
            metric = metric_of(name)
            if label not in labels_of(metric):
                found.append(f"{name} has no label {label}")
            elif label in metric.labels:
                values = {series[metric.labels.index(label)] for series in metric.series}
                unknown = [each for each in wanted.split("|") if each not in values]
                found += [f"{label} of {name} is never {each}" for each in unknown]
    return found


@pytest.fixture(scope="module")
def exposed(seen: Observed) -> set[str]:
    return {name for name, _ in seen.scrape.samples} | {"wallet_database_history_info"}


@pytest.mark.parametrize(("where", "expression"), list(expressions()), ids=lambda text: str(text)[:40])
def test_each_expression_reads_what_there_is(where: str, expression: str, exposed: set[str]) -> None:
    assert selectors(expression)
    assert complaints(expression, exposed) == [], where


@pytest.mark.parametrize(
    ("expression", "says"),
    [
        ("rate(wallet_write_total[5m])", "there is no wallet_write_total"),
        ('wallet_writes_total{reason="applied"}', "wallet_writes_total has no label reason"),
        ('wallet_writes_total{outcome=~"applied|aplied"}', "outcome of wallet_writes_total is never aplied"),
        ("histogram_quantile(0.9, rate(wallet_batch_commands[5m]))", "there is no wallet_batch_commands"),
    ],
)
def test_an_expression_that_reads_nothing_is_found(expression: str, says: str, exposed: set[str]) -> None:
    assert complaints(expression, exposed) == [says]


def test_what_is_grouped_by_is_a_label(exposed: set[str]) -> None:
    for where, expression in expressions():
        known = {"instance", *(label for s in selectors(expression) for label in all_labels(s.name))}
        for group in re.findall(r"\bby \(([^)]*)\)", expression):
            assert {label.strip() for label in group.split(",")} <= known, where


def all_labels(name: str) -> set[str]:
    return set() if name == "up" else FACTS.get(name) or labels_of(metric_of(name))


def test_each_alert_waits_says_how_grave_it_is_and_has_a_place_in_the_page() -> None:
    names = [rule["alert"] for rule in ALERTS]
    assert len(names) == len(set(names))
    for rule in ALERTS:
        assert re.fullmatch(r"\d+[mh]", rule["for"])
        assert rule["labels"]["severity"] in ("critical", "warning", "info")
        assert rule["annotations"]["runbook_url"] == f"docs/observability.md#{rule['alert'].lower()}"
        assert rule["annotations"]["summary"]
    assert re.findall(r"^### (Wallet\w+)$", PAGE, re.MULTILINE) == names
    assert set(re.findall(r"\(#(\w+)\)", PAGE)) <= {name.lower() for name in names}


def test_prometheus_reads_the_alerts_and_scrapes_the_job_that_they_ask_for() -> None:
    assert PROMETHEUS["rule_files"] == ["alerts.yaml"]
    (job,) = PROMETHEUS["scrape_configs"]
    assert job["job_name"] == "wallet"
    assert job["metrics_path"] == "/metrics"


def test_the_page_lists_each_metric_with_its_type_and_labels(seen: Observed, exposed: set[str]) -> None:
    rows = re.findall(r"^\| `(\w+)` \| (counter|gauge|histogram) \|([^|]*)\|", PAGE, re.MULTILINE)
    listed = {name: (kind, set(re.findall(r"`(\w+)`", labels))) for name, kind, labels in rows}
    expected = {metric.name: (metric.kind, labels_of(metric) - {"le"}) for metric in METRICS.values()}
    expected |= {name: ("gauge", labels) for name, labels in FACTS.items()}
    assert listed == expected
    live = {re.sub("_(bucket|count|sum)$", "", name) if name not in METRICS else name for name in exposed}
    assert live == set(listed)
    for name in set(METRICS) & live:
        assert seen.scrape.kinds[name] == METRICS[name].kind
        assert seen.scrape.helps[name] == METRICS[name].help
        assert seen.scrape.labels(name) <= labels_of(METRICS[name])


def test_the_board_asks_the_chosen_source_and_the_chosen_instances() -> None:
    assert {variable["name"] for variable in BOARD["templating"]["list"]} == {"datasource", "instance"}
    ids = [panel["id"] for panel in BOARD["panels"]]
    assert len(ids) == len(set(ids))
    for panel in BOARD["panels"]:
        for target in panel.get("targets", ()):
            assert target["datasource"]["uid"] == "${datasource}"
            assert target["expr"].count('instance=~"$instance"') == len(selectors(target["expr"])), panel["title"]
