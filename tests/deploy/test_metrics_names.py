"""Dashboard and alerts ask for series that the service has, by labels and values that these have."""

import json
import re
from collections.abc import Iterator
from typing import Any

import promql_parser
import pytest
from promql_parser import AggregateExpr, Expr, VectorSelector
from ruamel.yaml import YAML

from app.api.problem_types import PROBLEM_TYPES
from app.main import create_app
from app.settings import load_settings
from tests.engines import PROJECT
from tests.test_metrics import names_and_labels

# Every series, and its labels.
METRICS: dict[str, set[str]] = {
    **{name: set(labels) for name, labels in names_and_labels().items()},
    **{f"{name}_bucket": set(labels) for name, labels in names_and_labels().items() if name.endswith("_seconds")},
    "process_cpu_seconds_total": set(),
    "process_resident_memory_bytes": set(),
}
# What Prometheus itself puts on what it scrapes, and on the buckets of a histogram.
SCRAPED = {"instance", "job", "le"}
VALUES = {
    "code": set(PROBLEM_TYPES),
    "operation": {"GetItem", "PutItem", "DeleteItem", "UpdateItem", "TransactWriteItems", "Query"},
    "outcome": {"ok", "condition-failed", "throttled", "not-applied", "unknown", "rejected", "failed"},
    "route": set(create_app(load_settings(auth="none")).openapi()["paths"]),
    "status": {"200", "409", "500", "501", "503", "504"},
}

DASHBOARD: Any = json.loads((PROJECT / "deploy/grafana-dashboard.json").read_text())
ALERTS: Any = YAML(typ="safe").load(PROJECT / "deploy/alerts.yaml")
RULES = {rule["alert"]: rule for group in ALERTS["groups"] for rule in group["rules"]}
TARGETS = [
    pytest.param(target, id=f"{panel['title']}: {target['refId']}")
    for panel in DASHBOARD["panels"]
    for target in panel.get("targets", [])
]


def parsed(expression: str) -> Expr:
    """The expression as Grafana sends it. Raises ValueError."""
    return promql_parser.parse(expression.replace("$__rate_interval", "5m"))


def selectors(expression: Expr) -> list[VectorSelector]:
    found: list[VectorSelector] = []
    promql_parser.walk(expression, lambda node: found.append(node) if isinstance(node, VectorSelector) else None)
    return found


def aggregations(expression: Expr) -> list[AggregateExpr]:
    found: list[AggregateExpr] = []
    promql_parser.walk(expression, lambda node: found.append(node) if isinstance(node, AggregateExpr) else None)
    return found


def faults(expression: Expr) -> Iterator[str]:
    """What an expression asks for that no process of the service has."""
    for selector in selectors(expression):
        labels = METRICS.get(selector.name or "")
        if labels is None:
            yield f"no metric {selector.name}"
            continue
        for matcher in selector.matchers.matchers:
            if matcher.name not in labels | SCRAPED:
                yield f"{selector.name} has no label {matcher.name}"
            # An alternative that nothing matches is a typing error; so is a name that nothing has.
            for alternative in matcher.value.split("|"):
                known = VALUES.get(matcher.name)
                if known and not any(re.fullmatch(alternative, value) for value in known):
                    yield f"no {matcher.name} is {alternative}"
    for aggregation in aggregations(expression):
        grouped = set(aggregation.modifier.labels) if aggregation.modifier else set()
        for selector in selectors(aggregation.expr):
            yield from (
                f"{selector.name} has no label {label}"
                for label in grouped - METRICS.get(selector.name or "", set()) - SCRAPED
            )


def labels_left(expression: Expr) -> set[str]:
    """The labels that a legend or a summary can name."""
    outer = aggregations(expression)
    if outer:
        return {label for node in outer if node.modifier for label in node.modifier.labels} - {"le"}
    return {label for selector in selectors(expression) for label in METRICS[selector.name or ""]} | {"instance", "job"}


@pytest.mark.parametrize("target", TARGETS)
def test_panel_asks_for_what_there_is_and_names_what_it_gets(target: Any) -> None:
    expression = parsed(target["expr"])

    assert list(faults(expression)) == []
    assert set(re.findall(r"{{(\w+)}}", target["legendFormat"])) <= labels_left(expression)


@pytest.mark.parametrize("alert", RULES)
def test_alert_asks_for_what_there_is_and_names_what_it_gets(alert: str) -> None:
    rule = RULES[alert]
    expression = parsed(rule["expr"])

    assert list(faults(expression)) == []
    assert set(re.findall(r"\$labels\.(\w+)", rule["annotations"]["summary"])) <= labels_left(expression)


@pytest.mark.parametrize("alert", RULES)
def test_alert_has_the_members_of_a_prometheus_rule_and_an_entry_of_its_own_in_the_runbook(alert: str) -> None:
    rule = RULES[alert]
    headings = re.findall(r"^### (\w+)$", (PROJECT / "docs/operations.md").read_text(), re.MULTILINE)

    assert set(rule) <= {"alert", "expr", "for", "labels", "annotations"}
    assert rule["labels"]["severity"] in ("page", "ticket")
    assert rule["annotations"]["runbook"] == f"docs/operations.md#{alert.lower()}"
    assert alert in headings
    assert promql_parser.parse_duration(rule.get("for", "1m"))


def test_runbook_has_no_alert_that_there_is_none_of() -> None:
    headings = re.findall(r"^### (Playlists\w+)$", (PROJECT / "docs/operations.md").read_text(), re.MULTILINE)

    assert headings == list(RULES)


def test_variables_of_the_dashboard_ask_for_a_metric_that_there_is() -> None:
    queries = [variable["query"] for variable in DASHBOARD["templating"]["list"] if variable["type"] == "query"]

    [asked] = [re.fullmatch(r"label_values\((\w+), \w+\)", query) for query in queries]

    assert asked
    assert asked[1] in METRICS


@pytest.mark.parametrize(
    ("expression", "fault"),
    [
        ("rate(playlists_requests_total[5m])", "no metric playlists_requests_total"),
        ('playlists_problems_total{kind="throttled"}', "playlists_problems_total has no label kind"),
        ('playlists_problems_total{code=~"throttled|edit-conflct"}', "no code is edit-conflct"),
        ('playlists_http_requests_total{route="/ready"}', "no route is /ready"),
        ("sum by (code) (playlists_replays_total)", "playlists_replays_total has no label code"),
    ],
)
def test_seeded_mistake_in_an_expression_is_found(expression: str, fault: str) -> None:
    assert list(faults(parsed(expression))) == [fault]


def test_expression_that_cannot_be_read_is_refused() -> None:
    with pytest.raises(ValueError, match="unclosed left parenthesis"):
        parsed("sum(rate(playlists_replays_total[5m])")
