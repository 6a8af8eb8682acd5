"""The facts of one load that are shown: from its task instance and XComs, without secrets and personal data."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any, Literal

from airflow_provider_genesys.plugin import xcoms
from airflow_provider_genesys.plugin.advice import ADVICE, happened

TaskRow = Mapping[str, Any]
Status = Literal["complete", "provisional", "final", "differs", "failed", "running", "missing"]
WORST_FIRST: tuple[Status, ...] = ("failed", "differs", "missing", "running", "provisional", "complete", "final")

_OPERATOR = re.compile(r"Genesys(?:Export|Entities|RecordingMedia|Finish).*?(Postgres|S3|AzureBlob|GCS|Sqs|Local)")
_SINKS = {
    "Postgres": "postgresql",
    "S3": "s3",
    "AzureBlob": "az",
    "GCS": "gs",
    "Sqs": "sqs",
    "Local": "file",
    "wasb": "az",
}
_FAILED = ("failed", "upstream_failed")
_AT_WORK = ("scheduled", "queued", "running", "deferred", "restarting", "up_for_retry", "up_for_reschedule")
_PROGRESS = ("percent", "records", "per_second", "seconds_left")
_PLACE = ("byte_offset", "record_index", "committed_at")
_FACTS = (
    *("kind", "window_start", "window_end", "export_id", "load_id", "contract", "location", "counts", "bytes_read"),
    *("rules", "attempts", "seconds", "phases", "peak_memory_mb", "incomplete", "expected_records", "shard"),
    *("started_at", "ended_at", "snapshot", "unused", "evolved", "delivery", "duplicates", "digest"),
)


def loads_of(row: TaskRow) -> Iterator[dict[str, Any]]:
    """Yield the facts of a task instance's loads: none, one, or several if the task finished several."""
    result = row.get("return_value")
    found = map(xcoms.certificate, result if isinstance(result, list) else [result])
    certificates = [one for one in found if one]
    state = row.get("state")
    if certificates and state == "success":
        yield from (_complete(row, certificate) for certificate in certificates)
    elif state in (*_FAILED, *_AT_WORK) and _OPERATOR.match(row.get("operator") or ""):
        yield _unfinished(row, "failed" if state in _FAILED else "running")
    elif state == "success" and isinstance(result, (str, Mapping)) and _OPERATOR.match(row.get("operator") or ""):
        # An XCom backend keeps the certificate elsewhere, and leaves a reference. Only workers can follow it. Or
        # something else has written over it.
        yield _unfinished(row, "complete")


def verdict_of(row: TaskRow) -> dict[str, Any] | None:
    """Return the reconciliation that a task instance has made; None where it made none."""
    for found in map(xcoms.verdict, (row.get("reconciliation"), row.get("return_value"))):
        if found:
            return {name: found.get(name) for name in ("window_start", "window_end", "reconciled_at")} | _judged(found)
    return None


def status_of(verdict: Mapping[str, Any] | None) -> Status:
    """Return the status of a complete load by its reconciliation."""
    if verdict is None or verdict["verdict"] == "not comparable":
        return "complete"
    if verdict["verdict"] == "differs":
        return "differs"
    return "final" if verdict["state"] == "final" else "provisional"


def _complete(row: TaskRow, certificate: Mapping[str, Any]) -> dict[str, Any]:
    judged = certificate.get("reconciliation")
    verdict = _judged(judged) if judged else None
    # The example of a drift is a record's own value, so it is left out.
    drift = [{name: one.get(name) for name in ("field", "kind", "count")} for one in certificate.get("drift") or ()]
    return {
        **_task(row),
        **{name: certificate.get(name) for name in _FACTS},
        "parts": certificate.get("parts"),
        "drift": drift,
        "sink": _sink(row, certificate.get("location") or ""),
        "status": status_of(verdict),
        "reconciliation": verdict,
    }


def _unfinished(row: TaskRow, status: Status) -> dict[str, Any]:
    kept, failure = xcoms.checkpoint(row.get("checkpoint")), xcoms.failure(row.get("failure"))
    what = failure or kept
    shown = {name: kept[name] for name in (*_PROGRESS, *_PLACE) if name in kept}
    return {
        **_task(row),
        "kind": what.get("kind"),
        "window_start": what.get("window_start") or _iso(row.get("interval_start")),
        "window_end": what.get("window_end") or _iso(row.get("interval_end")),
        "sink": _sink(row, ""),
        "status": status,
        "progress": shown,
        "failure": _failure(row) if status == "failed" else None,
        "reconciliation": verdict_of(row),
        "started_at": _iso(row.get("started_at")),
        "ended_at": _iso(row.get("ended_at")),
    }


def _task(row: TaskRow) -> dict[str, Any]:
    names = ("dag_id", "run_id", "task_id", "map_index", "state", "try_number")
    return {name: row.get(name) for name in names}


def _sink(row: TaskRow, location: str) -> str:
    scheme = location.partition("://")[0]
    named = _OPERATOR.match(row.get("operator") or "")
    return _SINKS.get(scheme, scheme) or (_SINKS[named[1]] if named else "")


def _judged(found: Mapping[str, Any]) -> dict[str, Any]:
    return {name: found.get(name) for name in ("verdict", "reason", "state", "counts", "differences")}


def _failure(row: TaskRow) -> dict[str, str]:
    """Return the class of the error that ended the task, what happened, and what to do."""
    name = xcoms.failure(row.get("failure")).get("error")
    kind = next((kind for kind in ADVICE if kind.__name__ == name), None)
    if row.get("state") == "upstream_failed":
        return {"error": "", "happened": "A task before this one failed.", "advice": "Open that task and clear it."}
    if kind is None:
        return {"error": "", "happened": "The task failed.", "advice": "The end of its log says why, and what to do."}
    return {"error": kind.__name__, "happened": happened(kind), "advice": ADVICE[kind]}


def _iso(moment: datetime | None) -> str | None:
    return None if moment is None else moment.isoformat()
