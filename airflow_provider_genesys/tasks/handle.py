"""Reads the argument ``handle`` of a loading operator."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from airflow.sdk import BaseOperator, Context

from airflow_provider_genesys.cloud.exports import aggregates
from airflow_provider_genesys.cloud.http.paths import check_ids
from airflow_provider_genesys.exceptions import ConfigurationError, WindowError
from airflow_provider_genesys.hooks.object_store import is_folder_url
from airflow_provider_genesys.outside import shown
from airflow_provider_genesys.tasks.landed import LOCATION, NOWHERE, LandedArchives
from airflow_provider_genesys.tasks.rendered import decoded, json_mapping, text
from airflow_provider_genesys.tasks.xcoms import checked_export
from airflow_provider_genesys.times import iso_time
from airflow_provider_genesys.window import Window, absent, read_moment, read_window, resolve_window

if TYPE_CHECKING:
    from airflow_provider_genesys.hooks.genesys import GenesysCloudHook


def read_handle(given: Any, kind: str, hook: GenesysCloudHook, landed: LandedArchives = NOWHERE) -> dict[str, Any]:
    """Return the handle: the sensor's output as it is, or, for the id of an export, Genesys' answer.

    For the location of a landed archive, what its manifest says. A template gives text: a dict in Python's or JSON's
    form is read back.

    :param landed: from where landed archives may be read.
    :raises ConfigurationError: it is empty, or no handle, or names a location that the DAG does not name.
    :raises SourceRefusedError: no archive was landed there.
    """
    kind, name = text(kind, "kind"), "handle"
    value = None if absent(given) else decoded(given.strip() if isinstance(given, str) else given, name)
    if url := _location(value):
        value, name = landed.handle(url), f"the handle landed at {shown(url)}"
    if isinstance(value, dict):
        if isinstance(value.get("export_id"), str):
            check_ids(value["export_id"])
        found = {"kind": kind, **checked_export(value, name)}
        if not found.get("export_id"):
            raise ConfigurationError(
                "The handle has no export_id. Give the operator what GenesysExportSensor returned."
            )
        return found
    if not value or not isinstance(value, str):
        raise ConfigurationError(
            f"handle is {type(value).__name__}, and should be what GenesysExportSensor returned, or an export id. Did "
            "the task before this one push it?"
        )
    check_ids(value)
    return hook.make_handle(hook.get_export(value, kind))


def window_of(handle: dict[str, Any], start: Any, end: Any) -> Window:
    """Return the window from the operator's arguments ``start`` and ``end``, or else from the handle.

    :raises WindowError: neither gives one.
    """
    window = read_window("the operator's arguments", start, end) or read_window(
        "the handle", handle.get("window_start"), handle.get("window_end")
    )
    if window is None:
        raise WindowError(
            f"Neither Genesys nor the handle says which window export {handle['export_id']} has. Give the operator "
            "window_start and window_end."
        )
    return window


def check_within(handle: dict[str, Any], context: Context, look_back_days: int) -> None:
    """Check that the handle's window is the run's, or within it, or begins at most some days before it.

    Anybody who may write an XCom can change what the handle says.

    :raises WindowError: it does not, or the run has no window.
    """
    window = window_of(handle, None, None)
    says = f"The handle of export {handle['export_id']} has the window {window}, and this run"
    advice = (
        "write_mode='replace_window' removes rows, so the DAG has to name what it empties: give this operator "
        "window_start and window_end, or look_back_days where days before the run's window are exported again."
    )
    try:
        run = resolve_window(None, None, context)
    except WindowError as error:
        raise WindowError(f"{says} has none. {advice} ({error})") from None
    if window.start < run.start - timedelta(days=look_back_days) or window.end > run.end:
        raise WindowError(f"{says} is of {run}. {advice}")


def asked_of(handle: dict[str, Any], filters: dict[str, Any] | None) -> dict[str, Any]:
    """Return what distinguishes loads of one window: the operator's filters, and a query of aggregates."""
    asked = aggregates.asked_of(handle) if handle["kind"] == aggregates.KIND else {}
    return {**asked, **json_mapping(filters, "filters")}


def _location(value: Any) -> str | None:
    """Return the URL where an archive was landed, if ``value`` is that URL or the landing task's output; else None."""
    if isinstance(value, dict) and LOCATION in value:
        return str(value[LOCATION])
    if isinstance(value, dict) and value.get("contract") == "raw":
        value = value.get("location")
    return value if isinstance(value, str) and is_folder_url(value) else None


def submission_of(handle: dict[str, Any], given: Any, upstream: Sequence[str], context: Context) -> str | None:
    """Return when the export was requested, ISO 8601; None if not known.

    The operator's argument ``given`` counts first, then the handle, which has Genesys' answer, then the clock of the
    task upstream that requested it. The date of a run is never used: a backfill has dates of long ago.

    :raises WindowError: the argument, or the handle's value, is not a time.
    """
    if not absent(given):
        return iso_time(read_moment("submitted_at in the operator's arguments", given))
    noted = handle.get("submitted_at")
    if noted is None:
        noted = (upstream_export(upstream, context, handle["export_id"]) or {}).get("submitted_at")
    return None if noted is None else iso_time(read_moment("submitted_at in the handle", noted))


def upstream_of(task: BaseOperator) -> list[str]:
    """Return the ids of all tasks upstream, those directly upstream first."""
    direct = task.upstream_task_ids
    further = task.get_flat_relative_ids(upstream=True) - direct if direct else ()
    return [*sorted(direct), *sorted(further)]


def upstream_export(upstream: Sequence[str], context: Context, export_id: str) -> dict[str, Any] | None:
    """Return the first XCom ``export`` of these tasks that is of this export; None if there is none."""
    for task_id in upstream:
        pulled = context["ti"].xcom_pull(task_ids=task_id, key="export")
        # A mapped task upstream gives a list, one element per export.
        for export in pulled if isinstance(pulled, list) else [pulled]:
            if isinstance(export, dict) and export.get("export_id") == export_id:
                return checked_export(export, f"XCom 'export' of task {task_id}")
    return None
