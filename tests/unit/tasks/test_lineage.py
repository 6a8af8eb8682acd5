"""What a load tells Airflow's own reports, with a real collector."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from airflow_provider_genesys.tasks import reports
from airflow_provider_genesys.testing.sink_conformance.source import make_certificate, make_checkpoint, make_load


@pytest.mark.parametrize(
    ("location", "uri"),
    [
        ("postgresql://db:5432/lake/public.recordings", "postgres://db:5432/lake/public/recordings"),
        ("s3://lake/raw/dt=2026-11-01/load-1/", "s3://lake/raw/dt=2026-11-01/load-1/"),
    ],
)
def test_a_location_is_named_as_airflow_names_assets(location: str, uri: str) -> None:
    assert reports.table_uri(location) == uri


def test_a_load_reports_its_export_and_its_table(monkeypatch: pytest.MonkeyPatch) -> None:
    try:
        from airflow.sdk.lineage import HookLineageCollector
    except ImportError:
        from airflow.lineage.hook import HookLineageCollector
    collector = HookLineageCollector()
    monkeypatch.setattr(reports, "_collector", lambda: collector)
    load = make_load()
    certificate = make_certificate(load, make_checkpoint(load, 10)).accounted(
        make_counts(10), location="postgresql://db:5432/lake/public.recordings"
    )
    hook: Any = SimpleNamespace(config=SimpleNamespace(api_url="https://api.example.com"))

    reports.report(hook, certificate)

    [read], [written] = collector.collected_assets.inputs, collector.collected_assets.outputs
    assert read.asset.uri == "genesys://api.example.com/recordings/export-1"
    assert written.asset.uri == "postgres://db:5432/lake/public/recordings"
    assert written.asset.extra["written"] == 10
    assert written.asset.extra["window_start"] == "2026-11-01T00:00:00+00:00"


def make_counts(records: int) -> Any:
    from airflow_provider_genesys.pipeline.checkpoint import Counts

    return Counts(records, records)
