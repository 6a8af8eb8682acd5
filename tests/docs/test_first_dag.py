"""The DAG that a newcomer types: the same in the README and in the tutorial, and it loads a day."""

from __future__ import annotations

import re
import textwrap
from pathlib import Path
from typing import Any

import psycopg
import pytest

from airflow_provider_genesys.testing.fake_genesys import FakeGenesys
from tests.support.airflow_home import run_dag

ROOT = Path(__file__).parents[2]


def first_dag(page: str) -> str:
    text = (ROOT / page).read_text()
    return next(
        code for code in map(textwrap.dedent, re.findall(r"```python\n(.*?)```", text, re.DOTALL)) if "DAG(" in code
    )


def test_the_tutorial_has_the_dag_of_the_readme() -> None:
    assert first_dag("README.md") == first_dag("docs/tutorial.md")


def test_it_loads_the_day_before_its_date(airflow_db: Path, database: str, monkeypatch: pytest.MonkeyPatch) -> None:
    names: dict[str, Any] = {}
    exec(first_dag("README.md"), names)  # noqa: S102 - our own page
    dag = names["create"].dag
    for task in dag.tasks:
        if hasattr(task, "poll_interval"):
            task.poll_interval = 0.05
    with FakeGenesys(conversations=20) as genesys:
        monkeypatch.setenv("AIRFLOW_CONN_GENESYS_DEFAULT", genesys.connection_json())
        monkeypatch.setenv("AIRFLOW_CONN_POSTGRES_DEFAULT", database)
        run = run_dag(dag, names["datetime"](2026, 11, 23, tzinfo=names["timezone"].utc))
    assert run.state == "success"
    with psycopg.connect(database) as connection:
        (days,) = connection.execute(
            "SELECT array_agg(DISTINCT conversation_start::date::text) FROM conversations"
        ).fetchone()
    assert days == ["2026-11-22"]
