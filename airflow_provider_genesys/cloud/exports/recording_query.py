"""Builds the query of a recording job, and compares it with the query of an existing job."""

from __future__ import annotations

from typing import Any

from airflow_provider_genesys.cloud.exports.base import ExportRequest
from airflow_provider_genesys.exceptions import ConfigurationError
from airflow_provider_genesys.times import api_time, parse_time

ACTION = "EXPORT"
_FILTERS = frozenset(
    {
        "conversationFilters",
        "evaluationFilters",
        "limit",
        "order",
        "orderBy",
        "resolutionFilters",
        "segmentFilters",
        "startOfDayIntervalMatching",
        "surveyFilters",
    }
)
"""Members of Genesys' ``AsyncConversationQuery``, without its interval, which is the window."""
_OPTIONS = frozenset(
    {
        "action",
        "actionAge",
        "actionDate",
        "includePolicyBasedRecordings",
        "includeRecordingsWithSensitiveData",
        "includeScreenRecordings",
        "includeSnippetRecordings",
        "integrationId",
        "screenRecordingActionAge",
        "screenRecordingActionDate",
    }
)
"""Members of Genesys' ``RecordingJobsQuery``. Not among them: ``clearExport``, which deletes, and
``agedConversationInterval``, which has no window that analytics knows."""
_UNSAID = {
    "includePolicyBasedRecordings": True,
    "includeRecordingsWithSensitiveData": False,
    "includeScreenRecordings": True,
    "includeSnippetRecordings": True,
    "order": "asc",
    "orderBy": "conversationStart",
    "startOfDayIntervalMatching": False,
}
"""Genesys' defaults for members that are absent."""


def recording_query(request: ExportRequest) -> dict[str, Any]:
    """Return the body that creates a job for ``request``.

    :raises ConfigurationError: another action than EXPORT, no integration to export with, or an unknown member.
    """
    action = request.options.get("action", ACTION)
    if action != ACTION:
        raise ConfigurationError(
            f"A recording job with action {action!r} was asked for. This package exports; it neither deletes nor "
            "archives recordings. Do that in Genesys Cloud, with your own policy or job."
        )
    _check("filters", request.filters, _FILTERS)
    _check("options", request.options, _OPTIONS)
    if not request.options.get("integrationId"):
        raise ConfigurationError(
            "options has no integrationId. Give it the id of the organisation's 'AWS S3 Recording Bulk Actions "
            "Integration', through which Genesys writes into your bucket (Genesys Cloud Admin: Integrations)."
        )
    interval = f"{api_time(request.window_start)}/{api_time(request.window_end)}"
    return {**request.options, "action": ACTION, "conversationQuery": {"interval": interval, **request.filters}}


def is_same_query(reported: dict[str, Any], asked: dict[str, Any]) -> bool:
    """Whether Genesys reports the query that was asked. Its action date is ignored if none was asked."""
    if asked.keys() & {"actionDate", "actionAge"}:
        return _same(reported, asked)
    return _same({name: value for name, value in reported.items() if name != "actionDate"}, asked)


def _same(reported: Any, asked: Any) -> bool:
    if isinstance(reported, dict) and isinstance(asked, dict):
        names = reported.keys() | asked.keys()
        return all(_same(_said(reported, name), _said(asked, name)) for name in names)
    if isinstance(reported, list) and isinstance(asked, list):
        return len(reported) == len(asked) and all(map(_same, reported, asked))
    if isinstance(reported, str) and isinstance(asked, str):
        return _moments(reported) == _moments(asked)
    return bool(reported == asked)


def _said(members: dict[str, Any], name: str) -> Any:
    """Return a member; None if it is absent or empty."""
    found = members.get(name, _UNSAID.get(name))
    return None if found in ([], {}) else found


def _moments(text: str) -> list[Any]:
    """Return the time, or the two times of an interval, in a form that can be compared; other text unchanged."""
    return [parse_time(part) or part for part in text.split("/")]


def _check(name: str, given: dict[str, Any], known: frozenset[str]) -> None:
    if unknown := sorted(given.keys() - known):
        raise ConfigurationError(
            f"{name} must not hold {', '.join(unknown)}. For a recording job it takes {', '.join(sorted(known))}."
        )
