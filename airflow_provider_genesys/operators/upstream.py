"""What the task upstream that created an export says of it."""

from __future__ import annotations

from typing import Any

from airflow.sdk import BaseOperator, Context


def upstream_export(task: BaseOperator, context: Context, export_id: str) -> dict[str, Any] | None:
    """Return the XCom ``export`` of a task directly upstream that is of this export; None where there is none."""
    for task_id in sorted(task.upstream_task_ids):
        pulled = context["ti"].xcom_pull(task_ids=task_id, key="export")
        # A mapped task upstream gives a list, with one element for each of its exports.
        for export in pulled if isinstance(pulled, list) else [pulled]:
            if isinstance(export, dict) and export.get("export_id") == export_id:
                return export
    return None
