"""What a load read and wrote, told to Airflow's own lineage: the collector that OpenLineage, among others, reads."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urlsplit

if TYPE_CHECKING:
    from airflow_provider_genesys.hooks.genesys import GenesysCloudHook
    from airflow_provider_genesys.pipeline.certificate import Certificate


def report(hook: GenesysCloudHook, certificate: Certificate) -> None:
    """Report the export as input and the place that it was loaded into as output, with the load's counts."""
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
