"""The plan of a backfill, as a task and as a command."""

from __future__ import annotations

import os
import subprocess
import sys
from datetime import datetime, timezone
from types import SimpleNamespace
from typing import Any

import pytest

from airflow_provider_genesys.backfill import plan as plan_module
from airflow_provider_genesys.cloud.exports.base import ExportRequest
from airflow_provider_genesys.commands.app import main
from airflow_provider_genesys.operators.plan import GenesysPlanBackfillOperator
from airflow_provider_genesys.tasks.failures import AirflowFailException
from airflow_provider_genesys.testing.fake_genesys import FakeGenesys
from tests.support.task_context import context, run


def test_the_plan_of_a_window_is_an_xcom(genesys: FakeGenesys) -> None:
    given: dict[str, Any] = {"window_start": "2026-11-01", "window_end": "2026-11-04", "poll_interval": 0.01}
    given["options"] = {"startOfDayIntervalMatching": True}
    plan = run(GenesysPlanBackfillOperator(task_id="plan", **given), context())
    assert (plan["days"], plan["records"]) == (3, 3 * genesys.conversations)
    assert plan["requests"] > plan["pages"] == 6


def test_a_kind_that_cannot_be_planned_fails_the_task_at_once(genesys: FakeGenesys) -> None:
    with pytest.raises(AirflowFailException, match="cannot be planned"):
        run(GenesysPlanBackfillOperator(task_id="plan", kind="recordings"), context())
    assert not genesys.exports


def test_the_command_prints_the_plan(genesys: FakeGenesys, capsys: pytest.CaptureFixture[str]) -> None:
    genesys.conversations = 30
    assert main(["plan", "2026-11-01", "2026-11-04"]) == 0
    assert "3 days of conversation_details" in capsys.readouterr().out


def test_what_is_wrong_is_printed_without_a_traceback(genesys: FakeGenesys, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["plan", "2026-11-04", "2026-11-01"]) == 1
    assert "ends before it starts" in capsys.readouterr().err
    assert not genesys.jobs


def test_the_command_tells_its_arguments() -> None:
    command = [sys.executable, "-m", "airflow_provider_genesys", "plan", "--help"]
    told = subprocess.run(command, capture_output=True, text=True, check=True, env=dict(os.environ)).stdout
    assert "--sample-day" in told


def test_the_operator_plans_what_it_is_given(genesys: FakeGenesys, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[Any] = []

    def make_plan(_client: Any, kind: str, request: ExportRequest, **given: Any) -> Any:
        asked.append((kind, request.window_start.day, request.window_end.day, request.filters, request.options, given))
        return SimpleNamespace(lines=list, as_json=lambda: {"days": 1})

    monkeypatch.setattr(plan_module, "make_plan", make_plan)
    window: dict[str, Any] = {"window_start": "2026-11-01", "window_end": "2026-11-04", "sample_day": "2026-11-02"}
    more: dict[str, Any] = {"filters": {"f": 1}, "options": {"o": 2}}
    counts: dict[str, Any] = {"page_size": 7, "timeout": 8, "poll_interval": 9}
    given = {"kind": "user_details", **window, **more, **counts}
    assert run(GenesysPlanBackfillOperator(task_id="plan", **given), context()) == {"days": 1}
    sampled = datetime(2026, 11, 2, tzinfo=timezone.utc)
    assert asked == [("user_details", 1, 4, {"f": 1}, {"o": 2}, {"sample_day": sampled, **counts})]
