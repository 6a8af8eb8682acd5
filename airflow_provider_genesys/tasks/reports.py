"""Airflow's own metrics (StatsD, OpenTelemetry) of a load; docs/production.md lists their names."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urlsplit

from airflow.sdk import Asset, AssetAlias, Context

if TYPE_CHECKING:
    from airflow_provider_genesys.hooks.genesys import GenesysCloudHook
    from airflow_provider_genesys.pipeline.certificate import Certificate

try:
    from airflow.sdk.observability import stats
except ImportError:  # before Airflow 3.2
    from airflow.stats import Stats as stats  # type: ignore[no-redef]  # noqa: N813 - there it is a class
else:
    if not hasattr(stats, "incr"):  # Airflow 3.2 has the class in that module
        stats = stats.Stats  # type: ignore[assignment]  # a class, with the same functions

Tags = dict[str, str]


def tags_of(context: Context) -> Tags:
    """Return the tags that distinguish the metrics of loads."""
    return {"dag_id": context["ti"].dag_id, "task_id": context["ti"].task_id}


def loaded(certificate: Certificate, tags: Tags) -> None:
    """Count the records that a complete load read, wrote and rejected, and the seconds of its last attempt."""
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
    for phase, seconds in certificate.phases.items():
        stats.timing(f"genesys.load.phase.{phase}", 1000 * seconds, tags=tags)
    stats.gauge("genesys.load.peak_memory_mb", certificate.peak_memory_mb, tags=tags)


def paused(tags: Tags) -> None:
    """Count a pause because the source cannot be reached."""
    stats.incr("genesys.load.outages", 1, tags=tags)


_REPORTED = ("export_id", "load_id", "kind", "window_start", "window_end", "contract", "drift", "evolved")


def emit(context: Context, alias: str, certificate: Certificate, sql: str) -> None:
    """Emit an asset event through ``alias``, with the certificate's drift in its extra.

    :param sql: the SQL that changes the sink's table as the contract evolved; empty if there is none.
    """
    summary, kind = certificate.summary(), certificate.kind
    asset = Asset(name=f"genesys_drift_{kind}", uri=f"genesys://drift/{kind}")
    report = {**{name: summary[name] for name in _REPORTED}, "sql": sql}
    context["outlet_events"][AssetAlias(alias)].add(asset, extra=report)


def report(hook: GenesysCloudHook, certificate: Certificate) -> None:
    """Report lineage: the export as input, the target as output, with the load's counts."""
    collector = _collector()
    counts = vars(certificate.counts)
    window = {"window_start": certificate.window_start, "window_end": certificate.window_end}
    source = export_uri(hook.config.api_url, certificate)
    collector.add_input_asset(context=hook, uri=source, asset_extra={**window, "contract": certificate.contract})
    collector.add_output_asset(context=hook, uri=table_uri(certificate.location), asset_extra={**window, **counts})


def export_uri(api_url: str, certificate: Certificate) -> str:
    """Return the name of an export: ``genesys://api.mypurecloud.com/recordings/<id>``."""
    return f"genesys://{urlsplit(api_url).netloc}/{certificate.kind}/{quote(certificate.export_id, safe='')}"


def table_uri(location: str) -> str:
    """Return a certificate's location as Airflow names assets: ``postgres://host:5432/database/schema/table``."""
    scheme, _, rest = location.partition("://")
    if scheme != "postgresql":
        return location
    place, _, name = rest.rpartition("/")
    return f"postgres://{place}/{name.replace('.', '/', 1)}"


def _collector() -> Any:
    try:
        from airflow.sdk.lineage import get_hook_lineage_collector
    except ImportError:  # before Airflow 3.3
        from airflow.lineage.hook import (  # type: ignore[no-redef,import-not-found]
            get_hook_lineage_collector,
        )
    return get_hook_lineage_collector()
