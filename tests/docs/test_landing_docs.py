"""What docs/landing.md shows, and what a loading operator makes of a place where an archive was landed."""

from __future__ import annotations

import json
import re
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from airflow.sdk import DAG

import airflow_provider_genesys
from airflow_provider_genesys.exceptions import ConfigurationError
from airflow_provider_genesys.hooks.object_store import open_folder
from airflow_provider_genesys.sensors.export import GenesysExportSensor
from airflow_provider_genesys.tasks.checkpoint_mirror import CheckpointMirror
from airflow_provider_genesys.tasks.handle import read_handle
from airflow_provider_genesys.tasks.landed import LandedArchives
from airflow_provider_genesys.transfers.genesys_to_s3 import GenesysExportToS3Operator
from tests.support.task_context import context

PAGE = Path(airflow_provider_genesys.__file__).parents[1] / "docs" / "landing.md"
LOCATION = "s3://lake/raw/dt=2026-11-22/5f0c/"


def test_the_tasks_of_the_page_can_be_made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first, again = re.findall(r"```python\n(.*?)```", PAGE.read_text(), re.DOTALL)
    contract = tmp_path / "recordings_v3.yaml"
    package = Path(airflow_provider_genesys.__file__).parent
    contract.write_text((package / "contracts" / "built_in" / "recordings.yaml").read_text())
    names: dict[str, Any] = {}
    with DAG("landing", schedule=None) as dag:
        names["wait"] = GenesysExportSensor(task_id="wait", export_id="e")
        exec(first, names)  # noqa: S102 - our own page
        exec(again.replace("contracts/recordings_v3.yaml", str(contract)), names)  # noqa: S102 - our own page
    assert {"land", "load", "replay_2026-11-21", "replay_2026-11-22"} < set(dag.task_ids)
    assert dag.get_task("load").upstream_task_ids == {"land"}


@pytest.mark.parametrize(
    "given",
    [LOCATION, {"landed_at": LOCATION, "export_id": "e"}, {"location": LOCATION, "contract": "raw", "export_id": "e"}],
)
def test_a_place_where_an_archive_was_landed_is_a_handle(given: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(LandedArchives, "handle", lambda landed, url: {"export_id": url, "conn_id": landed.conn_id})
    handle = read_handle(given, "recordings", SimpleNamespace(), LandedArchives("mine"))  # type: ignore[arg-type]
    assert handle == {"kind": "recordings", "export_id": LOCATION, "conn_id": "mine"}


@pytest.mark.parametrize("url", ["s3://lake", "s3://lake/", "s3:///raw/", "az://"])
def test_a_url_without_bucket_or_folder_is_refused(url: str) -> None:
    with pytest.raises(ConfigurationError, match="is not a folder in a bucket"):
        open_folder(url, None)


SHARD = {"number": 1, "count": 2, "start": 0, "end": 9, "planned_at": "2026-11-23"}


@pytest.mark.parametrize(
    ("kind", "shard", "reported"),
    [
        ("conversation_details", None, "'conversation_details' has pages and no archive"),
        ("recordings", SHARD, "Leave out shard"),
    ],
)
def test_an_export_of_pages_and_a_part_of_one_cannot_be_landed(
    monkeypatch: pytest.MonkeyPatch, kind: str, shard: Any, reported: str
) -> None:
    connection = {"conn_type": "genesys_cloud", "login": "id", "password": "secret", "extra": {"region": "us-east-1"}}
    monkeypatch.setenv("AIRFLOW_CONN_GENESYS_DEFAULT", json.dumps(connection))
    operator = GenesysExportToS3Operator(
        task_id="land", handle="", s3_bucket="lake", s3_prefix="raw", output_format="raw", shard=shard
    )
    handle = {
        "export_id": "e",
        "kind": kind,
        "window_start": "2026-11-22",
        "window_end": "2026-11-23",
        "submitted_at": "2026-11-23",
    }
    given: Any = context()
    with pytest.raises(ConfigurationError, match=reported):
        operator.load_export(given, CheckpointMirror(given), handle, restart=False)
