"""Tell whoever is scheduled on drift that records differ from their contract."""

from __future__ import annotations

from typing import TYPE_CHECKING

from airflow.sdk import Asset, AssetAlias, Context

if TYPE_CHECKING:
    from airflow_provider_genesys.pipeline.certificate import Certificate

_REPORTED = ("export_id", "load_id", "kind", "window_start", "window_end", "contract", "drift", "evolved")


def emit(context: Context, alias: str, certificate: Certificate, sql: str) -> None:
    """Emit an asset event through ``alias``, with what the certificate says of drift in its extra.

    :param sql: by which the sink follows, where the contract has evolved.
    """
    summary, kind = certificate.summary(), certificate.kind
    asset = Asset(name=f"genesys_drift_{kind}", uri=f"genesys://drift/{kind}")
    report = {**{name: summary[name] for name in _REPORTED}, "sql": sql}
    context["outlet_events"][AssetAlias(alias)].add(asset, extra=report)
