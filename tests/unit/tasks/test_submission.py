"""When an export was asked for: from evidence, the best first, and never from a schedule."""

from __future__ import annotations

from datetime import datetime, timezone
from typing import Any

import pytest
from airflow.providers.standard.operators.empty import EmptyOperator
from airflow.sdk import DAG

from airflow_provider_genesys.exceptions import WindowError
from airflow_provider_genesys.tasks.handle import submission_of, upstream_of
from tests.support.task_context import context

GIVEN, TOLD, NOTED = (f"2026-11-22T{hour}:00:00+00:00" for hour in ("01", "02", "03"))


def found(handle: dict[str, Any], given: Any = None, **upstream: Any) -> str | None:
    """Ask in a task behind ``create`` and another one."""
    with DAG("corrections", schedule=None) as dag:
        EmptyOperator(task_id="create") >> EmptyOperator(task_id="check") >> EmptyOperator(task_id="load")
    at_load = context(task_id="load", upstream=upstream)
    return submission_of({"export_id": "e", **handle}, given, upstream_of(dag.get_task("load")), at_load)  # type: ignore[arg-type]


CREATED = {"create": {"export_id": "e", "submitted_at": NOTED}}


@pytest.mark.parametrize(
    ("expected", "handle", "given", "upstream"),
    [
        (GIVEN, {"submitted_at": TOLD}, "2026-11-22T02:00:00+01:00", CREATED),
        (GIVEN, {}, datetime(2026, 11, 22, 1, tzinfo=timezone.utc), {}),
        (TOLD, {"submitted_at": "2026-11-22T02:00:00.000Z"}, "None", CREATED),
        (NOTED, {"submitted_at": None}, "", CREATED),
        (NOTED, {}, None, {"check": {"export_id": "e", "submitted_at": NOTED}}),
        (NOTED, {}, None, {"create": [{"export_id": "other", "submitted_at": TOLD}, CREATED["create"]]}),
        (None, {}, None, {"create": {"export_id": "other", "submitted_at": NOTED}}),
        (None, {}, None, {}),
    ],
)
def test_the_best_evidence_says_when_an_export_was_asked_for(
    expected: str | None, handle: dict[str, Any], given: Any, upstream: dict[str, Any]
) -> None:
    assert found(handle, given, **upstream) == expected


@pytest.mark.parametrize(("handle", "given"), [({"submitted_at": "lately"}, None), ({}, "20261122")])
def test_what_is_no_time_is_an_error(handle: dict[str, Any], given: Any) -> None:
    with pytest.raises(WindowError, match="which is not a time"):
        found(handle, given)
