"""Which conversations a media task is about: those of an export or a query, or those with recordings retained."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any

from airflow.sdk import Context

from airflow_provider_genesys.exceptions import ConfigurationError
from airflow_provider_genesys.transfers.base import required
from airflow_provider_genesys.transfers.genesys_to_postgres import connect
from airflow_provider_genesys.window import resolve_window

if TYPE_CHECKING:
    from airflow_provider_genesys.cloud.media_index import Index
    from airflow_provider_genesys.transfers.media import GenesysRecordingMediaOperator

SOURCES = ("handle", "conversations_sql", "retention_threshold_days")
"""Arguments that name conversations: one of them."""


def check_source(operator: GenesysRecordingMediaOperator) -> None:
    """Check, while the DAG is parsed, that one argument says which conversations.

    :raises ConfigurationError: none does, several do, or a window would be replaced by what is not of it.
    """
    given = [name for name in SOURCES if getattr(operator, name) is not None]
    if len(given) != 1:
        raise ConfigurationError(f"Give one of {', '.join(SOURCES)}; {' and '.join(given) or 'none'} was given.")
    if given != ["handle"] and operator.write_mode == "replace_window":
        raise ConfigurationError(
            f"write_mode='replace_window' removes older rows of the window, and {given[0]} names conversations of any "
            "window. Use write_mode='upsert'."
        )


def handle_without_export(operator: GenesysRecordingMediaOperator, context: Context) -> dict[str, Any]:
    """Return a handle for a load that is of no export: in its place stands this task in this run, over all its tries.

    :raises WindowError: nobody gives a window; it says which load this is, not which conversations.
    """
    ti = context["ti"]
    window = resolve_window(operator.window_start, operator.window_end, context)
    task = _digest(f"{ti.dag_id}/{ti.run_id}/{ti.task_id}/{ti.map_index}")
    return {
        "export_id": f"{'retention' if operator.conversations_sql is None else 'query'}-{task}",
        "kind": operator.kind,
        "window_start": window.start.isoformat(),
        "window_end": window.end.isoformat(),
    }


def source_fingerprint(operator: GenesysRecordingMediaOperator) -> str:
    """Return what tells loads of other conversations apart; empty for those of an export."""
    if operator.handle is not None:
        return ""
    return _digest(f"retention {_days(operator)}" if operator.conversations_sql is None else _query(operator))


def index_of(operator: GenesysRecordingMediaOperator) -> Index | None:
    """Return what names the conversations; None where those of the export do."""
    if operator.handle is not None:
        return None
    if operator.conversations_sql is None:
        from airflow_provider_genesys.cloud.media_index import of_retention

        return of_retention(operator.hook.get_conn(), _days(operator), operator.page_size)
    from airflow_provider_genesys.cloud.media_query import QueryIndex

    conn_id = operator.sql_conn_id or operator.postgres_conn_id
    return QueryIndex(lambda: connect(conn_id), _query(operator), operator.page_size)


def _query(operator: GenesysRecordingMediaOperator) -> str:
    return str(required(operator.conversations_sql, "conversations_sql"))


def _days(operator: GenesysRecordingMediaOperator) -> int:
    return int(required(operator.retention_threshold_days, "retention_threshold_days"))


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:16]
