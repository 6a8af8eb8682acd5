"""docs/grafana.json and the alerts of monitoring.md, by Prometheus' own engine (promtool, of Debian's prometheus)."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

DOCS = Path(__file__).parents[2] / "docs"
VARIABLES = {"$dag": ".*", "$task": ".*", "$__range": "1h", "$__interval": "5m"}
RATE, LEVEL = 10, 5
LABELS = 'dag_id="daily",task_id="load"'
NAME = re.compile(r"airflow_\w+")


def panels() -> Iterator[tuple[str, str]]:
    """Yield the title and the query of each of the board's panels, as Grafana asks it."""
    for panel in json.loads((DOCS / "grafana.json").read_text())["panels"]:
        for target in panel.get("targets", ()):
            query = target["expr"]
            for name, value in VARIABLES.items():
                query = query.replace(name, value)
            yield panel["title"], query


def alerts() -> dict[str, Any]:
    page = (DOCS / "monitoring.md").read_text()
    found: dict[str, Any] = yaml.safe_load(page.split("```yaml\n")[1].partition("```")[0])
    return found


@pytest.fixture
def promtool(tmp_path: Path) -> Callable[..., None]:
    """Runs promtool on files of their own folder; its report is the failure."""
    found = shutil.which("promtool")
    if found is None:
        pytest.skip("promtool is not installed: apt-get install prometheus")

    def run(*arguments: str, **files: Any) -> None:
        for name, content in files.items():
            (tmp_path / f"{name}.yaml").write_text(yaml.safe_dump(content))
        done = subprocess.run([found, *arguments], cwd=tmp_path, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr

    return run


def series(queries: Iterator[str] | list[str]) -> list[dict[str, str]]:
    """Return two hours of what the queries ask for: counters that rise by RATE a minute, and levels of LEVEL."""
    made = {}
    for query in queries:
        for name in NAME.findall(query):
            risen = f"increase({name}" in query
            more = ',quantile="0.99"' if "quantile" in query else ""
            made[f"{name}{{{LABELS}{more}}}"] = f"0+{RATE}x120" if risen else f"{LEVEL}x120"
    return [{"series": name, "values": values} for name, values in made.items()]


def value_of(query: str) -> float:
    if "/" in query:
        return 1
    if "increase" not in query:
        return LEVEL
    return RATE * (60 if "[1h]" in query else 5)


def labels_of(query: str) -> str:
    if "increase" not in query:
        more = ', quantile="0.99"' if "quantile" in query else ""
        return f'{NAME.findall(query)[0]}{{dag_id="daily"{more}, task_id="load"}}'
    return f"{{{LABELS}}}" if "by (dag_id,task_id)" in query else "{}"


def test_every_panel_draws_what_loads_send(promtool: Callable[..., None]) -> None:
    queries = [query for _, query in panels()]
    expected = [
        {
            "expr": query,
            "eval_time": "2h",
            "exp_samples": [{"labels": labels_of(query), "value": value_of(query)}],
        }
        for query in queries
    ]
    assert len(expected) > 10
    given = {"interval": "1m", "input_series": series(queries), "promql_expr_test": expected}
    promtool("test", "rules", "board.yaml", board={"tests": [given]})


def test_an_alert_fires_on_the_first_failure_and_on_a_day_without_load(promtool: Callable[..., None]) -> None:
    rules = alerts()
    failed, nothing, *_ = rules["groups"][0]["rules"]
    # Counters are not there before their first event. The DAG loads on the first evening, and never again.
    given = {
        'airflow_ti_failures{dag_id="genesys_daily",task_id="load"}': "_x600 1x3000",
        'airflow_genesys_load_records{dag_id="genesys_daily",task_id="load"}': "_x300 60000x3000",
    }
    labels = {"dag_id": "genesys_daily", "task_id": "load"}
    checks = [
        fires(failed, "9h", None),
        fires(failed, "10h5m", labels),
        fires(failed, "11h", None),
        fires(nothing, "20h", None),
        fires(nothing, "32h", {"dag_id": "genesys_daily"}),
    ]
    test = {
        "interval": "1m",
        "input_series": [{"series": name, "values": values} for name, values in given.items()],
        "alert_rule_test": checks,
    }
    promtool("test", "rules", "test.yaml", rules=rules, test={"rule_files": ["rules.yaml"], "tests": [test]})


def fires(rule: dict[str, Any], at: str, labels: dict[str, str] | None) -> dict[str, Any]:
    """Return what promtool is to see of a rule: that it fires with these labels, or not at all."""
    expected = []
    if labels is not None:
        said = rule["annotations"]["summary"]
        for name, value in labels.items():
            said = said.replace(f"{{{{ $labels.{name} }}}}", value)
        expected.append({"exp_labels": labels, "exp_annotations": {"summary": said}})
    return {"alertname": rule["alert"], "eval_time": at, "exp_alerts": expected}
