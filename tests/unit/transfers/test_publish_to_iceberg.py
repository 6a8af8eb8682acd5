"""The operators commit to a REST catalog and to one in a file, by Airflow's connections; no secret leaves them."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from airflow.exceptions import AirflowFailException

from airflow_provider_genesys.exceptions import ConfigurationError
from airflow_provider_genesys.testing.fake_genesys import FakeGenesys
from airflow_provider_genesys.testing.services import AzuriteServer, S3Server
from airflow_provider_genesys.transfers.genesys_entities_to_s3 import GenesysEntitiesToS3Operator
from airflow_provider_genesys.transfers.genesys_to_azure_blob import GenesysExportToAzureBlobOperator
from airflow_provider_genesys.transfers.genesys_to_s3 import GenesysExportToS3Operator
from tests.lake.rest_catalog import Answer, RestCatalog, serving
from tests.lake.tables import Lake, in_azure, in_s3
from tests.support.task_context import context, new_export, pushed

SECRET = "a-secret-of-the-catalog"  # noqa: S105 - made up
TABLE = {"conn_id": "lake", "namespace": "lake", "table": "recordings", "create": True}


def connection(monkeypatch: pytest.MonkeyPatch, name: str, **fields: Any) -> None:
    monkeypatch.setenv(f"AIRFLOW_CONN_{name.upper()}", json.dumps(fields))


@pytest.fixture
def lake(tmp_path: Path, bucket: str, s3: S3Server, monkeypatch: pytest.MonkeyPatch) -> Lake:
    connection(monkeypatch, "aws_default", **s3.connection())
    return Lake(**in_s3(tmp_path / "catalog.db", bucket, s3.endpoint_url))


@pytest.fixture
def rest(lake: Lake, monkeypatch: pytest.MonkeyPatch) -> Iterator[RestCatalog]:
    with serving(RestCatalog(lake.catalog(), SECRET)) as catalog:
        connection(monkeypatch, "lake", conn_type="iceberg", host=catalog.url, login="client", password=SECRET)
        yield catalog


@pytest.fixture
def export_id(start_genesys: Callable[..., FakeGenesys]) -> str:
    start_genesys(records=60, job_seconds=0)
    return new_export()


def load(bucket: str, export_id: str, **changes: Any) -> tuple[dict[str, Any], Any]:
    given: Any = context()
    task = GenesysExportToS3Operator(
        task_id="load",
        handle=export_id,
        s3_bucket=bucket,
        s3_prefix="raw",
        drift_alias=None,
        **{"output_format": "parquet", "publish_to_iceberg": TABLE, **changes},
    )
    return task.execute(given), pushed(given)


def closed(_: Answer) -> None:
    return None


def unknown(_: Answer) -> Answer:
    return 502, {"error": {"message": "bad gateway", "type": "ServerError", "code": 502}}


def refused(_: Answer) -> Answer:
    """Answer as to a request that a proxy has sent twice, because the first answer was lost: the table has changed."""
    return 409, {"error": {"message": "the branch main has changed", "type": "CommitFailedException", "code": 409}}


@pytest.mark.parametrize("lost", [(), (closed,), (unknown,), (refused,), (closed, unknown)])
def test_a_rest_catalog_takes_a_load_once(
    lake: Lake, rest: RestCatalog, bucket: str, export_id: str, lost: tuple[Any, ...]
) -> None:
    rest.lost += lost
    summary, checkpoint = load(bucket, export_id)
    table = lake.table()
    assert summary["iceberg"] == {"lake.recordings": str(table.metadata.current_snapshot_id)}
    assert len(table.metadata.snapshots) == 1
    assert table.scan().to_arrow().num_rows == summary["counts"]["written"] == 60
    shown = json.dumps([summary, checkpoint]) + table.metadata.model_dump_json()
    assert SECRET not in shown
    assert "testtest" not in shown


def test_a_catalog_that_refuses_the_client_is_a_clear_error(
    rest: RestCatalog, bucket: str, export_id: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    connection(monkeypatch, "lake", conn_type="iceberg", host=rest.url, login="client", password="another")  # noqa: S106
    with pytest.raises(AirflowFailException, match=r"refuses the Iceberg table lake\.recordings") as refusal:
        load(bucket, export_id)
    assert "another" not in str(refusal.value)


def test_a_listing_is_the_newest_snapshot(
    lake: Lake, bucket: str, start_genesys: Callable[..., FakeGenesys], monkeypatch: pytest.MonkeyPatch
) -> None:
    connection(monkeypatch, "lake", conn_type="iceberg", extra={**lake.properties, "name": "default"})
    start_genesys(users=30)

    def listed(run_id: str) -> dict[str, Any]:
        task = GenesysEntitiesToS3Operator(
            task_id="load",
            entity="users",
            s3_bucket=bucket,
            s3_prefix="raw",
            output_format="parquet",
            publish_to_iceberg={**TABLE, "table": "users"},
        )
        given: Any = context(run_id=run_id)
        return task.execute(given)

    before = listed("first")
    start_genesys(users=20)
    after = listed("second")
    table = lake.table("lake.users")
    counts = [table.scan(snapshot_id=int(one["iceberg"]["lake.users"])).to_arrow().num_rows for one in (before, after)]
    assert counts == [before["counts"]["written"], after["counts"]["written"]] == [30, 20]
    assert table.scan().to_arrow().num_rows == 20


def test_azure_blob(
    tmp_path: Path, azurite: AzuriteServer, container: str, export_id: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    connection(monkeypatch, "wasb_default", **azurite.connection())
    lake = Lake(**in_azure(tmp_path / "catalog.db", azurite.client().get_container_client(container)))
    kept = {name: lake.properties[name] for name in ("type", "uri", "warehouse")}
    connection(monkeypatch, "lake", conn_type="iceberg", extra={**kept, "name": "default"})
    task = GenesysExportToAzureBlobOperator(
        task_id="load",
        handle=export_id,
        container_name=container,
        blob_prefix="raw",
        output_format="parquet",
        publish_to_iceberg=TABLE,
        drift_alias=None,
    )
    given: Any = context()
    assert task.execute(given)["counts"]["written"] == lake.table().scan().to_arrow().num_rows == 60


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"publish_to_iceberg": {**TABLE, "tabel": "x"}}, "publish_to_iceberg has tabel; it may have"),
        ({"publish_to_iceberg": {"namespace": "lake"}}, r"publish_to_iceberg\['table'\] is empty"),
        ({"publish_to_iceberg": {**TABLE, "properties": {"s3.secret-access-key": "x"}}}, "which is a secret"),
    ],
)
def test_a_wrong_argument_fails_where_the_dag_is_parsed(changes: dict[str, Any], said: str) -> None:
    with pytest.raises(ConfigurationError, match=said):
        GenesysExportToS3Operator(task_id="load", handle="e", s3_bucket="b", s3_prefix="p", **changes)


@pytest.mark.parametrize("output_format", ["ndjson.gz", "raw"])
def test_only_parquet_is_committed(rest: RestCatalog, bucket: str, export_id: str, output_format: str) -> None:
    with pytest.raises(AirflowFailException, match="publish_to_iceberg needs output_format='parquet'"):
        load(bucket, export_id, output_format=output_format)
