"""Airflow's own metrics (StatsD, OpenTelemetry) of a load; docs/production.md lists their names."""

from __future__ import annotations

from typing import TYPE_CHECKING

from airflow.sdk import Context

try:
    from airflow.sdk.observability import stats
except ImportError:  # before Airflow 3.3
    from airflow.stats import Stats as stats  # type: ignore[no-redef]  # noqa: N813 - there it is a class

if TYPE_CHECKING:
    from airflow_provider_genesys.pipeline.certificate import Certificate

Tags = dict[str, str]


def tags_of(context: Context) -> Tags:
    """Return what tells one load's metrics from another's."""
    return {"dag_id": context["ti"].dag_id, "task_id": context["ti"].task_id}


def loaded(certificate: Certificate, tags: Tags) -> None:
    """Count what a complete load has read, written and set aside, and how long its last attempt took."""
    counts = {
        "bytes": certificate.bytes_read,
        "records": certificate.counts.read,
        "dead_letters": certificate.counts.dead_letters,
        "duplicates": certificate.counts.duplicates,
        "retries": certificate.attempts - 1,
    }
    for name, count in counts.items():
        stats.incr(f"genesys.load.{name}", count, tags=tags)
    stats.timing("genesys.load.duration", 1000 * certificate.seconds, tags=tags)
    stats.gauge("genesys.load.peak_memory_mb", certificate.peak_memory_mb, tags=tags)


def paused(tags: Tags) -> None:
    """Count a pause because the source cannot be reached."""
    stats.incr("genesys.load.outages", 1, tags=tags)
